//! What the tests of the whole share: the simulator, and the stories of the lab.

pub mod lab;
pub mod sim;
