//! The admin's calls under `/admin/bills`.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::{
    differences::{InjectedDifference, WantedDifference},
    making::GenerateDay,
    planting::DifferenceError,
};
use crate::{
    admin_answers::{Body, QueryParams, refused},
    admin_state::AdminState,
    ledger::FundAccount,
};

pub(crate) fn routes() -> Router<AdminState> {
    Router::new()
        .route("/admin/bills", post(of_today))
        .route(
            "/admin/bills/differences",
            get(differences).post(plant).delete(clear),
        )
        .route("/admin/bills/make", post(make))
        .route("/admin/bills/movements", post(move_money))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfToday {
    of_today: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfDate {
    date: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MovementRequest {
    account_type: FundAccount,
    fen: i64,
}

async fn of_today(State(state): State<AdminState>, Body(bills): Body<OfToday>) -> StatusCode {
    state.admin.allow_bills_of_today(bills.of_today);
    StatusCode::NO_CONTENT
}

async fn differences(
    State(state): State<AdminState>,
    QueryParams(of): QueryParams<OfDate>,
) -> Response {
    let all = state.admin.differences().into_iter();
    let fitting: Vec<InjectedDifference> = all
        .filter(|planted| of.date.as_ref().is_none_or(|date| *date == planted.date))
        .collect();
    Json(fitting).into_response()
}

async fn plant(State(state): State<AdminState>, Body(wanted): Body<WantedDifference>) -> Response {
    match state.admin.plant_difference(&wanted) {
        Ok(planted) => (StatusCode::CREATED, Json(planted)).into_response(),
        Err(error) => {
            let status = match error {
                DifferenceError::Date(_) | DifferenceError::Value => StatusCode::BAD_REQUEST,
                DifferenceError::NotThatDay(_) => StatusCode::NOT_FOUND,
                DifferenceError::Nothing(_) | DifferenceError::Number(_) => StatusCode::CONFLICT,
            };
            refused(status, &error)
        }
    }
}

async fn clear(State(state): State<AdminState>) -> Response {
    Json(json!({ "cleared": state.admin.clear_differences() })).into_response()
}

/// A day with many orders takes seconds, which must not block other requests.
async fn make(State(state): State<AdminState>, Body(wanted): Body<GenerateDay>) -> Response {
    let made = tokio::task::spawn_blocking(move || state.admin.make_day(&wanted)).await;
    match made {
        Ok(Ok(made)) => (StatusCode::CREATED, Json(made)).into_response(),
        Ok(Err(error)) => refused(StatusCode::BAD_REQUEST, &error),
        Err(_) => refused(
            StatusCode::SERVICE_UNAVAILABLE,
            &"the simulator is stopping",
        ),
    }
}

async fn move_money(
    State(state): State<AdminState>,
    Body(movement): Body<MovementRequest>,
) -> StatusCode {
    state.admin.move_money(movement.account_type, movement.fen);
    StatusCode::NO_CONTENT
}
