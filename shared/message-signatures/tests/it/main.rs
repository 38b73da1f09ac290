//! The crate from outside: what it accepts, every refusal, attacks, the RFC's own examples,
//! arbitrary input, and an independent client in another language.
#![cfg(test)] // so that clippy.toml's leave for tests holds for their helpers too

mod accepted;
mod any_input;
mod attacks;
mod keys;
mod python_peer;
mod refusals;
mod rfc_vectors;
mod support;
