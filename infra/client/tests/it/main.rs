//! The client against a server that checks signatures as the functions do, over a real socket; and
//! what works in a deployment's account against DynamoDB's embedded engine and the local engine's
//! KMS.
#![cfg(test)] // so that clippy.toml's leave for tests holds for their helpers too

mod calls;
mod channels;
mod client_keys;
mod cloud;
mod credentials;
mod doctor;
mod keys;
mod log_sinks;
mod notices;
mod policies;
mod redrive;
mod resend;
mod server;
mod setup;
mod webhook;
