//! Tests across crates; see `main.rs`.
