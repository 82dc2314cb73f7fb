//! Tests of the registry, the encoder and the parser.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "it/conformance.rs"]
mod conformance;
#[path = "it/open_rules.rs"]
mod open_rules;
#[path = "it/parser.rs"]
mod parser;
#[path = "it/registry.rs"]
mod registry;
#[path = "it/roundtrip.rs"]
mod roundtrip;
#[path = "it/text_rules.rs"]
mod text_rules;
