//! What the tests of the whole share: the simulator.

pub mod sim;
