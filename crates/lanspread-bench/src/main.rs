//! Starts the benchmarks on Linux, and says why they cannot run elsewhere.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    lanspread_bench::cli::run()
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::print_stderr, reason = "all that there is to say")]
fn main() -> std::process::ExitCode {
    eprintln!("lanspread-bench needs Linux: it builds its network of namespaces and shaped links");
    std::process::ExitCode::FAILURE
}
