//! The client against a server that checks signatures as the functions do, over a real socket; and the set-up commands
//! against DynamoDB's embedded engine.
#![cfg(test)] // so that clippy.toml's leave for tests holds for their helpers too

mod calls;
mod server;
mod setup;
mod webhook;
