//! The admin calls over HTTP: JSON in, JSON out. Every POST must be `application/json`, so that no
//! web page can make a browser send one without asking.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    middleware,
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    address,
    admin::Admin,
    admin_answers::{
        Body, InPath, QueryParams, failed, log_refusals, no_such_call, no_such_method, refused,
    },
    admin_state::AdminState,
    bills,
    books::{PayError, PayOptions},
    callbacks,
    config::SigningMode,
    details::ClientDetails,
    merchant_platform,
    notices::ManualNotice,
    refund::{RefundOutcome, RefundStatus},
    rules::Rule,
    settings::Settings,
    signed_callback::Damage,
    views::{ConsoleRefund, ConsoleRefundError, OrderView, SettleError},
};

/// All routes under `/admin`.
pub(crate) fn routes(admin: Admin, details: ClientDetails) -> Router {
    let log = Arc::clone(&admin.sim);
    Router::new()
        .route("/admin/details", get(show_details))
        .route("/admin/orders", get(orders))
        .route("/admin/pay", post(pay))
        .route("/admin/cancel", post(cancel))
        .route("/admin/fail", post(fail))
        .route("/admin/refunds", get(refunds))
        .route("/admin/refunds/outcome", post(refund_outcome))
        .route("/admin/refunds/settle", post(settle_refund))
        .route("/admin/refunds/console", post(console_refund))
        .route("/admin/settings", get(settings).post(change_settings))
        .route("/admin/balance", get(show_balance).post(balance))
        .route(
            "/admin/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/admin/faults/{id}", axum::routing::delete(clear_fault))
        .route("/admin/rotate", post(rotate))
        .route("/admin/callbacks", get(all_callbacks))
        .route("/admin/callbacks/{id}/redeliver", post(redeliver))
        .route("/admin/callbacks/sign", post(sign_callback))
        .route("/admin/callbacks/send", post(send_notice))
        .route("/admin/requests", get(requests).delete(reset_requests))
        .route("/admin/time", get(time).post(advance))
        .merge(bills::http::routes())
        .merge(merchant_platform::http::routes())
        .route("/admin", any(no_such_call))
        .route("/admin/{*rest}", any(no_such_call))
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(log, log_refusals))
        .with_state(AdminState {
            admin,
            details: Arc::new(details),
        })
}

