//! The document as Markdown (GitHub flavour). Text of others cannot break out of its cell or its fence.

use super::model::{Block, Cell, Document, Table, is_hostile, is_linkable};
use std::fmt::Write as _;

pub(super) fn render(document: &Document) -> String {
    let mut md = String::with_capacity(32 * 1024);
    first(document, &mut md);
    for section in &document.sections {
        let _ = write!(md, "\n## {}\n", text(section.title));
        for block in &section.blocks {
            md.push('\n');
            render_block(block, document, &mut md);
        }
    }
    let _ = write!(md, "\n---\n\n{}\n", text(&document.footer));
    md
}

fn first(document: &Document, md: &mut String) {
    let (w, first) = (document.words, &document.first);
    if let Some(kicker) = &first.kicker {
        let _ = write!(md, "{}\n\n", text(kicker));
    }
    let _ = write!(md, "# {}\n\n{}\n", text(&first.headline), text(first.gloss));
    for note in &first.notes {
        let _ = write!(md, "\n> {}\n", text(note));
    }
    let _ = write!(md, "\n{}: {}\n", w.evidence_class, text(first.class));
    for line in &first.lines {
        let _ =
            write!(md, "\n- **{}: {}** ({}) {}", line.name, line.state, line.question, text(&line.sentence));
    }
    md.push_str("\n\n");
    for (class, letter) in [(w.class_critical, 'C'), (w.class_high, 'H'), (w.class_medium, 'M')] {
        let marks = first.strip.iter().filter(|(id, ..)| id.starts_with(letter));
        let marks: Vec<String> = marks.map(|(id, _, word)| format!("{id} {word}")).collect();
        let _ = writeln!(md, "- {class}: {}", marks.join(", "));
    }
    let _ = write!(md, "\n**{}**\n\n", w.three_reasons);
    if first.reasons.is_empty() {
        let _ = writeln!(md, "{}", w.no_reasons);
    }
    for (i, reason) in first.reasons.iter().enumerate() {
        let _ = writeln!(md, "{}. {}", i + 1, text(reason));
    }
    let _ = write!(md, "\n**{}**\n\n", w.next);
    for step in &first.next {
        let _ = writeln!(md, "- {}", text(step));
    }
    let facts: Vec<String> =
        first.facts.iter().map(|(label, value)| format!("{label}: {}", code(value, false))).collect();
    let _ = write!(md, "\n{}. {}\n", w.title, facts.join(", "));
}

fn render_block(block: &Block, document: &Document, md: &mut String) {
    match block {
        Block::Text(sentence) => {
            let _ = writeln!(md, "{}", text(sentence));
        }
        Block::Sub(title, badge) => {
            let mark = badge.as_ref().map_or_else(String::new, |(_, state)| format!(" **[{state}]**"));
            let _ = writeln!(md, "### {}{mark}", text(title));
        }
        Block::List(items) => {
            for item in items {
                let _ = writeln!(md, "- {}", text(item));
            }
        }
        Block::Table(found) => table(found, md),
        Block::Folded(summary, found) => {
            let _ = writeln!(md, "<details><summary>{}</summary>\n", text(summary));
            table(found, md);
            md.push_str("\n</details>\n");
        }
        Block::Verbatim { caption, text: verbatim } => {
            let fence = "`".repeat(longest_run(verbatim).max(2) + 1);
            let _ = write!(
                md,
                "{}:\n\n{fence}text\n{}\n{fence}\n",
                text(caption),
                harmless(verbatim, true).trim_end()
            );
        }
        Block::Command { caption, command } => {
            let _ = writeln!(md, "{caption}: {}", code(command, false));
        }
        Block::Chart(chart) => {
            let _ = writeln!(
                md,
                "{} ({}). {}",
                text(&chart.title),
                text(&chart.axis),
                text(&chart.description(document.words))
            );
            if !chart.tabled {
                md.push('\n');
                table(&chart.table(document.words), md);
            }
        }
    }
}

fn table(found: &Table, md: &mut String) {
    let _ = writeln!(md, "| {} |", found.head.join(" | "));
    let numeric = |column: usize| {
        found.rows.iter().any(|row| matches!(row.get(column), Some(Cell::Number(_) | Cell::Bar(..))))
    };
    for column in 0..found.head.len() {
        md.push_str(if numeric(column) { "|---:" } else { "|---" });
    }
    md.push_str("|\n");
    for row in &found.rows {
        for cell in row {
            let _ = write!(md, "| {} ", render_cell(cell));
        }
        md.push_str("|\n");
    }
}

fn render_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(words) => text(words),
        Cell::Code(name) => code(name, true),
        Cell::Number(number) | Cell::Bar(number, _) => text(number),
        Cell::Badge(_, words) => format!("**{}**", text(words)),
        Cell::Named(name, key) => format!("{} {}", text(name), code(key, true)),
        Cell::Files(names) => names.iter().map(|name| file(name)).collect::<Vec<_>>().join(", "),
    }
}

fn file(name: &str) -> String {
    if is_linkable(name) { format!("[{name}]({name})") } else { code(name, true) }
}

/// Text that Markdown shows as it is: one line, no markup, no HTML, no cell border.
fn text(words: &str) -> String {
    let mut out = String::with_capacity(words.len() + 8);
    let flat = harmless(words, false);
    let mut rest = flat.chars().peekable();
    while let Some(c) = rest.next() {
        let next_opens = |c: Option<&char>| c.is_some_and(|c| c.is_alphabetic() || "/!?".contains(*c));
        match c {
            '|' | '\\' | '`' | '*' | '[' | ']' => {
                out.push('\\');
                out.push(c);
            }
            '<' if next_opens(rest.peek()) => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            _ => out.push(c),
        }
    }
    out
}

/// A code span; its fence is longer than any inside.
fn code(words: &str, in_table: bool) -> String {
    let flat = harmless(words, false);
    let flat = if in_table { flat.replace('|', "\\|") } else { flat };
    let run = longest_run(&flat);
    if run == 0 {
        return format!("`{flat}`");
    }
    let fence = "`".repeat(run + 1);
    format!("{fence} {flat} {fence}")
}

fn longest_run(words: &str) -> usize {
    words.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Without characters that change how the rest is shown; without line breaks unless they are wanted.
fn harmless(words: &str, lines: bool) -> String {
    words
        .chars()
        .map(|c| match c {
            '\n' | '\t' if lines => c,
            '\n' | '\r' | '\t' => ' ',
            c if is_hostile(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_stays_text() {
        assert_eq!(text("a|b\n<script>x</script> *c* <= 5"), "a\\|b &lt;script>x&lt;/script> \\*c\\* <= 5");
        assert_eq!(code("a`b|c", true), "`` a`b\\|c ``");
        assert_eq!(harmless("\u{1b}[31mred\u{202e}", false), "\u{fffd}[31mred\u{fffd}");
        assert_eq!(longest_run("a ``` b"), 3);
    }
}
