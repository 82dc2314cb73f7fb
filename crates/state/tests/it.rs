//! Tests of the state stores.

#![allow(clippy::unwrap_used)]

mod it {
    mod conformance;
    mod reset;
}
