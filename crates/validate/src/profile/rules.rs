//! `[rules]` of a profile: how a rule is spelled, what is wrong with it and where, and what makes it stricter. What a rule
//! means and how it is watched is `gate::rules`.

use super::check::{Document, nearest};
use super::{ProfileError, Span};
use gate::rules::{Action, Comparison, Condition, RuleName, RuleSpec, Signal, SignalUnit, Window};
use toml::Value;

/// What a rule may say.
pub(super) const KEYS: [&str; 12] = [
    "signal",
    "above",
    "below",
    "at_least",
    "at_most",
    "and",
    "for",
    "within",
    "over",
    "min_events",
    "grace",
    "action",
];

/// Window words.
const WINDOWS: [&str; 3] = ["for", "within", "over"];

/// The rules of a chain of profiles, `merged` being what it comes to.
///
/// # Errors
/// [`ProfileError`] with file, line and column: an unknown signal or key, two comparisons or windows, a wrong unit.
pub(super) fn specs(chain: &[Document], merged: &toml::Table) -> Result<Vec<RuleSpec>, ProfileError> {
    let reader = Reader { chain };
    let Some(rules) = merged.get("rules") else { return Ok(Vec::new()) };
    let Some(rules) = rules.as_table() else {
        return Err(reader.value("rules", "`rules` must be a table of rules", "write [rules.my_rule]"));
    };
    rules.iter().map(|(name, rule)| reader.rule(name, rule)).collect()
}

struct Reader<'a> {
    chain: &'a [Document],
}

