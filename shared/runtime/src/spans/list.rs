//! The spans of one invocation that have ended.

use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry_proto::tonic::trace::v1 as otlp;

use super::ids::{Ids, Parent};
use crate::random::Random;

/// So many spans of one invocation are kept: some 200 KB. A sweep of a busy minute makes more.
pub const SPANS_MAX: usize = 500;
/// So many more, of those that hold others: the events of a sweep among them, several of an order.
const HOLDERS_MAX: usize = 500;

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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    invocation: Option<Invocation>,
    ended: Vec<Ended>,
    lost: usize,
}

impl SpanList {
    pub(crate) fn new() -> Self {
        Self {
            random: Random::system(),
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

    pub(crate) fn add(&self, ended: Ended, holds_others: bool) {
        let mut state = self.state();
        let most = if holds_others {
            SPANS_MAX.saturating_add(HOLDERS_MAX)
        } else {
            SPANS_MAX
        };
        if state.ended.len() < most {
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
