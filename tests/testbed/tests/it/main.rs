//! What AWS refuses, the engines refuse.
#![cfg(test)] // so that what clippy.toml allows in tests holds for their helpers too

mod aws_rules;
