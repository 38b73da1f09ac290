//! Spans of OpenTelemetry: recorded where the beginning and the end of some work are known, and
//! exported by OTLP if an endpoint is set ([`crate::otlp`]).
//!
//! Where spans go, and which of them is the current one, is known to the task, as with log lines:
//! adapters far below a handler are handed neither. Without an exporter nothing is recorded: a
//! [`Span`] is empty then, and costs one look at a value of the task.
//!
//! Everybody who may look at traces sees names and attributes. So none has a URL, a body, a key, an
//! id of a person or an order's number. Names have few values; the number is in the log, under the
//! same trace id.

mod attribute;
mod ids;
mod kind;
mod list;
mod span;

pub use attribute::Value;
pub use ids::SpanContext;
pub use kind::SpanKind;
pub use list::{MORE_EVENTS_MAX, SPANS_MAX};
pub use span::{Span, are_recorded, has_place};

pub(crate) use attribute::{attribute, only};
pub(crate) use list::{Invocation, SpanList};
pub(crate) use span::{PLACE, Place};
