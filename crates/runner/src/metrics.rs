//! The runner's metrics: handles held once, so that recording takes no lock. Names, types, labels and bucket edges are the
//! catalogue's. Series of the alert dispatcher are its own; serving the page lives in `server`.

use crate::process::Usage;
use crate::screen::Screen;
use crate::stages::StageHistograms;
use engine::kpi::Kpis;
use engine::probe::Stage;
use exposition::{Common, Counter, Gauge, Histogram, Registry, RegistryError};
use journal::record::BookCondition;
use market::{Asset, Venue};
use std::sync::{Arc, Mutex};
use venues::{Stats, VenueStats};

/// Label values of the quantiles over the universe, in the order of `engine::view::QUANTILES`.
const QUANTILES: [&str; 3] = ["0.05", "0.5", "0.95"];
/// For what share of its time both books of a member were trusted.
const TRUSTED: &str = "arb_topn_book_trusted_ratio";
/// The FX pair.
const PAIR: &str = "KRW-USDT";

/// Counters of one venue's traffic.
#[derive(Debug, Clone)]
pub struct VenueMetrics {
    /// Frames received.
    pub frames: Counter,
    /// Signs of life that are no frames.
    pub alive: Counter,
    /// Snapshots asked for again.
    pub resyncs: Counter,
    /// Connections opened again.
    pub reconnects: Counter,
    /// Books that differed from the venue's best quotes.
    pub mismatches: Counter,
    /// Codes that were asked for and send nothing.
    pub silent: Gauge,
    /// Age of a Live book, each second.
    pub book_age: Histogram,
    requests: Counter,
}

/// The handles.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// The registry behind them.
    pub registry: Registry,
    /// Service time with queueing, seconds.
    pub latency: Histogram,
    /// Queueing before the core, seconds.
    pub receive: Histogram,
    /// Inside the core, seconds, by stage.
    pub stages: StageHistograms,
    /// Inputs applied.
    pub iterations: Counter,
    /// Inputs that ended in an error.
    pub loop_errors: Counter,
    /// By venue.
    pub venues: [VenueMetrics; 2],
    trading: Trading,
    process: ProcessGauges,
    /// Symbols with series of their own.
    seen: Arc<Mutex<Vec<Asset>>>,
}

#[derive(Debug, Clone)]
struct Trading {
    pnl: Gauge,
    equity: Gauge,
    drawdown: Gauge,
    win_rate: Gauge,
    entries: Counter,
    exits: Counter,
    round_trips: Counter,
    active: Gauge,
    exposure: Gauge,
    imbalance: Gauge,
    blocked_seconds: Counter,
    position_limit: Counter,
    emergency_stops: Counter,
    fx_rate: Gauge,
    fx_age: Gauge,
}

#[derive(Debug, Clone)]
struct ProcessGauges {
    cpu_percent: Gauge,
    memory_mb: Gauge,
    cpu_seconds: Counter,
    rss: Gauge,
    fds: Gauge,
    threads: Gauge,
    start: Gauge,
}

/// What names the run in `assay_run_info`.
#[derive(Debug, Clone, Copy)]
pub struct RunInfo<'a> {
    /// The runner's id.
    pub run_id: &'a str,
    /// Where the market comes from.
    pub data_source: &'a str,
    /// What the runner can say about the evidence.
    pub evidence: &'a str,
}

impl Metrics {
    /// Creates every series that exists from the start.
    ///
    /// # Errors
    /// A metric that the catalogue does not have like this.
    pub fn new(common: Common, info: RunInfo<'_>) -> Result<Self, RegistryError> {
        let registry = Registry::new(common);
        let r = &registry;
        r.gauge(
            "assay_run_info",
            &[
                ("run_id", info.run_id),
                ("version", env!("CARGO_PKG_VERSION")),
                ("data_source", info.data_source),
                ("evidence", info.evidence),
            ],
        )?
        .set(1.0);
        let metrics = Self {
            latency: r.histogram("loop_latency_seconds", &[])?,
            receive: r.histogram("loop_stage_seconds", &[("stage", "receive")])?,
            stages: stages(r)?,
            iterations: r.counter("arb_topn_loop_iterations_total", &[])?,
            loop_errors: r.counter("arb_topn_loop_errors_total", &[])?,
            venues: [venue(r, Venue::Upbit)?, venue(r, Venue::Binance)?],
            trading: Trading::new(r)?,
            process: ProcessGauges::new(r)?,
            seen: Arc::default(),
            registry,
        };
        metrics.create_known_series()?;
        Ok(metrics)
    }

