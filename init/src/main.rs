//! The `keelson` binary: which role it plays depends on how it is started.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The kernel passes words of its command line to init as arguments: they choose no role.
    if std::process::id() == 1 {
        init::pid1::run();
    }
    init::cli::run()
}
