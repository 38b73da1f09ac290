//! Request -> authentication -> the order, if it is the client's -> show, close, refund or send
//! events again -> answer.

use std::time::Duration;

use adapters::{
    guards::{Lease, LeaseKey},
    keys_table::WebhookState,
    order_table::TableError,
    undelivered::EventCursor,
};
use flows::{
    authenticate::Caller,
    incoming::Incoming,
    origin::Origin,
    problem::{ErrorChain, Problem},
    process_refund::{DecisionOutcome, RefundRef, ReserveRefundOutcome},
    trace::Trace,
    view,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use lambda_http::http::{Response, StatusCode, request::Parts};
use payments::{
    model::{
        ids::{OrderNo, RefundNo},
        journal::Cause,
        order::{Order, OrderState},
        refund::Refund,
    },
    rules::{
        close_order::{CloseEligibility, close_eligibility},
        reserve_refund::{Approval, RefundRequest},
        webhook::{RESEND_PAUSE_S, RESENT_AT_ONCE},
    },
};
use tracing::{info, warn};
use wechatpay::UnixSeconds;

use crate::{
    app::App,
    input::{OperatorRequest, RedirectRequest, ResendRequest},
    route::{Route, route},
};

/// The largest body of these routes, in bytes.
const BODY_MAX: usize = 16 * 1024;

/// Time limit for a query to WeChat Pay when a client requests its order.
const LOOK_WITHIN: Duration = Duration::from_millis(1_500);
/// An order of this age is asked about at a look: by then the callback should be there
/// (shared/wechatpay/PROTOCOL.md, 5.6).
const LOOK_FROM_AGE_S: i64 = 5;
/// Minimum time between two such queries, in seconds, however often the order is requested.
const LOOK_AGAIN_S: i64 = 10;
/// How long WeChat Pay may take for what changes something.
const ACT_WITHIN: Duration = Duration::from_secs(8);
/// How many events are handed to the queue side by side.
const HANDED_OVER_AT_ONCE: usize = 20;
/// When it is worth looking at something that is not done yet, in seconds.
const LOOK_AFTER_S: i64 = 2;

/// Answers one request.
pub async fn manage(app: &App, parts: Parts, body: Vec<u8>) -> Response<String> {
    let request_id = app.random.id();
    let incoming = Incoming::new(parts, body);
    let origin = Origin {
        cause: Cause::Request(request_id.clone()),
        trace: Trace::from_header(incoming.header("traceparent"), &app.random),
    };
    let answered = Request {
        app,
        incoming: &incoming,
        origin: &origin,
    }
    .answer()
    .await;
    let mut answer = answered.unwrap_or_else(|problem| problem.answer(&request_id));
    answer.headers_mut().extend(origin.trace.header());
    answer
}

/// One request being handled.
struct Request<'a> {
    app: &'a App,
    incoming: &'a Incoming,
    origin: &'a Origin,
}

