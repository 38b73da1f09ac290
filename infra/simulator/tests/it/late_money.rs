//! Money that comes when it should not: after the close, after the order has run out, a second
//! time.

use std::time::Duration;

use serde_json::{Value, json};
use wechatpay_simulator::{
    PaidClose, PayError, PayOptions, RefundOutcome, RefundStatus, Settings, SigningMode, TradeState,
};

use crate::support::{Answer, Ask, Merchant, Receiver, at_noon};

const REFUNDS: &str = "/v3/refund/domestic/refunds";

/// An order of 1 yuan whose callbacks the receiver gets.
async fn order_with_notices(merchant: &Merchant, receiver: &Receiver, number: &str) -> String {
    let mut order = merchant.order(number, 100);
    order["notify_url"] = json!(receiver.url);
    merchant.native(&order).await
}

async fn by_transaction(merchant: &Merchant, transaction_id: &str) -> Value {
    let mchid = &merchant.simulator.details.mchid;
    let path = format!("/v3/pay/transactions/id/{transaction_id}?mchid={mchid}");
    merchant.ask(&Ask::get(&path)).await.json()
}

async fn refund(merchant: &Merchant, number: &str, which: (&str, &str), fen: i64) -> Answer {
    let mut body = json!({
        "out_refund_no": number,
        "amount": {"refund": fen, "total": 100, "currency": "CNY"},
    });
    body[which.0] = json!(which.1);
    merchant.ask(&Ask::post(REFUNDS, &body)).await
}

#[tokio::test]
async fn an_order_that_wechat_pay_closed_itself_closes_again_and_takes_late_money() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    let value = order_with_notices(&merchant, &receiver, "ORDER-1001").await;
    let week = Duration::from_secs(7 * 86_400);
    merchant.admin().advance(week).await;
    assert_eq!(merchant.state("ORDER-1001").await, "CLOSED");
    assert_eq!(
        merchant.ask(&merchant.close("ORDER-1001")).await.status,
        204
    );
    let options = PayOptions::default();
    assert_eq!(
        merchant.admin().pay(&value, &options).unwrap_err(),
        PayError::Closed
    );

    merchant.admin().pay_late("ORDER-1001", &options).unwrap();
    merchant.admin().advance(Duration::ZERO).await;
    assert_eq!(merchant.state("ORDER-1001").await, "SUCCESS");
    let plain = merchant.open(&receiver.received()[0], SigningMode::PublicKey)["plain"].clone();
    assert_eq!(plain["trade_state"], "SUCCESS");
    assert_eq!(
        merchant.admin().pay_late(&value, &options).unwrap_err(),
        PayError::AlreadyPaid
    );
}

#[tokio::test]
async fn money_that_was_under_way_comes_after_the_close_and_after_the_expiry() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    order_with_notices(&merchant, &receiver, "ORDER-closed").await;
    let mut short = merchant.order("ORDER-expired", 100);
    short["notify_url"] = json!(receiver.url);
    short["time_expire"] = json!("2026-08-03T12:05:00+08:00");
    merchant.native(&short).await;
    merchant.ask(&merchant.close("ORDER-closed")).await;
    merchant.admin().advance(Duration::from_secs(300)).await;
    assert_eq!(merchant.state("ORDER-expired").await, "NOTPAY");
    for (number, state) in [
        ("ORDER-closed", TradeState::Closed),
        ("ORDER-expired", TradeState::NotPay),
    ] {
        let before = merchant.admin().order(number).unwrap();
        assert_eq!((before.trade_state, before.payable), (state, false));
        assert_eq!(before.live_value, None);
        merchant
            .admin()
            .pay_late(number, &PayOptions::default())
            .unwrap();
        assert_eq!(merchant.state(number).await, "SUCCESS");
        assert_eq!(
            merchant.ask(&merchant.close(number)).await.code(),
            "TRADE_ERROR"
        );
    }
    merchant.admin().advance(Duration::ZERO).await;
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn the_close_of_a_paid_order_is_refused_in_the_spelling_that_is_set() {
    let merchant = at_noon();
    merchant.native(&merchant.order("ORDER-1001", 100)).await;
    merchant
        .admin()
        .pay("ORDER-1001", &PayOptions::default())
        .unwrap();
    for (paid_close, bare_codes, status, code) in [
        (PaidClose::TradeError, false, 403, "TRADE_ERROR"),
        (PaidClose::OrderPaid, false, 400, "ORDERPAID"),
        (PaidClose::TradeError, true, 403, "TRADEERROR"),
    ] {
        let settings = Settings {
            paid_close,
            bare_codes,
            ..Settings::default()
        };
        merchant.admin().set_settings(settings).unwrap();
        let refused = merchant.ask(&merchant.close("ORDER-1001")).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code));
    }
    let unknown = merchant.ask(&merchant.close("ORDER-9999")).await;
    assert_eq!(
        (unknown.status, unknown.code().as_str()),
        (404, "ORDERNOTEXIST")
    );
}

