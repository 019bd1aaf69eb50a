//! The agent on its standard streams, which the guest's init ties to the second serial port.
#![forbid(unsafe_code)]
use std::io;
use std::process::ExitCode;

use lab_agent::agent::Agent;

fn main() -> ExitCode {
    match Agent::default().serve(io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent: {error}");
            ExitCode::FAILURE
        }
    }
}