impl Request<'_> {
    async fn answer(&self) -> Result<Response<String>, Problem> {
        let route =
            route(self.incoming.method(), self.incoming.path()).ok_or_else(Problem::no_route)?;
        if route.takes_a_body() && self.incoming.body().len() > BODY_MAX {
            return Err(Problem::too_large(BODY_MAX));
        }
        let caller = self.app.authenticator.authenticate(self.incoming).await?;
        self.incoming.has_no_query()?;
        if !route.takes_a_body() {
            self.incoming.has_no_body()?;
        }
        // Here for all routes, so that none can forget it.
        if route.changes_something() {
            self.app.nonces.consume(&caller).await?;
        }
        match route {
            Route::Show { order_no } => self.show(&caller, order_no).await,
            Route::Events { order_no } => self.events(&caller, order_no).await,
            Route::Refunds { order_no } => self.refunds(&caller, order_no).await,
            Route::ShowRefund {
                order_no,
                refund_no,
            } => self.show_refund(&caller, order_no, refund_no).await,
            Route::ShowWebhook => self.show_webhook(&caller).await,
            Route::Resend => self.resend(&caller).await,
            Route::Close { order_no } => self.close(&caller, order_no).await,
            Route::Refund { order_no } => self.refund(&caller, order_no).await,
            Route::Retry {
                order_no,
                refund_no,
            } => self.retry(&caller, order_no, refund_no).await,
            Route::Release {
                order_no,
                refund_no,
            } => self.release(&caller, order_no, refund_no).await,
            Route::Abnormal {
                order_no,
                refund_no,
            } => self.redirect(&caller, order_no, refund_no).await,
            Route::PayerPaid {
                order_no,
                refund_no,
            } => self.payer_paid(&caller, order_no, refund_no).await,
            Route::Replay { order_no, version } => self.replay(&caller, order_no, version).await,
        }
    }

    /// The order's present state. For an unpaid order WeChat Pay is queried first, at intervals: a
    /// page that waits for the payment does not depend on a callback that may be late.
    async fn show(&self, caller: &Caller, order_no: &str) -> Result<Response<String>, Problem> {
        let mut order = self.order(caller, order_no).await?;
        if self.is_worth_asking(&order).await {
            let asked = self
                .app
                .query_flow
                .ask(&order.order_no, LOOK_WITHIN, self.origin)
                .await;
            match asked {
                Ok(_) => order = self.order(caller, order_no).await?,
                // The stored state is shown anyway: the callback and the sweep still settle it.
                Err(error) => {
                    warn!(order_no, error = %ErrorChain(&error), "WeChat Pay was not asked");
                }
            }
        }
        self.shown(&order).await
    }

    async fn is_worth_asking(&self, order: &Order) -> bool {
        let now = self.app.clock.now();
        let unpaid = match &order.state {
            OrderState::AwaitingPayment(_) | OrderState::Closing => true,
            OrderState::Reserved
            | OrderState::Paid(_)
            | OrderState::PartiallyRefunded(_)
            | OrderState::Refunded(_)
            | OrderState::Closed
            | OrderState::Rejected(_)
            | OrderState::PaidAfterClose(_) => false,
        };
        if !unpaid || now.since(order.created_at) < LOOK_FROM_AGE_S {
            return false;
        }
        let lease = LeaseKey::StatusQuery {
            mchid: &self.app.mchid,
            order_no: &order.order_no,
        };
        let holder = self.app.random.id();
        match self
            .app
            .guards
            .lease(&lease, &holder, LOOK_AGAIN_S, now)
            .await
        {
            Ok(lease) => lease == Lease::Acquired,
            Err(error) => {
                warn!(error = %ErrorChain(&error), "WeChat Pay is not asked: the rate cannot be told");
                false
            }
        }
    }

    /// What happened to the order and its refunds, oldest first.
    async fn events(&self, caller: &Caller, order_no: &str) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let journal = self.app.orders.journal(&order.order_no).await?;
        Ok(view::answer(
            StatusCode::OK,
            &view::events(&order.order_no, &journal),
        ))
    }

    async fn refunds(&self, caller: &Caller, order_no: &str) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let refunds = self.app.orders.refunds(&order.order_no).await?;
        Ok(view::answer(
            StatusCode::OK,
            &view::refunds(
                &order.order_no,
                &refunds,
                self.paused_until(&refunds).await?,
            ),
        ))
    }

    async fn show_refund(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let refund_no = RefundNo::parse(refund_no).map_err(|_| Problem::refund_not_found())?;
        let found = self.app.orders.refund(&order.order_no, &refund_no).await?;
        let refund = found.ok_or_else(Problem::refund_not_found)?;
        self.shown_refund(&refund).await
    }

    /// Closes the order, at WeChat Pay first.
    async fn close(&self, caller: &Caller, order_no: &str) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let before = close_eligibility(&order);
        let closed = self
            .app
            .close_flow
            .close(order, ACT_WITHIN, self.origin)
            .await?;
        let order = closed.order;
        match close_eligibility(&order) {
            CloseEligibility::Paid => Err(Problem::order_paid()),
            CloseEligibility::Over if before == CloseEligibility::Over => {
                Ok(view::replayed(self.shown_closed(&order).await))
            }
            CloseEligibility::Over => Ok(self.shown_closed(&order).await),
            // WeChat Pay has not answered. The sweep continues at the order's next check.
            CloseEligibility::Closing | CloseEligibility::Open => {
                let now = self.app.clock.now();
                let waits_s = order.due.map_or(0, |due| due.at.since(now).max(0));
                Ok(view::accepted(
                    order.order_no.as_str(),
                    order.state.name(),
                    waits_s.saturating_add(LOOK_AFTER_S),
                ))
            }
        }
    }

    /// Takes a refund on; the queue does the rest.
    async fn refund(&self, caller: &Caller, order_no: &str) -> Result<Response<String>, Problem> {
        let body = self.incoming.json_body()?;
        let order_no = OrderNo::parse(order_no)?;
        let wanted = RefundRequest::read(
            body,
            self.incoming.header("idempotency-key"),
            &caller.client_id,
            &order_no,
        )?;
        let taken = self
            .app
            .refund_flow
            .reserve(&caller.client_id, &order_no, &wanted, self.origin)
            .await?;
        match taken {
            ReserveRefundOutcome::Reserved(refund) => {
                info!(
                    order_no = order_no.as_str(),
                    refund_no = refund.refund_no.as_str(),
                    amount_fen = refund.amount.get(),
                    trace_id = self.origin.trace.id(),
                    "refund taken on"
                );
                Ok(self.refund_accepted(&refund).await)
            }
            ReserveRefundOutcome::AlreadyReserved(refund) => {
                Ok(view::replayed(self.shown_refund(&refund).await?))
            }
            ReserveRefundOutcome::NumberReused => Err(Problem::refund_reused()),
            ReserveRefundOutcome::OrderNotFound => Err(Problem::order_not_found()),
            ReserveRefundOutcome::Rejected(refused) => Err(refused.into()),
        }
    }

    async fn retry(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let (order_no, refund_no) = refund_named(order_no, refund_no)?;
        let of = refund_of(caller, &order_no, &refund_no);
        let decided = self.app.refund_flow.retry(&of, None, self.origin).await?;
        let refund = decided_refund(decided, "refused")?;
        Ok(self.refund_accepted(&refund).await)
    }

    async fn release(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let asked = OperatorRequest::read(self.incoming.json_body()?)?;
        let (order_no, refund_no) = refund_named(order_no, refund_no)?;
        let of = refund_of(caller, &order_no, &refund_no);
        let decided = self
            .app
            .refund_flow
            .release(&of, &asked.decided, ACT_WITHIN, self.origin)
            .await?;
        let refund = decided_refund(decided, "refused")?;
        self.shown_refund(&refund).await
    }

    async fn redirect(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let asked = RedirectRequest::read(self.incoming.json_body()?)?;
        let (order_no, refund_no) = refund_named(order_no, refund_no)?;
        let of = refund_of(caller, &order_no, &refund_no);
        let decided = self
            .app
            .refund_flow
            .redirect(&of, &asked.to, &asked.decided, ACT_WITHIN, self.origin)
            .await?;
        let refund = decided_refund(decided, "abnormal")?;
        Ok(self.refund_accepted(&refund).await)
    }

    /// The payer was paid by other means, whose money went to the merchant's own account.
    async fn payer_paid(
        &self,
        caller: &Caller,
        order_no: &str,
        refund_no: &str,
    ) -> Result<Response<String>, Problem> {
        let asked = OperatorRequest::read(self.incoming.json_body()?)?;
        let (order_no, refund_no) = refund_named(order_no, refund_no)?;
        let of = refund_of(caller, &order_no, &refund_no);
        let decided = self
            .app
            .refund_flow
            .payer_paid(&of, &asked.decided, self.origin)
            .await?;
        if matches!(decided, DecisionOutcome::WrongState(_)) {
            return Err(Problem::payer_not_owed());
        }
        let refund = decided_refund(decided, "succeeded")?;
        self.shown_refund(&refund).await
    }

    /// Sends the webhook of one event again.
    async fn replay(
        &self,
        caller: &Caller,
        order_no: &str,
        version: &str,
    ) -> Result<Response<String>, Problem> {
        let order = self.order(caller, order_no).await?;
        let version: u64 = version.parse().map_err(|_| Problem::event_not_found())?;
        let found = self.app.orders.outgoing_event(&order, version).await?;
        let event = found.ok_or_else(Problem::event_not_found)?;
        let sent = self
            .app
            .webhooks
            .send_webhook(&event, &self.origin.trace.traceparent())
            .await;
        sent.map_err(|error| Problem::unavailable(&error))?;
        info!(
            order_no,
            version,
            trace_id = self.origin.trace.id(),
            "event sent again"
        );
        Ok(view::event_accepted(&order.order_no, version))
    }

    /// The state of the caller's webhook, and whether there are undelivered events. This is not
    /// sent by the webhook itself, so a client can learn that it no longer receives events.
    async fn show_webhook(&self, caller: &Caller) -> Result<Response<String>, Problem> {
        let state = self.webhook(caller).await?;
        let oldest = self
            .app
            .undelivered
            .oldest(caller.client_id.as_str())
            .await?;
        let disabled = state.disabled.as_ref();
        let shown = view::Webhook {
            host: state.host.as_deref(),
            disabled: disabled.map(|(why, since)| (why.as_str(), *since)),
            last_answer: state.last_answer.as_ref(),
            oldest_undelivered_at: oldest,
        };
        Ok(view::answer(StatusCode::OK, &view::webhook(&shown)))
    }

    /// Sends some of the events again that the caller's receiver does not have, and says where to
    /// go on. An event leaves the list when it is delivered, so that nothing is lost when this ends
    /// halfway; what was handed over twice by then has the same `webhook-id` both times.
    async fn resend(&self, caller: &Caller) -> Result<Response<String>, Problem> {
        let body = self.incoming.json_body()?;
        let now = self.app.clock.now();
        let asked = ResendRequest::read(body, now)?;
        if self.webhook(caller).await?.disabled.is_some() {
            return Err(Problem::webhook_disabled());
        }
        let client_id = caller.client_id.as_str();
        let lease = LeaseKey::Resend {
            mchid: &self.app.mchid,
            client_id,
        };
        let holder = self.app.random.id();
        let taken = self
            .app
            .guards
            .lease(&lease, &holder, RESEND_PAUSE_S, now)
            .await?;
        if let Lease::Held { until, .. } = taken {
            return Err(Problem::resent_just_now(until.since(now)));
        }
        let page = self
            .app
            .undelivered
            .page(
                client_id,
                asked.from,
                asked.to,
                asked.after.as_ref(),
                RESENT_AT_ONCE,
            )
            .await?;
        let traceparent = self.origin.trace.traceparent();
        let mut sendings = Vec::with_capacity(page.events.len());
        for event in &page.events {
            sendings.push(self.app.webhooks.send_webhook(event, &traceparent));
        }
        let sent = stream::iter(sendings)
            .buffer_unordered(HANDED_OVER_AT_ONCE)
            .try_collect::<Vec<()>>()
            .await;
        sent.map_err(|error| Problem::unavailable(&error))?;
        let count = page.events.len();
        info!(
            client_id,
            count,
            trace_id = self.origin.trace.id(),
            "undelivered events sent again"
        );
        let next = page.next.as_ref().map(EventCursor::as_str);
        Ok(view::resent(count, next, RESEND_PAUSE_S))
    }

    async fn webhook(&self, caller: &Caller) -> Result<WebhookState, Problem> {
        let state = self
            .app
            .keys
            .webhook_state(caller.client_id.as_str())
            .await?;
        state.ok_or_else(Problem::webhook_not_found)
    }

    /// An order of this client's. Another client's does not exist for it.
    async fn order(&self, caller: &Caller, order_no: &str) -> Result<Order, Problem> {
        let order_no = OrderNo::parse(order_no)?;
        let found = self.app.orders.read(&order_no).await?;
        found
            .filter(|order| order.client_id == caller.client_id)
            .ok_or_else(Problem::order_not_found)
    }

    /// Until when the merchant's refunds rest, where one of these is to go to WeChat Pay.
    async fn paused_until(&self, refunds: &[Refund]) -> Result<Option<UnixSeconds>, Problem> {
        if refunds
            .iter()
            .all(|refund| refund.next_try_at(None).is_none())
        {
            return Ok(None);
        }
        Ok(self.app.refund_flow.paused_until().await?)
    }

    async fn shown_refund(&self, refund: &Refund) -> Result<Response<String>, Problem> {
        let paused_until = self.paused_until(std::slice::from_ref(refund)).await?;
        Ok(view::answer(
            StatusCode::OK,
            &view::refund(refund, paused_until),
        ))
    }

    /// 202: the refund is accepted. If it is unknown whether refunds are paused, the answer gives
    /// the time without a pause.
    async fn refund_accepted(&self, refund: &Refund) -> Response<String> {
        let paused_until = match refund.next_try_at(None) {
            Some(_) => self.app.refund_flow.paused_until().await,
            None => Ok(None),
        };
        let paused_until = paused_until.unwrap_or_else(|error| {
            warn!(error = %ErrorChain(&error), "it is not known whether refunds rest");
            None
        });
        let now = self.app.clock.now();
        view::refund_accepted(refund, paused_until, now, LOOK_AFTER_S)
    }

    /// The order's present state.
    async fn shown(&self, order: &Order) -> Result<Response<String>, Problem> {
        let refunds = self.refunds_of(order).await?;
        Ok(self.shown_with(order, &refunds))
    }

    /// The same of an order that is closed: a failure would say that it is not. Without its refunds
    /// the answer does not say whether a payer is owed; the order's own address does.
    async fn shown_closed(&self, order: &Order) -> Response<String> {
        let refunds = self.refunds_of(order).await.unwrap_or_else(|error| {
            warn!(
                order_no = order.order_no.as_str(),
                error = %ErrorChain(&error),
                "a closed order is shown without its refunds"
            );
            Vec::new()
        });
        self.shown_with(order, &refunds)
    }

    fn shown_with(&self, order: &Order, refunds: &[Refund]) -> Response<String> {
        let view = view::order_and_refunds(order, refunds, self.app.clock.now());
        view::answer(StatusCode::OK, &view)
    }

    /// The order's refunds, which are read if it ever had any.
    async fn refunds_of(&self, order: &Order) -> Result<Vec<Refund>, TableError> {
        if order.refunds.count == 0 {
            return Ok(Vec::new());
        }
        self.app.orders.refunds(&order.order_no).await
    }
}

