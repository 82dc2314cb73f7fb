//! Asking the venues: do they answer, do the clocks agree, are enough symbols listed on both.

use super::{Context, Finding};
use market::Timestamp;
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use venues::{Rest, RestError};

/// Largest difference of the clocks.
const SKEW_MS: i64 = 1_000;
/// How long the whole check may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Attempts of a request that may succeed the next time.
const ATTEMPTS: u32 = 3;

pub(super) fn check(context: &Context<'_>) -> Finding {
    let Some(endpoints) = context.endpoints.clone() else { return Finding::skipped("no venue is asked") };
    let topn = context.profile.smoke.topn.max(context.profile.main.topn);
    // A runtime of its own on a thread of its own: the caller may be inside another one.
    let answer = std::thread::scope(|scope| scope.spawn(move || ask(endpoints, topn)).join());
    answer
        .unwrap_or_else(|_| Finding::failed("the check of the venues broke down", "report this as a defect"))
}

fn ask(endpoints: venues::Endpoints, topn: u32) -> Finding {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => {
            return Finding::failed(
                format!("cannot start the network runtime: {e}"),
                "free file descriptors",
            );
        }
    };
    let real = endpoints.is_real();
    venues::install_crypto();
    runtime.block_on(async {
        match tokio::time::timeout(DEADLINE, look(endpoints, topn)).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(error)) => Finding::failed(short(&error.to_string()), advice(&error, real)),
            Err(_) => Finding::failed(
                format!("the venues did not answer within {} s", DEADLINE.as_secs()),
                "check network, proxy and firewall",
            ),
        }
    })
}

/// The error without what is said twice: the address inside the client's own words, and the advice that follows anyway.
fn short(error: &str) -> String {
    let error = error.strip_suffix("; check network, proxy and firewall").unwrap_or(error);
    let twice = error.split_once("error sending request for url (");
    match twice.and_then(|(head, tail)| Some((head, tail.split_once("): ")?.1))) {
        Some((head, tail)) => format!("{head}{tail}"),
        None => error.to_owned(),
    }
}

fn advice(error: &RestError, real: bool) -> &'static str {
    match error {
        _ if !real => "see the local exchange's log in the run folder",
        RestError::Blocked { .. } => "run from a network and a country that the venue serves",
        RestError::RateLimited { .. } => "wait until the venue answers again",
        RestError::Parse { .. } => {
            "the venue's answer has changed: update Assay, or report the answer if there is no newer version"
        }
        RestError::Maintenance { .. } => "wait until the venue's maintenance has ended; its notices say when",
        RestError::Setup { .. } => "check the system's certificates",
        RestError::Unreachable { cause, .. } => match cause.kind() {
            "dns" => "check the address and this machine's dns",
            "tls" => {
                "check this machine's clock and certificates (SSL_CERT_FILE), and whether a proxy reads along"
            }
            "proxy" => "check HTTPS_PROXY, ALL_PROXY and the login in them",
            _ => "check network, proxy and firewall, then try again",
        },
        RestError::Status { .. } => "check network, proxy and firewall, then try again",
    }
}

/// Repeats a request that may succeed the next time.
macro_rules! patiently {
    ($request:expr) => {{
        let mut attempt = 1;
        loop {
            match $request.await {
                Err(error) if !error.is_terminal() && attempt < ATTEMPTS => {
                    attempt += 1;
                    let wait = error.retry_after(now()).unwrap_or(Duration::from_millis(500));
                    tokio::time::sleep(wait).await;
                }
                other => break other?,
            }
        }
    }};
}

async fn look(endpoints: venues::Endpoints, topn: u32) -> Result<Finding, RestError> {
    let rest = Rest::new(endpoints)?;
    let markets = patiently!(rest.upbit_markets());
    let symbols = patiently!(rest.binance_exchange_info());
    let (upbit_at, upbit_rtt) = patiently!(rest.upbit_time());
    let upbit_skew = upbit_at.map(|at| header_skew(at, upbit_rtt, now()));
    let (binance_at, binance_rtt) = patiently!(rest.binance_time());
    let binance_skew = skew(binance_at, binance_rtt, now());

    let krw: BTreeSet<_> =
        markets.iter().filter(|market| market.quote.as_str() == "KRW").map(|market| market.asset).collect();
    let both = symbols
        .iter()
        .filter(|symbol| symbol.trading && symbol.quote.as_str() == "USDT" && krw.contains(&symbol.base))
        .count();
    let worst = upbit_skew.map_or(binance_skew.abs(), |ms| ms.abs().max(binance_skew.abs()));
    let upbit_says =
        upbit_skew.map_or("has no clock in its answers".to_owned(), |ms| format!("clock {ms:+} ms"));
    let found = format!(
        "Upbit answers in {} ms ({upbit_says}), Binance in {} ms (clock {binance_skew:+} ms); {both} symbols on both",
        upbit_rtt.as_millis(),
        binance_rtt.as_millis(),
    );
    Ok(if worst >= SKEW_MS {
        Finding::failed(format!("{found}: the clocks differ by {worst} ms"), "set this machine's clock (NTP)")
    } else if both < topn as usize {
        let next = format!("lower topn in the profile to {both} or less, or wait until the venues list more");
        Finding::failed(format!("{found}; {topn} are asked for"), next)
    } else if upbit_skew.is_none() {
        Finding::warning(
            found,
            "the skew against Upbit was not measured; see whether a proxy drops the Date header",
        )
    } else {
        Finding::ok(found)
    })
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Ours minus theirs at the middle of the round trip, milliseconds.
fn skew(theirs: Timestamp, rtt: Duration, received: Timestamp) -> i64 {
    received.as_millis() - i64::try_from(rtt.as_millis() / 2).unwrap_or(i64::MAX) - theirs.as_millis()
}

/// The same for a clock of whole seconds: it may be anything up to 999 ms later than it says.
fn header_skew(theirs: Timestamp, rtt: Duration, received: Timestamp) -> i64 {
    match skew(theirs, rtt, received) {
        difference @ 0..1_000 => difference.min(0),
        late @ 1_000.. => late - 999,
        early => early,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_things_once() {
        let long = "no answer from https://a/b: error sending request for url (https://a/b): dns error; check network, proxy and firewall";
        assert_eq!(short(long), "no answer from https://a/b: dns error");
        assert_eq!(short("status 500"), "status 500");
    }

    #[test]
    fn whole_seconds_are_no_skew() {
        let at = |ms| Timestamp::from_millis(ms);
        let rtt = Duration::from_millis(20);
        assert_eq!(skew(at(1_000), rtt, at(1_060)), 50);
        assert_eq!(header_skew(at(1_000), rtt, at(1_900)), 0);
        assert_eq!(header_skew(at(1_000), rtt, at(3_110)), 1_101);
        assert_eq!(header_skew(at(5_000), rtt, at(3_510)), -1_500);
    }
}
