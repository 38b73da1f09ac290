//! `notify-operators`: the queue of the alarm topic; tells people on call, by the channels that
//! they set up.

pub mod app;
pub mod handler;
pub mod settings;
