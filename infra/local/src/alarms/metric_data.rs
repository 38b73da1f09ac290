//! `GetMetricData` as the functions ask CloudWatch for it, over what the lines and calls had.
//!
//! A signature is not verified, as nothing that the engine is asked is.

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use axum::{Json, http::HeaderMap, http::StatusCode};
use cloudwatch::metric_data::{self, Refused, TARGET};
use serde_json::{Value, json};

use super::Alarms;

/// What functions call behind the API's address.
pub(crate) const PATH: &str = "/cloudwatch";
/// The same as it is called.
pub(super) const ROUTE: &str = "/cloudwatch/";

pub(super) async fn answer(
    Shared(alarms): Shared<Alarms>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers.get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    let answered = match (target, serde_json::from_slice::<Value>(&body)) {
        (Some(TARGET), Ok(body)) => metric_data::answer(alarms.watch().cloud.store(), &body),
        (Some(TARGET), Err(_)) => Err(Refused {
            code: "SerializationException",
            message: "the body is no JSON".to_owned(),
        }),
        (other, _) => Err(Refused {
            code: "UnknownOperationException",
            message: format!("{} is not known here", other.unwrap_or("no operation")),
        }),
    };
    match answered {
        Ok(answer) => Json(answer).into_response(),
        Err(refused) => {
            let body = json!({ "__type": refused.code, "message": refused.message });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
    }
}
