//! A scriptable runner for tests of the validator: healthy or broken, by plan. See [`e2e::fake`].

fn main() -> std::process::ExitCode {
    e2e::fake::main()
}
