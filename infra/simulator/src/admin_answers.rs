//! Parsing and refusals of the admin calls: for every error the body is `{"error": "one line"}`,
//! and the log has the same line.

use std::sync::Arc;

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, Uri, request::Parts};
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::{refusal::one_line, sim::Shared};

/// A JSON object as the body.
pub(crate) struct Body<T>(pub(crate) T);

/// The query's parameters.
pub(crate) struct QueryParams<T>(pub(crate) T);

/// The path's parameters.
pub(crate) struct InPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(head.clone(), body), state)
            .await
            .map_err(|rejection| refused(rejection.status(), &rejection.body_text()))?;
        // An array would pass for an object, its elements for the members in their order.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            let message = "the body must be a JSON object";
            return Err(refused(StatusCode::BAD_REQUEST, &message));
        }
        let request = Request::from_parts(head, bytes.into());
        let read = Json::<T>::from_request(request, state).await;
        read.map(|Json(value)| Self(value))
            .map_err(|rejection| refused(rejection.status(), &rejection.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(value)| Self(value))
            .map_err(|rejection| refused(rejection.status(), &rejection.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(value)| Self(value))
            .map_err(|rejection| refused(rejection.status(), &rejection.body_text()))
    }
}

/// Why a call was refused, for the log.
#[derive(Clone)]
struct RefusalCause(String);

/// A refusal. The cause is one line, even if it quotes the request.
pub(crate) fn refused(status: StatusCode, cause: &dyn std::fmt::Display) -> Response {
    let cause = one_line(&cause.to_string());
    let body = Json(json!({ "error": cause }));
    let mut response = (status, body).into_response();
    response.extensions_mut().insert(RefusalCause(cause));
    response
}

/// A refusal by an error, with everything below it.
pub(crate) fn failed(status: StatusCode, error: &dyn std::error::Error) -> Response {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(&format!(": {cause}"));
        below = cause.source();
    }
    refused(status, &text)
}

pub(crate) async fn no_such_call(method: Method, uri: Uri) -> Response {
    let message = format!(
        "there is no {method} {} here; see \"Admin calls\" in README.md",
        uri.path()
    );
    refused(StatusCode::NOT_FOUND, &message)
}

/// The path is known, but not with this method.
pub(crate) async fn no_such_method(method: Method, uri: Uri) -> Response {
    let message = format!(
        "{} does not take {method}; see \"Admin calls\" in README.md",
        uri.path()
    );
    refused(StatusCode::METHOD_NOT_ALLOWED, &message)
}

/// Logs what was refused, and why.
pub(crate) async fn log_refusals(
    State(sim): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    if let Some(RefusalCause(cause)) = response.extensions().get() {
        sim.log(&format!(
            "{asked} -> {} {cause}",
            response.status().as_u16()
        ));
    }
    response
}
