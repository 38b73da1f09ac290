//! The admin's calls under `/admin/merchant`.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::{
    admin_answers::{Body, InPath, failed},
    admin_state::AdminState,
    certificate,
    config::SigningMode,
    credentials::CredentialsError,
};

pub(crate) fn routes() -> Router<AdminState> {
    Router::new()
        .route("/admin/merchant", get(show))
        .route("/admin/merchant/certificates", post(add_certificate))
        .route("/admin/merchant/certificates/{serial}", delete(revoke))
        .route("/admin/merchant/apiv3-key", post(set_apiv3_key))
        .route("/admin/merchant/signing-mode", post(set_signing_mode))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCertificate {
    /// X.509 PEM.
    certificate: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewApiv3Key {
    apiv3_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSigningMode {
    mode: SigningMode,
}

/// No secret is among it.
async fn show(State(state): State<AdminState>) -> Response {
    let signing_mode = state.admin.sim.credentials().signing_mode;
    let certificates = state.admin.merchant_certificates();
    Json(json!({ "signing_mode": signing_mode, "certificates": certificates })).into_response()
}

async fn add_certificate(
    State(state): State<AdminState>,
    Body(new): Body<NewCertificate>,
) -> Response {
    let (serial, public_key) = match certificate::read(&new.certificate) {
        Ok(read) => read,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error),
    };
    let added = state.admin.add_merchant_certificate(&serial, &public_key);
    match added {
        Ok(()) => (StatusCode::CREATED, Json(json!({ "serial": serial }))).into_response(),
        Err(error) => refusal(&error),
    }
}

async fn revoke(State(state): State<AdminState>, InPath(serial): InPath<String>) -> Response {
    no_content(state.admin.revoke_merchant_certificate(&serial))
}

async fn set_apiv3_key(State(state): State<AdminState>, Body(new): Body<NewApiv3Key>) -> Response {
    no_content(state.admin.set_apiv3_key(&new.apiv3_key))
}

async fn set_signing_mode(
    State(state): State<AdminState>,
    Body(new): Body<NewSigningMode>,
) -> StatusCode {
    state.admin.set_signing_mode(new.mode);
    StatusCode::NO_CONTENT
}

fn no_content(changed: Result<(), CredentialsError>) -> Response {
    match changed {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &CredentialsError) -> Response {
    let status = match error {
        CredentialsError::Key(_) | CredentialsError::NoApiv3Key => StatusCode::BAD_REQUEST,
        CredentialsError::TooMany | CredentialsError::SerialTaken(_) => StatusCode::CONFLICT,
        CredentialsError::NoSuchCertificate(_) => StatusCode::NOT_FOUND,
    };
    failed(status, error)
}
