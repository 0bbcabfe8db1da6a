//! Runs the command line.

fn main() -> std::process::ExitCode {
    covenant::cli::run()
}
