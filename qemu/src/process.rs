//! Child processes that can't outlive this one.
//!
//! A machine that is left running after its lab has crashed eats a processor for ever. So each child asks the kernel,
//! by setpriv(1), to be killed when its parent dies. The kernel means the parent *thread*, therefore one thread, which
//! lives as long as this process, starts all children.
use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// A command that will run `program` bound to the life of this process. Start it with [`spawn`].
pub(crate) fn bound(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// Starts a child from the thread that lives as long as this process.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    let (answer, child) = channel();
    let gone = |_| io::Error::other("the thread that starts children is gone");
    spawner()?.send((command, answer)).map_err(|_| gone(()))?;
    child.recv().map_err(|_| gone(()))?
}

type Order = (Command, Sender<io::Result<Child>>);

fn spawner() -> io::Result<Sender<Order>> {
    static SPAWNER: OnceLock<Sender<Order>> = OnceLock::new();
    if let Some(spawner) = SPAWNER.get() {
        return Ok(spawner.clone());
    }
    let (orders, inbox) = channel::<Order>();
    thread::Builder::new()
        .name("spawner".to_owned())
        .spawn(move || {
            for (mut command, answer) in inbox {
                // Whoever ordered a child may be gone; then nobody will end it.
                if let Err(unwanted) = answer.send(command.spawn())
                    && let Ok(mut child) = unwanted.0
                {
                    let _ = child.kill();
                }
            }
        })?;
    // Of two threads that come here at once one loses; its spawner ends for want of senders.
    Ok(SPAWNER.get_or_init(|| orders).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_outlives_the_thread_that_ordered_it() {
        let sleep = || {
            let mut command = bound("sleep");
            command.arg("60");
            spawn(command)
        };
        let mut child = thread::spawn(sleep).join().unwrap().unwrap();
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
