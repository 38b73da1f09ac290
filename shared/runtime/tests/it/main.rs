//! AWS clients, KMS and signers over the real SDK: engines on this machine, faults on the wire.
#![cfg(test)] // so that what clippy.toml allows in tests holds for their helpers too

mod calls;
mod kms;
mod signers;
