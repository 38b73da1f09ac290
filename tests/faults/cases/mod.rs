//! How cases are run.
//!
//! [`case`] runs one, with its checks; [`scenario`] is a flow while it runs in its deployment, and
//! [`script`] chooses the faults and the order of calls. [`enumerate`] runs a flow with each fault
//! at each call, [`interleave`] a race in each order of its two sides, and [`seeds`] random ones;
//! [`workers`] spread cases over threads.

pub(crate) mod case;
pub(crate) mod enumerate;
pub(crate) mod interleave;
pub(crate) mod scenario;
pub(crate) mod script;
pub(crate) mod seeds;
pub(crate) mod workers;
