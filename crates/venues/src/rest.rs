//! The REST client of both venues: one connection pool, a budget per venue, counters. The endpoints stand in each
//! venue's `rest`.

use crate::limits::{Budget, Group};
use crate::text::{until_in, wait_in};
use crate::{Endpoints, WireError, install_crypto};
use bytes::Bytes;
use market::{Timestamp, Venue};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Timeout of a request, connect included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait for the budget inside a request; longer ones are the caller's to plan.
const PATIENCE: Duration = Duration::from_secs(3);
/// Share of a budget that is used unless [`Rest::set_share`] says otherwise.
const SHARE: f64 = 0.8;
/// The longest ban that Binance documents.
const LONGEST_BAN: Duration = Duration::from_secs(3 * 86_400);

/// Why a request has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RestError {
    /// The client could not be built.
    #[error("cannot set up the http client: {source_text}; check the system's certificates")]
    Setup {
        /// What the library said.
        source_text: String,
    },
    /// No answer: no network, no name, no connection, a timeout.
    #[error("no answer from {url}: {source_text}; check network, proxy and firewall")]
    Unreachable {
        /// What was asked.
        url: String,
        /// What the library said.
        source_text: String,
    },
    /// The venue or something in between refuses this address.
    #[error("{url} answers {status}: {}; try from another network", blocked_by(*.status))]
    Blocked {
        /// What was asked.
        url: String,
        /// 403, 407 or 451, or 200 with a page instead of data.
        status: u16,
        /// How the body begins.
        body: String,
    },
    /// Too many requests, by the venue's word or our own budget.
    #[error("the request budget is used up; try again after {} UTC", time_of_day(*.until))]
    RateLimited {
        /// When it may be tried again.
        until: Timestamp,
    },
    /// Any other status than 200.
    #[error("{url} answers {status}: {body}")]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// The first 200 characters of the body.
        body: String,
        /// The `Retry-After` header.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the venue documents.
    #[error("cannot read the answer of {url}: {source}; the venue may have changed its interface")]
    Parse {
        /// What was asked.
        url: String,
        /// What is wrong.
        source: WireError,
    },
}

fn blocked_by(status: u16) -> &'static str {
    match status {
        451 => "not available from this country",
        407 => "a proxy demands a login",
        403 => "a firewall refuses this address",
        _ => "a page instead of data, as a proxy or a login portal sends",
    }
}

fn time_of_day(at: Timestamp) -> String {
    let seconds = at.as_millis().div_euclid(1_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

impl RestError {
    /// True when trying again will not help: someone has to change something first.
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Setup { .. } | Self::Blocked { .. } | Self::Parse { .. } => true,
            Self::Status { status, .. } => *status < 500,
            Self::Unreachable { .. } | Self::RateLimited { .. } => false,
        }
    }

    /// How long to wait before trying again, as far as the venue said.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        match self {
            Self::RateLimited { until } => {
                Some(Duration::from_nanos(u64::try_from(until.since(now)).unwrap_or(0)))
            }
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The kind in counters: `setup`, `unreachable`, `blocked`, `rate_limited`, `status`, `parse`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Setup { .. } => "setup",
            Self::Unreachable { .. } => "unreachable",
            Self::Blocked { .. } => "blocked",
            Self::RateLimited { .. } => "rate_limited",
            Self::Status { .. } => "status",
            Self::Parse { .. } => "parse",
        }
    }
}

/// What happened with one venue since the start.
#[derive(Debug, Clone, Default)]
pub struct VenueStats {
    /// Requests sent.
    pub requests: u64,
    /// Requests without a usable answer, by [`RestError::kind`].
    pub errors: BTreeMap<&'static str, u64>,
    /// Round trip of the last answer, headers included.
    pub last_rtt: Option<Duration>,
    /// How much of each group's budget is left, 0 to 1.
    pub budget_left: Vec<(&'static str, f64)>,
    /// Until when the venue lets us wait.
    pub blocked_until: Option<Timestamp>,
}

/// What happened since the start.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Upbit.
    pub upbit: VenueStats,
    /// Binance.
    pub binance: VenueStats,
}

/// The client of both venues.
pub struct Rest {
    client: reqwest::Client,
    pub(crate) endpoints: Endpoints,
    state: Mutex<State>,
}

struct State {
    share: f64,
    stats: Stats,
    upbit: Budget<crate::upbit::limits::Group>,
    binance: Budget<crate::binance::limits::Group>,
}