/// An order by its number or live prepay value, and how it is paid.
#[derive(Deserialize)]
struct Pay {
    order: String,
    /// A second time, although it is paid.
    #[serde(default)]
    again: bool,
    /// Although it is closed, or has run out.
    #[serde(default)]
    late: bool,
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
struct RefundOutcomeJson {
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
struct Rotate {
    mode: SigningMode,
    /// Lists the certificate, which signs from the next call without this on.
    #[serde(default)]
    announce: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sign {
    about: String,
    /// Instead of the newest callback about it.
    notice: Option<ManualNotice>,
    #[serde(default)]
    damage: Damage,
}

#[derive(Deserialize)]
struct SendNotice {
    about: String,
    alter: Option<Value>,
    #[serde(flatten)]
    notice: ManualNotice,
}

/// Keeps a list to one order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfOrder {
    order: Option<String>,
}

/// Keeps a list to what is about one order, refund or echo.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AboutWhat {
    about: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_s: u64,
}

/// Its addresses are reachable for the caller.
async fn show_details(State(state): State<AdminState>, headers: HeaderMap) -> Json<ClientDetails> {
    let sim = &state.admin.sim;
    let base_url = address::as_called(&headers, sim.public_url.as_deref(), &sim.base_url);
    Json(state.details.as_ref().clone().at(&base_url))
}

async fn orders(
    State(state): State<AdminState>,
    QueryParams(of): QueryParams<OfOrder>,
) -> Response {
    let orders = match of.order {
        Some(order) => state.admin.order(&order).into_iter().collect(),
        None => state.admin.orders(),
    };
    Json(orders).into_response()
}

async fn pay(State(state): State<AdminState>, Body(pay): Body<Pay>) -> Response {
    order_or(match (pay.again, pay.late) {
        (true, _) => state.admin.pay_again(&pay.order, &pay.options),
        (false, true) => state.admin.pay_late(&pay.order, &pay.options),
        (false, false) => state.admin.pay(&pay.order, &pay.options),
    })
}

async fn cancel(State(state): State<AdminState>, Body(which): Body<WhichOrder>) -> Response {
    order_or(state.admin.cancel(&which.order))
}

async fn fail(State(state): State<AdminState>, Body(which): Body<WhichOrder>) -> Response {
    order_or(state.admin.fail(&which.order))
}

fn order_or(outcome: Result<OrderView, PayError>) -> Response {
    match outcome {
        Ok(order) => Json(order).into_response(),
        Err(error) => {
            let status = match error {
                PayError::Unknown(_) => StatusCode::NOT_FOUND,
                PayError::Coupon => StatusCode::BAD_REQUEST,
                PayError::Replaced
                | PayError::Expired
                | PayError::Closed
                | PayError::AlreadyPaid
                | PayError::NotPaid => StatusCode::CONFLICT,
            };
            refused(status, &error)
        }
    }
}

async fn refunds(
    State(state): State<AdminState>,
    QueryParams(of): QueryParams<OfOrder>,
) -> Response {
    let refunds = match of.order {
        Some(order) => state.admin.refunds_of(&order),
        None => state.admin.refunds(),
    };
    Json(refunds).into_response()
}

async fn console_refund(
    State(state): State<AdminState>,
    Body(requested): Body<ConsoleRefund>,
) -> Response {
    match state.admin.console_refund(&requested) {
        Ok(refund) => Json(refund).into_response(),
        Err(error) => {
            let status = match error {
                ConsoleRefundError::Unknown(_) => StatusCode::NOT_FOUND,
                ConsoleRefundError::Amount => StatusCode::BAD_REQUEST,
                ConsoleRefundError::Number | ConsoleRefundError::Refused { .. } => {
                    StatusCode::CONFLICT
                }
            };
            refused(status, &error)
        }
    }
}

async fn refund_outcome(
    State(state): State<AdminState>,
    Body(outcome): Body<RefundOutcomeJson>,
) -> StatusCode {
    state.admin.set_refund_outcome(outcome.outcome);
    StatusCode::NO_CONTENT
}

async fn settle_refund(State(state): State<AdminState>, Body(settle): Body<Settle>) -> Response {
    match state
        .admin
        .settle_refund(&settle.out_refund_no, settle.status)
    {
        Ok(refund) => Json(refund).into_response(),
        Err(error @ SettleError::Unknown) => refused(StatusCode::NOT_FOUND, &error),
        Err(error @ SettleError::NotProcessing) => refused(StatusCode::CONFLICT, &error),
    }
}

async fn settings(State(state): State<AdminState>) -> Json<Settings> {
    Json(state.admin.settings())
}

/// A merge patch over the settings in force.
async fn change_settings(State(state): State<AdminState>, Body(patch): Body<Value>) -> Response {
    let mut wanted = json!(state.admin.settings());
    callbacks::merge(&mut wanted, &patch);
    let settings: Settings = match serde_json::from_value(wanted) {
        Ok(settings) => settings,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error),
    };
    match state.admin.set_settings(settings) {
        Ok(()) => Json(state.admin.settings()).into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error),
    }
}

async fn show_balance(State(state): State<AdminState>) -> Response {
    Json(json!({ "fen": state.admin.balance_fen() })).into_response()
}

async fn balance(State(state): State<AdminState>, Body(balance): Body<Balance>) -> StatusCode {
    state.admin.set_balance(balance.fen);
    StatusCode::NO_CONTENT
}