fn refund_named(order_no: &str, refund_no: &str) -> Result<(OrderNo, RefundNo), Problem> {
    Ok((
        OrderNo::parse(order_no)?,
        RefundNo::parse(refund_no).map_err(|_| Problem::refund_not_found())?,
    ))
}

fn refund_of<'a>(
    caller: &'a Caller,
    order_no: &'a OrderNo,
    refund_no: &'a RefundNo,
) -> RefundRef<'a> {
    RefundRef {
        client: &caller.client_id,
        order_no,
        refund_no,
        by: Approval::Caller,
    }
}

/// The refund after a decision. `needs` is the state in which this can be decided.
fn decided_refund(decided: DecisionOutcome, needs: &'static str) -> Result<Box<Refund>, Problem> {
    match decided {
        DecisionOutcome::Done(refund) => Ok(refund),
        DecisionOutcome::WrongState(refund) => {
            Err(Problem::refund_state(needs, refund.state.name()))
        }
        DecisionOutcome::InProgress(_) => Err(Problem::refund_under_way()),
        DecisionOutcome::NeedsTwoPersons => Err(Problem::refund_needs_two_persons()),
        DecisionOutcome::Refused(refusal) => Err(Problem::wechatpay_refused_refund(&refusal)),
        DecisionOutcome::Unknown => Err(Problem::wechatpay_silent()),
        DecisionOutcome::RefundNotFound => Err(Problem::refund_not_found()),
    }
}