impl Reader<'_> {
    /// An error at a value: in the file nearest to the user that has it.
    fn value(&self, path: &str, what: impl Into<String>, help: impl Into<String>) -> ProfileError {
        match self.chain.iter().find(|document| document.has(path)) {
            Some(document) => document.at_value(path, what.into(), "here".to_owned(), help.into()),
            None => ProfileError::plain(what, help),
        }
    }

    fn key(&self, path: &str, what: impl Into<String>, label: &str, help: impl Into<String>) -> ProfileError {
        match self.chain.iter().find(|document| document.has(path)) {
            Some(document) => document.at_key(path, what.into(), label.to_owned(), help.into()),
            None => ProfileError::plain(what, help),
        }
    }

    fn rule(&self, name: &str, rule: &Value) -> Result<RuleSpec, ProfileError> {
        let path = format!("rules.{name}");
        self.name(name, &path)?;
        let Some(rule) = rule.as_table() else {
            let help = format!("write [{path}] with signal, a comparison, a window and action");
            return Err(self.value(&path, format!("`{path}` must be a table"), help));
        };
        if let Some(key) = rule.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let near = nearest(key, &KEYS).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            let help = format!("{near}a rule has: {}", KEYS.join(", "));
            let at = format!("{path}.{key}");
            return Err(self.key(&at, format!("unknown key `{key}` in [{path}]"), "unknown key", help));
        }
        let when = self.condition(&path, rule)?;
        let and = rule.get("and").map(|and| self.second(&format!("{path}.and"), and)).transpose()?;
        let window = self.window(&path, rule)?;
        let spec = RuleSpec {
            name: RuleName::new(name),
            when,
            and,
            window,
            min_events: self.min_events(&path, rule)?,
            grace_s: rule
                .get("grace")
                .map(|grace| self.span(&format!("{path}.grace"), grace).map(Span::secs))
                .transpose()?,
            action: self.action(&path, rule)?,
        };
        self.together(&path, &spec)?;
        Ok(spec)
    }

    /// Names of the shipped rules, or a word of the user's own.
    fn name(&self, name: &str, path: &str) -> Result<(), ProfileError> {
        if name == "A1" {
            let help = "it is about crashes and exits, and has nothing to set";
            return Err(self.key(
                path,
                "A1 is driven by the process, not by a signal",
                "not a rule of signals",
                help,
            ));
        }
        let own = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if own || RuleName::new(name).shipped().is_some() {
            return Ok(());
        }
        let help = "shipped are A2 to A9 and B1 to B4; a rule of your own is named in small letters, such as [rules.my_rule]";
        Err(self.key(path, format!("there is no shipped rule {name:?}"), "unknown rule", help))
    }

    fn condition(&self, path: &str, rule: &toml::Table) -> Result<Condition, ProfileError> {
        let at = format!("{path}.signal");
        let Some(named) = rule.get("signal") else {
            let help = format!("add signal = \"...\"; there are: {}", signals());
            return Err(self.key(path, format!("[{path}] names no signal"), "no signal", help));
        };
        let signal = named.as_str().and_then(|name| Signal::ALL.into_iter().find(|s| s.as_str() == name));
        let Some(signal) = signal else {
            let known = Signal::ALL.map(Signal::as_str);
            let near = named.as_str().and_then(|name| nearest(name, &known));
            let near = near.map(|near| format!("did you mean {near:?}? ")).unwrap_or_default();
            let what = format!("unknown signal {named}");
            return Err(self.value(&at, what, format!("{near}there are: {}", signals())));
        };
        let given: Vec<Comparison> =
            Comparison::ALL.into_iter().filter(|c| rule.contains_key(c.as_str())).collect();
        let [comparison] = given[..] else {
            let words = Comparison::ALL.map(Comparison::as_str).join(", ");
            return Err(match given.get(1) {
                None => {
                    let help = format!("add one of {words}, such as above = {}", example(signal));
                    self.key(path, format!("[{path}] compares with nothing"), "no comparison", help)
                }
                Some(second) => {
                    let first = given[0].as_str();
                    let second = second.as_str();
                    let what =
                        format!("[{path}] has both `{first}` and `{second}`: a rule has one comparison");
                    self.two(path, first, second, what)
                }
            });
        };
        let at = format!("{path}.{}", comparison.as_str());
        let threshold = self.threshold(&at, signal, &rule[comparison.as_str()])?;
        Ok(Condition { signal, comparison, threshold })
    }

    /// Two words that exclude each other: shown at the one nearer to the user.
    fn two(&self, path: &str, first: &str, second: &str, what: String) -> ProfileError {
        let at = |word: &str| {
            let path = format!("{path}.{word}");
            self.chain.iter().position(|document| document.has(&path)).unwrap_or(usize::MAX)
        };
        let (nearer, other) = if at(first) < at(second) { (first, second) } else { (second, first) };
        let from = self.chain.get(at(other)).map_or("the profile below", |document| document.file.as_str());
        let help = format!("`{other}` is in {from}; keep one of the two");
        self.key(&format!("{path}.{nearer}"), what, "one too many", help)
    }

    fn threshold(&self, path: &str, signal: Signal, value: &Value) -> Result<f64, ProfileError> {
        let wrong = |what: String| {
            let unit = signal.unit().as_str();
            let help = if unit.is_empty() {
                format!("{signal} is a plain number: write {}", example(signal))
            } else {
                format!("{signal} is in {unit}: write {}", example(signal))
            };
            Err(self.value(path, what, help))
        };
        let number = match value {
            Value::Integer(n) => *n as f64,
            Value::Float(x) => *x,
            Value::String(text) => match with_unit(text, signal.unit()) {
                Some(number) => number,
                None => return wrong(format!("`{path}` is {text:?}, which is no value of {signal}")),
            },
            other => return wrong(format!("`{path}` is {other}, it must be a value of {signal}")),
        };
        if !number.is_finite() {
            return wrong(format!("`{path}` is {number}, which nothing can be compared with"));
        }
        Ok(number)
    }

    fn second(&self, path: &str, and: &Value) -> Result<Condition, ProfileError> {
        let help = "write and = { signal = \"...\", above = ... }";
        let Some(table) = and.as_table() else {
            return Err(self.value(path, format!("`{path}` must be a second condition"), help));
        };
        let known = |key: &&String| *key == "signal" || Comparison::ALL.iter().any(|c| c.as_str() == *key);
        if let Some(key) = table.keys().find(|key| !known(key)) {
            let at = format!("{path}.{key}");
            return Err(self.key(&at, format!("unknown key `{key}` in `{path}`"), "unknown key", help));
        }
        self.condition(path, table)
    }

    fn window(&self, path: &str, rule: &toml::Table) -> Result<Window, ProfileError> {
        let given: Vec<&str> = WINDOWS.into_iter().filter(|word| rule.contains_key(*word)).collect();
        match given[..] {
            [] => Ok(Window::AtOnce),
            [word] => {
                let span = self.span(&format!("{path}.{word}"), &rule[word])?.secs();
                Ok(match word {
                    "for" => Window::For(span),
                    "within" => Window::Within(span),
                    _ => Window::Over(span),
                })
            }
            [first, second, ..] => {
                let what = format!("[{path}] has both `{first}` and `{second}`: a rule has one window");
                Err(self.two(path, first, second, what))
            }
        }
    }

    fn span(&self, path: &str, value: &Value) -> Result<Span, ProfileError> {
        const HELP: &str = "write a whole number and ms, s, min or h, such as \"10 s\" or \"5 min\"";
        let what = format!("`{path}` is {value}, which is no duration");
        value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| self.value(path, what, HELP))
    }

    fn min_events(&self, path: &str, rule: &toml::Table) -> Result<Option<f64>, ProfileError> {
        let Some(value) = rule.get("min_events") else { return Ok(None) };
        match value.as_integer() {
            Some(n) if n > 0 => Ok(Some(n as f64)),
            _ => {
                let at = format!("{path}.min_events");
                Err(self.value(&at, format!("`{at}` is {value}"), "write a whole number above 0"))
            }
        }
    }

    fn action(&self, path: &str, rule: &toml::Table) -> Result<Action, ProfileError> {
        const HELP: &str = "\"abort\" ends the run, \"warn\" is recorded and caps the decision";
        match rule.get("action").map(|action| action.as_str()) {
            Some(Some("abort")) => Ok(Action::Abort),
            Some(Some("warn")) => Ok(Action::Warn),
            None => Err(self.key(path, format!("[{path}] has no action"), "no action", HELP)),
            Some(_) => {
                let at = format!("{path}.action");
                Err(self.value(&at, format!("`{at}` is {}, it must be a known action", rule["action"]), HELP))
            }
        }
    }

    /// What does not go together.
    fn together(&self, path: &str, spec: &RuleSpec) -> Result<(), ProfileError> {
        let signal = spec.when.signal;
        let at = format!("{path}.signal");
        let silence = spec.when.comparison == Comparison::AtMost && spec.when.threshold == 0.0;
        for condition in spec.conditions().filter(|condition| condition.signal.is_sign_of_life()) {
            if !silence || !matches!(spec.window, Window::For(_)) || spec.and.is_some() {
                let what = format!("{} is looked at for its silence only", condition.signal);
                return Err(self.value(&at, what, "write at_most = 0 and for = \"...\""));
            }
        }
        if spec.conditions().any(|c| c.signal.is_slope()) && matches!(spec.window, Window::Within(_)) {
            let at = format!("{path}.within");
            let what = format!("{signal} is a slope over its whole span, not within one");
            return Err(self.key(&at, what, "not for a slope", "write `over`, or `for`"));
        }
        if spec.conditions().any(|c| c.signal.is_rate()) && spec.window == Window::AtOnce {
            let what = format!("{signal} is a rate, which a single sample does not have");
            return Err(self.value(&at, what, "add within = \"1 h\", or `over`, or `for`"));
        }
        if let Some(condition) = spec.conditions().find(|c| !c.signal.has_events())
            && spec.min_events.is_some()
        {
            let at = format!("{path}.min_events");
            let what = format!("{} has no events to count", condition.signal);
            return Err(self.value(&at, what, "leave min_events out"));
        }
        if spec.conditions().all(|c| c.signal.has_events())
            && matches!(spec.window, Window::Within(_))
            && spec.min_events.is_none()
        {
            let at = format!("{path}.within");
            let help = "add min_events: how many events let a part of the span count";
            return Err(self.key(
                &at,
                format!("[{path}] does not say from how many events on"),
                "how many?",
                help,
            ));
        }
        Ok(())
    }
}

