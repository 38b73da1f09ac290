//! A span for each call to AWS, with all its attempts.

use std::sync::{Mutex, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::interceptors::{Intercept, OverriddenHooks};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};

use super::counted::error_of;
use crate::clock::Clock;
use crate::spans::{Span, SpanKind};

/// The headers in which AWS names a request.
const REQUEST_IDS: [&str; 2] = ["x-amzn-requestid", "x-amz-request-id"];
/// Refusals that are the answer to a question: whether somebody else was first.
const CONDITIONS: [&str; 2] = [
    "ConditionalCheckFailedException",
    "TransactionCanceledException",
];

/// Records the calls of a client.
#[derive(Debug)]
pub(super) struct RecordedCalls(pub(super) Clock);

/// The span of the call that this bag of settings is of.
#[derive(Debug)]
struct CallSpan(Mutex<Option<Span>>);

impl Storable for CallSpan {
    type Storer = StoreReplace<Self>;
}

impl Intercept for RecordedCalls {
    fn name(&self) -> &'static str {
        "RecordedCalls"
    }

    fn overridden_hooks(&self) -> OverriddenHooks {
        OverriddenHooks::READ_BEFORE_SERIALIZATION | OverriddenHooks::READ_AFTER_EXECUTION
    }

    /// The first of all hooks at which the bag has the operation.
    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>();
        let (service, method) = operation.map_or(("AWS", "Call"), |operation| {
            (operation.service(), operation.name())
        });
        let name = || format!("{service}.{method}");
        let mut span = Span::child(SpanKind::Client, name, self.0.now_ms());
        if span.is_recorded() {
            span.set("rpc.system", "aws-api");
            span.set("rpc.service", service);
            span.set("rpc.method", method);
            let span = CallSpan(Mutex::new(Some(span)));
            config.interceptor_state().store_put(span);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(CallSpan(span)) = config.load::<CallSpan>() else {
            return Ok(());
        };
        let span = span.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut span) = span else {
            return Ok(());
        };
        let has_failed = context
            .output_or_error()
            .is_none_or(|result| result.is_err());
        if let Some(answer) = context.response() {
            let id = REQUEST_IDS
                .iter()
                .find_map(|name| answer.headers().get(*name));
            if let Some(id) = id {
                span.set("aws.request_id", id);
            }
            span.set("http.response.status_code", answer.status().as_u16());
            if has_failed {
                let status = answer.status().as_u16().to_string();
                let error = error_of(answer).unwrap_or(status);
                if CONDITIONS.contains(&error.as_str()) {
                    span.set("error.type", error);
                } else {
                    span.fails(error);
                }
            }
        } else if has_failed {
            span.fails("no_answer");
        }
        span.end(self.0.now_ms());
        Ok(())
    }
}
