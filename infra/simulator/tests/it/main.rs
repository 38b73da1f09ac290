//! The simulator over real HTTP, asked by a client that signs with `rsa` and trusts nothing.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails; clippy.toml allows it in tests, but not in their helpers"
)]
#![expect(
    clippy::disallowed_types,
    reason = "the client's key is made for the test"
)]

mod support;

mod bills;
mod callbacks;
mod callers;
mod console;
mod faults;
mod keys;
mod late_money;
mod notices;
mod orders;
mod phone;
mod program;
mod refund_limits;
mod refunds;
mod requests;
mod state;
