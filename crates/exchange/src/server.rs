//! The three listeners and the task that moves the market.

use crate::faults::Script;
use crate::hub::Shared;
use crate::model::paths::PricePaths;
use crate::model::track::{self, Source};
use crate::model::{MarketKind, Model, PlantedGap};
use crate::tape::{Playing, Tape};
use crate::transport::{Accepting, Peer};
use crate::{ExchangeError, binance, control, tls, upbit};
use axum::Router;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What to serve, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Upbit's address; port 0 takes a free one, here and below.
    pub upbit: SocketAddr,
    /// Binance's address.
    pub binance: SocketAddr,
    /// The control API's address.
    pub control: SocketAddr,
    /// Real price paths instead of a synthetic market, whose symbols and kind then do not matter.
    pub prices: Option<Prices>,
    /// A recording instead of either.
    pub recording: Option<Playing>,
    /// Symbols that trade on both venues, 1 to 1 000.
    pub symbols: usize,
    /// The kind of market.
    pub market: MarketKind,
    /// The market's seed.
    pub seed: u64,
    /// Gaps put into the market.
    pub planted: Vec<PlantedGap>,
    /// Faults on a timeline.
    pub script: Script,
    /// Messages per second, over all connections, that sizes are changed for beyond what the market brings; 0 for none.
    pub load: f64,
    /// The venues' servers speak TLS, with a certificate of an authority made at the start.
    pub tls: bool,
}

impl Options {
    /// A synthetic market on free ports of loopback, with nothing special about it.
    pub fn local(symbols: usize, market: MarketKind, seed: u64) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            upbit: any,
            binance: any,
            control: any,
            prices: None,
            recording: None,
            symbols,
            market,
            seed,
            planted: Vec::new(),
            script: Script::default(),
            load: 0.0,
            tls: false,
        }
    }
}

/// Real price paths, and where on them the market begins.
#[derive(Clone, Debug)]
pub struct Prices {
    /// The paths.
    pub paths: Arc<PricePaths>,
    /// Their time at the start, ms since 1970; half an hour after their beginning when left out.
    pub from_ms: Option<i64>,
}

impl Prices {
    /// The paths' time at the start, ms since 1970.
    pub fn start_ms(&self) -> i64 {
        self.from_ms.unwrap_or(self.paths.first_ms() + track::LEAD_MS)
    }

    /// Whether the paths can begin there.
    ///
    /// # Errors
    /// [`ExchangeError::From`].
    pub fn check(&self) -> Result<(), ExchangeError> {
        track::check(&self.paths, self.start_ms())
    }
}

/// Running servers. Dropping it leaves them running; [`Server::shutdown`] ends them.
#[derive(Debug)]
pub struct Server {
    /// Where Upbit listens: REST `http://..`, WebSocket `ws://../websocket/v1`.
    pub upbit: SocketAddr,
    /// Where Binance listens: REST `http://..`, WebSocket `ws://../ws/..` and `ws://../stream?streams=..`.
    pub binance: SocketAddr,
    /// Where the control API listens.
    pub control: SocketAddr,
    /// What the prices are, when they are real price paths.
    pub source: Option<Source>,
    /// The authority's certificate, PEM, when the servers speak TLS.
    pub ca_pem: Option<String>,
    shared: Handle,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    market: JoinHandle<()>,
}

struct Handle(Arc<Shared>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

/// Starts the servers on the current tokio runtime.
///
/// # Errors
/// An address that cannot be listened on, a market that cannot be made.
pub async fn start(options: Options) -> Result<Server, ExchangeError> {
    let start_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    let tape = options.recording.map(open_tape).transpose()?;
    let start_ms = tape.as_ref().map_or(start_ms, |tape| tape.began().as_millis());
    let model = match &options.prices {
        _ if tape.is_some() => {
            Model::listing_only(tape.as_ref().map(Tape::listings).unwrap_or_default(), start_ms)
        }
        None => Model::new(options.symbols, options.market, options.seed, start_ms, &options.planted)?,
        Some(prices) => {
            let paths = Arc::clone(&prices.paths);
            Model::walking(paths, prices.from_ms, options.seed, start_ms, &options.planted)?
        }
    };
    if !(0.0..=10_000_000.0).contains(&options.load) {
        return Err(ExchangeError::Load(options.load));
    }
    check(&options.script, &model)?;
    let source = model.source();
    let (upbit_listener, upbit) = listen("Upbit", options.upbit).await?;
    let (binance_listener, binance) = listen("Binance", options.binance).await?;
    let (control_listener, control) = listen("control", options.control).await?;
    let secured = options.tls.then(|| tls::make(&[upbit.ip(), binance.ip()])).transpose()?;
    let acceptor = secured.as_ref().map(|tls| &tls.acceptor);
    let shared = match tape {
        Some(tape) => Shared::playing(model, tape),
        None => Shared::new(model, start_ms),
    };
    {
        let mut world = shared.lock();
        (world.script, world.load) = (options.script, options.load);
    }
    let (stop, _) = watch::channel(false);
    let listeners = vec![
        spawn(upbit_listener, upbit::router(shared.clone()), acceptor, &stop),
        spawn(binance_listener, binance::router(shared.clone()), acceptor, &stop),
        spawn(control_listener, control::router(shared.clone()), None, &stop),
    ];
    let market = tokio::spawn(shared.clone().run());
    let ca_pem = secured.map(|tls| tls.ca_pem);
    Ok(Server { upbit, binance, control, source, ca_pem, shared: Handle(shared), stop, listeners, market })
}

fn open_tape(playing: Playing) -> Result<Tape, ExchangeError> {
    if !(playing.speed > 0.0 && playing.speed <= 1_000.0) {
        return Err(ExchangeError::Speed(playing.speed));
    }
    Tape::open(playing)
}

async fn listen(what: &'static str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), ExchangeError> {
    let failed = |source| ExchangeError::Bind { what, addr, source };
    let listener = TcpListener::bind(addr).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Whether everything that a script aims at is there.
fn check(script: &Script, model: &Model) -> Result<(), ExchangeError> {
    let mut dry = crate::faults::Faults::default();
    for fault in &script.faults {
        let begun = dry.begin(fault.injection.clone(), model, fault.at);
        begun.map_err(|what| script.wrong(fault, what))?;
        dry.clear();
    }
    Ok(())
}

fn spawn(
    listener: TcpListener,
    router: Router,
    tls: Option<&TlsAcceptor>,
    stop: &watch::Sender<bool>,
) -> JoinHandle<()> {
    let mut stopped = stop.subscribe();
    let listener = Accepting::new(listener, tls.cloned());
    let service = router.into_make_service_with_connect_info::<Peer>();
    tokio::spawn(async move {
        let signal = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        if let Err(error) = axum::serve(listener, service).with_graceful_shutdown(signal).await {
            tracing::error!(%error, "a listener ended");
        }
    })
}

impl Server {
    /// Ends the servers: WebSocket connections are closed, requests in hand get a second to finish.
    pub async fn shutdown(self) {
        self.market.abort();
        self.stop.send_replace(true);
        self.shared.0.lock().end();
        for mut listener in self.listeners {
            if tokio::time::timeout(Duration::from_secs(1), &mut listener).await.is_err() {
                listener.abort();
            }
        }
    }
}
