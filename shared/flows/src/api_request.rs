//! What all requests of the merchant API have: an id, a trace, and an answer that bears the trace.

use http::{Response, request::Parts};
use payments::model::journal::Cause;
use runtime::random::Random;

use crate::{incoming::Incoming, origin::Origin, problem::Problem, trace::Trace};

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

    /// The HTTP answer to the request.
    pub fn answer(&self, handled: Result<Response<String>, Problem>) -> Response<String> {
        let mut answer = handled.unwrap_or_else(|problem| problem.answer(&self.id));
        answer.headers_mut().extend(self.origin.trace.header());
        answer
    }
}
