//! Tests of the registry, the encoder and the parser.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "it/conformance.rs"]
mod conformance;
#[path = "it/parser.rs"]
mod parser;
#[path = "it/registry.rs"]
mod registry;
