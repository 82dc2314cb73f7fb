//! The document as one HTML file: no network, no script, light and dark, phone and paper, usable by keyboard.

use super::model::{Block, Cell, Document, Table, Tone, is_hostile, is_linkable};
use std::fmt::{self, Write as _};

const STYLE: &str = include_str!("style.css");

/// Text as HTML text or attribute value.
pub(super) struct Esc<'a>(pub(super) &'a str);

impl fmt::Display for Esc<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if is_hostile(c) => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const fn class_of(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Fair => "fair",
        Tone::Warn => "warn",
        Tone::Bad => "bad",
        Tone::Quiet => "quiet",
    }
}

pub(super) fn render(document: &Document) -> String {
    let (w, lang) = (document.words, document.lang);
    let title = format!("{} - {}", document.first.headline, w.title);
    let mut html = String::with_capacity(64 * 1024);
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">{}</a>\n",
        Esc(&title),
        Esc(w.skip),
    );
    first(document, &mut html);
    let _ = write!(html, "<nav aria-label=\"{0}\"><h2>{0}</h2><ul>", Esc(w.contents));
    for section in &document.sections {
        let _ = write!(html, "<li><a href=\"#{}\">{}</a></li>", section.id, Esc(section.title));
    }
    html.push_str("</ul></nav>\n<main id=\"main\" tabindex=\"-1\">\n");
    for section in &document.sections {
        let _ = write!(
            html,
            "<section id=\"{id}\" aria-labelledby=\"{id}-h\">\n<h2 id=\"{id}-h\">{}</h2>\n",
            Esc(section.title),
            id = section.id,
        );
        for block in &section.blocks {
            render_block(block, document, &mut html);
        }
        html.push_str("</section>\n");
    }
    let _ = write!(html, "</main>\n<footer>{}</footer>\n</body>\n</html>\n", Esc(&document.footer));
    html
}

fn first(document: &Document, html: &mut String) {
    let (w, first) = (document.words, &document.first);
    html.push_str("<header>\n");
    if let Some(kicker) = &first.kicker {
        let _ = writeln!(html, "<p class=\"kicker\">{}</p>", Esc(kicker));
    }
    let _ = writeln!(
        html,
        "<div class=\"banner {}\"><p class=\"eyebrow\">{}</p><h1>{}</h1><p class=\"gloss\">{}</p><p class=\"class\">{}: {}</p></div>",
        class_of(first.tone),
        Esc(w.decision),
        Esc(&first.headline),
        Esc(first.gloss),
        Esc(w.evidence_class),
        Esc(first.class),
    );
    for note in &first.notes {
        let _ = writeln!(html, "<p class=\"note\">{}</p>", Esc(note));
    }
    html.push_str("<div class=\"answers\">");
    for line in &first.lines {
        let _ = write!(
            html,
            "<div class=\"answer\"><p class=\"eyebrow\">{} <span class=\"badge {}\">{}</span></p><p class=\"question\">{}</p><p>{}</p></div>",
            Esc(line.name),
            class_of(line.tone),
            Esc(line.state),
            Esc(line.question),
            Esc(&line.sentence),
        );
    }
    let _ = write!(
        html,
        "</div>\n<div class=\"answers\"><div class=\"answer\"><h2>{}</h2>",
        Esc(w.three_reasons)
    );
    if first.reasons.is_empty() {
        let _ = write!(html, "<p>{}</p>", Esc(w.no_reasons));
    } else {
        html.push_str("<ol>");
        for reason in &first.reasons {
            let _ = write!(html, "<li>{}</li>", Esc(reason));
        }
        html.push_str("</ol>");
    }
    let _ = write!(html, "</div><div class=\"answer\"><h2>{}</h2><ul>", Esc(w.next));
    for step in &first.next {
        let _ = write!(html, "<li>{}</li>", Esc(step));
    }
    let _ = write!(html, "</ul></div></div>\n<ul class=\"strip\" aria-label=\"{}\">", Esc(w.criteria));
    for (id, tone, word) in &first.strip {
        let _ = write!(html, "<li><span class=\"badge {}\">{id} {}</span></li>", class_of(*tone), Esc(word));
    }
    html.push_str("</ul>\n<dl class=\"facts\">");
    for (label, value) in &first.facts {
        let _ = write!(html, "<div><dt>{}</dt><dd>{}</dd></div>", Esc(label), Esc(value));
    }
    html.push_str("</dl>\n</header>\n");
}

