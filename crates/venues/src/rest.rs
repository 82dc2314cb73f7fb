//! The REST client of both venues: one connection pool, a budget per venue, counters. The endpoints stand in each
//! venue's `rest`.

use crate::cause::{Cause, chain, is_maintenance};
use crate::limits::{Budget, Group, Priority, Share};
use crate::rest_error::RestError;
use crate::text::{until_in, wait_in};
use crate::{Endpoints, WireError, install_crypto};
use bytes::Bytes;
use market::{Timestamp, Venue};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Timeout of a request, connect included.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait for the budget inside a request at a start; longer ones are the caller's to plan.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same for work that goes on beside a session: it has nothing better to do than to wait for its turn.
const LONG_PATIENCE: Duration = Duration::from_secs(120);
/// How soon to look again while something more urgent waits for the same budget.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// The longest ban that Binance documents.
const LONGEST_BAN: Duration = Duration::from_secs(3 * 86_400);

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

/// The client of both venues. Clones share connections, budgets and counters; each asks with a [`Priority`] of its own.
#[derive(Clone)]
pub struct Rest {
    client: reqwest::Client,
    pub(crate) endpoints: Endpoints,
    state: Arc<Mutex<State>>,
    by: Priority,
}

struct State {
    /// A cap on every priority's share, 0 to 1.
    share: f64,
    stats: Stats,
    /// Requests that wait for a budget.
    waiting: BTreeMap<(Lane, Priority), u32>,
    upbit: Budget<crate::upbit::limits::Group>,
    binance: Budget<crate::binance::limits::Group>,
}

/// What is waited for together: a group of Upbit, or Binance's weight.
type Lane = Option<crate::upbit::limits::Group>;

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
        let client = client(&endpoints)?;
        let state = Arc::new(Mutex::new(State {
            share: 1.0,
            stats: Stats::default(),
            waiting: BTreeMap::new(),
            upbit: Budget::new(),
            binance: Budget::new(),
        }));
        Ok(Self { client, endpoints, state, by: Priority::default() })
    }

    /// The same client for requests of another urgency ([`Priority::Start`] unless said otherwise). Where several wait for
    /// one budget, the most urgent goes first.
    #[must_use]
    pub fn with_priority(&self, by: Priority) -> Self {
        Self { by, ..self.clone() }
    }

    /// The same client with connections of its own, for another runtime: budgets and counters stay shared.
    ///
    /// # Errors
    /// [`RestError::Setup`].
    pub fn apart(&self) -> Result<Self, RestError> {
        Ok(Self { client: client(&self.endpoints)?, ..self.clone() })
    }

    /// Caps the share of every budget that may be used, 0 to 1, whatever the priority. 1 at first: the priorities' own
    /// shares hold.
    pub fn set_share(&self, share: f64) {
        self.state().share = share;
    }

    /// Weight that Binance still lets us use now below this client's share.
    pub fn binance_room(&self) -> u32 {
        let state = self.state();
        let share = self.by.share().min(state.share);
        state.binance.room(crate::binance::limits::Group::Weight, wall_clock(), share)
    }

    /// Takes one connect of `venue` from its budget.
    ///
    /// # Errors
    /// When it may be tried again.
    pub(crate) fn take_connect(&self, venue: Venue) -> Result<(), Timestamp> {
        let (now, share) = (wall_clock(), self.by.share());
        let mut state = self.state();
        match venue {
            Venue::Upbit => state.upbit.try_take(crate::upbit::limits::Group::Connect, 1, now, share),
            Venue::Binance => state.binance.try_take(crate::binance::limits::Group::Connect, 1, now, share),
        }
    }

    /// A connect was refused (429, 418): the venue counts addresses, so nothing is asked there before `until`.
    pub(crate) fn refused_connect(&self, venue: Venue, until: Timestamp) {
        self.state().punish(venue, until);
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
        let _under_way = self.take(charge).await?;
        let base = match charge {
            Charge::Upbit(_) => &self.endpoints.upbit_rest,
            Charge::Binance(_) => &self.endpoints.binance_rest,
        };
        let url = format!("{}{path_and_query}", base.trim_end_matches('/'));
        let unreachable =
            |e: reqwest::Error| RestError::Unreachable { url: short(&url), cause: Cause::of(&e) };
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

    /// Waits for the budget; what comes back gives the weight back to the window when the request is over.
    async fn take(&self, charge: Charge) -> Result<UnderWay<'_>, RestError> {
        let started = Instant::now();
        let patience = if self.by == Priority::Start { PATIENCE } else { LONG_PATIENCE };
        let _waiting = Waiting::enter(self, charge);
        loop {
            let now = wall_clock();
            let Err(until) = self.state().take(charge, self.by, now) else {
                return Ok(UnderWay { rest: self, charge });
            };
            let wait = Duration::from_nanos(u64::try_from(until.since(now)).unwrap_or(0));
            if started.elapsed() + wait > patience {
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
            _ if (code >= 500 || page) && is_maintenance(&head) => {
                Err(RestError::Maintenance { url, status: code, body: head, retry_after })
            }
            403 | 407 | 451 => Err(RestError::Blocked { url, status: code, body: head }),
            200 => Err(RestError::Blocked { url, status: code, body: head }),
            _ => Err(RestError::Status { url, status: code, body: head, retry_after }),
        }
    }
}

