//! From a reservation to the answer: a prepay value, now or by the queue, or the order that exists.

use flows::{
    api_request::ApiRequest,
    issue_prepay::{IssueOutcome, IssuedValue},
    origin::Origin,
    problem::Problem,
    view,
};
use lambda_http::http::{Response, StatusCode};
use payments::model::{ids::OrderNo, journal::Event, order::Order};
use stores::queues::PaymentRequest;
use tracing::info;

use crate::{
    app::App,
    reserve::{LeasedOrder, Reservation},
};

/// When a caller whose order went to the queue should read it again, in seconds.
const POLL_AFTER_S: i64 = 2;

/// Gets a prepay value for what was reserved, here or by the queue, and answers. A value that was
/// got here is left in `issued`, for the log.
pub(crate) async fn issue_or_enqueue(
    app: &App,
    reservation: Reservation,
    request: &ApiRequest,
    issued: &mut Option<IssuedValue>,
) -> Result<Response<String>, Problem> {
    match reservation {
        Reservation::Leased(leased) => issue(app, leased, &request.origin, issued).await,
        Reservation::ForQueue(order) => {
            enqueue(app, &Waiting::of(&order), 0, &request.origin).await
        }
        // The order's present state. For a rejected order the first refusal is repeated.
        Reservation::Exists(order) => Ok(view::replayed(match order.state.rejection() {
            Some(why) => Problem::wechatpay_refused(&why.refusal()).answer(&request.id),
            None => show(app, &order, StatusCode::OK),
        })),
    }
}

/// Gets a prepay value under the lease. While WeChat Pay is slow or down, the queue does it, with
/// the same bytes and once our lease is over.
async fn issue(
    app: &App,
    leased: LeasedOrder,
    origin: &Origin,
    issued: &mut Option<IssuedValue>,
) -> Result<Response<String>, Problem> {
    let LeasedOrder {
        order,
        body,
        is_repeat,
    } = leased;
    let waiting = Waiting::of(&order);
    let lease_left_s = order.issue_lease.held_for_s(app.clock.now());
    let status = if is_repeat {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let outcome = app
        .issue_flow
        .issue(*order, body, app.prepay_budget, origin)
        .await?;
    let answer = match outcome {
        IssueOutcome::Issued(value) => show(app, &issued.insert(value).order, status),
        IssueOutcome::Order(order) => show(app, &order, status),
        IssueOutcome::Rejected(reason) => return Err(Problem::wechatpay_refused(&reason)),
        IssueOutcome::Later(_) => {
            let delay_s = lease_left_s.unwrap_or_default();
            enqueue(app, &waiting, delay_s, origin).await?
        }
    };
    Ok(if is_repeat {
        view::replayed(answer)
    } else {
        answer
    })
}

/// What is said of an order that is handed to the queue.
struct Waiting {
    order_no: OrderNo,
    state: &'static str,
    event: Option<Event>,
}

impl Waiting {
    fn of(order: &Order) -> Self {
        Self {
            order_no: order.order_no.clone(),
            state: order.state.name(),
            event: order.latest_event.clone(),
        }
    }
}

async fn enqueue(
    app: &App,
    waiting: &Waiting,
    delay_s: i64,
    origin: &Origin,
) -> Result<Response<String>, Problem> {
    let Waiting {
        order_no,
        state,
        event,
    } = waiting;
    let message = PaymentRequest::IssueV1 {
        order_no: order_no.clone(),
    };
    // A repeat of the request has no event of its own: the order's own trace goes on.
    let trace = match event {
        Some(event) => origin.trace.of_event(order_no, event),
        None => origin.trace.clone(),
    };
    let sent = app
        .payment_requests
        .send_request(&message, delay_s, trace.headers())
        .await;
    sent.map_err(|error| Problem::unavailable(&error))?;
    info!(
        order_no = order_no.as_str(),
        delay_s,
        trace_id = origin.trace.id(),
        "order handed to the queue"
    );
    Ok(view::accepted(
        order_no.as_str(),
        state,
        delay_s.max(POLL_AFTER_S),
    ))
}

fn show(app: &App, order: &Order, status: StatusCode) -> Response<String> {
    view::answer(status, &view::order(order, app.clock.now()))
}
