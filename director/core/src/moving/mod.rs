//! Moving in: what else an operator needs who puts this director in place of another one. Text in, text out.

pub mod export;
pub mod import;
pub mod realserver;