/// Windows that are not longer than a poll, or a slope's that is shorter than the data it needs: path, what, advice.
pub(super) fn too_short(
    specs: &[RuleSpec],
    poll: Span,
    memory_min: Span,
) -> Option<(String, String, &'static str)> {
    specs.iter().find_map(|spec| {
        let span = spec.window.span_s()?;
        let path = format!("rules.{}.{}", spec.name, spec.window.word());
        let own = Span(std::time::Duration::from_secs_f64(span));
        if span <= poll.secs() {
            let what = format!("`{path}` is {own}, not longer than a poll ({poll})");
            return Some((path, what, "a window needs several polls: lengthen it or shorten watch.poll"));
        }
        let slope = spec.conditions().any(|condition| condition.signal.is_slope());
        if slope && matches!(spec.window, Window::Over(_)) && span < memory_min.secs() {
            let what = format!("`{path}` is {own}, shorter than `measure.memory_min` ({memory_min})");
            return Some((path, what, "a slope needs that much data: shorten measure.memory_min as well"));
        }
        None
    })
}

fn signals() -> String {
    Signal::ALL.map(Signal::as_str).join(", ")
}

fn example(signal: Signal) -> String {
    match signal.unit() {
        SignalUnit::Count | SignalUnit::Ratio => "0".to_owned(),
        unit => format!("\"50 {}\"", unit.as_str()),
    }
}

