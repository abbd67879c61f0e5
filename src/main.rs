//! Arguments in, exit code out.

fn main() -> std::process::ExitCode {
    stillframe::cli::main(std::env::args_os().collect())
}
