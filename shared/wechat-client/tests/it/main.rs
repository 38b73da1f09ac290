//! The client over real HTTP, to hosts on this machine.
#![cfg(test)] // so that what clippy.toml allows in tests holds for their helpers too

mod bill_file;
