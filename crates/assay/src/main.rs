//! The one binary: arguments in, exit code out.

fn main() -> std::process::ExitCode {
    assay::main()
}