    /// Series of counters whose labels are known before the first event.
    fn create_known_series(&self) -> Result<(), RegistryError> {
        let r = &self.registry;
        for reason in catalogue::EXIT_REASONS {
            r.counter("arb_topn_exit_reasons_total", &[("reason", reason)])?;
        }
        for stage in catalogue::FUNNEL_STAGES {
            r.counter("arb_topn_funnel_total", &[("stage", stage)])?;
        }
        for rule in engine::guards::rules::ALL {
            let labels = [("guard_type", rule.guard_type), ("reason", rule.name)];
            r.counter("arb_topn_guard_triggers_total", &labels)?;
        }
        for venue in Venue::ALL {
            for kind in venues::RestError::KINDS {
                r.counter("venue_http_errors_total", &[("venue", venue.as_str()), ("kind", kind)])?;
            }
            self.venues[venue.index()].silent.set(0.0);
            for state in crate::screen::BOOK_STATES {
                r.gauge("venue_books", &[("venue", venue.as_str()), ("state", state)])?.set(0.0);
            }
            for condition in BookCondition::ALL {
                book_seconds(r, venue, condition)?;
            }
        }
        let groups: [(Venue, &[&str]); 2] = [
            (Venue::Upbit, &["market", "candle", "trade", "ticker", "orderbook", "connect", "message"]),
            (Venue::Binance, &["weight", "connect", "message"]),
        ];
        for (venue, names) in groups {
            for group in names {
                // Nothing was asked yet: all of it is left.
                r.gauge("venue_request_budget_ratio", &[("venue", venue.as_str()), ("group", group)])?
                    .set(1.0);
            }
        }
        for component in ["journal_queue", "recorder_queue", "books"] {
            r.gauge("component_bytes", &[("component", component)])?.set(0.0);
        }
        let t = &self.trading;
        for gauge in [&t.pnl, &t.drawdown, &t.active, &t.exposure] {
            // Measured: nothing is open and nothing was made before the first trade.
            gauge.set(0.0);
        }
        self.process(&crate::process::read(), None);
        Ok(())
    }

    /// Paper capital, once it is known: equity before the first point.
    pub fn capital(&self, capital_usd: f64) {
        self.trading.equity.set(capital_usd);
    }

    /// Mirrors what the journal adds up to.
    ///
    /// # Errors
    /// A metric that the catalogue does not have like this.
    pub fn kpis(&self, kpis: &Kpis) -> Result<(), RegistryError> {
        let (t, r) = (&self.trading, &self.registry);
        t.entries.set_total(kpis.entries() as f64);
        t.exits.set_total(kpis.exits() as f64);
        t.round_trips.set_total(kpis.round_trips() as f64);
        t.position_limit.set_total(kpis.position_limit_hits() as f64);
        t.emergency_stops.set_total(kpis.emergency_stops() as f64);
        t.active.set(kpis.open_positions() as f64);
        if let Some(rate) = kpis.win_rate_pct() {
            t.win_rate.set(rate);
        }
        for (reason, count) in kpis.exit_reasons() {
            r.counter("arb_topn_exit_reasons_total", &[("reason", reason.as_str())])?
                .set_total(*count as f64);
        }
        for ((guard_type, rule), count) in kpis.guard_triggers() {
            r.counter("arb_topn_guard_triggers_total", &[("guard_type", guard_type), ("reason", rule)])?
                .set_total(*count as f64);
        }
        for (stage, count) in
            kpis.funnel().iter().filter(|(s, _)| catalogue::FUNNEL_STAGES.contains(&s.as_str()))
        {
            r.counter("arb_topn_funnel_total", &[("stage", stage)])?.set_total(*count as f64);
        }
        t.blocked_seconds.set_total(kpis.guard_blocked_seconds());
        Ok(())
    }

    /// An equity point, USD. `fall` is the distance from the peak so far.
    pub fn equity(&self, pnl: f64, fall: f64, capital: Option<f64>) {
        self.trading.pnl.set(pnl);
        self.trading.drawdown.set(fall);
        if let Some(capital) = capital {
            self.trading.equity.set(capital + pnl);
        }
    }

    /// The figures of a second.
    pub fn figures(&self, exposure_usd: f64, fx: Option<(f64, f64)>) {
        self.trading.exposure.set(exposure_usd);
        match fx {
            Some((rate, age)) => {
                self.trading.fx_rate.set(rate);
                self.trading.fx_age.set(age);
            }
            None => {
                self.trading.fx_rate.clear();
                self.trading.fx_age.clear();
            }
        }
    }

