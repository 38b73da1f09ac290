//! Taking on an order that nobody here made, so that its money can be given back.
//!
//! WeChat Pay took money under a number that our books do not have: another system used the merchant number, or a record was
//! lost. Once two persons have approved the refund, an order is written under that number as one that was closed unpaid. Settling
//! the payment into it is then late money, which is refunded by itself under a number that never changes: the path that all
//! late money goes, with its tests, its notices and its journal.

use crate::{
    ids::ClientId,
    journal::{Because, Event, Subject},
    notice::{Money, TradeNotice},
    order::{Attempt, Fingerprint, Order, OrderState, Product, RefundTally},
};

/// The client whom such orders belong to. No key can be registered for this name, so no client ever sees them.
pub const NOBODY: &str = "(nobody)";

/// The order for money that came under a number of nobody's, and its first event. `trade_type` is WeChat Pay's word.
pub fn adopt(
    notice: &TradeNotice,
    money: &Money,
    trade_type: Option<&str>,
    because: &Because,
) -> (Order, Event) {
    let state = OrderState::Closed;
    let event = because.event(1, Subject::Order, None, state.name());
    let order = Order {
        order_no: notice.order_no.clone(),
        client_id: ClientId::new(NOBODY),
        product: product_of(trade_type.unwrap_or_default()),
        appid: notice.appid.clone(),
        amount: money.total,
        // Nothing was asked for here, so no request is ever a repeat of it.
        fingerprint: Fingerprint([0; 32]),
        sealed_body: Vec::new(),
        created_at: because.at,
        expires_at: because.at,
        attempt: Attempt::none(because.cause.id().to_owned()),
        issued: false,
        state,
        refunds: RefundTally::NONE,
        version: event.version,
        trace: because.trace.clone(),
        due: None,
    };
    (order, event)
}

/// The product whose route such a payment came by. WeChat Pay has more kinds of trade than our API has products (a card reader's
/// `MICROPAY`, `FACE`); all of those are paid by a code.
fn product_of(trade_type: &str) -> Product {
    [Product::Jsapi, Product::App, Product::H5]
        .into_iter()
        .find(|product| product.trade_type() == trade_type)
        .unwrap_or(Product::Native)
}

#[cfg(test)]
mod tests {
    use wechatpay::UnixSeconds;

    use super::*;
    use crate::{
        ids::OrderNo,
        journal::Cause,
        money::Fen,
        notice::Outcome,
        settle::{self, MerchantFacts, Settlement, tests::payment},
    };

    #[test]
    fn money_that_is_settled_into_an_adopted_order_is_given_back_in_the_same_write() {
        let money = Money {
            payment: payment("420001"),
            total: Fen::new(100).unwrap(),
            currency: "CNY".into(),
            refunded: false,
        };
        let notice = TradeNotice {
            mchid: "1900000001".into(),
            appid: "wxa".into(),
            order_no: OrderNo::parse("FOREIGN-1").unwrap(),
            outcome: Outcome::Paid(money.clone()),
        };
        let because = Because {
            cause: Cause::Reconciliation("run-1".into()),
            trace: "t".into(),
            at: UnixSeconds(1_000_000),
        };
        let (order, event) = adopt(&notice, &money, Some("MWEB"), &because);
        assert_eq!(order.product, Product::H5);
        assert_eq!(
            (event.version, event.to.as_str()),
            (order.version, "closed")
        );

        let facts = MerchantFacts {
            mchid: "1900000001".into(),
            notify_url: "https://n".into(),
        };
        let Settlement::Change(change) = settle::judge(&order, &facts, &notice, &because) else {
            panic!("late money is settled");
        };
        assert_eq!(change.to.name(), "paid_after_close");
        assert!(change.refund.is_some());
        assert!(change.books_older_money());
    }
}
