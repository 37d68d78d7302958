//! The `dsqlstate` command: arguments → configuration → log → subcommand.
//!
//! **Invariant:** results go to standard output, everything else to standard error; the exit code is
//! 0 when done, 1 when it failed, 2 when usage or configuration is wrong.

mod cli;

use std::process::ExitCode;

use clap::Parser;

/// Loading leaves much free memory, in pieces of many sizes. glibc's allocator keeps it: after a guild of a million
/// members, the engine stayed at 337 MB, where it comes to 139 MB with this one. An application that embeds the
/// engine chooses for itself.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // twilight takes the process's provider and panics without one. Only an embedding application
    // could have been first, and then its choice stands.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error.report();
            error.exit_code()
        }
    }
}
