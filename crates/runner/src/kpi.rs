//! `assay kpi --from-journal`: KPIs 1 to 17 recomputed from a journal by the code that the runner publishes with.

use crate::args::KpiArgs;
use crate::error::RunError;
use engine::kpi::Kpis;
use journal::Body;
use journal::file::{FileError, Reader};
use serde_json::{Map, Value};
use std::path::Path;

/// `assay kpi`: prints the fields as JSON.
///
/// # Errors
/// As [`from_journal`].
pub fn kpi(args: KpiArgs) -> Result<u8, RunError> {
    let kpis = from_journal(&args.from_journal)?;
    print(&kpis)?;
    Ok(0)
}

/// Adds up a journal. A torn last line is left out, as a restart would.
///
/// # Errors
/// [`RunError::NotFound`]; [`RunError::Unreadable`] for a file that is no journal of a session.
pub fn from_journal(path: &Path) -> Result<Kpis, RunError> {
    if !path.exists() {
        return Err(RunError::NotFound(path.to_owned()));
    }
    let unreadable = |error: FileError| match error {
        FileError::Io { source, .. } => {
            RunError::Unreadable(format!("cannot read {}: {source}", path.display()))
        }
        damaged @ FileError::Damaged { .. } => RunError::Unreadable(damaged.to_string()),
    };
    let mut reader = Reader::open(path).map_err(unreadable)?;
    let mut kpis = Kpis::new();
    let mut began = false;
    while let Some(entry) = reader.next_entry().map_err(unreadable)? {
        // Figures of nothing would look like those of a session without a trade.
        if !began && !matches!(entry.body, Body::Start { .. }) {
            return Err(no_start(path, "begins with another record"));
        }
        began = true;
        kpis.on(&entry);
    }
    if !began {
        return Err(no_start(path, "holds no whole record"));
    }
    if reader.has_partial_line() {
        eprintln!("{}: a torn last line was left out", path.display());
    }
    Ok(kpis)
}

fn no_start(path: &Path, what: &str) -> RunError {
    let path = path.display();
    RunError::Unreadable(format!("{path} {what}, no start of a session; name the journal.log of a run"))
}

/// The fields of a KPI file that follow from the journal alone.
pub fn fields(kpis: &Kpis) -> Map<String, Value> {
    kpis.fields()
}

/// Prints the fields.
///
/// # Errors
/// [`RunError::Internal`].
pub(crate) fn print(kpis: &Kpis) -> Result<(), RunError> {
    let text = serde_json::to_string_pretty(&Value::Object(fields(kpis)))
        .map_err(|e| RunError::Internal(format!("KPIs: {e}")))?;
    println!("{text}");
    Ok(())
}
