//! `reconcile`: finds what got lost and settles it by the path that all news takes. So far its first duty: the sweep, once a
//! minute, over orders that have no final state and whose time to be looked at has come.
//!
//! The way of a run: [`handler`].

pub mod desk;
pub mod handler;
pub mod settings;
