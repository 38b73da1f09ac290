//! A collector of spans, canned: takes every export at once, and counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use testbed::environment::Environment;

use crate::failure::MeasureResult;
use crate::http::{Response, Server};

#[derive(Debug)]
pub(crate) struct Collector {
    server: Server,
    exports: Arc<AtomicUsize>,
}

impl Collector {
    pub(crate) fn start() -> MeasureResult<Self> {
        let exports = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&exports);
        let server = Server::start(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Some(Response {
                status: 200,
                headers: vec![("content-type", "application/x-protobuf".to_owned())],
                body: Vec::new(),
            })
        })?;
        Ok(Self { server, exports })
    }

    /// The setting by which a function exports its spans here.
    pub(crate) fn environment(&self) -> Environment {
        let name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT".to_owned();
        Environment::from([(name, format!("{}/v1/traces", self.server.url()))])
    }

    /// How many exports came so far.
    pub(crate) fn exports(&self) -> usize {
        self.exports.load(Ordering::SeqCst)
    }
}
