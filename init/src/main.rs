//! The `keelson` binary: which role it plays depends on how it is started.

use std::process::ExitCode;

use init::memory::Memory;

#[global_allocator]
static ALLOCATOR: Memory = Memory;

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
