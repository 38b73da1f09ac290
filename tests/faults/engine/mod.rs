//! What a case runs on.
//!
//! [`deployment`] is one stack with its tables, queues, clocks and sandboxes ([`sandbox`], by
//! [`release`]). Below the SDK's HTTP connector is [`cloud`], between reqwest and the simulator
//! [`relay`], before the client's webhook [`receiver`]. All three pass each call ([`call`]) to the
//! [`director`], which lets one through at a time and decides what happens to it. [`pipe`] is the
//! deployed pipe; [`client`] is the merchant's system that calls the API.
//!
//! What the checks read afterwards: [`books`] of the tables, [`exchanges`] with WeChat Pay, and
//! [`logs`].

pub(crate) mod books;
pub(crate) mod call;
pub(crate) mod client;
pub(crate) mod cloud;
pub(crate) mod deployment;
pub(crate) mod director;
pub(crate) mod exchanges;
pub(crate) mod logs;
pub(crate) mod pipe;
pub(crate) mod receiver;
pub(crate) mod relay;
pub(crate) mod release;
pub(crate) mod sandbox;
