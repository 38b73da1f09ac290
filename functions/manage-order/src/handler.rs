//! Request -> who asks -> the order, if it is theirs -> answer.

use flows::{incoming::Incoming, problem::Problem, trace::Trace, view};
use lambda_http::http::{Response, StatusCode, request::Parts};
use payments::ids::OrderNo;

use crate::desk::Desk;

/// Answers one request.
pub async fn manage(desk: &Desk, parts: Parts, body: Vec<u8>) -> Response<String> {
    let request_id = desk.random.id();
    let incoming = Incoming::new(parts, body);
    let trace = Trace::from_header(incoming.header("traceparent"), &desk.random);
    let mut answer = match route(&incoming) {
        Ok(Route::Show(order_no)) => show(desk, &incoming, order_no).await,
        Err(problem) => Err(problem),
    }
    .unwrap_or_else(|problem| problem.answer(&request_id));
    answer.headers_mut().extend(trace.header());
    answer
}

/// What is asked for.
enum Route<'a> {
    /// `GET /v1/orders/{order_no}`
    Show(&'a str),
}

fn route(incoming: &Incoming) -> Result<Route<'_>, Problem> {
    let rest = incoming
        .path()
        .strip_prefix("/v1/orders/")
        .ok_or_else(Problem::no_route)?;
    match (incoming.method(), rest.split_once('/')) {
        ("GET", None) if !rest.is_empty() => Ok(Route::Show(rest)),
        _ => Err(Problem::no_route()),
    }
}

/// The order as it stands. Another client's order does not exist for this one.
async fn show(
    desk: &Desk,
    incoming: &Incoming,
    order_no: &str,
) -> Result<Response<String>, Problem> {
    let caller = desk.gate.authenticate(incoming).await?;
    let order_no = OrderNo::parse(order_no)?;
    let found = desk
        .orders
        .read(&order_no)
        .await
        .map_err(|error| Problem::unavailable(&error))?;
    match found {
        Some(order) if order.client_id == caller.client_id => Ok(view::answer(
            StatusCode::OK,
            &view::order(&order, desk.clock.now()),
        )),
        Some(_) | None => Err(Problem::order_not_found()),
    }
}