/// What to take from which budget.
#[derive(Clone, Copy)]
pub(crate) enum Charge {
    Upbit(crate::upbit::limits::Group),
    Binance(u32),
}

/// An answer.
pub(crate) struct Answer {
    pub url: String,
    pub body: Bytes,
    pub headers: HeaderMap,
    pub rtt: Duration,
}

impl Answer {
    /// Reads the body.
    pub(crate) fn read<T>(
        &self,
        rest: &Rest,
        venue: Venue,
        parse: impl FnOnce(&[u8]) -> Result<T, WireError>,
    ) -> Result<T, RestError> {
        parse(&self.body).map_err(|source| {
            let error = RestError::Parse { url: self.url.clone(), source };
            rest.state().count(venue, &error);
            error
        })
    }
}

impl Rest {
    /// A client.
    ///
    /// # Errors
    /// [`RestError::Setup`].
    pub fn new(endpoints: Endpoints) -> Result<Self, RestError> {
        install_crypto();
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")));
        if !endpoints.upbit_rest.starts_with("https:") && !endpoints.binance_rest.starts_with("https:") {
            // Loopback without TLS: neither a proxy nor the system's certificates have a part in it.
            builder = builder.no_proxy().tls_certs_only([]);
        }
        let client = builder.build().map_err(|e| RestError::Setup { source_text: chain(&e) })?;
        let state = Mutex::new(State {
            share: SHARE,
            stats: Stats::default(),
            upbit: Budget::new(),
            binance: Budget::new(),
        });
        Ok(Self { client, endpoints, state })
    }

    /// Sets the share of every budget that may be used, 0 to 1 (0.8 at first; a refresh takes 0.2).
    pub fn set_share(&self, share: f64) {
        self.state().share = share;
    }

    /// Where the venues are.
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Counters and budgets.
    pub fn stats(&self) -> Stats {
        let (state, now) = (self.state(), wall_clock());
        let mut stats = state.stats.clone();
        stats.upbit.budget_left = budget_left(&state.upbit, now);
        stats.upbit.blocked_until = state.upbit.blocked_until(now);
        stats.binance.budget_left = budget_left(&state.binance, now);
        stats.binance.blocked_until = state.binance.blocked_until(now);
        stats
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves counters behind, nothing that could be half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks, waiting for the budget for a short while.
    pub(crate) async fn get(&self, path_and_query: &str, charge: Charge) -> Result<Answer, RestError> {
        let venue = charge.venue();
        let result = self.ask(path_and_query, charge).await;
        if let Err(error) = &result {
            self.state().count(venue, error);
            tracing::debug!(%venue, path = path_and_query, %error, "request failed");
        }
        result
    }

    async fn ask(&self, path_and_query: &str, charge: Charge) -> Result<Answer, RestError> {
        self.take(charge).await?;
        let base = match charge {
            Charge::Upbit(_) => &self.endpoints.upbit_rest,
            Charge::Binance(_) => &self.endpoints.binance_rest,
        };
        let url = format!("{}{path_and_query}", base.trim_end_matches('/'));
        let unreachable =
            |e: reqwest::Error| RestError::Unreachable { url: short(&url), source_text: chain(&e) };
        self.state().of(charge.venue()).requests += 1;
        let started = Instant::now();
        let response = self.client.get(&url).send().await.map_err(unreachable)?;
        let rtt = started.elapsed();
        let (status, headers) = (response.status(), response.headers().clone());
        self.observe(charge, &headers, rtt);
        let body = response.bytes().await.map_err(unreachable)?;
        self.judge(charge, &url, status, &headers, &body)?;
        Ok(Answer { url: short(&url), body, headers, rtt })
    }

    async fn take(&self, charge: Charge) -> Result<(), RestError> {
        let started = Instant::now();
        loop {
            let now = wall_clock();
            let Err(until) = self.state().take(charge, now) else { return Ok(()) };
            let wait = Duration::from_nanos(u64::try_from(until.since(now)).unwrap_or(0));
            if started.elapsed() + wait > PATIENCE {
                return Err(RestError::RateLimited { until });
            }
            tokio::time::sleep(wait + Duration::from_millis(1)).await;
        }
    }

    fn observe(&self, charge: Charge, headers: &HeaderMap, rtt: Duration) {
        let now = wall_clock();
        let mut state = self.state();
        state.of(charge.venue()).last_rtt = Some(rtt);
        match charge {
            Charge::Upbit(group) => {
                if let Some(value) = text(headers, "remaining-req") {
                    crate::upbit::limits::observe_header(&mut state.upbit, group, value, now);
                }
            }
            Charge::Binance(_) => {
                if let Some(value) = text(headers, "x-mbx-used-weight-1m") {
                    crate::binance::limits::observe_header(&mut state.binance, value, now);
                }
            }
        }
    }

    fn judge(
        &self,
        charge: Charge,
        url: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), RestError> {
        let head: String = String::from_utf8_lossy(body).chars().take(200).collect();
        let page = head.trim_start().starts_with('<');
        if status == StatusCode::OK && !page {
            return Ok(());
        }
        let retry_after =
            text(headers, "retry-after").and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
        let (url, code) = (short(url), status.as_u16());
        match code {
            429 | 418 => {
                let (now, said) = (wall_clock(), message_of(body));
                let named = match charge {
                    _ if retry_after.is_some() => retry_after.map(|wait| now.plus(wait)),
                    Charge::Upbit(_) => wait_in(&said).map(|wait| now.plus(wait)),
                    Charge::Binance(_) => until_in(&said),
                };
                // Capped: a number misread in a text must not silence a venue for good.
                let until =
                    named.unwrap_or_else(|| now.plus(charge.usual_block(code))).min(now.plus(LONGEST_BAN));
                self.state().punish(charge.venue(), until);
                Err(RestError::RateLimited { until })
            }
            403 | 407 | 451 => Err(RestError::Blocked { url, status: code, body: head }),
            200 => Err(RestError::Blocked { url, status: code, body: head }),
            _ => Err(RestError::Status { url, status: code, body: head, retry_after }),
        }
    }
}

impl State {
    fn of(&mut self, venue: Venue) -> &mut VenueStats {
        match venue {
            Venue::Upbit => &mut self.stats.upbit,
            Venue::Binance => &mut self.stats.binance,
        }
    }

