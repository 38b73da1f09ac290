//! The state of an alarm.

use std::fmt;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    Ok,
    Alarm,
    InsufficientData,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        })
    }
}
