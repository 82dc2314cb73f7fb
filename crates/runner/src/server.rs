//! `/metrics`, on a thread and a runtime of its own, so that a scrape never touches the hot thread.

use crate::error::RunError;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::get;
use exposition::{Format, Registry};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A bound address that does not answer yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Binds the address.
///
/// # Errors
/// [`RunError::MetricsAddress`].
pub fn bind(address: SocketAddr) -> Result<Bound, RunError> {
    let wrong = |source| RunError::MetricsAddress { address, source };
    let listener = TcpListener::bind(address).map_err(wrong)?;
    listener.set_nonblocking(true).map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    Ok(Bound { listener, address })
}

/// A running server; dropping it ends it.
#[derive(Debug)]
pub struct Server {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bound {
    /// Where it will answer.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts answering.
    ///
    /// # Errors
    /// [`RunError::Internal`] when there is no thread or runtime to be had.
    pub fn serve(self, registry: Registry) -> Result<Server, RunError> {
        let failed = |what: &str, e: std::io::Error| RunError::Internal(format!("/metrics: {what}: {e}"));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| failed("no runtime", e))?;
        let (stop, stopped) = oneshot::channel();
        let listener = self.listener;
        let thread = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || runtime.block_on(answer(listener, registry, stopped)))
            .map_err(|e| failed("no thread", e))?;
        Ok(Server { stop: Some(stop), thread: Some(thread) })
    }
}

async fn answer(listener: TcpListener, registry: Registry, stopped: oneshot::Receiver<()>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "/metrics cannot be served");
            return;
        }
    };
    let app = Router::new().route("/metrics", get(page)).with_state(registry);
    tokio::select! {
        result = axum::serve(listener, app) => {
            if let Err(error) = result {
                tracing::error!(%error, "/metrics ended");
            }
        }
        _ = stopped => {}
    }
}

async fn page(State(registry): State<Registry>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::negotiate(accept);
    ([(CONTENT_TYPE, format.content_type())], registry.encode(format))
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
