//! Recording a span, and which is the current one.

use std::future::Future;
use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::{self as otlp, span::Link, status::StatusCode};

use super::attribute::{Value, attribute};
use super::ids::{Ids, Parent, SpanContext};
use super::kind::SpanKind;
use super::list::{Ended, Room, SpanList};

tokio::task_local! {
    /// Where the spans of this task go. `None`: they are not recorded.
    pub(crate) static PLACE: Option<Place>;
}

/// Where a span is recorded, and under which.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) list: Arc<SpanList>,
    pub(crate) current: Option<Ids>,
}

/// Some work, from its beginning to its end. If it is dropped without an end, the work was given up
/// half-way or panicked: it ends at that moment, as failed.
#[derive(Debug)]
#[must_use = "a span is recorded when it ends"]
pub struct Span(Option<Box<Open>>);

#[derive(Debug)]
struct Open {
    list: Arc<SpanList>,
    ids: Ids,
    parent: Parent,
    room: Room,
    span: otlp::Span,
}

impl Span {
    /// Work that is not recorded.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Work under the current span.
    pub fn child(kind: SpanKind, name: impl FnOnce() -> String, at_ms: i64) -> Self {
        Self::begin(kind, name, at_ms, |place| {
            let current = place.current.clone()?;
            let ids = SpanContext {
                trace_id: current.get().trace_id,
                span_id: place.list.new_span_id(),
            };
            Some((ids, Parent::Local(current)))
        })
    }

    /// Work under the current span, with ids that others were told. If these are of another trace,
    /// it begins that one, and is linked.
    pub fn child_with_ids(
        kind: SpanKind,
        name: impl FnOnce() -> String,
        ids: Option<SpanContext>,
        at_ms: i64,
    ) -> Self {
        let mut other = None;
        let mut span = Self::begin(kind, name, at_ms, |place| {
            let (current, ids) = (place.current.clone()?, ids?);
            let parent = if current.get().trace_id == ids.trace_id {
                Parent::Local(current)
            } else {
                other = Some(current.get());
                Parent::None
            };
            Some((ids, parent))
        });
        if let Some(open) = &mut span.0 {
            // Messages and webhooks name it as their parent.
            open.room = Room::Named;
        }
        if let Some(other) = other {
            span.link_to(other);
        }
        span
    }

    /// Work under ids that others were told, or will be, and under another process's span; `None`
    /// if whoever began the trace wants no spans kept.
    pub fn with_ids(
        kind: SpanKind,
        name: impl FnOnce() -> String,
        ids: Option<SpanContext>,
        parent: Option<SpanContext>,
        at_ms: i64,
    ) -> Self {
        Self::begin(kind, name, at_ms, |_| {
            Some((ids?, parent.map_or(Parent::None, Parent::Remote)))
        })
    }

    /// Work under another process's span, with an id of its own; `None` if its trace is not kept.
    pub fn under(
        kind: SpanKind,
        name: impl FnOnce() -> String,
        parent: Option<SpanContext>,
        at_ms: i64,
    ) -> Self {
        Self::begin(kind, name, at_ms, |place| {
            let parent = parent?;
            let ids = SpanContext {
                span_id: place.list.new_span_id(),
                ..parent
            };
            Some((ids, Parent::Remote(parent)))
        })
    }

    /// Work that begins a trace of its own.
    pub fn root(kind: SpanKind, name: impl FnOnce() -> String, at_ms: i64) -> Self {
        Self::begin(kind, name, at_ms, |place| {
            let ids = SpanContext {
                trace_id: place.list.new_trace_id(),
                span_id: place.list.new_span_id(),
            };
            Some((ids, Parent::None))
        })
    }