    /// An alert that was raised.
    ///
    /// # Errors
    /// A metric that the catalogue does not have like this.
    pub fn alert(&self, rule_id: &str, source: &str) -> Result<(), RegistryError> {
        let severity = catalogue::alert_rule(rule_id).map_or("P3", |rule| rule.severity.as_str());
        self.registry.counter("arb_topn_alerts_total", &[("severity", severity), ("source", source)])?.inc();
        Ok(())
    }

    /// What the core shows, once a second.
    ///
    /// # Errors
    /// A metric that the catalogue does not have like this.
    pub fn screen(&self, screen: &Screen) -> Result<(), RegistryError> {
        let (r, view) = (&self.registry, &screen.view);
        self.iterations.set_total(view.iterations as f64);
        self.loop_errors.set_total(view.errors as f64);
        for venue in Venue::ALL {
            let (theirs, ours) = (&view.venues[venue.index()], &self.venues[venue.index()]);
            ours.frames.set_total(theirs.messages as f64);
            ours.resyncs.set_total(theirs.resyncs as f64);
            ours.reconnects.set_total(theirs.reconnects as f64);
            ours.mismatches.set_total(theirs.mismatches as f64);
            ours.silent.set(f64::from(theirs.silent));
            for age in &screen.book_ages[venue.index()] {
                ours.book_age.observe(*age);
            }
            for (state, count) in crate::screen::BOOK_STATES.iter().zip(theirs.books) {
                r.gauge("venue_books", &[("venue", venue.as_str()), ("state", state)])?.set(f64::from(count));
            }
            for (condition, ns) in BookCondition::ALL.into_iter().zip(theirs.book_ns) {
                book_seconds(r, venue, condition)?.set_total(ns as f64 / 1e9);
            }
        }
        for (name, values) in
            [("arb_topn_premium_bps", view.premium_bps), ("arb_topn_edge_bps", view.edge_bps)]
        {
            for (label, value) in QUANTILES.into_iter().zip(values) {
                set(&r.gauge(name, &[("quantile", label), ("symbol", "")])?, value);
            }
        }
        self.symbols(view)?;
        self.trading.imbalance.set(view.inventory_imbalance);
        self.component("books", screen.book_bytes())
    }

    /// Premium and edge of each symbol. A symbol that left the universe has no value any more.
    fn symbols(&self, view: &engine::View) -> Result<(), RegistryError> {
        let series =
            |name: &str, symbol: &str| self.registry.gauge(name, &[("quantile", ""), ("symbol", symbol)]);
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for gone in seen.iter().filter(|known| !view.symbols.iter().any(|(asset, ..)| asset == *known)) {
            series("arb_topn_premium_bps", gone.as_str())?.clear();
            series("arb_topn_edge_bps", gone.as_str())?.clear();
            self.registry.gauge(TRUSTED, &[("symbol", gone.as_str())])?.clear();
        }
        seen.clear();
        for (asset, premium, edge) in &view.symbols {
            set(&series("arb_topn_premium_bps", asset.as_str())?, *premium);
            set(&series("arb_topn_edge_bps", asset.as_str())?, *edge);
            seen.push(*asset);
        }
        for (asset, share) in &view.trust {
            set(&self.registry.gauge(TRUSTED, &[("symbol", asset.as_str())])?, *share);
        }
        Ok(())
    }

    /// Memory of a component, bytes.
    ///
    /// # Errors
    /// A metric that the catalogue does not have like this.
    pub fn component(&self, component: &str, bytes: u64) -> Result<(), RegistryError> {
        self.registry.gauge("component_bytes", &[("component", component)])?.set(bytes as f64);
        Ok(())
    }

    /// Requests, errors and budgets of the REST client.
    ///
    /// # Errors
    /// A metric that the catalogue does not have like this.
    pub fn rest(&self, stats: &Stats) -> Result<(), RegistryError> {
        self.rest_of(Venue::Upbit, &stats.upbit)?;
        self.rest_of(Venue::Binance, &stats.binance)
    }

    fn rest_of(&self, venue: Venue, stats: &VenueStats) -> Result<(), RegistryError> {
        let r = &self.registry;
        self.venues[venue.index()].requests.set_total(stats.requests as f64);
        for (kind, count) in &stats.errors {
            r.counter("venue_http_errors_total", &[("venue", venue.as_str()), ("kind", kind)])?
                .set_total(*count as f64);
        }
        for (group, left) in &stats.budget_left {
            r.gauge("venue_request_budget_ratio", &[("venue", venue.as_str()), ("group", group)])?.set(*left);
        }
        Ok(())
    }