/// Connections of their own.
fn client(endpoints: &Endpoints) -> Result<reqwest::Client, RestError> {
    install_crypto();
    let mut builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .connect_timeout(TIMEOUT)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("assay/", env!("CARGO_PKG_VERSION")));
    if let Some(pem) = &endpoints.ca_pem {
        let trusted = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|e| RestError::Setup { source_text: chain(&e) })?;
        builder = builder.no_proxy().tls_certs_only(trusted);
    } else if !endpoints.upbit_rest.starts_with("https:") && !endpoints.binance_rest.starts_with("https:") {
        // Loopback without TLS: neither a proxy nor the system's certificates have a part in it.
        builder = builder.no_proxy().tls_certs_only([]);
    }
    builder.build().map_err(|e| RestError::Setup { source_text: chain(&e) })
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

    fn take(&mut self, charge: Charge, by: Priority, now: Timestamp) -> Result<(), Timestamp> {
        let lane = charge.lane();
        let urgent = self.waiting.iter().any(|((waits, who), n)| *n > 0 && *waits == lane && *who < by);
        if urgent {
            return Err(now.plus(LOOK_AGAIN));
        }
        let share = Share { total: by.share().min(self.share), own: by.own_share().min(self.share) };
        match charge {
            Charge::Upbit(group) => self.upbit.begin(group, 1, by, now, share),
            Charge::Binance(weight) => self.binance.begin(WEIGHT, weight, by, now, share),
        }
    }

    fn finish(&mut self, charge: Charge, by: Priority, now: Timestamp) {
        match charge {
            Charge::Upbit(group) => self.upbit.finish(group, 1, by, now),
            Charge::Binance(weight) => self.binance.finish(WEIGHT, weight, by, now),
        }
    }

    fn punish(&mut self, venue: Venue, until: Timestamp) {
        match venue {
            Venue::Upbit => self.upbit.punished(until),
            Venue::Binance => self.binance.punished(until),
        }
    }
}

const WEIGHT: crate::binance::limits::Group = crate::binance::limits::Group::Weight;

/// A request that waits for its budget; also when it is given up.
struct Waiting<'a> {
    rest: &'a Rest,
    key: (Lane, Priority),
}

impl<'a> Waiting<'a> {
    fn enter(rest: &'a Rest, charge: Charge) -> Self {
        let key = (charge.lane(), rest.by);
        *rest.state().waiting.entry(key).or_default() += 1;
        Self { rest, key }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(n) = self.rest.state().waiting.get_mut(&self.key) {
            *n = n.saturating_sub(1);
        }
    }
}

/// A request that the venue has yet to answer; also when it is given up.
struct UnderWay<'a> {
    rest: &'a Rest,
    charge: Charge,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let by = self.rest.by;
        self.rest.state().finish(self.charge, by, wall_clock());
    }
}

impl Charge {
    const fn lane(self) -> Lane {
        match self {
            Self::Upbit(group) => Some(group),
            Self::Binance(_) => None,
        }
    }

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

/// The wall clock.
pub(crate) fn wall_clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
