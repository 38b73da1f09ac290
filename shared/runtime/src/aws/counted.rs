//! Counts what the SDK's own repeats would hide: each attempt at KMS, and each attempt that
//! DynamoDB or KMS answered by asking for fewer, or by a conflict of transactions.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::FinalizerInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, OverriddenHooks};
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, Metadata};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use tracing::info;

use super::error::is_throttling;
use crate::telemetry::emf::HELD;

/// Whose attempts are counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum CountedAttempts {
    DynamoDb,
    Kms,
}

/// What an attempt met that says something about load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Strain {
    Throttled,
    /// Another transaction holds an item.
    Conflict,
}

impl Intercept for CountedAttempts {
    fn name(&self) -> &'static str {
        "CountedAttempts"
    }

    fn overridden_hooks(&self) -> OverriddenHooks {
        OverriddenHooks::READ_AFTER_ATTEMPT
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let operation = config.load::<Metadata>().map_or("", Metadata::name);
        let strain = context.response().and_then(strain_of);
        match (self, strain) {
            (Self::Kms, Some(Strain::Throttled)) => {
                info!(target: HELD, operation, KmsCalls = 1, KmsThrottles = 1);
            }
            (Self::Kms, Some(Strain::Conflict) | None) => {
                info!(target: HELD, operation, KmsCalls = 1);
            }
            (Self::DynamoDb, Some(Strain::Throttled)) => {
                info!(target: HELD, DynamodbThrottles = 1);
            }
            (Self::DynamoDb, Some(Strain::Conflict)) => {
                info!(target: HELD, conflict = "transaction", DynamodbConflicts = 1);
            }
            (Self::DynamoDb, None) => {}
        }
        Ok(())
    }
}

/// The name of an error: most services have it in `__type`, with a namespace before it.
pub(super) fn error_of(response: &HttpResponse) -> Option<String> {
    let answer: serde_json::Value = serde_json::from_slice(response.body().bytes()?).ok()?;
    let error = answer.get("__type")?.as_str()?;
    error.rsplit(['#', '.']).next().map(str::to_owned)
}

/// Both services name their error in `__type`, with a namespace before it, and say why a
/// transaction was cancelled in a list of codes.
fn strain_of(response: &HttpResponse) -> Option<Strain> {
    if response.status().is_success() {
        return None;
    }
    let answer: serde_json::Value = serde_json::from_slice(response.body().bytes()?).ok()?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let error = answer.get("__type").and_then(text).unwrap_or_default();
    let error = error.rsplit(['#', '.']).next().unwrap_or_default();
    if is_throttling(error) {
        return Some(Strain::Throttled);
    }
    if error == "TransactionConflictException" || error == "TransactionInProgressException" {
        return Some(Strain::Conflict);
    }
    let reasons = answer.get("CancellationReasons")?.as_array()?;
    let codes: Vec<&str> = reasons
        .iter()
        .filter_map(|reason| reason.get("Code")?.as_str())
        .collect();
    if codes.contains(&"ThrottlingError") || codes.contains(&"ProvisionedThroughputExceeded") {
        Some(Strain::Throttled)
    } else if codes.contains(&"TransactionConflict") {
        Some(Strain::Conflict)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn strain(status: u16, body: &str) -> Option<Strain> {
        let status = status.try_into().expect("a status");
        strain_of(&HttpResponse::new(status, SdkBody::from(body)))
    }

    #[test]
    fn an_answer_shows_whether_it_asks_for_fewer_calls_or_met_another_transaction() {
        for (status, body, expected) in [
            (
                400,
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}"#,
                Some(Strain::Throttled),
            ),
            (
                400,
                r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#,
                Some(Strain::Throttled),
            ),
            (
                400,
                r#"{"__type":"x#TransactionCanceledException","CancellationReasons":[{"Code":"None"},{"Code":"TransactionConflict"}]}"#,
                Some(Strain::Conflict),
            ),
            (
                400,
                r#"{"__type":"x#TransactionCanceledException","CancellationReasons":[{"Code":"ThrottlingError"}]}"#,
                Some(Strain::Throttled),
            ),
            (
                400,
                r#"{"__type":"x#TransactionConflictException"}"#,
                Some(Strain::Conflict),
            ),
            (
                400,
                r#"{"__type":"x#ConditionalCheckFailedException"}"#,
                None,
            ),
            (
                400,
                r#"{"__type":"x#TransactionCanceledException","CancellationReasons":[{"Code":"ConditionalCheckFailed"}]}"#,
                None,
            ),
            (500, "no JSON", None),
            (200, r#"{"__type":"ThrottlingException"}"#, None),
        ] {
            assert_eq!(strain(status, body), expected, "{body}");
        }
    }
}
