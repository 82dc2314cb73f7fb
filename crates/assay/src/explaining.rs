//! Commands that explain: `assay explain`, `assay universe`.

use crate::cli::{Explain, Universe};
use crate::commands::print;
use crate::fail::Failure;
use crate::runs::json_text;
use catalogue::exit_codes;
use market::Asset;
use validate::{explain, review};

pub(crate) fn explain(args: &Explain) -> Result<u8, Failure> {
    let source = match (&args.run, &args.journal) {
        (_, Some(path)) if !path.exists() => {
            let text = format!("{} does not exist; name a journal.log of a run", path.display());
            return Err(Failure::new(exit_codes::NOT_FOUND, text));
        }
        (_, Some(path)) => explain::journal_at(path),
        (Some(run), None) => {
            let dir = review::find(&args.logs.logs, run)?;
            explain::source(&dir, args.phase.as_deref())?
        }
        (None, None) => return Err(Failure::new(exit_codes::USAGE, "name a run, or a --journal FILE")),
    };
    let text = match (args.trade, &args.symbol) {
        (Some(id), _) => {
            let story = explain::trade(&source, id)?;
            if args.json { json_text(&story)? } else { story.text() }
        }
        (None, Some(symbol)) => {
            let asset = Asset::new(&symbol.to_ascii_uppercase()).map_err(|_| {
                Failure::new(
                    exit_codes::USAGE,
                    format!("{symbol:?} is no symbol; write its ticker, such as BTC"),
                )
            })?;
            let story = explain::symbol(&source, asset)?;
            if args.json { json_text(&story)? } else { story.text() }
        }
        (None, None) => return Err(Failure::new(exit_codes::USAGE, "say --trade ID or --symbol S")),
    };
    print(&text);
    Ok(0)
}

pub(crate) fn universe(args: &Universe) -> Result<u8, Failure> {
    let urls = args.upbit_url.clone().zip(args.binance_url.clone());
    let found = runner::explain_universe(args.config.as_deref(), urls, args.topn)?;
    print(&if args.json { json_text(&found)? } else { found.text(args.explain) });
    Ok(0)
}
