//! Tests of the judge: decision, rules in virtual time, accounting, and whole judgements with sabotage.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "it/absence.rs"]
mod absence;
#[path = "it/accounting.rs"]
mod accounting;
#[path = "it/decision.rs"]
mod decision;
#[allow(dead_code, reason = "the engine's own tests use the rest")]
#[path = "../../engine/tests/it/driver.rs"]
mod driver;
#[path = "it/fixture.rs"]
mod fixture;
#[path = "it/judging.rs"]
mod judging;
#[path = "it/lost_alerts.rs"]
mod lost_alerts;
#[path = "it/planted.rs"]
mod planted;
#[path = "it/rules.rs"]
mod rules;
#[path = "it/sabotage.rs"]
mod sabotage;
#[allow(dead_code, reason = "the engine's own tests use the rest")]
#[path = "../../engine/tests/it/scenarios.rs"]
mod scenarios;
#[path = "it/sessions/mod.rs"]
mod sessions;
