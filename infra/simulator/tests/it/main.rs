//! The simulator over real HTTP, asked by a client that signs with `rsa` and trusts nothing.

mod browser;
mod support;

mod bills;
mod callbacks;
mod faults;
mod keys;
mod orders;
mod phone;
mod program;
mod refunds;
mod requests;
