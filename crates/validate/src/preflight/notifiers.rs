//! The notifiers accept our credentials: Telegram's `getMe`, an SMTP login, a Slack message without a text, a signed probe of the
//! webhook, a file that opens. Nobody is bothered.

use super::{Context, Finding};

/// Probes every configured notifier. One that is required must answer; of another it is good to know.
pub(super) fn notifiers(context: &Context<'_>) -> Finding {
    let profile = context.profile;
    let settings = &profile.alerts;
    let wrong = |e: alerts::AlertError| {
        Finding::failed(
            e.to_string(),
            "set the secret where the message says, or take the notifier out of `alerts.notifiers`",
        )
    };
    let log = context.run_dir.join(".preflight.log");
    let secrets = match settings.secrets() {
        Ok(secrets) => secrets,
        Err(e) => return wrong(e),
    };
    let configs = match settings.notifiers(&secrets, &log) {
        Ok(configs) => configs,
        Err(e) => return wrong(e),
    };
    let (mut good, mut required, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for config in configs {
        let name = config.name();
        let mut notifier = match config.build(settings.retry().timeout) {
            Ok(notifier) => notifier,
            Err(e) => return wrong(e),
        };
        match notifier.probe() {
            Ok(()) => good.push(name),
            Err(e) if profile.notifiers.iter().any(|n| n == name) => required.push(format!("{name}: {e}")),
            Err(e) => others.push(format!("{name}: {e}")),
        }
    }
    // The probe of the local log made it.
    let _ = std::fs::remove_file(&log);
    let next = "check the secrets and the way there; `assay preflight` asks again without telling anybody";
    if !required.is_empty() {
        return Finding::failed(required.into_iter().chain(others).collect::<Vec<_>>().join("; "), next);
    }
    let found = format!("{} accept our credentials", good.join(", "));
    if others.is_empty() {
        return Finding::ok(found);
    }
    Finding::warning(format!("{found}; not required: {}", others.join("; ")), next)
}
