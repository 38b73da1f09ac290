//! What all requests of the merchant API have: an id, a trace, and an answer that bears the trace.

use http::{Response, request::Parts};
use payments::model::journal::Cause;
use runtime::{clock::Clock, random::Random, spans::Span};

use crate::{
    incoming::Incoming,
    origin::Origin,
    problem::Problem,
    request_span::{end_request_span, request_span},
    trace::Trace,
};

/// A request that was received. Nothing of it is checked yet.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// The request's id: in logs, in problem documents, and in the journal.
    pub id: String,
    pub incoming: Incoming,
    pub origin: Origin,
}

impl ApiRequest {
    /// Gives a request its id, and continues its caller's trace.
    pub fn new(parts: Parts, body: Vec<u8>, random: &Random) -> Self {
        let id = random.id();
        let incoming = Incoming::new(parts, body);
        let trace = Trace::from_headers(
            incoming.header("traceparent"),
            incoming.header("tracestate"),
            random,
        );
        let origin = Origin::new(Cause::Request(id.clone()), &trace);
        Self {
            id,
            incoming,
            origin,
        }
    }

    /// The span of the work on it, which the answer's `traceparent` names. `route` is its path with
    /// the names of its variable parts.
    pub fn span(&self, route: Option<&'static str>, clock: &Clock) -> Span {
        let method = self.incoming.method();
        request_span(method, route, &self.origin.trace, clock.now_ms())
    }

    /// The HTTP answer to the request, with which its span ends.
    pub fn answer_within(
        &self,
        span: Span,
        handled: Result<Response<String>, Problem>,
        clock: &Clock,
    ) -> Response<String> {
        let answer = self.answer(handled);
        end_request_span(span, answer.status(), clock.now_ms());
        answer
    }

    /// The HTTP answer to the request.
    pub fn answer(&self, handled: Result<Response<String>, Problem>) -> Response<String> {
        let mut answer = handled.unwrap_or_else(|problem| problem.answer(&self.id));
        answer.headers_mut().extend(self.origin.trace.header());
        answer
    }
}