fn render_block(block: &Block, document: &Document, html: &mut String) {
    match block {
        Block::Text(text) => {
            let _ = writeln!(html, "<p>{}</p>", Esc(text));
        }
        Block::Sub(title, badge) => {
            let mark = badge.as_ref().map_or_else(String::new, |(tone, state)| {
                format!(" <span class=\"badge {}\">{}</span>", class_of(*tone), Esc(state))
            });
            let _ = writeln!(html, "<h3>{}{mark}</h3>", Esc(title));
        }
        Block::List(items) => {
            html.push_str("<ul>");
            for item in items {
                let _ = write!(html, "<li>{}</li>", Esc(item));
            }
            html.push_str("</ul>\n");
        }
        Block::Table(found) => table(found, html),
        Block::Folded(summary, found) => {
            let _ = writeln!(html, "<details><summary>{}</summary>", Esc(summary));
            table(found, html);
            html.push_str("</details>\n");
        }
        // Focusable, so that a long block can be scrolled without a mouse.
        Block::Verbatim { caption, text } => {
            let _ = writeln!(
                html,
                "<figure><figcaption>{0}</figcaption><pre tabindex=\"0\" role=\"region\" aria-label=\"{0}\">{1}</pre></figure>",
                Esc(caption),
                Esc(text),
            );
        }
        Block::Command { caption, command } => {
            let _ =
                writeln!(html, "<p class=\"command\">{}: <code>{}</code></p>", Esc(caption), Esc(command));
        }
        Block::Chart(chart) => {
            let _ = writeln!(
                html,
                "<figure class=\"plot\"><figcaption>{} <span class=\"axis\">({})</span></figcaption>{}<p class=\"axis\">{}</p></figure>",
                Esc(&chart.title),
                Esc(&chart.axis),
                chart.svg(document.words),
                Esc(&chart.description(document.words)),
            );
        }
    }
}

/// How the columns share the width: a name and its value, a numbered list whose parts line up, or as the text needs it.
fn kind(found: &Table) -> &'static str {
    let numbered = found.rows.first().is_some_and(|row| matches!(row.first(), Some(Cell::Number(_))));
    match found.head.len() {
        2 => " class=\"pair\"",
        7 if numbered => " class=\"numbered\"",
        7 => " class=\"judged\"",
        _ => "",
    }
}

fn table(found: &Table, html: &mut String) {
    let _ = write!(html, "<table{}><caption>{}</caption><thead><tr>", kind(found), Esc(&found.caption));
    for head in &found.head {
        let _ = write!(html, "<th scope=\"col\">{}</th>", Esc(head));
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in &found.rows {
        html.push_str("<tr>");
        for (cell, head) in row.iter().zip(&found.head) {
            let class = match cell {
                Cell::Number(_) => " class=\"number\"",
                Cell::Bar(..) => " class=\"bar\"",
                // Left out where each cell has a line of its own.
                Cell::Text(text) if text == "-" => " class=\"void\"",
                _ => "",
            };
            let _ = write!(html, "<td{class} data-label=\"{}\">{}</td>", Esc(head), render_cell(cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table>\n");
}

fn render_cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) | Cell::Number(text) => format!("<span>{}</span>", Esc(text)),
        Cell::Code(name) => format!("<code>{}</code>", Esc(name)),
        // A state stays on one line; a state with its reason may need several.
        Cell::Badge(tone, text) => {
            let state = if text.chars().count() <= 14 { " state" } else { "" };
            format!("<span class=\"badge {}{state}\">{}</span>", class_of(*tone), Esc(text))
        }
        Cell::Named(name, key) => format!("<span>{}<br><code>{}</code></span>", Esc(name), Esc(key)),
        Cell::Bar(number, share) => format!(
            "<span class=\"amount\">{}</span><span class=\"track\" aria-hidden=\"true\"><span style=\"width:{:.1}%\"></span></span>",
            Esc(number),
            if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 },
        ),
        Cell::Files(names) => {
            let files: Vec<String> = names.iter().map(|name| file(name)).collect();
            format!("<span>{}</span>", files.join("<br>"))
        }
    }
}

fn file(name: &str) -> String {
    if is_linkable(name) {
        format!("<a href=\"{0}\">{0}</a>", Esc(name))
    } else {
        format!("<code>{}</code>", Esc(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes() {
        assert_eq!(
            Esc("<img src=x onerror='a(\"b\")'>&\u{1b}[0m").to_string(),
            "&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;\u{fffd}[0m"
        );
        assert_eq!(file("samples.jsonl"), "<a href=\"samples.jsonl\">samples.jsonl</a>");
        assert!(!file("javascript:alert(1)").contains("href"));
        assert!(!file("../../etc/passwd").contains("href"));
        assert!(!file("//host/x").contains("href"));
    }
}