    fn begin(
        kind: SpanKind,
        name: impl FnOnce() -> String,
        at_ms: i64,
        ids: impl FnOnce(&Place) -> Option<(SpanContext, Parent)>,
    ) -> Self {
        let Some(place) = place() else {
            return Self::none();
        };
        let Some((ids, parent)) = ids(&place) else {
            return Self::none();
        };
        let is_outermost = place.current.is_none();
        let room = if is_outermost {
            Room::Always
        } else {
            Room::of(kind)
        };
        let mut span = Self(Some(Box::new(Open {
            ids: Ids::new(ids, parent.trace_state().cloned()),
            parent,
            room,
            span: otlp::Span {
                name: name(),
                kind: kind.wire(),
                start_time_unix_nano: nanoseconds(at_ms),
                ..otlp::Span::default()
            },
            list: Arc::clone(&place.list),
        })));
        if is_outermost && let Some(invocation) = place.list.invocation() {
            span.set("faas.trigger", kind.trigger());
            span.set("faas.invocation_id", invocation.id);
            span.set("faas.coldstart", invocation.is_cold);
        }
        span
    }

    /// Says which `tracestate` came with the trace. Spans under it have it, too.
    pub fn with_trace_state(mut self, trace_state: Option<&str>) -> Self {
        if let (Some(open), Some(state)) = (&mut self.0, trace_state) {
            open.ids = Ids::new(open.ids.get(), Some(state.into()));
        }
        self
    }

    /// Whether anything is recorded: what only spans need is not worked out otherwise.
    pub const fn is_recorded(&self) -> bool {
        self.0.is_some()
    }

    /// The ids as they are known by now.
    pub fn context(&self) -> Option<SpanContext> {
        self.0.as_ref().map(|open| open.ids.get())
    }

    /// Settles the ids, once it is known whose work it is. Spans under it follow.
    pub fn identify(&self, ids: Option<SpanContext>) {
        if let (Some(open), Some(ids)) = (&self.0, ids) {
            open.ids.set(ids);
        }
    }

    /// An attribute, by its name in the semantic conventions.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(open) = &mut self.0 {
            open.span.attributes.push(attribute(key, value));
        }
    }

    /// A span that this one has to do with, and is not under.
    pub fn link_to(&mut self, other: SpanContext) {
        if let Some(open) = &mut self.0 {
            open.span.links.push(Link {
                trace_id: other.trace_id.to_be_bytes().to_vec(),
                span_id: other.span_id.to_be_bytes().to_vec(),
                ..Link::default()
            });
        }
    }

    /// It did not end well, for a reason that has a name.
    pub fn fails(&mut self, error_type: impl Into<String>) {
        self.set("error.type", Value::from(error_type.into()));
        if let Some(open) = &mut self.0 {
            open.span.status = Some(otlp::Status {
                code: StatusCode::Error.into(),
                message: String::new(),
            });
        }
    }

    /// The same work with this as the current span. Under one that is not recorded, nothing is.
    pub fn around<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let place = self.0.as_ref().map(|open| Place {
            list: Arc::clone(&open.list),
            current: Some(open.ids.clone()),
        });
        PLACE.scope(place, work)
    }

    /// The end, in Unix milliseconds.
    pub fn end(mut self, at_ms: i64) {
        if let Some(open) = self.0.take() {
            open.end(at_ms);
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if self.0.is_none() {
            return;
        }
        self.fails(if std::thread::panicking() {
            "panic"
        } else {
            "cancelled"
        });
        if let Some(open) = self.0.take() {
            let at_ms = open.list.now_ms();
            open.end(at_ms);
        }
    }
}

impl Open {
    fn end(self, at_ms: i64) {
        let Self {
            list,
            ids,
            parent,
            room,
            mut span,
        } = self;
        span.end_time_unix_nano = nanoseconds(at_ms).max(span.start_time_unix_nano);
        list.add(Ended { ids, parent, span }, room);
    }
}

/// Whether spans are recorded here: what only they need is not worked out otherwise.
pub fn are_recorded() -> bool {
    place().is_some_and(|place| place.current.is_some())
}

/// Whether spans are recorded in this invocation at all: what only they need is not worked out
/// otherwise, not even for the first of them.
pub fn has_place() -> bool {
    place().is_some()
}

/// The current place, if spans are recorded.
fn place() -> Option<Place> {
    PLACE.try_with(Clone::clone).ok().flatten()
}

fn nanoseconds(at_ms: i64) -> u64 {
    u64::try_from(at_ms)
        .unwrap_or_default()
        .saturating_mul(1_000_000)
}
