//! Webhooks over real HTTP, to receivers on this machine.
#![cfg(test)] // so that what clippy.toml allows in tests holds for their helpers too

mod webhook_http;
