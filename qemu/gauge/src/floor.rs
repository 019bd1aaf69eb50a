//! The least that checking by connections costs: connect, close, and sleep until the next one is due.
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Figures, process};

pub(crate) fn run(
    first: Ipv4Addr,
    count: u32,
    port: u16,
    rate: u32,
    for_ms: u64,
) -> Result<Figures, String> {
    let step = Duration::from_secs(1)
        .checked_div(rate)
        .ok_or("a rate of 0")?;
    let cpu_before = process::own_cpu_us();
    let begin = Instant::now();
    let mut connections = 0;
    while begin.elapsed() < Duration::from_millis(for_ms) {
        let index = connections % count.max(1);
        let target = Ipv4Addr::from(u32::from(first) + index);
        drop(TcpStream::connect((target, port)).map_err(|error| format!("{target}: {error}"))?);
        connections += 1;
        let due = begin + step * connections;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(Figures {
        elapsed_us: begin.elapsed().as_micros() as u64,
        cpu_us: process::own_cpu_us() - cpu_before,
        connections: connections.into(),
        ..Figures::default()
    })
}
