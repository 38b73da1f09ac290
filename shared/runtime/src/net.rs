//! Which hosts on the internet may be named from outside: by a client for its webhooks, by the
//! settings for our own callbacks. Only the text and the addresses are checked; nothing is sent.

pub mod address;
mod webhook_url;

pub use address::Reach;
pub use webhook_url::{BadUrl, WebhookUrl};