    /// What the process uses; `cpu_percent` since the last reading, at the first one since the process started.
    pub fn process(&self, usage: &Usage, cpu_percent: Option<f64>) {
        let p = &self.process;
        set(&p.cpu_percent, cpu_percent.or_else(|| usage.percent_since_start()));
        set(&p.memory_mb, usage.rss_bytes.map(|b| b as f64 / 1e6));
        set(&p.rss, usage.rss_bytes.map(|b| b as f64));
        set(&p.fds, usage.open_fds.map(|n| n as f64));
        set(&p.threads, usage.threads.map(|n| n as f64));
        set(&p.start, usage.start_seconds);
        if let Some(seconds) = usage.cpu_seconds {
            p.cpu_seconds.set_total(seconds);
        }
    }
}

fn book_seconds(r: &Registry, venue: Venue, condition: BookCondition) -> Result<Counter, RegistryError> {
    r.counter("venue_book_seconds_total", &[("venue", venue.as_str()), ("state", condition.as_str())])
}

/// A value, or none: a measure that is not known has no series.
fn set(gauge: &Gauge, value: Option<f64>) {
    match value {
        Some(value) => gauge.set(value),
        None => gauge.clear(),
    }
}

impl Trading {
    fn new(r: &Registry) -> Result<Self, RegistryError> {
        Ok(Self {
            pnl: r.gauge("arb_topn_pnl_usd", &[])?,
            equity: r.gauge("arb_topn_equity_usd", &[])?,
            drawdown: r.gauge("arb_topn_drawdown_usd", &[])?,
            win_rate: r.gauge("arb_topn_win_rate", &[])?,
            entries: r.counter("arb_topn_trades_total", &[("trade_type", "entry")])?,
            exits: r.counter("arb_topn_trades_total", &[("trade_type", "exit")])?,
            round_trips: r.counter("arb_topn_round_trips_total", &[])?,
            active: r.gauge("arb_topn_active_positions", &[])?,
            exposure: r.gauge("arb_topn_exposure_usd", &[])?,
            imbalance: r.gauge("arb_topn_inventory_imbalance", &[])?,
            blocked_seconds: r.counter("arb_topn_guard_blocked_seconds_total", &[])?,
            position_limit: r.counter("arb_topn_position_limit_hits_total", &[])?,
            emergency_stops: r.counter("arb_topn_emergency_stops_total", &[])?,
            fx_rate: r.gauge("arb_topn_fx_rate", &[("pair", PAIR)])?,
            fx_age: r.gauge("arb_topn_fx_age_seconds", &[("pair", PAIR)])?,
        })
    }
}

impl ProcessGauges {
    fn new(r: &Registry) -> Result<Self, RegistryError> {
        Ok(Self {
            cpu_percent: r.gauge("process_cpu_usage_percent", &[])?,
            memory_mb: r.gauge("process_memory_usage_mb", &[])?,
            cpu_seconds: r.counter("process_cpu_seconds_total", &[])?,
            rss: r.gauge("process_resident_memory_bytes", &[])?,
            fds: r.gauge("process_open_fds", &[])?,
            threads: r.gauge("process_threads", &[])?,
            start: r.gauge("process_start_time_seconds", &[])?,
        })
    }
}

fn stages(r: &Registry) -> Result<StageHistograms, RegistryError> {
    let [parse, book, decide, fill] =
        Stage::ALL.map(|stage| r.histogram("loop_stage_seconds", &[("stage", stage.as_str())]));
    Ok([parse?, book?, decide?, fill?])
}

