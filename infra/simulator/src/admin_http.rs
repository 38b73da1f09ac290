//! The admin calls over HTTP: JSON in, JSON out. Every POST must be `application/json`, so that no web page can make a
//! browser send one without asking.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::{
    admin::{Admin, SettleError},
    books::{PayError, PayOptions},
    callbacks::Damage,
    config::SigningMode,
    details::ClientDetails,
    faults::Rule,
    refund::{RefundOutcome, RefundStatus},
};

/// What the routes share.
#[derive(Clone)]
struct Desk {
    admin: Admin,
    details: Arc<ClientDetails>,
}

/// All routes under `/admin`.
pub(crate) fn routes(admin: Admin, details: ClientDetails) -> Router {
    Router::new()
        .route("/admin/details", get(show_details))
        .route("/admin/orders", get(orders))
        .route("/admin/pay", post(pay))
        .route("/admin/cancel", post(cancel))
        .route("/admin/fail", post(fail))
        .route("/admin/refunds", get(refunds))
        .route("/admin/refunds/outcome", post(refund_outcome))
        .route("/admin/refunds/settle", post(settle_refund))
        .route("/admin/balance", post(balance))
        .route("/admin/bills", post(bills))
        .route(
            "/admin/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/admin/faults/{id}", axum::routing::delete(clear_fault))
        .route("/admin/rotate", post(rotate))
        .route("/admin/callbacks", get(callbacks))
        .route("/admin/callbacks/{id}/redeliver", post(redeliver))
        .route("/admin/callbacks/sign", post(sign_callback))
        .route("/admin/requests", get(requests).delete(reset_requests))
        .route("/admin/time", get(time).post(advance))
        .with_state(Desk {
            admin,
            details: Arc::new(details),
        })
}

/// An order by its number or live prepay value, and how it is paid.
#[derive(Deserialize)]
struct Pay {
    order: String,
    #[serde(flatten)]
    options: PayOptions,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WhichOrder {
    order: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    outcome: RefundOutcome,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settle {
    out_refund_no: String,
    status: RefundStatus,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Balance {
    fen: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bills {
    of_today: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    mode: SigningMode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    about: String,
    #[serde(default)]
    damage: Damage,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_s: u64,
}

async fn show_details(State(desk): State<Desk>) -> Json<ClientDetails> {
    Json(desk.details.as_ref().clone())
}

async fn orders(State(desk): State<Desk>) -> Response {
    Json(desk.admin.orders()).into_response()
}

async fn pay(State(desk): State<Desk>, Json(pay): Json<Pay>) -> Response {
    order_or(desk.admin.pay(&pay.order, &pay.options))
}

async fn cancel(State(desk): State<Desk>, Json(which): Json<WhichOrder>) -> Response {
    order_or(desk.admin.cancel(&which.order))
}

async fn fail(State(desk): State<Desk>, Json(which): Json<WhichOrder>) -> Response {
    order_or(desk.admin.fail(&which.order))
}

fn order_or(outcome: Result<crate::admin::OrderView, PayError>) -> Response {
    match outcome {
        Ok(order) => Json(order).into_response(),
        Err(error) => {
            let status = match error {
                PayError::Unknown(_) => StatusCode::NOT_FOUND,
                PayError::Coupon => StatusCode::BAD_REQUEST,
                PayError::Replaced
                | PayError::Expired
                | PayError::Closed
                | PayError::AlreadyPaid => StatusCode::CONFLICT,
            };
            refused(status, &error)
        }
    }
}

async fn refunds(State(desk): State<Desk>) -> Response {
    Json(desk.admin.refunds()).into_response()
}

async fn refund_outcome(State(desk): State<Desk>, Json(outcome): Json<Outcome>) -> StatusCode {
    desk.admin.set_refund_outcome(outcome.outcome);
    StatusCode::NO_CONTENT
}

async fn settle_refund(State(desk): State<Desk>, Json(settle): Json<Settle>) -> Response {
    match desk
        .admin
        .settle_refund(&settle.out_refund_no, settle.status)
    {
        Ok(refund) => Json(refund).into_response(),
        Err(error @ SettleError::Unknown) => refused(StatusCode::NOT_FOUND, &error),
        Err(error @ SettleError::NotProcessing) => refused(StatusCode::CONFLICT, &error),
    }
}

async fn balance(State(desk): State<Desk>, Json(balance): Json<Balance>) -> StatusCode {
    desk.admin.set_balance(balance.fen);
    StatusCode::NO_CONTENT
}

async fn bills(State(desk): State<Desk>, Json(bills): Json<Bills>) -> StatusCode {
    desk.admin.allow_bills_of_today(bills.of_today);
    StatusCode::NO_CONTENT
}

async fn faults(State(desk): State<Desk>) -> Response {
    Json(desk.admin.faults()).into_response()
}

async fn add_fault(State(desk): State<Desk>, Json(rule): Json<Rule>) -> Response {
    match desk.admin.add_fault(rule) {
        Ok(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error),
    }
}

async fn clear_faults(State(desk): State<Desk>) -> Response {
    Json(json!({ "cleared": desk.admin.clear_faults(None) })).into_response()
}

async fn clear_fault(State(desk): State<Desk>, Path(id): Path<u64>) -> Response {
    Json(json!({ "cleared": desk.admin.clear_faults(Some(id)) })).into_response()
}

async fn rotate(State(desk): State<Desk>, Json(rotate): Json<Rotate>) -> Response {
    match desk.admin.rotate(rotate.mode) {
        Ok(serial) => {
            let pem = desk.admin.newest_key(rotate.mode).map(|(_, pem)| pem);
            Json(json!({ "serial": serial, "pem": pem })).into_response()
        }
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn callbacks(State(desk): State<Desk>) -> Response {
    Json(desk.admin.callbacks()).into_response()
}

async fn redeliver(State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    match desk.admin.redeliver(&id).await {
        Some(one) => Json(one).into_response(),
        None => refused(StatusCode::NOT_FOUND, &"there is no callback with this id"),
    }
}

async fn sign_callback(State(desk): State<Desk>, Json(sign): Json<Sign>) -> Response {
    match desk.admin.signed_callback(&sign.about, &sign.damage) {
        Some(callback) => Json(callback).into_response(),
        None => refused(
            StatusCode::NOT_FOUND,
            &"there is no callback about this; pay the order first",
        ),
    }
}

async fn requests(State(desk): State<Desk>) -> Response {
    Json(desk.admin.requests()).into_response()
}

async fn reset_requests(State(desk): State<Desk>) -> StatusCode {
    desk.admin.reset_requests();
    StatusCode::NO_CONTENT
}

async fn time(State(desk): State<Desk>) -> Response {
    Json(json!({ "now_s": desk.admin.now_s(), "manual": desk.admin.sim.clock.is_manual() }))
        .into_response()
}

async fn advance(State(desk): State<Desk>, Json(advance): Json<Advance>) -> Response {
    if !desk.admin.sim.clock.is_manual() {
        return refused(
            StatusCode::CONFLICT,
            &"the simulator follows the system clock; start it with --manual-time to move it by hand",
        );
    }
    desk.admin
        .advance(Duration::from_secs(advance.advance_s))
        .await;
    Json(json!({ "now_s": desk.admin.now_s(), "manual": true })).into_response()
}

fn refused(status: StatusCode, error: &dyn std::fmt::Display) -> Response {
    (status, Json(json!({ "error": error.to_string() }))).into_response()
}
