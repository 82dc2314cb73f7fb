//! The dashboard that criterion C6 asks: does it answer? What its panels say is asked during the run, not here.

use super::{Context, Finding};
use crate::watch::scrape::Http;
use std::time::Duration;

/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Our own console is C6's source: it answers once it has been started.
pub(super) fn check(context: &Context<'_>) -> Finding {
    match context.console {
        None => Finding::skipped("our console is C6's source; it starts with the run"),
        Some(address) => reach(&format!("http://{address}/api/status"), "our console"),
    }
}

/// Asks an address for any whole answer of success.
fn reach(url: &str, who: &str) -> Finding {
    // A runtime of its own on a thread of its own: the caller may be inside another one.
    let ask = || Http::new().map_err(|e| e.to_string()).and_then(|http| http.get(url, WITHIN));
    match std::thread::scope(|scope| scope.spawn(ask).join()) {
        Ok(Ok((200..=299, _, _))) => Finding::ok(format!("{who} answers at {url}")),
        Ok(Ok((status, _, _))) => {
            Finding::failed(format!("{who} answers {url} with HTTP status {status}"), "look at its log")
        }
        Ok(Err(why)) => Finding::failed(why, "see whether a proxy or a firewall stands before loopback"),
        Err(_) => Finding::failed("the check of the dashboard broke down", "report this as a defect"),
    }
}
