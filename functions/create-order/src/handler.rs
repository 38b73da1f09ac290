//! Request -> number reserved -> prepay value -> answer.

use flows::{
    authenticate::Caller, incoming::Incoming, issue_prepay::IssueOutcome, origin::Origin,
    problem::Problem, trace::Trace, view,
};
use lambda_http::http::{Response, StatusCode, request::Parts};
use payments::{
    model::{ids::OrderNo, journal::Cause, order::Order},
    rules::create_order::CreateOrder,
};
use stores::queues::PaymentRequest;
use tracing::info;

use crate::{
    app::App,
    payer_lease::PayerLease,
    reserve::{LeasedOrder, Reservation, reserve},
};

/// The largest body of this route, in bytes.
pub const BODY_MAX: usize = 16 * 1024;

/// When a caller whose order went to the queue should look at it, in seconds.
const LOOK_AFTER_S: i64 = 2;

/// Answers one request.
pub async fn create(app: &App, parts: Parts, body: Vec<u8>) -> Response<String> {
    let request_id = app.random.id();
    let incoming = Incoming::new(parts, body);
    let origin = Origin {
        cause: Cause::Request(request_id.clone()),
        trace: Trace::from_header(incoming.header("traceparent"), &app.random),
    };
    let request = Request {
        app,
        incoming: &incoming,
        request_id: &request_id,
        origin: &origin,
    };
    let created = request.create().await;
    let mut answer = created.unwrap_or_else(|problem| problem.answer(&request_id));
    answer.headers_mut().extend(origin.trace.header());
    answer
}

/// One request being handled.
struct Request<'a> {
    app: &'a App,
    incoming: &'a Incoming,
    request_id: &'a str,
    origin: &'a Origin,
}

impl Request<'_> {
    async fn create(&self) -> Result<Response<String>, Problem> {
        if self.incoming.body().len() > BODY_MAX {
            return Err(Problem::too_large(BODY_MAX));
        }
        let caller = self.app.authenticator.authenticate(self.incoming).await?;
        let limits = &self.app.client_limits;
        limits
            .within(&caller, Box::pin(self.create_for(&caller)))
            .await
    }

    /// Creates what a client asks for that is within its limit.
    async fn create_for(&self, caller: &Caller) -> Result<Response<String>, Problem> {
        self.incoming.has_no_query()?;
        let asked = CreateOrder::read(
            self.incoming.json_body()?,
            self.incoming.header("idempotency-key"),
            &caller.client_id,
            &self.app.merchant,
        )?;
        let Some(payer) = &asked.payer else {
            return Box::pin(self.submit(&asked, caller)).await;
        };
        let payer = payer.key(&caller.client_id);
        let lease = PayerLease::take(self.app, &payer, &asked.order_no, self.request_id).await?;
        let answer = Box::pin(self.submit(&asked, caller)).await;
        lease.give_back(self.app).await;
        answer
    }

    /// Reserves the order's number and gets a prepay value for it, here or by the queue.
    async fn submit(
        &self,
        asked: &CreateOrder,
        caller: &Caller,
    ) -> Result<Response<String>, Problem> {
        let respond_async = self.incoming.prefers_async();
        match reserve(self.app, asked, caller, respond_async, self.origin).await? {
            Reservation::Leased(leased) => self.issue(leased).await,
            Reservation::ForQueue(order) => {
                self.enqueue(&order.order_no, order.state.name(), 0).await
            }
            Reservation::Exists(order) => Ok(self.show_again(&order)),
        }
    }

    /// Gets a prepay value under the lease. While WeChat Pay is slow or down, the queue does it,
    /// with the same bytes and once our lease is over.
    async fn issue(&self, leased: LeasedOrder) -> Result<Response<String>, Problem> {
        let LeasedOrder {
            order,
            body,
            is_repeat,
        } = leased;
        let (order_no, state) = (order.order_no.clone(), order.state.name());
        let lease_left_s = order.issue_lease.held_for_s(self.app.clock.now());
        let status = if is_repeat {
            StatusCode::OK
        } else {
            StatusCode::CREATED
        };
        let issued = self
            .app
            .issue_flow
            .issue(*order, body, self.app.prepay_budget, self.origin)
            .await?;
        let answer = match issued {
            IssueOutcome::Order(order) => self.show(&order, status),
            IssueOutcome::Rejected(told) => return Err(Problem::wechatpay_refused(&told)),
            IssueOutcome::Later(_) => {
                self.enqueue(&order_no, state, lease_left_s.unwrap_or_default())
                    .await?
            }
        };
        Ok(if is_repeat {
            view::replayed(answer)
        } else {
            answer
        })
    }

    async fn enqueue(
        &self,
        order_no: &OrderNo,
        state: &str,
        delay_s: i64,
    ) -> Result<Response<String>, Problem> {
        let message = PaymentRequest::IssueV1 {
            order_no: order_no.clone(),
        };
        let sent = self
            .app
            .payment_requests
            .send_request(&message, delay_s, &self.origin.trace.traceparent())
            .await;
        sent.map_err(|error| Problem::unavailable(&error))?;
        info!(
            order_no = order_no.as_str(),
            delay_s,
            trace_id = self.origin.trace.id(),
            "order handed to the queue"
        );
        Ok(view::accepted(
            order_no.as_str(),
            state,
            delay_s.max(LOOK_AFTER_S),
        ))
    }

    /// The answer to a repeat: the order's present state. For a rejected order it repeats the first
    /// refusal.
    fn show_again(&self, order: &Order) -> Response<String> {
        view::replayed(match order.state.rejection() {
            Some(why) => Problem::wechatpay_refused(&why.told()).answer(self.request_id),
            None => self.show(order, StatusCode::OK),
        })
    }

    fn show(&self, order: &Order, status: StatusCode) -> Response<String> {
        view::answer(status, &view::order(order, self.app.clock.now()))
    }
}
