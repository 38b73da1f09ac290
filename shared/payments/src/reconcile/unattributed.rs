//! Creates an order that our books do not have: so that its payment can be refunded, or, if the
//! order was ours and its record was lost, as paid again.
//!
//! WeChat Pay has a payment under a number that our books do not have: another system used the
//! merchant number, or a record was lost. Once two persons have approved the refund, an order is
//! written under that number as closed and unpaid. Settling the payment into it makes it a late
//! payment, which is refunded automatically under a number that never changes. So it takes the same
//! path as all late payments.
//!
//! After a restore of the tables one of our orders may be gone whose payment WeChat Pay has. Once
//! two persons have said whose it was, it is written as `closing`, and its payment is settled into
//! it: it is then paid, as by any other notice. If the settling fails, the sweep tries to close the
//! order, learns that it is paid, and settles that.

use wechatpay::UnixSeconds;

use crate::{
    model::{
        fingerprint::Fingerprint,
        ids::ClientId,
        journal::{ChangeContext, Event, Subject},
        order::{IssueLease, Order, OrderState, Product, RefundTally},
    },
    news::trade::{ReportedPayment, TradeNotice},
    rules::schedule,
};

/// The version of the first event of a restored order. Its lost record had fewer changes than this
/// (fifty refunds with a few changes each), so no event gets an id that its client has already
/// seen.
pub const VERSION_AGAIN: u64 = 1_001;

/// The order created for a payment whose number is not ours, and its first event. `trade_type` is
/// WeChat Pay's value.
pub fn order_for_unattributed_payment(
    notice: &TradeNotice,
    money: &ReportedPayment,
    trade_type: Option<&str>,
    context: &ChangeContext,
) -> (Order, Event) {
    let unattributed = ClientId::new(ClientId::UNATTRIBUTED);
    order_from_payment(
        notice,
        money,
        trade_type,
        NewOrderPlan {
            client_id: unattributed,
            state: OrderState::Closed,
            created_at: context.at,
            version: 1,
        },
        context,
    )
}

/// An order of this client whose record was lost, and its first event since. Its payment is settled
/// into it separately.
pub fn order_from_lost_record(
    notice: &TradeNotice,
    money: &ReportedPayment,
    trade_type: Option<&str>,
    client_id: ClientId,
    context: &ChangeContext,
) -> (Order, Event) {
    let (order, event) = order_from_payment(
        notice,
        money,
        trade_type,
        NewOrderPlan {
            client_id,
            state: OrderState::Closing,
            // Nothing older than its payment is known. The time is one second after the payment, so
            // that a parked record of the payment is looked up, and the payment still counts as
            // this order's.
            created_at: money.payment.paid_at.plus_s(1),
            version: VERSION_AGAIN,
        },
        context,
    );
    // WeChat Pay has it: a close that finds no such order there proves nothing.
    (
        Order {
            issued: true,
            ..order
        },
        event,
    )
}

/// The first state of such an order.
struct NewOrderPlan {
    client_id: ClientId,
    state: OrderState,
    created_at: UnixSeconds,
    version: u64,
}

fn order_from_payment(
    notice: &TradeNotice,
    money: &ReportedPayment,
    trade_type: Option<&str>,
    beginning: NewOrderPlan,
    context: &ChangeContext,
) -> (Order, Event) {
    let NewOrderPlan {
        client_id,
        state,
        created_at,
        version,
    } = beginning;
    let event = context.event(version, Subject::Order, None, state.name());
    let order = Order {
        order_no: notice.order_no.clone(),
        client_id,
        product: product_of(trade_type.unwrap_or_default()),
        appid: notice.appid.clone(),
        amount: money.total,
        // There was no request, so no request is ever a repeat of it.
        fingerprint: Fingerprint([0; 32]),
        sealed_body: None,
        created_at,
        expires_at: created_at,
        issue_lease: IssueLease::none(context.cause.id().to_owned()),
        issued: false,
        state,
        refunds: RefundTally::NONE,
        version: event.version,
        latest_event: Some(event.clone()),
        due: None,
    };
    let due = schedule::next_order_check(&order, &order.state, context.at);
    (Order { due, ..order }, event)
}

/// The product of such a payment. WeChat Pay has more kinds of trade than our API has products (a
/// card reader's `MICROPAY`, `FACE`); all of those are paid by a code.
fn product_of(trade_type: &str) -> Product {
    [Product::Jsapi, Product::App, Product::H5]
        .into_iter()
        .find(|product| product.trade_type() == trade_type)
        .unwrap_or(Product::Native)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{ids::OrderNo, journal::Cause, merchant::MerchantFacts, money::Fen},
        news::trade::TradeOutcome,
        rules::settle_trade::{self, Settlement, tests::payment},
    };

    fn context() -> ChangeContext {
        ChangeContext {
            cause: Cause::Reconciliation("run-1".into()),
            trace: "t".into(),
            is_sampled: true,
            at: UnixSeconds(1_000_000),
            millisecond: None,
            delivery: None,
            request_id: None,
        }
    }

    fn facts() -> MerchantFacts {
        MerchantFacts {
            mchid: "1900000001".into(),
            notify_url: "https://n".into(),
        }
    }

    fn paid() -> (TradeNotice, ReportedPayment) {
        let money = ReportedPayment {
            payment: payment("420001"),
            total: Fen::new(100).unwrap(),
            currency: "CNY".into(),
            refunded: false,
        };
        let notice = TradeNotice {
            mchid: "1900000001".into(),
            appid: "wxa".into(),
            order_no: OrderNo::parse("FOREIGN-1").unwrap(),
            outcome: TradeOutcome::Paid(money.clone()),
            request_id: None,
        };
        (notice, money)
    }

    #[test]
    fn an_order_that_is_taken_on_as_paid_is_paid_by_the_settling_and_due_until_then() {
        let (notice, money) = paid();
        let shop = ClientId::new("shop");
        let (order, event) =
            order_from_lost_record(&notice, &money, Some("JSAPI"), shop, &context());
        assert_eq!(
            (event.to.as_str(), order.client_id.as_str()),
            ("closing", "shop")
        );
        assert_eq!(order.product, Product::Jsapi);
        assert!(
            order.due.is_some(),
            "whoever dies now leaves it to the sweep"
        );
        assert!(order.issued, "WeChat Pay has it");

        let settled = settle_trade::settle_trade(&order, &facts(), &notice, &context());
        let Settlement::Change(change) = settled else {
            panic!("the payment is the order's: {settled:?}");
        };
        assert_eq!(change.to.name(), "paid");
        assert!(change.refund.is_none() && change.parked.is_none());
        assert!(
            change.books_older_money(),
            "what was kept of it for a person is looked up and kept no longer"
        );
        assert_eq!(
            settle_trade::settle_trade(&change.order_after(), &facts(), &notice, &context()),
            Settlement::AlreadyDone
        );
    }

    #[test]
    fn money_that_is_settled_into_an_adopted_order_is_given_back_in_the_same_write() {
        let (notice, money) = paid();
        let context = context();
        let (order, event) =
            order_for_unattributed_payment(&notice, &money, Some("MWEB"), &context);
        assert_eq!(order.product, Product::H5);
        assert_eq!(
            (event.version, event.to.as_str()),
            (order.version, "closed")
        );

        let facts = facts();
        let Settlement::Change(change) =
            settle_trade::settle_trade(&order, &facts, &notice, &context)
        else {
            panic!("late money is settled");
        };
        assert_eq!(change.to.name(), "paid_after_close");
        assert!(change.refund.is_some());
        assert!(change.books_older_money());
    }
}