fn venue(r: &Registry, venue: Venue) -> Result<VenueMetrics, RegistryError> {
    let name = venue.as_str();
    let counter = |metric: &str, kind: &str| r.counter(metric, &[("venue", name), ("kind", kind)]);
    Ok(VenueMetrics {
        frames: counter("venue_messages_total", "frame")?,
        alive: counter("venue_messages_total", "alive")?,
        resyncs: counter("venue_resyncs_total", "snapshot")?,
        reconnects: counter("venue_reconnects_total", "stream")?,
        mismatches: r.counter("venue_quote_mismatches_total", &[("venue", name)])?,
        silent: r.gauge("venue_silent_codes", &[("venue", name)])?,
        book_age: r.histogram("venue_book_age_seconds", &[("venue", name)])?,
        requests: counter("venue_http_requests_total", "rest")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalogue::{Appears, METRICS};
    use exposition::{Format, Kind, parse};

    fn metrics() -> Metrics {
        let common = Common { env: "paper".to_owned(), universe: "top10".to_owned() };
        Metrics::new(common, RunInfo { run_id: "t", data_source: "local", evidence: "rehearsal" }).unwrap()
    }

    /// The dispatcher adds its own series: with it, the page holds whatever is to be there from the start.
    #[test]
    fn the_page_holds_the_catalogue_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let metrics = metrics();
        let config = alerts::AlertConfig {
            database: folder.path().join("alerts.sqlite"),
            server: None,
            retention: None,
            run_id: "t".to_owned(),
            phase: "run".to_owned(),
            env: "paper".to_owned(),
            notifiers: Vec::new(),
            routes: alerts::Routes::paper(),
            probe_every: std::time::Duration::from_secs(60),
            retry: alerts::RetryPolicy::default(),
            own_spool: None,
            sources: Vec::new(),
        };
        let dispatcher = alerts::Dispatcher::start(config, &metrics.registry).unwrap();
        metrics.capital(10_000.0);
        for format in [Format::Text004, Format::OpenMetrics] {
            let page = parse(metrics.registry.encode(format).as_bytes(), format).unwrap();
            for metric in METRICS.iter().filter(|m| m.appears == Appears::FromStart) {
                let name = match format {
                    Format::Text004 => metric.name,
                    Format::OpenMetrics => metric.name.strip_suffix("_total").unwrap_or(metric.name),
                };
                let family = page.family(name).unwrap_or_else(|| panic!("{name} is missing"));
                let kind = match metric.kind {
                    catalogue::MetricKind::Counter => Kind::Counter,
                    catalogue::MetricKind::Gauge => Kind::Gauge,
                    catalogue::MetricKind::Histogram => Kind::Histogram,
                };
                assert_eq!(family.kind, kind, "{name}");
                let sample = &family.samples[0];
                for label in metric.labels {
                    assert!(sample.label(label).is_some(), "{name} lacks {label}");
                }
            }
        }
        dispatcher.stop();
    }

    #[test]
    fn an_unknown_measure_has_no_series() {
        let metrics = metrics();
        metrics.figures(0.0, Some((1_400.0, 0.1)));
        metrics.figures(0.0, None);
        assert!(!metrics.registry.encode(Format::Text004).contains("arb_topn_fx_rate{"));
    }

    #[test]
    fn a_series_per_symbol_ends_when_the_symbol_leaves() {
        let metrics = metrics();
        let asset = |name: &str| Asset::new(name).unwrap();
        let mut screen = Screen::default();
        screen.view.symbols = vec![(asset("AAA"), Some(12.5), Some(-31.0)), (asset("BBB"), None, Some(4.0))];
        screen.view.edge_bps = [Some(-31.0), Some(-10.0), Some(4.0)];
        metrics.screen(&screen).unwrap();
        let page = metrics.registry.encode(Format::Text004);
        let line = |start: &str| page.lines().filter(|l| l.starts_with(start)).count();
        assert_eq!((line("arb_topn_premium_bps{"), line("arb_topn_edge_bps{")), (1, 5), "{page}");
        assert!(page.contains("strategy=\"topn_arb\",symbol=\"AAA\"} 12.5"), "{page}");
        assert!(page.contains("strategy=\"topn_arb\",quantile=\"0.5\"} -10"), "{page}");
        screen.view.symbols.remove(0);
        metrics.screen(&screen).unwrap();
        assert!(!metrics.registry.encode(Format::Text004).contains("AAA"));
    }

    #[test]
    fn the_win_rate_appears_with_the_first_close() {
        use journal::record::{Body, Direction, Entry, ExitReason};
        let metrics = metrics();
        let mut kpis = Kpis::new();
        metrics.kpis(&kpis).unwrap();
        assert!(!metrics.registry.encode(Format::Text004).contains("arb_topn_win_rate{"));
        let body = Body::Closed {
            position: 1,
            asset: Asset::new("AAA").unwrap(),
            direction: Direction::BuyUpbit,
            reason: ExitReason::TakeProfit,
            opened_at: market::Timestamp(0),
            gross_usd: market::Money(3),
            fees_usd: market::Money(1),
            net_usd: market::Money(2),
            slippage_usd: market::Money(0),
            slippage_bps: 0.0,
            decided_edge_bps: 0.0,
            realised_edge_bps: 0.0,
        };
        kpis.on(&Entry { seq: 1, input_seq: 1, at: market::Timestamp(0), commit: true, body });
        metrics.kpis(&kpis).unwrap();
        let page = metrics.registry.encode(Format::Text004);
        assert!(
            page.contains("arb_topn_win_rate{env=\"paper\",universe=\"top10\",strategy=\"topn_arb\"} 100")
        );
    }
}
