//! Configuration records.
