//! An alert of the journal: what its record says, and how the hot thread raises one. That thread hands on numbers and names; the
//! words are put together by whoever writes or reads the record.

use crate::record::Body;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What the record of an alert says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AlertFields {
    /// `<run id>-<n>`: the same in a replay.
    pub alert_id: String,
    /// Rule id of the catalogue.
    pub rule_id: String,
    /// One line.
    pub title: String,
    /// What happened and what to look at.
    pub message: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Alerts with the same key may be coalesced.
    pub key: String,
}

/// What there is to say of an alert that was raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// What happened and what to look at.
    pub message: String,
    /// Names and values, in the order of the aggregation key.
    pub labels: Vec<(&'static str, String)>,
}

impl Words {
    /// A message without labels.
    pub const fn new(message: String) -> Self {
        Self { message, labels: Vec::new() }
    }

    /// With one more label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl ToString) -> Self {
        self.labels.push((name, value.to_string()));
        self
    }
}

/// An alert: read from a record, or raised and not yet in words. The two are equal when their records are.
#[derive(Clone)]
pub struct Alert(Kind);

#[derive(Clone)]
enum Kind {
    Written(Box<AlertFields>),
    Raised(Arc<dyn Raise>),
}

/// What can be put into a record, now or later, with the same result.
trait Raise: Send + Sync {
    fn rule_id(&self) -> &'static str;
    fn fields(&self) -> AlertFields;
}

struct Raised<W> {
    run_id: Arc<str>,
    number: u64,
    rule_id: &'static str,
    title: &'static str,
    words: W,
}

impl<W: Fn() -> Words + Send + Sync> Raise for Raised<W> {
    fn rule_id(&self) -> &'static str {
        self.rule_id
    }

    fn fields(&self) -> AlertFields {
        let Words { message, labels } = (self.words)();
        let mut key = self.rule_id.to_owned();
        for (_, value) in &labels {
            key.push(':');
            key.push_str(value);
        }
        AlertFields {
            alert_id: format!("{}-{}", self.run_id, self.number),
            rule_id: self.rule_id.to_owned(),
            title: self.title.to_owned(),
            message,
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            key,
        }
    }
}

impl Alert {
    /// Raises an alert: one small allocation. Its id is run and number, its aggregation key the rule and the labels' values. `words` may
    /// be asked more than once, on any thread, and must always say the same: it owns what it speaks of.
    pub fn raise(
        (run_id, number): (&Arc<str>, u64),
        rule_id: &'static str,
        title: &'static str,
        words: impl Fn() -> Words + Send + Sync + 'static,
    ) -> Self {
        let run_id = Arc::clone(run_id);
        Self(Kind::Raised(Arc::new(Raised { run_id, number, rule_id, title, words })))
    }

    /// Rule id of the catalogue.
    pub fn rule_id(&self) -> &str {
        match &self.0 {
            Kind::Written(fields) => &fields.rule_id,
            Kind::Raised(raised) => raised.rule_id(),
        }
    }

    /// What the record says.
    pub fn fields(&self) -> Cow<'_, AlertFields> {
        match &self.0 {
            Kind::Written(fields) => Cow::Borrowed(fields),
            Kind::Raised(raised) => Cow::Owned(raised.fields()),
        }
    }
}

impl From<AlertFields> for Alert {
    fn from(fields: AlertFields) -> Self {
        Self(Kind::Written(Box::new(fields)))
    }
}

impl From<AlertFields> for Body {
    fn from(fields: AlertFields) -> Self {
        Self::Alert(fields.into())
    }
}

impl From<Alert> for AlertFields {
    fn from(alert: Alert) -> Self {
        match alert.0 {
            Kind::Written(fields) => *fields,
            Kind::Raised(raised) => raised.fields(),
        }
    }
}

impl PartialEq for Alert {
    fn eq(&self, other: &Self) -> bool {
        self.fields() == other.fields()
    }
}

impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields().fmt(f)
    }
}

impl Serialize for Alert {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.fields().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Alert {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AlertFields::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_that_was_raised_is_the_one_that_is_read() {
        let run: Arc<str> = "r1.main".into();
        let raised = Alert::raise((&run, 7), "WS-STALE", "Stream is stale", || {
            Words::new("no message".to_owned()).label("venue", "upbit").label("asset", "BTC")
        });
        let line = serde_json::to_string(&raised).unwrap();
        assert_eq!(
            line,
            r#"{"alert_id":"r1.main-7","rule_id":"WS-STALE","title":"Stream is stale","message":"no message","labels":{"asset":"BTC","venue":"upbit"},"key":"WS-STALE:upbit:BTC"}"#
        );
        let read: Alert = serde_json::from_str(&line).unwrap();
        assert_eq!((&read, read.rule_id()), (&raised, raised.rule_id()));
        assert_eq!(AlertFields::from(read), AlertFields::from(raised));
    }
}
