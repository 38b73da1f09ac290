//! Lambda's runtime with spans: recorded while an event is handled, exported after its answer.
//!
//! The service of `lambda_runtime` ends when it has posted the answer, and the runtime asks for the
//! next event when the service around it ends. What is done in between delays nobody's answer, and
//! the sandbox is not frozen meanwhile.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::Either;
use tower_layer::Layer;
use tower_service::Service;

use super::export::{RecordedInvocation, Spans};

/// Puts [`Recording`] around the service of Lambda's runtime.
#[derive(Clone, Debug)]
pub struct SpansLayer<D> {
    spans: Spans,
    describe: D,
}

impl Spans {
    /// The layer; `describe` reads the invocation.
    pub fn layer<D>(&self, describe: D) -> SpansLayer<D> {
        SpansLayer {
            spans: self.clone(),
            describe,
        }
    }
}

impl<S, D: Clone> Layer<S> for SpansLayer<D> {
    type Service = Recording<S, D>;

    fn layer(&self, inner: S) -> Self::Service {
        Recording {
            inner,
            spans: self.spans.clone(),
            describe: self.describe.clone(),
        }
    }
}

/// A service whose work is recorded. Without an endpoint it is the service itself.
#[derive(Debug)]
pub struct Recording<S, D> {
    inner: S,
    spans: Spans,
    describe: D,
}

impl<S, R, D> Service<R> for Recording<S, D>
where
    S: Service<R>,
    S::Response: Unpin,
    S::Error: Unpin,
    D: Fn(&R) -> RecordedInvocation,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, AndExport<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        if !self.spans.are_on() {
            return Either::Left(self.inner.call(request));
        }
        self.spans.begin((self.describe)(&request));
        let spans = self.spans.clone();
        Either::Right(AndExport {
            work: Box::pin(self.inner.call(request)),
            spans: self.spans.clone(),
            answered: None,
            exporting: Box::pin(async move { spans.export().await }),
        })
    }
}

/// The work, then the export.
pub struct AndExport<F: Future> {
    work: Pin<Box<F>>,
    spans: Spans,
    answered: Option<F::Output>,
    exporting: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<F: Future> Future for AndExport<F>
where
    F::Output: Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if this.answered.is_none() {
            let Self { work, spans, .. } = this;
            this.answered = Some(ready!(spans.within(|| work.as_mut().poll(context))));
        }
        ready!(this.exporting.as_mut().poll(context));
        this.answered.take().map_or(Poll::Pending, Poll::Ready)
    }
}
