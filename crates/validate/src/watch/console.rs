//! The console port: `/api/panels` evaluates every catalogue panel from the samples of the running phase, `/api/status` says where the
//! run stands. Read-only. On loopback it answers only requests whose Host is loopback, so that a web page elsewhere cannot read
//! it through a name that resolves here.

use super::panels::{PanelAnswer, Window};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use catalogue::{Dashboard, PANELS};
use gate::evidence::Scrape;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The answer of `/api/panels`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PanelsAnswer {
    /// Format version.
    pub format: u32,
    /// Runner id that the last scrape named.
    pub run_id: Option<String>,
    /// `process_start_time_seconds` of the last scrape.
    pub process_start: Option<f64>,
    /// Seconds since the phase's start of the last scrape.
    pub t: Option<f64>,
    /// A counter of the last scrape: series and value.
    pub anchor: Option<(String, f64)>,
    /// The panels.
    pub panels: Vec<PanelAnswer>,
}

#[derive(Default)]
struct Shared {
    window: Option<Window>,
    run_id: Option<String>,
    status: serde_json::Value,
}

/// A running console.
#[derive(Clone)]
pub struct Console {
    /// Where it listens.
    pub addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

/// The console could not be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot serve the console on {addr}: {source}; free the port or set another with console.addr in the profile"
)]
pub struct ConsoleError {
    addr: String,
    source: std::io::Error,
}

impl Console {
    /// Starts serving on a thread of its own.
    ///
    /// # Errors
    /// [`ConsoleError`].
    pub fn start(addr: &str) -> Result<Self, ConsoleError> {
        let failed = |source| ConsoleError { addr: addr.to_owned(), source };
        let listener = std::net::TcpListener::bind(addr).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let addr_bound = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let router = Router::new()
            .route("/api/panels", get(panels))
            .route("/api/status", get(status))
            .with_state(Arc::clone(&shared));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        std::thread::spawn(move || {
            runtime.block_on(async move {
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    let _ = axum::serve(listener, router).await;
                }
            });
        });
        Ok(Self { addr: addr_bound, shared })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a phase: earlier samples no longer answer.
    pub fn begin(&self, window: Window) {
        let mut shared = self.lock();
        shared.window = Some(window);
        shared.run_id = None;
    }

    /// Adds a scrape.
    pub fn push(&self, t: f64, scrape: &Scrape, run_id: Option<&str>, capital_usd: Option<f64>) {
        let mut shared = self.lock();
        shared.run_id = run_id.map(str::to_owned);
        if let Some(window) = &mut shared.window {
            window.push(t, scrape.clone(), capital_usd);
        }
    }

    /// Sets what `/api/status` answers.
    pub fn set_status(&self, status: serde_json::Value) {
        self.lock().status = status;
    }
}

/// Counters that can tie an answer to the samples around it, the most lively first.
pub(crate) const ANCHORS: [&str; 4] = [
    "arb_topn_loop_iterations_total",
    "arb_topn_trades_total",
    "arb_topn_round_trips_total",
    "process_cpu_seconds_total",
];

type SharedState = State<Arc<Mutex<Shared>>>;

fn refuse(headers: &HeaderMap) -> Option<Response> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = matches!(name, "127.0.0.1" | "localhost" | "[::1]");
    (!local).then(|| (StatusCode::FORBIDDEN, "this console answers to loopback names only").into_response())
}

#[derive(Deserialize)]
struct Which {
    dashboard: Option<Dashboard>,
}

async fn panels(State(shared): SharedState, Query(which): Query<Which>, headers: HeaderMap) -> Response {
    if let Some(refusal) = refuse(&headers) {
        return refusal;
    }
    let shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(window) = &shared.window else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no phase is running").into_response();
    };
    let latest = window.latest();
    let find = |name: &str| {
        latest.and_then(|(_, scrape)| {
            let exact = scrape.series.get(name).map(|value| (name.to_owned(), *value));
            exact.or_else(|| {
                let with_labels = format!("{name}{{");
                let found = scrape.series.iter().find(|(series, _)| series.starts_with(&with_labels));
                found.map(|(series, value)| (series.clone(), *value))
            })
        })
    };
    Json(PanelsAnswer {
        format: 1,
        run_id: shared.run_id.clone(),
        process_start: find("process_start_time_seconds").map(|(_, value)| value),
        t: latest.map(|(t, _)| *t),
        anchor: ANCHORS.iter().find_map(|name| find(name)),
        panels: PANELS
            .iter()
            .filter(|panel| which.dashboard.is_none_or(|wanted| panel.dashboard == wanted))
            .map(|panel| window.evaluate(panel))
            .collect(),
    })
    .into_response()
}

async fn status(State(shared): SharedState, headers: HeaderMap) -> Response {
    if let Some(refusal) = refuse(&headers) {
        return refusal;
    }
    let status = shared.lock().unwrap_or_else(PoisonError::into_inner).status.clone();
    Json(status).into_response()
}
