//! Which hosts on the internet may be named by somebody else: by a client for its webhooks, by the
//! settings for our own callbacks. Judged by the text and the addresses alone; nothing is sent.

pub mod address;
mod webhook_url;

pub use address::Reach;
pub use webhook_url::{BadUrl, WebhookUrl};
