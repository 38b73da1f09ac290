//! What a span is to the other side of it.

use opentelemetry_proto::tonic::trace::v1 as otlp;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SpanKind {
    /// A request from outside is answered.
    Server,
    /// A request goes out.
    Client,
    /// Messages are processed.
    Consumer,
    /// Neither.
    Internal,
}

impl SpanKind {
    pub(super) fn wire(self) -> i32 {
        match self {
            Self::Internal => otlp::span::SpanKind::Internal,
            Self::Server => otlp::span::SpanKind::Server,
            Self::Client => otlp::span::SpanKind::Client,
            Self::Consumer => otlp::span::SpanKind::Consumer,
        }
        .into()
    }

    /// What started a function whose outermost span is of this kind.
    pub(super) const fn trigger(self) -> &'static str {
        match self {
            Self::Server => "http",
            Self::Consumer => "pubsub",
            Self::Internal => "timer",
            Self::Client => "other",
        }
    }
}
