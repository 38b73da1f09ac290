//! The spans of one invocation that have ended.

use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::trace::v1 as otlp;

use super::ids::{Ids, Parent};
use super::kind::SpanKind;
use crate::{clock::Clock, random::Random};

/// So many spans of one invocation are kept: some 200 KB. A sweep of a busy minute makes more.
pub const SPANS_MAX: usize = 500;
/// Beyond that, so many events of journals: several of an order.
pub const MORE_EVENTS_MAX: usize = 500;

/// What becomes of a span for which the list has no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Room {
    /// It is lost first: a call, whose duration the log has too.
    Usual,
    /// Spans elsewhere name it as their parent: an event of money.
    Named,
    /// It is kept: an invocation has one, and one for each message.
    Always,
}

impl Room {
    /// That of a span under another one.
    pub(crate) const fn of(kind: SpanKind) -> Self {
        match kind {
            SpanKind::Server | SpanKind::Consumer => Self::Always,
            SpanKind::Client | SpanKind::Internal => Self::Usual,
        }
    }

    /// Whether there is room beside so many others.
    const fn is_left_beside(self, others: usize) -> bool {
        match self {
            Self::Usual => others < SPANS_MAX,
            Self::Named => others < SPANS_MAX + MORE_EVENTS_MAX,
            Self::Always => true,
        }
    }
}

/// What all spans of an invocation have in common.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// Lambda's id of it.
    pub(crate) id: String,
    /// Whether it is the first of its sandbox.
    pub(crate) is_cold: bool,
}

/// A span that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) ids: Ids,
    pub(crate) parent: Parent,
    pub(crate) span: otlp::Span,
}

impl Ended {
    /// As it goes out: only now all ids are settled.
    fn settled(self) -> otlp::Span {
        let ids = self.ids.get();
        let (parent, trace_id) = match self.parent {
            Parent::None => (None, ids.trace_id),
            Parent::Remote(parent) => (Some(parent.span_id), ids.trace_id),
            Parent::Local(parent) => {
                let parent = parent.get();
                (Some(parent.span_id), parent.trace_id)
            }
        };
        otlp::Span {
            trace_id: trace_id.to_be_bytes().to_vec(),
            span_id: ids.span_id.to_be_bytes().to_vec(),
            parent_span_id: parent.map_or_else(Vec::new, |id| id.to_be_bytes().to_vec()),
            trace_state: self
                .ids
                .trace_state()
                .map_or_else(String::new, |state| state.as_ref().to_owned()),
            // Sampled: nothing else is recorded.
            flags: 1,
            ..self.span
        }
    }
}

#[derive(Debug)]
pub(crate) struct SpanList {
    /// Of its own: ids of spans take no values from a test's seed.
    random: Random,
    /// For the end of work that nobody ends.
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    invocation: Option<Invocation>,
    ended: Vec<Ended>,
    lost: usize,
}

impl SpanList {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            random: Random::system(),
            clock,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sandbox gets one event at a time.
    pub(crate) fn begin(&self, invocation: Invocation) {
        self.state().invocation = Some(invocation);
    }

    pub(crate) fn invocation(&self) -> Option<Invocation> {
        self.state().invocation.clone()
    }

    /// The time by the clock of the sandbox, in Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    pub(crate) fn add(&self, ended: Ended, room: Room) {
        let mut state = self.state();
        if room.is_left_beside(state.ended.len()) {
            state.ended.push(ended);
        } else {
            state.lost = state.lost.saturating_add(1);
        }
    }

    /// What has ended since the last call, and how many more there were no room for.
    pub(crate) fn take(&self) -> (Vec<otlp::Span>, usize) {
        let mut state = self.state();
        let ended = std::mem::take(&mut state.ended);
        let lost = std::mem::take(&mut state.lost);
        drop(state);
        (ended.into_iter().map(Ended::settled).collect(), lost)
    }

    pub(crate) fn new_trace_id(&self) -> u128 {
        u128::from_be_bytes(self.random.bytes()).max(1)
    }

    pub(crate) fn new_span_id(&self) -> u64 {
        u64::from_be_bytes(self.random.bytes()).max(1)
    }
}
