//! What is wrong with a profile, with the place in its text.

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use std::fmt;
use std::ops::Range;

/// A profile that cannot be used. Exit code 64, or 66 when there is no such profile.
#[derive(Debug, Clone)]
pub struct ProfileError {
    what: String,
    help: Option<String>,
    place: Option<Box<Place>>,
    missing: bool,
}

/// A place in a file.
#[derive(Debug, Clone)]
struct Place {
    source: NamedSource<String>,
    text: String,
    span: Range<usize>,
    label: String,
}

impl ProfileError {
    pub(super) fn plain(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { what: what.into(), help: Some(help.into()), place: None, missing: false }
    }

    pub(super) fn missing(what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { missing: true, ..Self::plain(what, help) }
    }

    pub(crate) fn at(
        file: &str,
        text: &str,
        span: Range<usize>,
        what: impl Into<String>,
        label: impl Into<String>,
        help: Option<String>,
    ) -> Self {
        let source = NamedSource::new(file, text.to_owned()).with_language("toml");
        let place = Place { source, text: text.to_owned(), span, label: label.into() };
        Self { what: what.into(), help, place: Some(Box::new(place)), missing: false }
    }

    /// Line and column, from 1, when the error has a place.
    pub fn line_column(&self) -> Option<(usize, usize)> {
        let place = self.place.as_ref()?;
        let before = place.text.get(..place.span.start).unwrap_or(&place.text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Some((before.matches('\n').count() + 1, column))
    }

    /// The file, when the error has a place.
    pub fn file(&self) -> Option<&str> {
        self.place.as_ref().map(|place| place.source.name())
    }

    /// The process's exit code: 64 configuration, 66 no such profile.
    pub const fn exit_code(&self) -> i32 {
        if self.missing { 66 } else { 64 }
    }

    /// Plain text: the sentence with file, line and column, the line itself with carets, what is allowed.
    pub fn render(&self) -> String {
        let mut out = self.to_string();
        if let (Some(place), Some((line, column))) = (&self.place, self.line_column()) {
            let text = place.text.lines().nth(line - 1).unwrap_or_default();
            let width = place
                .text
                .get(place.span.clone())
                .map_or(1, |span| span.lines().next().unwrap_or("").chars().count());
            let carets = "^".repeat(width.max(1));
            let gutter = " ".repeat(line.to_string().len());
            let indent = " ".repeat(column - 1);
            out.push_str(&format!(
                "\n {gutter} |\n {line} | {text}\n {gutter} | {indent}{carets} {}",
                place.label
            ));
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("\n  help: {help}"));
        }
        out
    }
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some((line, column))) = (self.file(), self.line_column()) {
            write!(f, "{file}:{line}:{column}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for ProfileError {}

impl Diagnostic for ProfileError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|place| &place.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        let label = LabeledSpan::new_with_span(Some(place.label.clone()), place.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}
