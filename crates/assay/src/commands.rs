//! Doing what was typed.

use crate::cli::{
    CatalogueFormat, Cli, Command, Exchange, Format, Init, Lang, OneRun, Preflight, ProfilesCommand,
    RecordingCommand, Stack,
};
use crate::fail::Failure;
use crate::generate;
use crate::judging;
use crate::runs;
use crate::supervising;
use catalogue::exit_codes;
use std::io::Write as _;
use std::path::PathBuf;
use validate::{archive, preflight, profile, report, review};

pub(crate) fn run(cli: Cli) -> Result<u8, Failure> {
    match cli.command {
        Command::Rehearse(args) => supervising::rehearse(&args),
        Command::Validate(args) => supervising::validate(&args),
        Command::Stop(args) => supervising::stop(&args),
        Command::Monitor(args) => supervising::monitor(&args),
        Command::Preflight(args) => preflight_command(&args),
        Command::Doctor(args) => crate::doctor::doctor(&args),
        Command::Rejudge(args) => rejudge(&args),
        Command::Verify(args) => verify(&args),
        Command::Analyze(args) => judging::analyze(&args),
        Command::Attest(args) => judging::attest(&args),
        Command::Report(args) => {
            let dir = review::find(&args.run.logs.logs, &args.run.run)?;
            let lang = if args.lang == Lang::Ko { report::Lang::Ko } else { report::Lang::En };
            print(&review::render(&dir, lang, args.format == Format::Html)?);
            Ok(0)
        }
        Command::Runs(args) => crate::runs::runs(args.command),
        Command::Run(args) => Ok(runner::run(args)?),
        Command::Record(args) => Ok(runner::record(args)?),
        Command::Recording(args) => match args.command {
            RecordingCommand::Info(args) => Ok(runner::info::info(&args)?),
        },
        Command::Import(args) => Ok(runner::import::import(&args)?),
        Command::Replay(args) => Ok(runner::replay(args)?),
        Command::Explain(args) => crate::explaining::explain(&args),
        Command::Universe(args) => crate::explaining::universe(&args),
        Command::Kpi(args) => Ok(runner::kpi(args)?),
        Command::Exchange(args) => exchange_command(args),
        Command::Init(args) => init(args),
        Command::Profile(args) => profiles(args.command),
        Command::Dlq(args) => crate::dlq::dlq(&args.command),
        Command::Rules(args) => crate::rules::run(&args.command),
        Command::Catalogue(args) => {
            let text = match args.format {
                CatalogueFormat::Md => Ok(catalogue::render::markdown()),
                CatalogueFormat::Json => catalogue::render::json(),
                CatalogueFormat::Prometheus => Ok(catalogue::prometheus::rules()),
                CatalogueFormat::GrafanaCore => catalogue::grafana::json(catalogue::Dashboard::Core),
                CatalogueFormat::GrafanaAlerting => catalogue::grafana::json(catalogue::Dashboard::Alerting),
            }
            .map_err(|e| Failure::new(exit_codes::INTERNAL, format!("cannot render the catalogue: {e}")))?;
            print(&text);
            Ok(0)
        }
    }
}

/// Prints to standard output; a closed pipe (`| head`) is no error.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

pub(crate) fn own_path() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|e| Failure::new(exit_codes::INTERNAL, format!("cannot find this executable: {e}")))
}

/// `--stack` goes over the profile's `[stores]`.
pub(crate) fn with_stack(loaded: profile::Loaded, stack: Option<Stack>) -> Result<profile::Loaded, Failure> {
    Ok(match stack {
        Some(stack) => loaded.with_stack(stack.kind())?,
        None => loaded,
    })
}

/// `--stack`, as it is typed again; nothing when it was not given.
pub(crate) fn stack_again(stack: Option<Stack>) -> String {
    stack.map_or_else(String::new, |stack| format!(" --stack {}", stack.kind().as_str()))
}

fn preflight_command(args: &Preflight) -> Result<u8, Failure> {
    let loaded = with_stack(profile::load(&args.profile)?, args.stack)?;
    let steps = validate::pipeline::preflight_only(&loaded, &args.logs.logs, &own_path()?)?;
    if args.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&steps).unwrap_or_default()));
    } else {
        print(&format!("{}\n", preflight::table(&steps)));
    }
    Ok(if steps.iter().any(preflight::Step::is_fatal) { exit_codes::PREFLIGHT } else { 0 })
}

