//! The ids of spans.

use std::sync::{Arc, Mutex, PoisonError};

/// The ids of a span.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SpanContext {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
}

impl SpanContext {
    /// From the 32 and 16 hexadecimal digits of W3C Trace Context. Zeros are no ids.
    pub fn parse(trace_id: &str, span_id: &str) -> Option<Self> {
        let is_hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        if !is_hex(trace_id, 32) || !is_hex(span_id, 16) {
            return None;
        }
        let context = Self {
            trace_id: u128::from_str_radix(trace_id, 16).ok()?,
            span_id: u64::from_str_radix(span_id, 16).ok()?,
        };
        (context.trace_id != 0 && context.span_id != 0).then_some(context)
    }
}

/// A span's ids, which may be settled after spans under it have ended: which callback it is becomes
/// known when it has been decrypted, for which keys are read.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    context: Arc<Mutex<SpanContext>>,
    /// The `tracestate` of whoever began the trace, which goes along unread.
    trace_state: Option<Arc<str>>,
}

impl Ids {
    pub(crate) fn new(context: SpanContext, trace_state: Option<Arc<str>>) -> Self {
        Self {
            context: Arc::new(Mutex::new(context)),
            trace_state,
        }
    }

    pub(crate) fn get(&self) -> SpanContext {
        *self.context.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, context: SpanContext) {
        *self.context.lock().unwrap_or_else(PoisonError::into_inner) = context;
    }

    pub(crate) fn trace_state(&self) -> Option<&Arc<str>> {
        self.trace_state.as_ref()
    }
}

/// What a span is under.
#[derive(Debug)]
pub(crate) enum Parent {
    /// It begins its trace.
    None,
    /// Another process's.
    Remote(SpanContext),
    /// One of this invocation.
    Local(Ids),
}

impl Parent {
    /// What a span under it carries on.
    pub(crate) fn trace_state(&self) -> Option<&Arc<str>> {
        match self {
            Self::None | Self::Remote(_) => None,
            Self::Local(parent) => parent.trace_state(),
        }
    }
}
