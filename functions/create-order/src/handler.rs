//! Request -> number reserved -> prepay value -> answer.

use adapters::{
    guards::{Lease, LeaseKey},
    order_table::{ReserveOutcome, WriteOutcome},
    queues::PaymentRequest,
};
use flows::{
    authenticate::Caller,
    incoming::Incoming,
    issue_prepay::{IssueFlow, IssueOutcome},
    origin::Origin,
    problem::{ErrorChain, Problem},
    trace::Trace,
    view,
};
use lambda_http::http::{Response, StatusCode, request::Parts};
use payments::{
    model::{
        ids::OrderNo,
        journal::{Cause, Subject},
        order::{IssueLease, Order, OrderState, RefundTally},
    },
    rules::{
        create_order::{CreateOrder, PayerKey},
        reserve_order::{self, ExistingOrder},
        schedule,
    },
};
use tracing::{info, warn};
use wechatpay::{UnixSeconds, api::Prepay};

use crate::app::App;

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
    let created = Request {
        app,
        incoming: &incoming,
        request_id: &request_id,
        origin: &origin,
    }
    .create()
    .await;
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
        self.incoming.has_no_query()?;
        let body = self.incoming.json_body()?;
        let asked = CreateOrder::read(
            body,
            self.incoming.header("idempotency-key"),
            &caller.client_id,
            &self.app.merchant,
        )?;
        let Some(payer) = &asked.payer else {
            return Box::pin(self.submit(&asked, &caller)).await;
        };
        // One payer, one submission at a time: two taps on one button do not become two orders.
        let payer = payer.key(&caller.client_id);
        let lease = LeaseKey::Payer(&payer);
        let now = self.app.clock.now();
        // The order is part of the holder's name, so that a repeat of it is known for one, and not
        // taken for another order.
        let of_order = format!("{}#", asked.order_no);
        let holder = format!("{of_order}{}", self.request_id);
        let taken = self
            .app
            .guards
            .lease(&lease, &holder, PayerKey::HOLDS_S, now)
            .await?;
        match taken {
            Lease::Acquired => {}
            Lease::Held { until, holder } => {
                let wait_s = until.since(now);
                return Err(if holder.starts_with(&of_order) {
                    Problem::in_progress(wait_s)
                } else {
                    Problem::submitted_just_now(wait_s)
                });
            }
        }
        let answer = Box::pin(self.submit(&asked, &caller)).await;
        if let Err(error) = self.app.guards.release(&lease, &holder).await {
            warn!(error = %ErrorChain(&error), "a payer's lease was not given back: it ends by the clock");
        }
        answer
    }

    /// Reserves the order and carries it on.
    async fn submit(
        &self,
        asked: &CreateOrder,
        caller: &Caller,
    ) -> Result<Response<String>, Problem> {
        let now = self.app.clock.now();
        let (wanted, body) = self.wanted(asked, caller, now).await?;
        let because = self.origin.change_context(now);
        let first = because.event(1, Subject::Order, None, wanted.state.name());
        // Side by side: both are conditional writes, and WeChat Pay is called only after both.
        let (consumed, reserved) = futures_util::join!(
            self.app.nonces.consume(caller),
            self.app.orders.reserve(&wanted, &first)
        );
        consumed?;
        match reserved? {
            ReserveOutcome::New => {
                info!(
                    order_no = wanted.order_no.as_str(),
                    request_id = self.request_id,
                    trace_id = self.origin.trace.id(),
                    "order reserved"
                );
                self.carry_on(wanted, Some(body), StatusCode::CREATED).await
            }
            ReserveOutcome::Taken(found) => self.taken(&wanted, *found, body, now).await,
        }
    }

    /// The order to be reserved, and the plain body for WeChat Pay.
    async fn wanted(
        &self,
        asked: &CreateOrder,
        caller: &Caller,
        now: UnixSeconds,
    ) -> Result<(Order, Vec<u8>), Problem> {
        let expires_at = now.plus_s(asked.terms.expires_in_s);
        let call = Prepay::new(
            asked.terms.product.at_wechat(),
            &asked.prepay_body(&self.app.merchant, expires_at),
        );
        let body = call.body().to_vec();
        let context = IssueFlow::body_context(&asked.order_no);
        let sealed_body = self.app.fields.seal(&context, &body).await?;
        let id = self.app.random.id();
        let attempt = if self.incoming.prefers_async() {
            IssueLease::none(id)
        } else {
            IssueLease::first(id, now)
        };
        let order = Order {
            order_no: asked.order_no.clone(),
            client_id: caller.client_id.clone(),
            product: asked.terms.product,
            appid: asked.terms.appid.clone(),
            amount: asked.terms.amount,
            fingerprint: asked.terms.fingerprint(),
            sealed_body,
            created_at: now,
            expires_at,
            attempt,
            issued: false,
            state: OrderState::Reserved,
            refunds: RefundTally::NONE,
            version: 1,
            trace: self.origin.trace.id().to_owned(),
            due: None,
        };
        let due = schedule::next_order_check(&order, &order.state, now);
        Ok((Order { due, ..order }, body))
    }

    /// The number was taken already: by this request, by an earlier one like it, or by something
    /// else.
    async fn taken(
        &self,
        wanted: &Order,
        found: Order,
        body: Vec<u8>,
        now: UnixSeconds,
    ) -> Result<Response<String>, Problem> {
        match reserve_order::compare_existing(wanted, &found, now) {
            ExistingOrder::SameRequest => {
                self.carry_on(found, Some(body), StatusCode::CREATED).await
            }
            ExistingOrder::OtherClient => Err(Problem::order_no_taken()),
            ExistingOrder::OtherTerms => Err(Problem::key_reused()),
            ExistingOrder::Show => Ok(self.show_again(&found)),
            ExistingOrder::InProgress { retry_after_s } => Err(Problem::in_progress(retry_after_s)),
            ExistingOrder::Resume if self.incoming.prefers_async() => {
                self.enqueue(&found.order_no, found.state.name(), 0).await
            }
            ExistingOrder::Resume => {
                let taken = self
                    .app
                    .orders
                    .take_issue_lease(&found, &wanted.attempt.id, self.app.clock.now())
                    .await?;
                match taken {
                    // The stored body is the one to send: this request's own has another
                    // `time_expire`.
                    WriteOutcome::Written(order) => self
                        .carry_on(*order, None, StatusCode::OK)
                        .await
                        .map(view::replayed),
                    WriteOutcome::Superseded(found) => {
                        match reserve_order::compare_existing(wanted, &found, now) {
                            ExistingOrder::Show => Ok(self.show_again(&found)),
                            ExistingOrder::InProgress { retry_after_s } => {
                                Err(Problem::in_progress(retry_after_s))
                            }
                            ExistingOrder::SameRequest
                            | ExistingOrder::OtherClient
                            | ExistingOrder::OtherTerms
                            | ExistingOrder::Resume => Err(Problem::in_progress(1)),
                        }
                    }
                }
            }
        }
    }

    /// The number is ours: get a prepay value now, or let the queue do it.
    async fn carry_on(
        &self,
        order: Order,
        body: Option<Vec<u8>>,
        status: StatusCode,
    ) -> Result<Response<String>, Problem> {
        if self.incoming.prefers_async() {
            return self.enqueue(&order.order_no, order.state.name(), 0).await;
        }
        let (order_no, state) = (order.order_no.clone(), order.state.name());
        let lease_left_s = order
            .attempt
            .held_for_s(self.app.clock.now())
            .unwrap_or_default();
        match self
            .app
            .issue_flow
            .issue(order, body, self.app.prepay_budget, self.origin)
            .await
        {
            Ok(IssueOutcome::Order(order)) if order.state == OrderState::Reserved => {
                self.enqueue(&order_no, state, lease_left_s).await
            }
            Ok(IssueOutcome::Order(order)) => Ok(self.show(&order, status)),
            Ok(IssueOutcome::Rejected(told)) => Err(Problem::wechatpay_refused(&told)),
            // WeChat Pay is slow or down. Once our lease is over, the queue tries again with the
            // same bytes.
            Ok(IssueOutcome::Later(_)) => self.enqueue(&order_no, state, lease_left_s).await,
            Err(error) => Err(error.into()),
        }
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
