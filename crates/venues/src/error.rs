//! Why a frame or an answer could not be read.

use market::DecimalError;

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The field is not there.
    #[error("is missing")]
    Missing,
    /// The field has another type or form than the venue documents.
    #[error("has an unexpected form")]
    Shape,
    /// The number is negative or, for a price, zero.
    #[error("is not a positive number")]
    Sign,
    /// The number's spelling cannot be represented exactly.
    #[error(transparent)]
    Number(#[from] DecimalError),
    /// The bytes are no JSON of the expected form.
    #[error("is not the expected JSON: {0}")]
    Json(String),
}

/// A frame or an answer that could not be read: the field, what is wrong with it, and how the bytes begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem} (starts with {head:?})")]
pub struct WireError {
    /// The venue's name of the field, or `frame` for the whole.
    pub field: &'static str,
    /// What is wrong.
    pub problem: Problem,
    /// The first 80 bytes, invalid UTF-8 replaced.
    pub head: String,
}

impl WireError {
    pub(crate) fn new(field: &'static str, problem: impl Into<Problem>, frame: &[u8]) -> Self {
        let head = String::from_utf8_lossy(&frame[..frame.len().min(80)]).into_owned();
        Self { field, problem: problem.into(), head }
    }

    pub(crate) fn json(error: &serde_json::Error, frame: &[u8]) -> Self {
        Self::new("frame", Problem::Json(error.to_string()), frame)
    }
}

/// An error of one field, before the frame around it is known.
pub(crate) type FieldError = (&'static str, Problem);

/// Attaches the frame to a field's error.
pub(crate) fn at(frame: &[u8]) -> impl Fn(FieldError) -> WireError + '_ {
    move |(field, problem)| WireError::new(field, problem, frame)
}
