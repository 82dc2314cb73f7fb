//! What the end-to-end tests start: [`fake`], a scriptable runner. The tests themselves are in `tests/it`.

pub mod fake;
