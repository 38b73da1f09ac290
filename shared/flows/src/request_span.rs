//! The span of a request that a function answers: HTTP's conventions.
//!
//! The path is left out, since it has the order's number: the route stands for it.

use http::StatusCode;
use runtime::spans::{Span, SpanKind};

use crate::trace::Trace;

/// The span of a request, with the id that its answer's `traceparent` names.
pub fn request_span(method: &str, route: Option<&'static str>, trace: &Trace, at_ms: i64) -> Span {
    let method = known(method);
    let name = || match route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    };
    let (ids, parent) = (trace.context(), trace.parents_context());
    let span = Span::with_ids(SpanKind::Server, name, ids, parent, at_ms);
    let mut span = span.with_trace_state(trace.state());
    span.set("http.request.method", method);
    span.set("url.scheme", "https");
    if let Some(route) = route {
        span.set("http.route", route);
    }
    span
}

/// Its end, with the answer's status. What was wrong with the request is no error of ours.
pub fn end_request_span(mut span: Span, status: StatusCode, at_ms: i64) {
    span.set("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.fails(status.as_str());
    }
    span.end(at_ms);
}

/// A method as a name of a span has it: anybody may make up others.
fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 8] = [
        "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT",
    ];
    KNOWN
        .into_iter()
        .find(|known| *known == method)
        .unwrap_or("HTTP")
}