fn rejudge(args: &OneRun) -> Result<u8, Failure> {
    let dir = review::find(&args.logs.logs, &args.run)?;
    let rejudged = review::rejudge(&dir)?;
    print(&format!("{}\n", rejudged.analysis.headline()));
    if rejudged.differences.is_empty() {
        print("the artefacts alone give the recorded verdict\n");
        return Ok(0);
    }
    print("the artefacts no longer give the recorded verdict:\n");
    for difference in &rejudged.differences {
        print(&format!("  {difference}\n"));
    }
    print("`assay verify` names the files that were changed\n");
    Ok(exit_codes::DISAGREES)
}

fn verify(args: &OneRun) -> Result<u8, Failure> {
    let dir = review::find(&args.logs.logs, &args.run)?;
    let changes = archive::verify(&dir).map_err(review::ReviewError::from)?;
    let head = archive::read_head(&dir).map_err(review::ReviewError::from)?;
    if changes.is_empty() {
        print(&format!("nothing has changed since the verdict; manifest head {head}\n"));
        let anchors = archive::anchors(&dir);
        for anchor in anchors.iter().filter(|_| anchors.len() > 1) {
            print(&format!("  {} has head {}\n", anchor.of, anchor.head));
        }
        return Ok(0);
    }
    print("changed since the verdict:\n");
    for change in &changes {
        print(&format!("  {change}\n"));
    }
    Ok(exit_codes::DISAGREES)
}

fn exchange_command(args: Exchange) -> Result<u8, Failure> {
    let Some(path) = &args.write_log else {
        exchange::main(args.args)?;
        return Ok(0);
    };
    let started = std::time::Instant::now();
    let prices = args.args.read_prices()?;
    let file = runner::load_config(args.config.as_deref())?;
    let topn = prices.as_ref().map_or(args.args.symbols, |prices| prices.paths.paths().len());
    let plan = generate::Plan {
        prices,
        symbols: args.args.symbols,
        kind: args.args.market,
        seed: args.args.seed,
        planted: args.args.gap.iter().map(|gap| gap.0).collect(),
        lasts: args.log_span.as_deref().map(runs::age).transpose()?,
        config: engine::Config { topn: u32::try_from(topn).unwrap_or(u32::MAX), ..file.engine },
    };
    let written = generate::write_log(&plan, path)?;
    print(&format!(
        "{}: {} inputs, {:.1} MB, {:.2} h of the market in {:.1} s\n`assay replay {0} --kpi` plays it\n",
        path.display(),
        written.records,
        written.bytes as f64 / 1e6,
        written.lasts.as_secs_f64() / 3_600.0,
        started.elapsed().as_secs_f64(),
    ));
    Ok(0)
}

fn init(args: Init) -> Result<u8, Failure> {
    let Init { command, pid, metrics_url, kpi, log, out } = args;
    let sources = validate::init::Sources { command, pid, metrics_url, kpi, log };
    let text =
        validate::init::profile(&sources).map_err(|e| Failure::new(exit_codes::USAGE, e.to_string()))?;
    profile::load_text("the new profile", &text)?;
    let Some(path) = out else {
        print(&text);
        return Ok(0);
    };
    let written = std::fs::File::options().write(true).create_new(true).open(&path);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| {
        let what = format!("cannot write {}: {e}; choose a file that is not there yet", path.display());
        Failure::new(exit_codes::USAGE, what)
    })?;
    print(&format!("{} is written: read every line, then `assay profile check {0}`\n", path.display()));
    Ok(0)
}

fn profiles(command: ProfilesCommand) -> Result<u8, Failure> {
    match command {
        ProfilesCommand::List => {
            for name in profile::builtin_names() {
                let about = profile::load(name).map(|loaded| loaded.profile.about).unwrap_or_default();
                print(&format!("{name:<12} {about}\n"));
            }
        }
        ProfilesCommand::Show { name } => match profile::source_of(&name) {
            Some(text) => print(text),
            None => {
                let names: Vec<_> = profile::builtin_names().to_vec();
                let text = format!("there is no built-in profile {name:?}; there are {}", names.join(", "));
                return Err(Failure::new(exit_codes::NOT_FOUND, text));
            }
        },
        ProfilesCommand::Schema => print(&profile::schema()?),
        ProfilesCommand::Check { profile: name } => {
            let loaded = profile::load(&name)?;
            let kind = match (loaded.of_record, loaded.base.as_str()) {
                (false, _) => "custom: the decision will be capped",
                (true, "rehearsal") => "a rehearsal, never of record",
                (true, _) => "of record",
            };
            print(&format!("{name} is a valid profile ({kind})\n  sha256 {}\n", loaded.hash));
            for difference in &loaded.differences {
                print(&format!("  custom because: {difference}\n"));
            }
            if let Some(sentence) = profile::outlook(&loaded.profile).sentence() {
                print(&format!("  {sentence}\n"));
            }
        }
    }
    Ok(0)
}
