//! The control API, by which a test or the drill starts faults: `POST /fault` with a fault as JSON (docs/exchange.md has the
//! table), `POST /cut`, `POST /freeze`, `POST /restore`, `POST /gap`, `GET /faults`, `GET /status`.

use crate::faults::{Extent, Fault, Injection};
use crate::hub::Shared;
use crate::model::PlantedGap;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use bytes::Bytes;
use market::Asset;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GapRequest {
    asset: Option<Asset>,
    bps: f64,
    lasts_ms: u64,
}

fn json(status: StatusCode, body: String) -> Response {
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
        .route("/faults", get(faults))
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
    let blank = body.iter().all(u8::is_ascii_whitespace);
    let mut request: Value = match serde_json::from_slice(if blank { b"{}" } else { body }) {
        Ok(request @ Value::Object(_)) => request,
        Ok(_) => return refusal("send an object, such as {\"kind\":\"silent\",\"lasts_ms\":700}"),
        Err(error) => return refusal(&error.to_string()),
    };
    match (kind, request.get("kind").is_some_and(|kind| !kind.is_null())) {
        (Some(_), true) => return refusal("the path names the fault already; leave out kind"),
        (None, false) => return refusal("name the fault's kind; GET /faults lists them"),
        (Some(kind), false) => request["kind"] = kind.name().into(),
        (None, true) => {}
    }
    let injection: Injection = match serde_json::from_value(request) {
        Ok(injection) => injection,
        Err(error) => return refusal(&format!("{error}; GET /faults lists what there is")),
    };
    match shared.inject(injection.clone()) {
        Ok(()) => json(StatusCode::OK, serde_json::json!(injection).to_string()),
        Err(what) => refusal(&what),
    }
}

async fn faults() -> Response {
    let all = Fault::ALL.map(|fault| {
        serde_json::json!({
            "kind": fault,
            "at_once": fault.extent() == Extent::Once,
            "counts_messages": fault.extent() == Extent::Messages,
            "only_at": fault.only_at(),
            "takes_asset": fault.takes_asset(),
            "needs_asset": fault.needs_asset(),
            "usual_ms": fault.usual_ms(),
            "usual_bps": fault.usual_bps(),
        })
    });
    json(StatusCode::OK, Value::Array(all.to_vec()).to_string())
}

async fn restore(State(shared): State<Arc<Shared>>) -> Response {
    shared.lock().restore();
    json(StatusCode::OK, "{}".to_owned())
}

async fn status(State(shared): State<Arc<Shared>>) -> Response {
    let world = shared.lock();
    let now = shared.uptime();
    let members = world.model.symbols().iter().filter(|s| s.listing.is_member()).count();
    let body = serde_json::json!({
        "uptime_ms": shared.uptime().as_millis() as u64,
        "symbols": members,
        "connections": world.connections(),
        "frames_sent": world.frames,
        "cut": world.faults.active(Fault::Cut, now),
        "frozen": world.faults.active(Fault::Freeze, now),
        "faults": world.faults.all(now),
        "in_force": world.faults.injections(now),
        "faults_begun": world.faults.begun(),
        "faults_met": world.faults.met(),
        "faults_to_come": world.script.faults.len(),
        "load": world.load,
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
