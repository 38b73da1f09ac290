//! AWS on this machine: a pinned local engine that other packages start in their tests.
//!
//! The engine is [ministack](https://pypi.org/project/ministack/): most AWS services in one
//! process, without Docker or an account. [`engine`] installs it into an environment of its own
//! under `target/` and runs it for as long as its owner lives. The program of this package, `cargo
//! local`, deploys the whole bundle on it.

pub mod engine;
