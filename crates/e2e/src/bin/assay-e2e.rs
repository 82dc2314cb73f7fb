//! The `assay` binary under a name of this package, so that Cargo tells the tests its path.

fn main() -> std::process::ExitCode {
    assay::main()
}
