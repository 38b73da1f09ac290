//! Reserving an order's number, and finding out who calls WeChat Pay for it.

use flows::{
    api_request::ApiRequest, authenticate::Caller, origin::record_event, problem::Problem,
    stored_body::BodyFacts,
};
use payments::{
    model::order::{IssueLease, Order},
    rules::{
        create_order::CreateOrder,
        reserve_order::{ExistingOrder, NewOrder, compare_existing},
    },
};
use stores::order_table::{ReserveOutcome, WriteOutcome};
use wechatpay::{UnixSeconds, api::PrepayCall};

use crate::app::App;

/// The outcome of reserving the number.
pub(crate) enum Reservation {
    /// This request calls WeChat Pay.
    Leased(LeasedOrder),
    /// The queue calls WeChat Pay, as the caller prefers.
    ForQueue(Box<Order>),
    /// An earlier request made the order, and no call is needed.
    Exists(Box<Order>),
}

/// An order whose lease this request holds.
pub(crate) struct LeasedOrder {
    pub(crate) order: Box<Order>,
    /// The plain body for WeChat Pay, if it is at hand. An order of an earlier request has its own
    /// body, stored, with another `time_expire`.
    pub(crate) body: Option<Vec<u8>>,
    /// Whether an earlier request made the order.
    pub(crate) is_repeat: bool,
}

/// Reserves the number, or finds out what the order that has it means for this request.
pub(crate) async fn reserve(
    app: &App,
    asked: &CreateOrder,
    caller: &Caller,
    request: &ApiRequest,
) -> Result<Reservation, Problem> {
    let origin = &request.origin;
    let respond_async = request.incoming.prefers_async();
    let now_ms = app.clock.now_ms();
    let now = UnixSeconds(now_ms.div_euclid(1000));
    let expires_at = asked.terms.expires_at(now);
    let call = PrepayCall::new(
        asked.terms.product.at_wechat(),
        &asked.prepay_body(&app.merchant, expires_at),
    );
    let body = call.body().to_vec();
    let facts = BodyFacts {
        order_no: &asked.order_no,
        appid: &asked.terms.appid,
        amount: asked.terms.amount,
        expires_at,
    };
    let sealed_body = app.bodies.seal(facts, &body).await?;
    let id = app.random.id();
    let issue_lease = if respond_async {
        IssueLease::none(id)
    } else {
        IssueLease::first(id, now)
    };
    let context = origin.change_context(now_ms);
    let wanted = NewOrder::new(asked, &caller.client_id, sealed_body, issue_lease, &context);
    // Side by side: both are conditional writes, and WeChat Pay is called only after both.
    let (consumed, reserved) = futures_util::join!(
        app.nonces.consume(caller),
        app.orders.reserve(&wanted.order, &wanted.event)
    );
    consumed?;
    let (wanted, event) = (wanted.order, wanted.event);
    let ours = |order: Box<Order>| {
        if respond_async {
            Reservation::ForQueue(order)
        } else {
            Reservation::Leased(LeasedOrder {
                order,
                body: Some(body),
                is_repeat: false,
            })
        }
    };
    let mut found = match reserved? {
        ReserveOutcome::New => {
            record_event(&wanted.order_no, &event, None, origin);
            return Ok(ours(Box::new(wanted)));
        }
        ReserveOutcome::Taken(found) => found,
    };
    let mut lease_is_lost = false;
    loop {
        match compare_existing(&wanted, &found, now) {
            ExistingOrder::SameRequest => return Ok(ours(found)),
            ExistingOrder::OtherClient => return Err(Problem::order_no_taken()),
            ExistingOrder::OtherTerms => return Err(Problem::key_reused()),
            ExistingOrder::Show => return Ok(Reservation::Exists(found)),
            ExistingOrder::InProgress { retry_after_s } => {
                return Err(Problem::in_progress(retry_after_s));
            }
            ExistingOrder::Resume if respond_async => return Ok(Reservation::ForQueue(found)),
            // Others came first once: who asks again in a second meets fewer.
            ExistingOrder::Resume if lease_is_lost => return Err(Problem::in_progress(1)),
            ExistingOrder::Resume => {}
        }
        let taken = app
            .orders
            .take_issue_lease(&found, &wanted.issue_lease.id, app.clock.now())
            .await?;
        match taken {
            WriteOutcome::Written(order) => {
                return Ok(Reservation::Leased(LeasedOrder {
                    order,
                    body: None,
                    is_repeat: true,
                }));
            }
            // Another request changed the order: its newer state counts.
            WriteOutcome::Superseded(newer) => {
                found = newer;
                lease_is_lost = true;
            }
        }
    }
}
