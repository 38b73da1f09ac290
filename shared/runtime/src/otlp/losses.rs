//! Spans that did not arrive: why, how many, and the line that says so.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

/// Lost spans are logged at most so often, in milliseconds: no line for each event while a
/// collector is down.
const LOGGED_AGAIN_AFTER_MS: i64 = 60_000;

/// Why spans did not arrive.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("the request could not be made: {0}")]
    NotMade(String),
    #[error("no time was left")]
    NoTime,
    #[error("an invocation had more than are kept")]
    NoRoom,
    #[error("nothing is sent for a while after a failure")]
    Rests,
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("the collector answered {0}")]
    Refused(u16),
    #[error("the collector took the request and not all of its spans")]
    Rejected(u64),
}

impl Lost {
    /// Whether the next try would only fail as this one did, after the same time. What is wrong
    /// with one request (400, 413) says nothing of the next.
    pub(super) const fn is_of_the_collector(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::NoAnswer(_) => true,
            Self::Refused(status) => !matches!(status, 400 | 413),
            Self::NotMade(_) | Self::NoTime | Self::NoRoom | Self::Rests | Self::Rejected(_) => {
                false
            }
        }
    }

    /// Its name in the log; `None` if it is the consequence of a failure that has one.
    const fn name(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotMade(_) => "not_made",
            Self::NoTime => "no_time",
            Self::NoRoom => "no_room",
            Self::TimedOut(_) => "timed_out",
            Self::NoAnswer(_) => "no_answer",
            Self::Refused(_) => "refused",
            Self::Rejected(_) => "rejected",
            Self::Rests => return None,
        })
    }
}

/// The lost spans of a sandbox.
#[derive(Debug, Default)]
pub(super) struct Losses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since the last line.
    count: u64,
    /// Why the last of them was lost: a name, and the whole.
    why: Option<(&'static str, String)>,
    /// When the last line was logged (Unix milliseconds).
    logged_at_ms: Option<i64>,
}

impl Losses {
    /// Counts spans that were lost, if any were, and logs those that have no line yet: once a
    /// minute at most, and also after an export that lost none.
    pub(super) fn note(&self, lost: u64, why: &Lost, now_ms: i64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lost > 0 {
            state.count = state.count.saturating_add(lost);
            if let Some(name) = why.name() {
                state.why = Some((name, why.to_string()));
            }
        }
        let is_new = state.logged_at_ms.is_some_and(|at_ms| {
            (0..LOGGED_AGAIN_AFTER_MS).contains(&now_ms.saturating_sub(at_ms))
        });
        if state.count == 0 || is_new {
            return;
        }
        state.logged_at_ms = Some(now_ms);
        let spans_lost = std::mem::take(&mut state.count);
        let (cause, error) = state.why.clone().unzip();
        drop(state);
        warn!(cause, error, spans_lost, "spans were not exported");
    }
}
