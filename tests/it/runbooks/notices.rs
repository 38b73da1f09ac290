//! `notices.md`: why a notice is parked, and what its row says to do.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;
use stores::keys_table::{VerificationEntry, VerificationKind, change::MerchantChange};
use wechatpay_simulator::{
    ConsoleRefund, Damage, ManualNotice, PayOptions, RefundOutcome, RefundStatus, SigningMode,
};

use super::row_says;
use crate::{
    refunds,
    support::{MAX_RECEIVE_COUNT, Testbed, native},
};

const PAGE: &str = "notices.md";

/// The one notice that is parked, by its row.
async fn parked(testbed: &Testbed, begins: &str, words: &[&str], what_to_do: &str) {
    let notices = testbed.notices().await;
    let [kept] = &notices[..] else {
        panic!("{begins}: one notice: {notices:?}");
    };
    assert_eq!(kept["status"], "parked", "{begins}: {kept:?}");
    let advice = &kept["what_to_do"];
    assert!(advice.contains(what_to_do), "{begins}: {advice}");
    row_says(PAGE, begins, words);
}

async fn gives_back(testbed: &Testbed, fen: i64) -> crate::support::ApiAnswer {
    let payment = &testbed.items("payment#").await[0];
    let body = json!({
        "refund_no": "R1", "amount_fen": fen, "transaction_id": payment["transaction_id"],
    });
    testbed.post("/v1/orders/ORDER-1/refunds", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn money_that_fits_no_order_says_why_and_goes_the_way_of_its_row() {
    for (alter, field) in [
        (json!({"amount": {"currency": "USD"}}), "currency"),
        (json!({"appid": "wx00000000000000bb"}), "appid"),
        (json!({"mchid": "1900000002"}), "mchid"),
    ] {
        let testbed = Testbed::start().await;
        testbed.post_order(&native("ORDER-1")).await;
        testbed.pay_altered("ORDER-1", alter).await;
        assert_eq!(testbed.work_off().await, 0);
        let differs = format!("{field} differs from the order's");
        let begins = "currency, appid or mchid differ";
        parked(&testbed, begins, &["never change the order"], &differs).await;
        let order = testbed.order("ORDER-1").await;
        assert_eq!(order.state.name(), "awaiting_payment");
    }

    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let other = json!({"amount": {"total": 99}});
    testbed.pay_altered("ORDER-1", other).await;
    assert_eq!(testbed.work_off().await, 0);
    let begins = "another amount, for an order that is not paid";
    let words = ["--transaction-id ID` gives it back, whole"];
    parked(&testbed, begins, &words, "amount differs").await;
    assert_ne!(gives_back(&testbed, 98).await.status, 202, "whole");
    assert_eq!(gives_back(&testbed, 99).await.status, 202);

    let testbed = Testbed::start().await;
    testbed.paid_in_silence("ORDER-1").await;
    testbed.forget("ORDER-1").await;
    let admin = testbed.wechat.admin();
    let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(testbed.receive(&callback).await.status, 204);
    assert_eq!(testbed.work_off().await, 0);
    let words = [
        "an order of another system",
        "two persons give the money back",
    ];
    parked(
        &testbed,
        "no such order",
        &words,
        "no order has this number",
    )
    .await;
    // A client takes the number while it is another system's.
    let taken = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(taken.status, 422, "{}", taken.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_was_given_back_elsewhere_is_booked_and_parked_under_a_row_of_its_own() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let elsewhere = json!({"trade_state": "REFUND"});
    testbed.pay_altered("ORDER-1", elsewhere).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.order("ORDER-1").await.state.name(), "paid");
    let begins = "the payment was refunded elsewhere, in part or whole";
    let words = [
        "before anything is delivered",
        "the order is booked as paid",
    ];
    parked(&testbed, begins, &words, "refunded outside this system").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn money_of_another_system_under_a_number_of_ours_is_left_to_it() {
    let testbed = Testbed::start().await;
    testbed.paid_in_silence("ORDER-1").await;
    testbed.forget("ORDER-1").await;
    testbed.advance(Duration::from_secs(1)).await;
    let refused = testbed.post_order(&native("ORDER-1")).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    for _ in 0..3 {
        testbed.work_off().await;
        testbed.advance(Duration::from_secs(60)).await;
        testbed.sweep().await;
    }
    let begins = "another system has used the order's number";
    let words = ["leave it there", "The order's client takes a new number"];
    parked(&testbed, begins, &words, "another system").await;
    assert_eq!(gives_back(&testbed, 100).await.status, 422, "not ours");
    assert!(testbed.wechat.admin().refunds().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_is_two_persons_and_taken_into_the_books_when_it_goes_back_in_the_console()
{
    let testbed = Testbed::start().await;
    testbed.paid("ORDER-1").await;
    let admin = testbed.wechat.admin();
    admin.pay_again("ORDER-1", &PayOptions::default()).unwrap();
    testbed.deliver().await;
    assert_eq!(testbed.work_off().await, 0);
    let begins = "a second payment for a paid order";
    let words = [
        "`cargo client refund` alone cannot",
        "give all of it back on the merchant platform: the refund is imported into the books",
    ];
    parked(&testbed, begins, &words, "already paid by").await;
    let asked = gives_back(&testbed, 100).await;
    assert_eq!(asked.body["code"], "refund_needs_two_persons");
    let payment = testbed.items("payment#").await.remove(0);
    let whole = ConsoleRefund {
        order: "ORDER-1".to_owned(),
        refund_fen: 100,
        transaction_id: Some(payment["transaction_id"].clone()),
        notify_url: Some(testbed.notify_url.clone()),
        ..ConsoleRefund::default()
    };
    admin.console_refund(&whole).unwrap();
    refunds::minutes(&testbed, 2).await;
    assert_eq!(testbed.items("payment#").await[0]["state"], "refunded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_of_the_console_that_does_not_fit_its_order_is_parked() {
    let testbed = refunds::paid().await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Hold);
    testbed.refund("ORDER-1", "R1", 100).await;
    let too_much = ConsoleRefund {
        order: "ORDER-1".to_owned(),
        refund_fen: 100,
        notify_url: Some(testbed.notify_url.clone()),
        ..ConsoleRefund::default()
    };
    admin.console_refund(&too_much).unwrap();
    let number = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    admin.settle_refund(&number, RefundStatus::Success).unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    let begins = "a refund that was not made here";
    let words = ["compare it with the order, then decide"];
    parked(&testbed, begins, &words, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_whose_key_is_gone_waits_and_is_booked_when_the_key_is_back_and_it_is_sent_round_again()
 {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    let admin = testbed.wechat.admin();
    admin.pay("ORDER-1", &PayOptions::default()).unwrap();
    let callback = admin.signed_callback("ORDER-1", &Damage::None).unwrap();
    assert_eq!(testbed.receive(&callback).await.status, 204);
    let (id, pem) = admin.newest_key(SigningMode::PublicKey).unwrap();
    let (certificate, _) = admin.newest_key(SigningMode::Certificate).unwrap();
    let gone = MerchantChange {
        remove_verification: Some(&id),
        response_serial: Some(&certificate),
        ..MerchantChange::default()
    };
    testbed.keys.change_merchant(&gone).await.expect("written");
    testbed.advance(Duration::from_secs(61)).await;
    for _ in 0..MAX_RECEIVE_COUNT {
        assert_eq!(testbed.work_off().await, 1);
    }
    assert_eq!(testbed.work_off().await, 0);
    let [_, dead_results] = testbed.dead_letters().await;
    assert_eq!(dead_results.len(), 1);
    let kept = testbed.notices().await.remove(0);
    assert_eq!(kept["status"], "pending", "{kept:?}");
    assert!(kept["last_error"].contains(&id), "{kept:?}");
    let begins = "(`pending`, with a `last_error`) the signature or the key does not fit any more";
    row_says(
        PAGE,
        begins,
        &[
            "[keys.md](keys.md)",
            "after the eighth time",
            "then `redrive`",
        ],
    );

    let entry = [VerificationEntry {
        id,
        kind: VerificationKind::PublicKey,
        pem,
    }];
    let back = MerchantChange {
        add_verification: &entry,
        ..MerchantChange::default()
    };
    testbed.keys.change_merchant(&back).await.expect("written");
    testbed.advance(Duration::from_secs(61)).await;
    // SQS gives what is sent back another id.
    testbed.redrive(&kept["message"]).await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.order("ORDER-1").await.state.name(), "paid");
    let notices = testbed.notices().await;
    let is_ok = |notice: &BTreeMap<String, String>| notice["status"] == "ok";
    assert!(
        notices.iter().all(is_ok),
        "nothing is left of it: {notices:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn news_that_this_bundle_does_not_know_is_applied_to_nothing() {
    for notice in [ManualNotice::ProfitSharing, ManualNotice::Combined] {
        let testbed = Testbed::start().await;
        testbed.post_order(&native("ORDER-1")).await;
        let admin = testbed.wechat.admin();
        admin.send_notice(&notice, "ORDER-1", None).unwrap();
        testbed.deliver().await;
        assert_eq!(testbed.work_off().await, 0);
        let begins = "a kind of event that this bundle does not know";
        parked(
            &testbed,
            begins,
            &["nothing was applied"],
            "is not handled here",
        )
        .await;
        let order = testbed.order("ORDER-1").await;
        assert_eq!(order.state.name(), "awaiting_payment");
    }
}
