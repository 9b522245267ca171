//! The `flowwatch` program.

/// Flows are many small texts; the system's allocator would show in the profile.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    flowwatch::cli::main()
}
