//! `receive-callback`: `POST /v1/callbacks/wechatpay`. Checks that a callback is WeChat Pay's and
//! opens, gives it to the queue as it came, and only then says that it arrived. It writes no table:
//! a mark set before the queue has the message would lose a payment if the queue then failed.
//!
//! The way of a callback: [`handler`]. What Lambda hands over and expects: [`event`].

pub mod app;
pub mod event;
pub mod handler;
pub mod settings;
