//! The simulator over real HTTP, asked by a client that signs with `rsa` and trusts nothing.

mod support;

mod callbacks;
mod orders;
mod requests;
