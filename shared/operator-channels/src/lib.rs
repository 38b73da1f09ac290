//! How people on call are told of alarms: what an alarm's message says, who is to be told, the text
//! that fits into a channel's message, and the requests and answers of group robots (WeCom,
//! DingTalk, Feishu) and signed webhooks. Bytes, secrets and a time in, values out: no socket, no
//! clock, no store.
//!
//! Facts about the robots, by their makers' pages "群机器人配置说明" (WeCom), "自定义机器人接入"
//! (DingTalk) and "自定义机器人使用指南" (Feishu):
//!
//! | | WeCom | DingTalk | Feishu |
//! |---|---|---|---|
//! | messages | 20 a minute | 20 a minute, then refused for 10 minutes | 100 a minute, 5 a second |
//! | size | text 2,048 bytes | request 20,000 bytes | request 20 KB |
//! | success | `errcode` 0 | `errcode` 0 | `code` 0 |
//! | over the limit | `errcode` 45009 | `errcode` 90030 or 130101 | `code` 9499 or 11232 |
//! | signature | none: the address is the secret | in the address | in the body |
//!
//! All three answer 200 to what they refuse.

mod alarm;
mod answer;
mod kind;
mod rate;
mod request;
mod secret;
mod text;

pub use alarm::{
    BadNotification, Notification, Severity, State, message_id, next_try_after_s, route,
};
pub use answer::{Refusal, read_answer};
pub use kind::{CALL_MAX_MS, Kind};
pub use rate::{Admission, RateLimit, SendLog};
pub use request::{BadRequest, Request, request};
pub use secret::{BadCredentials, Credentials};
pub use text::{NotTaken, compose};
