//! The crate from outside: the published vector, what it accepts, every refusal, secrets, arbitrary
//! input, and an independent implementation in another language.
#![cfg(test)] // so that clippy.toml's leave for tests holds for their helpers too

mod any_input;
mod python_peer;
mod secrets;
mod sign_and_verify;
