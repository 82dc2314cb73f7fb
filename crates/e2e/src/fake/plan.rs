//! What the fake can play: the words of `--plan` and of the other options that take one of a few. Each does one thing; several may
//! be joined by commas.

use clap::ValueEnum;

/// A behaviour. Those of a healthy runner are said to be so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Plan {
    /// Healthy.
    Plain,
    /// Healthy: prints a handled traceback and quoted ones.
    Handled,
    /// Healthy: metrics come up late, and are away for a moment later on.
    SlowStart,
    /// Healthy: ends on SIGINT only, and not by itself.
    Sigint,
    /// Healthy: ends on SIGTERM only, and not by itself.
    Overrun,
    /// Panics.
    Crash,
    /// A thread panics, and the process lives on.
    WorkerPanic,
    /// Exits at once with `--exit-code`.
    Die,
    /// Exits with 0 long before its time.
    ExitEarly,
    /// Ends itself by `--signal`.
    KillSelf,
    /// Stops all progress, answers scrapes, ignores SIGTERM.
    Hang,
    /// Stops all progress, but goes on logging, answering scrapes and rewriting its KPI file.
    HangBusy,
    /// Stops everything, scrapes too.
    Freeze,
    /// Never ends by itself and ignores SIGTERM and SIGINT.
    IgnoreSignals,
    /// Leaves a daemon behind that holds its pipes, at its end.
    Grandchild,
    /// The same, in the middle.
    GrandchildEarly,
    /// Healthy: children come and go.
    Children,
    /// Healthy: a worker child is killed and started again.
    Worker,
    /// Healthy: forty threads.
    Threads,
    /// Healthy: two hundred open files.
    Files,
    /// Healthy: closes its standard output.
    CloseOutput,
    /// Memory grows all the time.
    MemoryRamp,
    /// Healthy: memory grows at first, then stands.
    WarmUp,
    /// Healthy: memory goes up and down.
    SawTooth,
    /// Healthy: many short lines.
    Chatter,
    /// One alert ends in the dead letters.
    Dlq,
    /// Never listens.
    NoMetrics,
    /// Takes connections and never answers.
    PageSilent,
    /// Promises more bytes than it sends.
    PageTruncated,
    /// The page ends in the middle of a line.
    PageHalf,
    /// The page has 100 MB.
    PageHuge,
    /// Every counter begins anew, and so does the process start.
    PageReset,
    /// Healthy: OpenMetrics instead of the text format.
    PageOpenMetrics,
    /// Healthy: OpenMetrics with exemplars.
    PageExemplars,
    /// Healthy: labels in another order.
    PageLabels,
    /// Healthy: 2 000 series of its own beside ours.
    PageBig,
    /// Never writes its KPI file.
    NoKpi,
    /// Leaves half a KPI file at its end.
    HalfKpi,
    /// Leaves an empty KPI file at its end.
    EmptyKpi,
    /// Writes its KPI file once and never again.
    StaleKpi,
    /// Writes the figures of its first KPI file again and again, at its end as complete ones.
    ConstantKpi,
    /// Healthy: the first KPI file comes late.
    LateKpi,
    /// Claims a tenth of the CPU seconds that it used, and burns some.
    CpuLie,
}

/// What its trades come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Script {
    /// Two of three win.
    Mixed,
    /// Every second one wins, or one more.
    Half,
    /// Four of five win, or one less.
    Eighty,
    /// One of four wins.
    Losing,
    /// All win the same.
    Same,
    /// As mixed, by cents.
    Quiet,
    /// As mixed, and one loss of 1 500 USD when the defect is due.
    Drop,
    /// As mixed, two trades only.
    Few,
    /// As mixed, no more entries once the defect is due.
    Dry,
    /// None.
    Nothing,
    /// Entries without an exit until the end.
    Stuck,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogStyle {
    /// Time, level, text.
    Plain,
    /// One JSON object a line.
    Json,
    /// Key and value.
    Logfmt,
    /// Korean.
    Korean,
    /// Plain, lines ended as on Windows.
    Crlf,
    /// Plain, each line with 20 kB behind it.
    Long,
    /// Plain, full of words that are no levels.
    Words,
    /// Plain, on standard error.
    Stderr,
    /// Nothing at all.
    Nothing,
}

/// What it says of its notifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Notifier {
    /// Available.
    Up,
    /// Not available once the defect is due.
    Down,
    /// Not available for 0.7 s.
    Flap,
}