#[tokio::test]
async fn a_second_payment_has_its_own_number_notice_and_refund() {
    let (merchant, receiver) = (at_noon(), Receiver::start().await);
    order_with_notices(&merchant, &receiver, "ORDER-1001").await;
    let options = PayOptions::default();
    assert_eq!(
        merchant
            .admin()
            .pay_again("ORDER-1001", &options)
            .unwrap_err(),
        PayError::NotPaid
    );
    merchant.admin().pay("ORDER-1001", &options).unwrap();
    let again = PayOptions {
        coupon_fen: 40,
        ..PayOptions::default()
    };
    let view = merchant.admin().pay_again("ORDER-1001", &again).unwrap();
    let numbers: Vec<String> = view
        .payments
        .iter()
        .map(|payment| payment.payment.transaction_id.clone())
        .collect();
    let (first, second) = (&numbers[0], &numbers[1]);
    assert_ne!(first, second);

    merchant.admin().advance(Duration::ZERO).await;
    let notices: Vec<Value> = receiver
        .received()
        .iter()
        .map(|one| merchant.open(one, SigningMode::PublicKey)["plain"].clone())
        .collect();
    assert_eq!(notices.len(), 2);
    assert_eq!(notices[1]["out_trade_no"], "ORDER-1001");
    assert_eq!(notices[1]["transaction_id"], second.as_str());
    assert_eq!(by_transaction(&merchant, second).await, notices[1]);
    assert_eq!(notices[1]["amount"]["payer_total"], 60);
    let by_number = merchant.ask(&merchant.query("ORDER-1001")).await.json();
    assert_eq!(by_number["transaction_id"], first.as_str());

    let accepted = refund(&merchant, "RF-2", ("transaction_id", second), 100).await;
    assert_eq!(accepted.status, 200, "{}", accepted.json());
    assert_eq!(accepted.json()["amount"]["payer_refund"], 60);
    assert_eq!(
        by_transaction(&merchant, second).await["trade_state"],
        "REFUND"
    );
    assert_eq!(merchant.state("ORDER-1001").await, "SUCCESS");
    let too_much = refund(&merchant, "RF-3", ("transaction_id", second), 1).await;
    assert_eq!(too_much.code(), "INVALID_REQUEST");
    let of_the_first = refund(&merchant, "RF-1", ("out_trade_no", "ORDER-1001"), 30).await;
    assert_eq!(of_the_first.json()["transaction_id"], first.as_str());
    assert_eq!(merchant.state("ORDER-1001").await, "REFUND");
}

#[tokio::test]
async fn the_books_say_what_came_in_and_what_went_back_for_one_order() {
    let merchant = at_noon();
    let old = merchant.native(&merchant.order("ORDER-1001", 100)).await;
    let live = merchant.native(&merchant.order("ORDER-1001", 100)).await;
    let view = merchant.admin().order("ORDER-1001").unwrap();
    assert_eq!(view.live_value, Some(live));
    assert!(view.order.dead_values.contains(&old));
    assert_eq!(view.received_fen, 0);

    let balance_fen = merchant.admin().balance_fen();
    let options = PayOptions::default();
    merchant.admin().pay("ORDER-1001", &options).unwrap();
    assert_eq!(merchant.admin().balance_fen(), balance_fen + 99);
    let second = merchant
        .admin()
        .pay_again("ORDER-1001", &options)
        .unwrap()
        .payments[1]
        .payment
        .transaction_id
        .clone();
    merchant.admin().set_refund_outcome(RefundOutcome::Hold);
    refund(&merchant, "RF-1", ("out_trade_no", "ORDER-1001"), 70).await;
    refund(&merchant, "RF-2", ("transaction_id", &second), 100).await;
    let settle = |number, status| merchant.admin().settle_refund(number, status).unwrap();
    settle("RF-2", RefundStatus::Success);
    let view = merchant.admin().order("ORDER-1001").unwrap();
    assert_eq!(
        (
            view.received_fen,
            view.refund_committed_fen,
            view.refunded_fen
        ),
        (200, 170, 100)
    );
    assert_eq!(view.payments[1].refunded_fen, 100);
    settle("RF-1", RefundStatus::Closed);
    let view = merchant.admin().order("ORDER-1001").unwrap();
    assert_eq!((view.refund_committed_fen, view.refunded_fen), (100, 100));
    let refunds = merchant.admin().refunds_of("ORDER-1001");
    let numbers: Vec<&str> = refunds
        .iter()
        .map(|one| one.out_refund_no.as_str())
        .collect();
    assert_eq!(numbers, ["RF-1", "RF-2"]);
    assert_eq!(merchant.admin().refund("RF-1").unwrap().refund_fen, 70);
    assert!(merchant.admin().refund("RF-9").is_none());
}
