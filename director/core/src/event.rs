//! All that is worth a line in the log.
/// placeholder
#[derive(Clone, Debug)]
pub struct Event;
