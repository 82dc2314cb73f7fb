//! Faults, and the control API by which a test or the drill starts them.
//!
//! `POST /gap`, `POST /cut`, `POST /freeze`, `POST /fault` for all kinds, `POST /restore`, `GET /status`. A new fault is a
//! variant of [`Fault`] and the place that asks whether it is active.

use crate::hub::Shared;
use crate::model::PlantedGap;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use market::Asset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something that goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Market data cut off: sockets closed, everything refused with 503.
    Cut,
    /// Sockets live, no book changes anywhere.
    Freeze,
    /// Sockets live and answer pings, no data frame is sent; the market moves on.
    Silent,
    /// Binance's diff events are lost: their ids are missing from the stream.
    DropDiffs,
    /// Binance's diff events arrive twice.
    DuplicateDiffs,
    /// REST answers 500; sockets live.
    RestDown,
    /// REST answers 429 with `Retry-After: 1`; sockets live.
    RestRefused,
    /// Binance announces that it will shut down (`serverShutdown`), once; it has no end.
    ServerShutdown,
}

/// The faults in force, each with its end if it has one.
#[derive(Clone, Debug, Default)]
pub struct Faults(BTreeMap<Fault, Option<Instant>>);

impl Faults {
    /// Is it in force at `now`?
    pub fn active(&self, fault: Fault, now: Instant) -> bool {
        self.0.get(&fault).is_some_and(|until| until.is_none_or(|u| now < u))
    }

    /// All that are in force at `now`.
    pub fn all(&self, now: Instant) -> Vec<Fault> {
        self.0.keys().copied().filter(|f| self.active(*f, now)).collect()
    }

    /// Begins one, for a time or until it is ended.
    pub fn begin(&mut self, fault: Fault, lasts: Option<Duration>, now: Instant) {
        self.0.insert(fault, lasts.map(|l| now + l));
    }

    /// Ends all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GapRequest {
    asset: Option<Asset>,
    bps: f64,
    lasts_ms: u64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    kind: Option<Fault>,
    #[serde(default)]
    lasts_ms: Option<u64>,
}

/// Answers with JSON text.
pub fn json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json;charset=utf-8")], body).into_response()
}

fn refusal(reason: &str) -> Response {
    json(StatusCode::BAD_REQUEST, serde_json::json!({ "error": reason }).to_string())
}

/// The control server's routes.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/gap", post(gap))
        .route("/cut", fault_route(Some(Fault::Cut)))
        .route("/freeze", fault_route(Some(Fault::Freeze)))
        .route("/fault", fault_route(None))
        .route("/restore", post(restore))
        .route("/status", get(status))
        .with_state(shared)
}

async fn gap(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let request: GapRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refusal(&error.to_string()),
    };
    let mut world = shared.lock();
    let at = world.model.elapsed();
    let lasts = Duration::from_millis(request.lasts_ms);
    match world.model.plant(PlantedGap { asset: request.asset, bps: request.bps, at, lasts }) {
        Ok(asset) => {
            let body =
                serde_json::json!({ "asset": asset, "bps": request.bps, "lasts_ms": request.lasts_ms });
            json(StatusCode::OK, body.to_string())
        }
        Err(error) => refusal(&error.to_string()),
    }
}

/// A route that begins the fault it is named after, or the one that its body names.
fn fault_route(kind: Option<Fault>) -> MethodRouter<Arc<Shared>> {
    post(move |State(shared): State<Arc<Shared>>, body: Bytes| async move { fault(&shared, kind, &body) })
}

fn fault(shared: &Shared, kind: Option<Fault>, body: &[u8]) -> Response {
    let request = if body.iter().all(u8::is_ascii_whitespace) {
        FaultRequest::default()
    } else {
        match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return refusal(&error.to_string()),
        }
    };
    let kind = match (kind, request.kind) {
        (Some(kind), None) | (None, Some(kind)) => kind,
        (Some(_), Some(_)) => return refusal("the path names the fault already; leave out kind"),
        (None, None) => return refusal("name the fault's kind"),
    };
    let mut world = shared.lock();
    match kind {
        Fault::ServerShutdown => world.announce_shutdown(shared.now_ms()),
        _ => world.faults.begin(kind, request.lasts_ms.map(Duration::from_millis), Instant::now()),
    }
    if kind == Fault::Cut {
        world.disconnect_all();
    }
    json(StatusCode::OK, serde_json::json!({ "kind": kind, "lasts_ms": request.lasts_ms }).to_string())
}

async fn restore(State(shared): State<Arc<Shared>>) -> Response {
    shared.lock().faults.clear();
    json(StatusCode::OK, "{}".to_owned())
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let world = shared.lock();
    let now = Instant::now();
    let members = world.model.symbols().iter().filter(|s| s.listing.is_member()).count();
    let body = serde_json::json!({
        "uptime_ms": shared.uptime().as_millis() as u64,
        "symbols": members,
        "connections": world.connections(),
        "frames_sent": world.frames,
        "cut": world.faults.active(Fault::Cut, now),
        "frozen": world.faults.active(Fault::Freeze, now),
        "faults": world.faults.all(now),
        "market": world.tape.as_ref().map_or(world.model.market_name(), |_| "recording"),
        "recording": world.tape.as_ref().map(|tape| serde_json::json!({
            "path": tape.playing().path, "speed": tape.playing().speed, "loop": tape.playing().looped,
            "played": tape.played, "unserved": tape.unserved, "over": tape.is_over(),
        })),
        "prices": world.model.source(),
        "seed": world.model.seed(),
        "first": world.model.symbols().first().map(|s| s.listing.asset),
        "episodes": world.model.symbols().iter().map(|s| s.episodes()).sum::<u64>(),
    });
    json(StatusCode::OK, body.to_string())
}

/// In front of both venues' routes: refuses what the faults in force refuse.
pub async fn gate(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let rest = !request.headers().contains_key(header::UPGRADE);
    let active = shared.lock().faults.all(Instant::now());
    if active.contains(&Fault::Cut) {
        return (StatusCode::SERVICE_UNAVAILABLE, "market data is cut off").into_response();
    }
    if rest && active.contains(&Fault::RestDown) {
        return (StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response();
    }
    if rest && active.contains(&Fault::RestRefused) {
        let wait = [(header::RETRY_AFTER, "1")];
        return (StatusCode::TOO_MANY_REQUESTS, wait, "too many requests").into_response();
    }
    next.run(request).await
}