    fn count(&mut self, venue: Venue, error: &RestError) {
        *self.of(venue).errors.entry(error.kind()).or_default() += 1;
    }

    fn take(&mut self, charge: Charge, now: Timestamp) -> Result<(), Timestamp> {
        let share = self.share;
        match charge {
            Charge::Upbit(group) => self.upbit.try_take(group, 1, now, share),
            Charge::Binance(weight) => {
                self.binance.try_take(crate::binance::limits::Group::Weight, weight, now, share)
            }
        }
    }

    fn punish(&mut self, venue: Venue, until: Timestamp) {
        match venue {
            Venue::Upbit => self.upbit.punished(until),
            Venue::Binance => self.binance.punished(until),
        }
    }
}

impl Charge {
    const fn venue(self) -> Venue {
        match self {
            Self::Upbit(_) => Venue::Upbit,
            Self::Binance(_) => Venue::Binance,
        }
    }

    /// The wait after a refusal that names none: the window of the budget after 429, the shortest documented ban
    /// after 418 (Binance 2 min; Upbit names it in the text, so this is a precaution).
    const fn usual_block(self, status: u16) -> Duration {
        match (self, status) {
            (Self::Upbit(_), 429) => Duration::from_secs(1),
            (Self::Upbit(_), _) | (Self::Binance(_), 429) => Duration::from_secs(60),
            (Self::Binance(_), _) => Duration::from_secs(120),
        }
    }
}

fn budget_left<G: Group>(budget: &Budget<G>, now: Timestamp) -> Vec<(&'static str, f64)> {
    G::ALL.iter().map(|group| (group.as_str(), budget.ratio_left(*group, now))).collect()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The text of a refusal, without the numeric codes around it.
fn message_of(body: &[u8]) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let found = value.as_ref().and_then(|v| {
        let inner = v.get("error").unwrap_or(v);
        inner.get("message").or_else(|| inner.get("msg"))?.as_str().map(str::to_owned)
    });
    match (found, value) {
        (Some(text), _) => text,
        (None, Some(_)) => String::new(),
        (None, None) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// A URL for messages: a list of a hundred markets helps nobody.
fn short(url: &str) -> String {
    url.chars().take(160).collect()
}

/// An error with its causes: the library's own text often ends before the cause.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The wall clock.
pub(crate) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
