//! One plan from the command line, its figures to the standard output.
#![forbid(unsafe_code)]
use std::process::ExitCode;

fn main() -> ExitCode {
    let plan = std::env::args().nth(1).unwrap_or_default();
    let figures = serde_json::from_str(&plan)
        .map_err(|error| error.to_string())
        .and_then(lab_gauge::run)
        .and_then(|figures| serde_json::to_string(&figures).map_err(|error| error.to_string()));
    match figures {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{why}");
            ExitCode::FAILURE
        }
    }
}
