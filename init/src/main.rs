//! The `keelson` binary: which role it plays depends on how it is started.

use std::process::ExitCode;

use dlmalloc::GlobalDlmalloc;

/// musl's own allocator takes a seventh of the time in which a large table is put into the kernel, and a quarter of
/// that in which a large configuration is read.
#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

fn main() -> ExitCode {
    // The kernel passes words of its command line to init as arguments: they choose no role.
    if std::process::id() == 1 {
        init::pid1::run();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(module) = init::devices::requested(&arguments) {
        return init::devices::load_requested(module);
    }
    init::cli::run()
}
