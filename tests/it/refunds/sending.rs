//! Refunds are reserved, sent once, a minute apart, and asked about before they are sent again.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use stores::guards::{Guards, Lease, LeaseKey};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay::UnixSeconds;
use wechatpay_simulator::{Endpoint, Fault, RefundOutcome, Rule};

use super::{given_back, minutes, paid, state, wait_s};
use crate::{contract::conforms, support::native};

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_taken_on_sent_by_the_queue_and_done_by_its_notice() {
    let testbed = paid().await;
    let taken = testbed.refund("ORDER-1", "R1", 40).await;
    assert_eq!(
        (taken.status, &taken.body["state"]),
        (202, &json!("reserved"))
    );
    assert_eq!(taken.headers["location"], "/v1/orders/ORDER-1/refunds/R1");
    testbed.work_off().await;
    minutes(&testbed, 2).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "succeeded");
    assert!(refund["refund_id"].is_string() && refund["succeeded_at"].is_string());
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(
        (&order["state"], &order["refunded_fen"]),
        (&json!("partially_refunded"), &json!(40))
    );
    testbed.refund("ORDER-1", "R2", 60).await;
    minutes(&testbed, 3).await;
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "refunded");
    assert_eq!(given_back(&testbed), 100);
    let sent = &testbed.wechat.admin().refunds()[0];
    assert!(sent.request.to_string().contains("notify_url"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_of_a_refund_is_the_same_refund_and_another_body_is_refused() {
    let testbed = paid().await;
    testbed.refund("ORDER-1", "R1", 40).await;
    let again = testbed.refund("ORDER-1", "R1", 40).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let other = testbed.refund("ORDER-1", "R1", 41).await;
    assert_eq!(
        (other.status, &other.body["code"]),
        (422, &json!("idempotency_key_reused"))
    );
    let by_key = |key: &str| {
        testbed.client.post_with(
            "/v1/orders/ORDER-1/refunds",
            &json!({"amount_fen": 10}),
            &[("idempotency-key", key)],
            &testbed,
        )
    };
    let first = testbed.send(by_key("k1")).await;
    let second = testbed.send(by_key("k1")).await;
    assert_eq!((first.status, second.status), (202, 200));
    assert_eq!(first.body["refund_no"], second.body["refund_no"]);
    minutes(&testbed, 4).await;
    assert_eq!(given_back(&testbed), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_partial_refunds_never_pass_the_paid_sum() {
    let testbed = paid().await;
    let asks = (0..16).map(|n| {
        let testbed = &testbed;
        async move { testbed.refund("ORDER-1", &format!("R{n}"), 30).await }
    });
    let answers = join_all(asks).await;
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    assert!(
        (1..=3).contains(&taken),
        "{taken} refunds of 30 were taken on for 100"
    );
    for answer in answers.iter().filter(|answer| answer.status == 422) {
        assert_eq!(answer.body["code"], "refund_exceeds_payment");
    }
    minutes(&testbed, 8).await;
    assert_eq!(given_back(&testbed), 30 * i64::try_from(taken).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_of_one_order_go_out_a_minute_apart() {
    let testbed = paid().await;
    for refund_no in ["R1", "R2", "R3"] {
        assert_eq!(testbed.refund("ORDER-1", refund_no, 10).await.status, 202);
    }
    testbed.work_off().await;
    assert_eq!(
        testbed.wechat.admin().requests()[&Endpoint::CreateRefund],
        1
    );
    minutes(&testbed, 1).await;
    assert_eq!(
        testbed.wechat.admin().requests()[&Endpoint::CreateRefund],
        2
    );
    minutes(&testbed, 2).await;
    assert_eq!(given_back(&testbed), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_of_one_order_that_are_due_at_once_after_a_delay_go_out_a_minute_apart() {
    let testbed = paid().await;
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::times(Fault::TooManyRequests, 1).at(Endpoint::CreateRefund))
        .unwrap();
    for refund_no in ["R1", "R2", "R3"] {
        assert_eq!(testbed.refund("ORDER-1", refund_no, 10).await.status, 202);
    }
    testbed.work_off().await; // the first is put off, until the second's minute
    let sent = || admin.requests()[&Endpoint::CreateRefund];
    assert_eq!(sent(), 1);
    testbed.advance(Duration::from_secs(60)).await;
    testbed.sweep().await;
    assert_eq!(sent(), 2, "the first and the second are due, and one waits");
    for waiting in testbed.items("refund#").await {
        if waiting["state"] == "reserved" {
            let tries = if waiting["refund_no"] == "R1" {
                "1"
            } else {
                "0"
            };
            assert_eq!(waiting["tries"], tries, "only a try counts: {waiting:?}");
        }
    }
    for _ in 0..6 {
        let before = sent();
        minutes(&testbed, 1).await;
        assert!(sent() - before <= 1, "{} in one minute", sent() - before);
    }
    assert_eq!(sent(), 4, "none of them was refused for coming too soon");
    assert_eq!(given_back(&testbed), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_is_sent_again_holds_its_orders_minute_and_waits_for_no_other() {
    let testbed = paid().await;
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::times(Fault::TooManyRequests, 1).at(Endpoint::CreateRefund))
        .unwrap();
    assert_eq!(testbed.refund("ORDER-1", "R1", 10).await.status, 202);
    // It goes out five seconds after its slot, so that its next check comes before its minute is
    // over.
    testbed.advance(Duration::from_secs(5)).await;
    testbed.work_off().await;
    assert_eq!(admin.requests()[&Endpoint::CreateRefund], 1);
    testbed.advance(Duration::from_secs(55)).await;
    testbed.sweep().await;
    assert_eq!(admin.requests()[&Endpoint::CreateRefund], 2);
    minutes(&testbed, 1).await;
    assert_eq!(given_back(&testbed), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_minute_is_one_refunds_which_may_renew_it() {
    let testbed = paid().await;
    let (mchid, order_no) = (crate::support::MCHID, crate::support::number("ORDER-1"));
    let guards = Guards::new(testbed.dynamo(), &testbed.tables.guards);
    let minute = LeaseKey::Refund {
        mchid,
        order_no: &order_no,
    };
    let at = |s: i64| UnixSeconds(1_000_000 + s);
    let take = |holder: &'static str, s: i64| guards.lease(&minute, holder, 60, at(s));
    assert_eq!(take("one", 0).await.unwrap(), Lease::Acquired);
    let held_until = |until| Lease::Held {
        until,
        holder: "one".to_owned(),
    };
    assert_eq!(take("other", 59).await.unwrap(), held_until(at(60)));
    assert_eq!(take("one", 50).await.unwrap(), Lease::Acquired, "renewed");
    assert_eq!(take("other", 60).await.unwrap(), held_until(at(110)));
    assert_eq!(take("other", 110).await.unwrap(), Lease::Acquired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_answer_was_lost_is_asked_about_and_not_sent_again() {
    for fault in [
        Fault::ServerErrorAfter { status: 500 },
        Fault::ResetAfter,
        Fault::ProbeResponse,
        Fault::TooManyRequestsAfter,
    ] {
        let testbed = paid().await;
        testbed
            .wechat
            .admin()
            .add_fault(Rule::times(fault, 1).at(Endpoint::CreateRefund))
            .unwrap();
        testbed.refund("ORDER-1", "R1", 100).await;
        minutes(&testbed, 3).await;
        assert_eq!(state(&testbed, "R1").await, "succeeded");
        assert_eq!(
            testbed.wechat.admin().requests()[&Endpoint::CreateRefund],
            1
        );
        assert_eq!(given_back(&testbed), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_never_arrived_is_sent_again_under_the_same_number() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::times(Fault::ResetBefore, 1).at(Endpoint::CreateRefund))
        .unwrap();
    let number = testbed.refund("ORDER-1", "R1", 100).await.body["out_refund_no"].clone();
    minutes(&testbed, 3).await;
    assert_eq!(state(&testbed, "R1").await, "succeeded");
    let refunds = testbed.wechat.admin().refunds_of("ORDER-1");
    assert_eq!(refunds.len(), 1);
    assert_eq!(number, refunds[0].out_refund_no.as_str());
    assert!(testbed.wechat.admin().requests()[&Endpoint::QueryRefund] >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_notices_the_sweep_finds_what_became_of_a_refund() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::LostCallback))
        .unwrap();
    testbed.refund("ORDER-1", "R1", 100).await;
    minutes(&testbed, 3).await;
    assert_eq!(state(&testbed, "R1").await, "succeeded");
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "refunded");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_refund_frees_its_money_and_a_new_number_is_right() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Closed);
    testbed.refund("ORDER-1", "R1", 100).await;
    minutes(&testbed, 2).await;
    assert_eq!(state(&testbed, "R1").await, "closed");
    assert!(
        testbed
            .get_order("ORDER-1")
            .await
            .body
            .get("refund_committed_fen")
            .is_none()
    );
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Success);
    assert_eq!(testbed.refund("ORDER-1", "R2", 100).await.status, 202);
    minutes(&testbed, 3).await;
    assert_eq!(given_back(&testbed), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_s_refunds_say_that_they_go_out_a_minute_apart() {
    let testbed = paid().await;
    let mut waits = Vec::new();
    for (refund_no, retry_after) in [("R1", "2"), ("R2", "62"), ("R3", "122")] {
        let asked = testbed.refund("ORDER-1", refund_no, 10).await;
        conforms("/v1/orders/{order_no}/refunds", "post", &asked);
        assert_eq!(
            asked.header("retry-after"),
            Some(retry_after),
            "{refund_no}"
        );
        waits.push(wait_s(&testbed, &asked));
    }
    assert_eq!(waits, [0, 60, 120]);
    testbed.work_off().await;
    let shown = testbed.get_refund("ORDER-1", "R1").await;
    assert_eq!(shown.body.get("next_try_at"), None, "it went: {shown:?}");
    let events = testbed.get("/v1/orders/ORDER-1/events").await.body;
    let listed: Vec<bool> = events["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["subject"] == "refund")
        .map(|event| event["next_try_at"].is_string())
        .collect();
    assert_eq!(
        listed,
        [true, true, true, false],
        "three to go, and one that went"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_paid_order_of_the_client_is_refunded_and_no_more_than_was_paid() {
    let testbed = paid().await;
    testbed.post_order(&native("ORDER-2")).await;
    for (order_no, refund_no, fen, status, code) in [
        ("ORDER-2", "R1", 1, 409, "order_not_paid"),
        ("ORDER-9", "R1", 1, 404, "order_not_found"),
        ("ORDER-1", "R1", 101, 422, "refund_exceeds_payment"),
        ("ORDER-1", "R1", 0, 400, "invalid_request"),
        ("ORDER-1", "auto-1", 1, 400, "invalid_request"),
    ] {
        let answer = testbed.refund(order_no, refund_no, fen).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (status, &json!(code))
        );
    }
    let stranger = testbed.another_client("stranger").await;
    for request in [
        stranger.post(
            "/v1/orders/ORDER-1/refunds",
            &json!({"refund_no": "R1", "amount_fen": 1}),
            &testbed,
        ),
        stranger.get("/v1/orders/ORDER-1/refunds", &testbed),
        stranger.get("/v1/orders/ORDER-1/events", &testbed),
    ] {
        assert_eq!(testbed.send(request).await.status, 404);
    }
    testbed.clock.advance(Duration::from_secs(366 * 24 * 3600));
    assert_eq!(
        testbed.refund("ORDER-1", "R1", 1).await.body["code"],
        "refund_too_late"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_reserving_and_sending_leaves_it_to_the_sweep() {
    let testbed = paid().await;
    testbed.wire.break_next(
        Match::operation(Service::DynamoDb, "TransactWriteItems"),
        AwsFault::DieAfter,
    );
    let died = testbed
        .wire
        .run_until_crash(testbed.refund("ORDER-1", "R1", 100))
        .await;
    assert!(died.is_none());
    testbed.wire.mend();
    minutes(&testbed, 3).await;
    assert_eq!(state(&testbed, "R1").await, "succeeded");
}
