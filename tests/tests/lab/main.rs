//! The lab tests: the real image on the real kernel with real packets, told as stories.
//!
//! One lab at a time runs on a machine, so these tests wait for each other whatever the number of test threads. What a
//! story measured is printed: `cargo test -p tests --test lab -- --nocapture`.

mod checks;
mod closed;
mod data_path;
mod frr;
mod fullnat;
mod interop;
mod links;
mod lone;
mod moving;
mod nat;
mod pair;
mod persistence;
mod pools;
mod split;
mod survival;
mod table;
mod vmac;
