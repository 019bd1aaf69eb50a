//! Wire formats.
pub mod http;