async fn faults(State(state): State<AdminState>) -> Response {
    Json(state.admin.faults()).into_response()
}

async fn add_fault(State(state): State<AdminState>, Body(rule): Body<Rule>) -> Response {
    match state.admin.add_fault(rule) {
        Ok(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error),
    }
}

async fn clear_faults(State(state): State<AdminState>) -> Response {
    Json(json!({ "cleared": state.admin.clear_faults(None) })).into_response()
}

async fn clear_fault(State(state): State<AdminState>, InPath(id): InPath<u64>) -> Response {
    Json(json!({ "cleared": state.admin.clear_faults(Some(id)) })).into_response()
}

async fn rotate(State(state): State<AdminState>, Body(rotate): Body<Rotate>) -> Response {
    let made = match (rotate.announce, rotate.mode) {
        (true, SigningMode::Certificate) => state.admin.announce_certificate(),
        (true, SigningMode::PublicKey) => {
            let cause = "WeChat Pay announces certificates, and no public key";
            return refused(StatusCode::BAD_REQUEST, &cause);
        }
        (false, mode) => state.admin.rotate(mode).map(|serial| {
            let newest = state.admin.newest_key(mode);
            (serial, newest.map(|(_, pem)| pem).unwrap_or_default())
        }),
    };
    match made {
        Ok((serial, pem)) => Json(json!({ "serial": serial, "pem": pem })).into_response(),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

async fn all_callbacks(
    State(state): State<AdminState>,
    QueryParams(what): QueryParams<AboutWhat>,
) -> Response {
    let callbacks = match what.about {
        Some(about) => state.admin.callbacks_about(&about),
        None => state.admin.callbacks(),
    };
    Json(callbacks).into_response()
}

async fn redeliver(State(state): State<AdminState>, InPath(id): InPath<String>) -> Response {
    match state.admin.redeliver(&id).await {
        Some(one) => Json(one).into_response(),
        None => refused(StatusCode::NOT_FOUND, &"there is no callback with this id"),
    }
}

async fn sign_callback(State(state): State<AdminState>, Body(sign): Body<Sign>) -> Response {
    let signed = match &sign.notice {
        Some(notice) => state.admin.signed_notice(notice, &sign.about, &sign.damage),
        None => state.admin.signed_callback(&sign.about, &sign.damage),
    };
    match signed {
        Some(callback) => Json(callback).into_response(),
        None => refused(
            StatusCode::NOT_FOUND,
            &"there is no callback about this; pay or refund the order first",
        ),
    }
}

async fn send_notice(State(state): State<AdminState>, Body(send): Body<SendNotice>) -> Response {
    match state
        .admin
        .send_notice(&send.notice, &send.about, send.alter.as_ref())
    {
        Some(callback) => (StatusCode::CREATED, Json(callback)).into_response(),
        None => refused(
            StatusCode::NOT_FOUND,
            &"about names no order (for a refund's notice: no refund) that is known here",
        ),
    }
}

async fn requests(State(state): State<AdminState>) -> Response {
    Json(state.admin.requests()).into_response()
}

async fn reset_requests(State(state): State<AdminState>) -> StatusCode {
    state.admin.reset_requests();
    StatusCode::NO_CONTENT
}

async fn time(State(state): State<AdminState>) -> Response {
    Json(json!({ "now_s": state.admin.now_s(), "manual": state.admin.sim.clock.is_manual() }))
        .into_response()
}

async fn advance(State(state): State<AdminState>, Body(advance): Body<Advance>) -> Response {
    if !state.admin.sim.clock.is_manual() {
        return refused(
            StatusCode::CONFLICT,
            &"the simulator follows the system clock; start it with --manual-time to move it by hand",
        );
    }
    state
        .admin
        .advance(Duration::from_secs(advance.advance_s))
        .await;
    Json(json!({ "now_s": state.admin.now_s(), "manual": true })).into_response()
}
