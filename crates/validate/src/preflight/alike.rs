//! Processes that look like the runner: listed, never touched. Whom a run may end is known by its lock, never by a name or a
//! command line.

use super::machine::resolve;
use super::{Context, Finding};
use crate::supervise::group;
use std::path::Path;

/// Processes that are named.
const NAMED: usize = 20;

/// The words of the runner's command line by which a process looks like it: the program, and what follows it before the first option
/// or placeholder (`run`, or the script that an interpreter is given).
fn head(command: &[String]) -> Vec<String> {
    let rest = command.iter().skip(1).take_while(|word| !word.starts_with('-') && !word.contains('{'));
    command.first().into_iter().chain(rest).cloned().collect()
}

/// True when a command line is the runner's as far as [`head`] goes. A script shows behind its interpreter.
fn looks_like(command_line: &[String], program: &str, rest: &[String]) -> bool {
    let called = |word: &String| Path::new(word).file_name().and_then(|name| name.to_str()) == Some(program);
    (0..command_line.len().min(2)).any(|at| {
        called(&command_line[at])
            && command_line[at + 1..].iter().zip(rest).filter(|(a, b)| a == b).count() == rest.len()
    })
}

/// Processes whose command line is the runner's.
pub(super) fn look_alikes(context: &Context<'_>) -> Finding {
    let head = head(&context.profile.runner.command);
    let program = head.first().map(|word| resolve(word, context.program));
    let Some(name) = program.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()) else {
        return Finding::skipped("the runner has no name to look for");
    };
    let shown =
        std::iter::once(name).chain(head[1..].iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let Ok(processes) = procfs::process::all_processes() else {
        return Finding::warning("/proc cannot be read", "look for other runners by hand");
    };
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let ours: Vec<i32> = group::descendants(me).into_iter().map(|member| member.pid).chain([me]).collect();
    let mut found: Vec<(i32, Option<u32>)> = processes
        .flatten()
        .filter(|process| !ours.contains(&process.pid))
        .filter(|process| process.cmdline().is_ok_and(|words| looks_like(&words, name, &head[1..])))
        .map(|process| (process.pid, process.uid().ok()))
        .collect();
    found.sort_unstable();
    if found.is_empty() {
        return Finding::ok(format!("no other process runs `{shown}`"));
    }
    let one = |(pid, uid): &(i32, Option<u32>)| match uid {
        Some(uid) => format!("pid {pid} (user {uid})"),
        None => format!("pid {pid}"),
    };
    let list = found.iter().take(NAMED).map(one).collect::<Vec<_>>().join(", ");
    Finding::warning(
        format!("other processes run `{shown}`: {list}; they were not touched"),
        "end them when they are runs of yours that use the same account or ports",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_command_line_is_compared_as_far_as_its_options() {
        assert_eq!(head(&words("{assay} run --topn-size {topn}")), ["{assay}", "run"]);
        assert_eq!(head(&words("python3 bot.py {kpi_path}")), ["python3", "bot.py"]);
        let run = words("run");
        assert!(looks_like(&words("/opt/assay run --topn-size 50"), "assay", &run));
        assert!(looks_like(&words("/bin/sh /opt/assay run"), "assay", &run));
        assert!(!looks_like(&words("/opt/assay validate"), "assay", &run));
        assert!(!looks_like(&words("vi notes assay run"), "assay", &run));
        assert!(!looks_like(&words("assay"), "assay", &run) && !looks_like(&[], "assay", &run));
    }
}