/// A number with its unit in the unit of the signal; `None` when it is another one's.
fn with_unit(text: &str, unit: SignalUnit) -> Option<f64> {
    let text = text.trim();
    let digits =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+'))).unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let written = text[digits..].trim();
    if written == unit.as_str() {
        return Some(number);
    }
    let seconds = match written {
        "ms" => 0.001,
        "s" => 1.0,
        "min" => 60.0,
        "h" => 3_600.0,
        _ => return None,
    };
    match unit {
        SignalUnit::Milliseconds => Some(number * seconds * 1_000.0),
        SignalUnit::Seconds => Some(number * seconds),
        _ => None,
    }
}

/// True when the change of one key of a rule makes it stricter. `comparison` keys compare as numbers of their unit.
pub(super) fn stricter(
    path: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    base: &toml::Table,
) -> bool {
    let Some((name, key)) = path.strip_prefix("rules.").and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    // A rule that the base does not have only adds.
    if base.get("rules").and_then(|rules| rules.get(name)).is_none() {
        return true;
    }
    let number = |value: Option<&Value>| match value? {
        Value::Integer(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        Value::String(text) => text.parse::<Span>().ok().map(Span::secs).or_else(|| leading(text)),
        _ => None,
    };
    let pair = number(before).zip(number(after));
    let smaller = pair.is_some_and(|(before, after)| after <= before);
    let larger = pair.is_some_and(|(before, after)| after >= before);
    match key.rsplit('.').next().unwrap_or(key) {
        // The aggregate of a shorter span is another one, not a stricter one.
        "above" | "at_least" | "for" | "over" | "min_events" | "grace" => smaller,
        "below" | "at_most" => larger,
        "action" => after.and_then(Value::as_str) == Some("abort"),
        _ => false,
    }
}

/// The number that a threshold begins with; both sides of a comparison have passed the unit's check.
fn leading(text: &str) -> Option<f64> {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))?;
    text[..digits].trim().parse().ok()
}
