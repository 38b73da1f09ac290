//! Refunds: set aside first, sent under one number, asked about before they are sent again.

use std::time::Duration;

use futures_util::future::join_all;
use payments::{
    model::{
        decision::DecidedBy,
        ids::OrderNo,
        journal::{Cause, ChangeContext},
        order::Order,
        refund::Refund,
    },
    rules::{decide_refund::confirm_payer_paid, overdue_refund::Trouble},
};
use serde_json::{Value, json};
use stores::{
    guards::{Guards, Lease, LeaseKey},
    order_table::ApplyOutcome,
};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{
    ConsoleRefund, Endpoint, Fault, RefundOutcome, RefundStatus, Rule, Settings,
};

use wechatpay::UnixSeconds;

use crate::{
    contract::conforms,
    support::{ApiAnswer, Lines, Testbed, native},
};

/// A paid order of 100 fen.
pub(crate) async fn paid() -> Testbed {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    testbed.work_off().await;
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    testbed
}

/// Queue, callbacks and sweep do their work for so many simulated minutes.
pub(crate) async fn minutes(testbed: &Testbed, minutes: u32) {
    for _ in 0..minutes {
        testbed.work_off().await;
        testbed.advance(Duration::from_secs(60)).await;
        testbed.sweep().await;
        testbed.work_off().await;
    }
}

/// Fen that WeChat Pay gave back of an order.
fn given_back(testbed: &Testbed) -> i64 {
    testbed
        .wechat
        .admin()
        .order("ORDER-1")
        .unwrap()
        .refunded_fen
}

async fn state(testbed: &Testbed, refund_no: &str) -> String {
    let refund = testbed.get_refund("ORDER-1", refund_no).await;
    refund.body["state"].as_str().unwrap_or_default().to_owned()
}

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
async fn a_refund_that_is_sent_again_holds_its_orders_minute_and_waits_for_nobody() {
    let testbed = paid().await;
    let admin = testbed.wechat.admin();
    admin
        .add_fault(Rule::times(Fault::TooManyRequests, 1).at(Endpoint::CreateRefund))
        .unwrap();
    assert_eq!(testbed.refund("ORDER-1", "R1", 10).await.status, 202);
    // It goes out five seconds after its slot, so that its next look comes before its minute is
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
async fn an_abnormal_refund_waits_for_a_person_who_says_where_the_money_goes() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Abnormal);
    testbed.refund("ORDER-1", "R1", 100).await;
    minutes(&testbed, 2).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "abnormal");
    assert!(refund["what_to_do"].as_str().unwrap().contains("abnormal"));
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Success);
    let card = json!({
        "to": "user", "bank_type": "ICBC_DEBIT", "bank_account": "6222020200012345678", "real_name": "李雷",
        "who": "Wang", "why": "the payer named another card",
    });
    let answer = testbed
        .post("/v1/orders/ORDER-1/refunds/R1/abnormal", &card)
        .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    minutes(&testbed, 3).await;
    assert_eq!(state(&testbed, "R1").await, "succeeded");
    let held = format!("{:?}", testbed.items("").await);
    assert!(!held.contains("6222020200012345678") && !held.contains("李雷"));
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["redirected"]["to"], "user");
    assert!(refund.get("payer_owed").is_none(), "the payer has it");
    let notices = testbed.notices().await;
    assert!(notices.is_empty(), "{notices:?}");
}

/// An abnormal refund of the whole of `ORDER-1`.
pub(crate) async fn abnormal() -> Testbed {
    let testbed = paid().await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    testbed.refund("ORDER-1", "R1", 100).await;
    minutes(&testbed, 2).await;
    assert_eq!(state(&testbed, "R1").await, "abnormal");
    admin.set_refund_outcome(RefundOutcome::Success);
    testbed
}

pub(crate) const REDIRECT: &str = "/v1/orders/ORDER-1/refunds/R1/abnormal";

#[tokio::test(flavor = "multi_thread")]
async fn money_that_went_to_the_merchant_leaves_its_payer_owed_until_a_person_says_how_it_was_paid()
{
    let testbed = abnormal().await;
    let to = json!({"to": "merchant", "who": "Wang", "why": "he has no \"card\""});
    assert_eq!(testbed.post(REDIRECT, &to).await.status, 202);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "REDIRECTED");
    assert!(
        refund.get("what_to_do").is_none(),
        "it is under way: {refund}"
    );
    minutes(&testbed, 3).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["payer_owed"]),
        (&json!("succeeded"), &json!(true))
    );
    let redirected = &refund["redirected"];
    assert_eq!(
        [&redirected["to"], &redirected["who"], &redirected["why"]],
        [&to["to"], &to["who"], &to["why"]]
    );
    let what_to_do = refund["what_to_do"].as_str().unwrap();
    assert!(what_to_do.contains("payer-paid"), "{what_to_do}");
    let [owed] = testbed.notices().await.try_into().unwrap();
    assert_eq!(owed["status"], "parked");
    assert!(owed["notice_id"].starts_with("owed#"), "{owed:?}");

    // Told of every six hours, and no later news clears it.
    testbed.advance(Duration::from_secs(6 * 3600 + 60)).await;
    testbed.sweep().await;
    assert_eq!(
        testbed.get_refund("ORDER-1", "R1").await.body["payer_owed"],
        true
    );
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(
        (&order["state"], &order["payer_owed"]),
        (&json!("refunded"), &json!(true))
    );

    let paid = json!({"who": "Zhao", "why": "by bank, slip 12"});
    let closing = "/v1/orders/ORDER-1/refunds/R1/payer-paid";
    let closed = testbed.post(closing, &paid).await;
    assert_eq!(closed.status, 200, "{}", closed.body);
    assert_eq!(
        testbed.post(closing, &paid).await.body,
        closed.body,
        "a repeat"
    );
    assert!(closed.body.get("payer_owed").is_none() && closed.body.get("what_to_do").is_none());
    assert_eq!(closed.body["payer_paid"]["who"], "Zhao");
    let order = testbed.get_order("ORDER-1").await.body;
    assert!(order.get("payer_owed").is_none(), "{order}");
    let other = json!({"who": "Li", "why": "in cash"});
    assert_eq!(
        testbed.post(closing, &other).await.body["code"],
        "refund_state"
    );
    let [owed] = testbed.notices().await.try_into().unwrap();
    assert_eq!(
        (owed["status"].as_str(), owed["decided_by"].as_str()),
        ("decided", "Zhao")
    );

    let events = testbed.get("/v1/orders/ORDER-1/events").await.body;
    let decisions: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event.get("decision"))
        .collect();
    let redirect =
        json!({"what": "redirect", "to": "merchant", "who": "Wang", "why": "he has no \"card\""});
    assert_eq!(
        decisions,
        [
            &redirect,
            // Order and refund, once the money is there: whose news is that alone.
            &redirect,
            &redirect,
            &json!({"what": "payer_paid", "who": "Zhao", "why": "by bank, slip 12"}),
        ]
    );
    let due = testbed.items("refund#").await.remove(0);
    assert!(!due.contains_key("due_at"), "nobody is told of it any more");
}

/// The last event takes back the redirect that the one before told of.
async fn decided_and_taken_back(testbed: &Testbed) {
    let events = testbed.get("/v1/orders/ORDER-1/events").await.body;
    let last: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .take(2)
        .map(|event| (&event["from"], &event["to"], &event["decision"]["what"]))
        .collect();
    let abnormal = json!("abnormal");
    assert_eq!(
        last,
        [
            (&abnormal, &abnormal, &Value::Null),
            (&abnormal, &abnormal, &json!("redirect")),
        ],
        "{events}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_wechat_pay_refused_or_never_got_leaves_the_refund_to_be_decided_about_anew()
 {
    let testbed = abnormal().await;
    let admin = testbed.wechat.admin();
    let refuses = Fault::Refuse {
        status: 400,
        code: "PARAM_ERROR".to_owned(),
    };
    admin
        .add_fault(Rule::times(refuses, 1).at(Endpoint::AbnormalRefund))
        .unwrap();
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    assert_eq!(
        testbed.post(REDIRECT, &to).await.body["code"],
        "wechatpay_refused"
    );
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert!(refund.get("redirected").is_none(), "{refund}");
    assert_eq!(refund["trouble"], "PARAM_ERROR");
    assert!(refund["what_to_do"].is_string());

    // The call never arrives: in a minute the sweep queries, and operators decide again.
    let lost =
        Rule::times(Fault::ServerErrorBefore { status: 500 }, 1).at(Endpoint::AbnormalRefund);
    admin.add_fault(lost).unwrap();
    assert_eq!(
        testbed.post(REDIRECT, &to).await.body["code"],
        "wechatpay_silent"
    );
    let other = json!({"to": "merchant", "who": "Li", "why": "me too"});
    let at_once = testbed.post(REDIRECT, &other).await;
    assert_eq!(
        at_once.body["code"], "refund_state",
        "another person at once"
    );
    testbed.advance(Duration::from_secs(61)).await;
    testbed.sweep().await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "ABNORMAL_AGAIN");
    assert!(
        refund.get("redirected").is_none(),
        "never carried out: {refund}"
    );
    decided_and_taken_back(&testbed).await;
    assert_eq!(testbed.post(REDIRECT, &other).await.status, 202);
    let repeat = testbed.post(REDIRECT, &other).await;
    assert_eq!(repeat.status, 202, "{}", repeat.body);
    minutes(&testbed, 3).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["redirected"]["who"]),
        (&json!("succeeded"), &json!("Li"))
    );
    assert_eq!(
        testbed.post(REDIRECT, &other).await.status,
        202,
        "its answer may have been lost"
    );
    assert_eq!(
        testbed.post(REDIRECT, &to).await.body["code"],
        "refund_state"
    );
}

/// The order and its one refund, as the table has them.
async fn books(testbed: &Testbed) -> (Order, Refund) {
    let order_no = OrderNo::parse("ORDER-1").unwrap();
    let order = testbed.orders.read(&order_no).await.unwrap().unwrap();
    let refund = testbed.orders.refunds(&order_no).await.unwrap().remove(0);
    (order, refund)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_was_sent_to_the_merchant_in_the_console_is_left_alone_and_owed_to_its_payer()
{
    let testbed = abnormal().await;
    let admin = testbed.wechat.admin();
    let number = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    admin.send_refund_to_merchant(&number).unwrap();
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    for _ in 0..2 {
        assert_eq!(
            testbed.post(REDIRECT, &to).await.body["code"],
            "refund_state"
        );
        let refund = testbed.get_refund("ORDER-1", "R1").await.body;
        assert_eq!(refund["trouble"], "REDIRECTED");
        assert!(refund.get("what_to_do").is_none(), "{refund}");
        assert!(refund.get("redirected").is_none(), "not by Wang: {refund}");
    }
    minutes(&testbed, 3).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await;
    conforms("/v1/orders/{order_no}/refunds/{refund_no}", "get", &refund);
    assert_eq!(
        (&refund.body["state"], &refund.body["payer_owed"]),
        (&json!("succeeded"), &json!(true))
    );
    let who = &refund.body["redirected"]["who"];
    assert_eq!(who, "WeChat Pay's console");
    let [owed] = testbed.notices().await.try_into().unwrap();
    assert_eq!(owed["status"], "parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_persons_who_say_how_a_payer_was_paid_at_once_the_second_is_not_believed() {
    let testbed = abnormal().await;
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    assert_eq!(testbed.post(REDIRECT, &to).await.status, 202);
    minutes(&testbed, 3).await;
    // The second reads the refund before the first writes, and the order after that.
    let (_, before) = books(&testbed).await;
    let paid = json!({"who": "Zhao", "why": "by bank"});
    let closing = "/v1/orders/ORDER-1/refunds/R1/payer-paid";
    assert_eq!(testbed.post(closing, &paid).await.status, 200);
    let (order, _) = books(&testbed).await;
    let li = DecidedBy {
        who: "Li".to_owned(),
        why: "in cash".to_owned(),
    };
    let because = ChangeContext {
        cause: Cause::Request("req-1".to_owned()),
        trace: String::new(),
        at: testbed.clock.now(),
        request_id: None,
    };
    let change = confirm_payer_paid(&order, &before, li, &because).unwrap();
    assert_eq!(
        testbed.orders.apply(&change).await.unwrap(),
        ApplyOutcome::VersionMoved
    );
    let (_, after) = books(&testbed).await;
    assert_eq!(after.payer_paid.unwrap().decided.who, "Zhao");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_began_before_a_decision_takes_none_of_it_away() {
    let testbed = abnormal().await;
    let (_, looked_at) = books(&testbed).await;
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    assert_eq!(testbed.post(REDIRECT, &to).await.status, 202);
    let (_, decided) = books(&testbed).await;
    assert_eq!(decided.tries, looked_at.tries, "only the decision is new");
    let (orders, next) = (&testbed.orders, looked_at.due.unwrap());
    let trouble = Trouble {
        code: "PROCESSING".to_owned(),
        since: UnixSeconds(1),
    };
    for was_written in [
        orders.hold_refund(&looked_at, "X", next).await,
        orders.note_trouble(&looked_at, Some(&trouble), next).await,
        orders.note_trouble(&looked_at, None, next).await,
        orders.forget_redirection(&looked_at, "X", next).await,
        orders
            .redirect_again(&looked_at, UnixSeconds(1), next)
            .await,
        orders.claim_refund(&looked_at, next).await,
    ] {
        assert!(!was_written.unwrap());
    }
    assert_eq!(books(&testbed).await.1, decided);
    // Nor does one that started before WeChat Pay was called again.
    let again = decided.redirected.as_ref().unwrap();
    let again = again.next_told_at(testbed.clock.now());
    let was_noted = orders.redirect_again(&decided, again, next).await;
    assert!(was_noted.unwrap());
    let forgot = orders.forget_redirection(&decided, "X", next).await;
    assert!(!forgot.unwrap());
    let (_, told_again) = books(&testbed).await;
    assert_eq!(told_again.redirected.unwrap().told_again_at, Some(again));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wechat_pay_refused_is_not_taken_back_once_a_twin_of_it_was_carried_out() {
    let testbed = abnormal().await;
    let admin = testbed.wechat.admin().clone();
    let refuses = Fault::Refuse {
        status: 400,
        code: "PARAM_ERROR".to_owned(),
    };
    let once = Rule::times(refuses, 1).at(Endpoint::AbnormalRefund);
    admin.add_fault(once).unwrap();
    let number = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    // The first write says where the money goes, the second would take that back.
    let mut writes = 0;
    testbed.wire.plan(move |call| {
        if call.operation != "TransactWriteItems" {
            return None;
        }
        writes += 1;
        (writes == 2).then(|| {
            admin.send_refund_to_merchant(&number).unwrap();
            AwsFault::Conflict
        })
    });
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    let answer = testbed.post(REDIRECT, &to).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.body["redirected"]["who"], "Wang");
    testbed.wire.mend();
    minutes(&testbed, 3).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["payer_owed"], &refund["redirected"]["who"]),
        (&json!(true), &json!("Wang"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wechat_pay_refused_is_not_taken_back_while_another_call_of_the_same_decision_is_under_way()
 {
    let testbed = abnormal().await;
    let admin = testbed.wechat.admin();
    let number = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    let refuses = |times| {
        let refuse = Fault::Refuse {
            status: 400,
            code: "PARAM_ERROR".to_owned(),
        };
        let rule = Rule::times(refuse, times).at(Endpoint::AbnormalRefund);
        admin.add_fault(rule).unwrap();
    };
    // The first call takes long; its caller is gone.
    let silent =
        Rule::times(Fault::ServerErrorBefore { status: 500 }, 1).at(Endpoint::AbnormalRefund);
    admin.add_fault(silent).unwrap();
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    let first = testbed.post(REDIRECT, &to).await;
    assert_eq!(first.body["code"], "wechatpay_silent");
    testbed.advance(Duration::from_secs(30)).await;
    refuses(1);
    let repeat = testbed.post(REDIRECT, &to).await;
    assert_eq!(repeat.body["code"], "wechatpay_refused");
    // So may the repeat, for a minute more: no other decision is possible, and the sweep concludes
    // nothing.
    testbed.advance(Duration::from_secs(31)).await;
    testbed.sweep().await;
    let other = json!({"to": "merchant", "who": "Li", "why": "me too"});
    assert_eq!(
        testbed.post(REDIRECT, &other).await.body["code"],
        "refund_state"
    );
    admin.send_refund_to_merchant(&number).unwrap();
    minutes(&testbed, 4).await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["payer_owed"], &refund["redirected"]["who"]),
        (&json!(true), &json!("Wang")),
        "{refund}"
    );
    let events = testbed.get("/v1/orders/ORDER-1/events").await.body;
    let to_nobody_new =
        events["events"].as_array().unwrap().iter().filter(|event| {
            event["from"] == event["to"] && event["decision"]["what"] == "redirect"
        });
    assert_eq!(to_nobody_new.count(), 1, "decided once: {events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_was_told_twice_and_refused_twice_is_asked_about_anew_in_a_minute() {
    let testbed = abnormal().await;
    let admin = testbed.wechat.admin();
    let silent =
        Rule::times(Fault::ServerErrorBefore { status: 500 }, 1).at(Endpoint::AbnormalRefund);
    admin.add_fault(silent).unwrap();
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    let first = testbed.post(REDIRECT, &to).await;
    assert_eq!(first.body["code"], "wechatpay_silent");
    let refuse = Fault::Refuse {
        status: 400,
        code: "PARAM_ERROR".to_owned(),
    };
    let rule = Rule::times(refuse, 1).at(Endpoint::AbnormalRefund);
    admin.add_fault(rule).unwrap();
    let repeat = testbed.post(REDIRECT, &to).await;
    assert_eq!(repeat.body["code"], "wechatpay_refused");
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["redirected"]["who"], "Wang", "the first may arrive");
    testbed.advance(Duration::from_secs(61)).await;
    testbed.sweep().await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "ABNORMAL_AGAIN");
    assert!(refund.get("redirected").is_none(), "{refund}");
    let kept = testbed.items("refund#").await.remove(0);
    assert!(!kept.contains_key("sent_again_at"), "{kept:?}");
    decided_and_taken_back(&testbed).await;
    let other = json!({"to": "merchant", "who": "Li", "why": "me too"});
    assert_eq!(testbed.post(REDIRECT, &other).await.status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_card_of_the_payer_s_is_not_answered_as_if_it_had_been_told_to_wechat_pay() {
    let testbed = abnormal().await;
    let card = |number: &str| {
        json!({
            "to": "user", "bank_type": "ICBC_DEBIT", "bank_account": number, "real_name": "李雷",
            "who": "Wang", "why": "the payer named another card",
        })
    };
    assert_eq!(testbed.post(REDIRECT, &card("6222")).await.status, 202);
    let other = testbed.post(REDIRECT, &card("6333")).await;
    assert_eq!(other.body["code"], "refund_state", "{}", other.body);
    minutes(&testbed, 3).await;
    assert_eq!(state(&testbed, "R1").await, "succeeded");
    let other = testbed.post(REDIRECT, &card("6333")).await;
    assert_eq!(other.body["code"], "refund_state", "{}", other.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_refund_keeps_its_money_until_a_person_decides() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Refused);
    testbed.refund("ORDER-1", "R1", 100).await;
    minutes(&testbed, 2).await;
    assert_eq!(state(&testbed, "R1").await, "refused");
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(order["refund_committed_fen"], 100);
    assert_eq!(
        testbed.refund("ORDER-1", "R2", 1).await.body["code"],
        "refund_exceeds_payment"
    );
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Success);
    let retried = testbed
        .post("/v1/orders/ORDER-1/refunds/R1/retry", &json!({}))
        .await;
    assert_eq!(retried.status, 202, "{retried:?}");
    minutes(&testbed, 3).await;
    assert_eq!(state(&testbed, "R1").await, "succeeded");
    assert_eq!(testbed.wechat.admin().refunds_of("ORDER-1").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_can_give_the_money_of_a_refused_refund_free_and_is_on_record() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Refused);
    testbed.refund("ORDER-1", "R1", 100).await;
    let release = json!({"who": "Li", "why": "paid back in cash"});
    let path = "/v1/orders/ORDER-1/refunds/R1/release";
    assert_eq!(
        testbed.post(path, &release).await.body["code"],
        "refund_state",
        "not before WeChat Pay refused it"
    );
    minutes(&testbed, 2).await;
    assert_eq!(testbed.post(path, &release).await.status, 200);
    assert_eq!(state(&testbed, "R1").await, "closed");
    let kept = &testbed.items("refund#").await[0];
    assert_eq!(
        (kept["decided_by"].as_str(), kept["decided_why"].as_str()),
        ("Li", "paid back in cash")
    );
    assert!(
        testbed
            .get_order("ORDER-1")
            .await
            .body
            .get("refund_committed_fen")
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_low_balance_lets_all_refunds_rest_and_they_go_on_by_themselves() {
    let testbed = paid().await;
    testbed.post_order(&native("ORDER-2")).await;
    testbed.pay("ORDER-2").await;
    testbed.work_off().await;
    testbed.wechat.admin().set_balance(0);
    testbed.refund("ORDER-1", "R1", 100).await;
    testbed.work_off().await;
    testbed.refund("ORDER-2", "R1", 100).await;
    minutes(&testbed, 2).await;
    assert_eq!(
        testbed.wechat.admin().requests()[&Endpoint::CreateRefund],
        1,
        "failing refunds have a small quota: the second is not even tried"
    );
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("reserved"), &json!("NOT_ENOUGH"))
    );
    // Each says once that it waits for funds, and until when.
    for order_no in ["ORDER-1", "ORDER-2"] {
        let refund = testbed.get_refund(order_no, "R1").await;
        conforms("/v1/orders/{order_no}/refunds/{refund_no}", "get", &refund);
        let events = testbed.get(&format!("/v1/orders/{order_no}/events")).await;
        conforms("/v1/orders/{order_no}/events", "get", &events);
        let waits: Vec<&Value> = events.body["events"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|event| event["from"] == "reserved" && event["to"] == "reserved")
            .collect();
        assert_eq!(waits.len(), 1, "{order_no}");
        assert!(refund.body["next_try_at"].is_string(), "{refund:?}");
        assert_eq!(
            waits[0]["next_try_at"], refund.body["next_try_at"],
            "{order_no}"
        );
        assert!(wait_s(&testbed, &refund) > 400, "{order_no}: {refund:?}");
    }
    // A refund requested meanwhile gets the true state at once.
    testbed.post_order(&native("ORDER-3")).await;
    testbed.pay("ORDER-3").await;
    testbed.work_off().await;
    let asked = testbed.refund("ORDER-3", "R1", 100).await;
    let waits_s = wait_s(&testbed, &asked);
    assert!((400..=600).contains(&waits_s), "{asked:?}");
    let retry_after = asked.header("retry-after").expect("a wait");
    assert_eq!(retry_after, (waits_s + 2).to_string());
    testbed.wechat.admin().set_balance(10_000);
    minutes(&testbed, 14).await;
    assert_eq!(state(&testbed, "R1").await, "succeeded");
    assert_eq!(
        testbed
            .wechat
            .admin()
            .order("ORDER-2")
            .unwrap()
            .refunded_fen,
        100
    );
}

/// In how many seconds a refund is sent to WeChat Pay, by the answer to its client.
fn wait_s(testbed: &Testbed, shown: &ApiAnswer) -> i64 {
    let next = shown.body["next_try_at"].as_str().expect("a time");
    let next = wechatpay::time::parse_rfc3339(next).expect("RFC 3339");
    next.0 - testbed.clock.now().0
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
    let told: Vec<bool> = events["events"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|event| event["subject"] == "refund")
        .map(|event| event["next_try_at"].is_string())
        .collect();
    assert_eq!(
        told,
        [true, true, true, false],
        "three to go, and one that went"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_paid_order_of_ones_own_gives_back_and_not_more_than_it_holds() {
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
async fn whoever_dies_between_setting_aside_and_sending_leaves_it_to_the_sweep() {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_made_in_the_console_is_taken_into_the_books() {
    let testbed = paid().await;
    let notify_url = Some(testbed.notify_url.clone());
    testbed
        .wechat
        .admin()
        .console_refund(&ConsoleRefund {
            order: "ORDER-1".to_owned(),
            refund_fen: 30,
            out_refund_no: Some("console@1".to_owned()),
            notify_url,
            ..ConsoleRefund::default()
        })
        .unwrap();
    minutes(&testbed, 2).await;
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(
        (&order["state"], &order["refunded_fen"]),
        (&json!("partially_refunded"), &json!(30))
    );
    let refunds = testbed.get("/v1/orders/ORDER-1/refunds").await.body;
    assert_eq!(refunds["refunds"][0]["out_refund_no"], "console@1");
    assert_eq!(
        testbed.refund("ORDER-1", "R1", 71).await.body["code"],
        "refund_exceeds_payment"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_refund_of_money_that_is_set_aside_already_is_parked_for_a_person() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Hold);
    testbed.refund("ORDER-1", "R1", 100).await;
    let notify_url = Some(testbed.notify_url.clone());
    testbed
        .wechat
        .admin()
        .console_refund(&ConsoleRefund {
            order: "ORDER-1".to_owned(),
            refund_fen: 100,
            notify_url,
            ..ConsoleRefund::default()
        })
        .unwrap();
    let out_refund_no = testbed.wechat.admin().refunds_of("ORDER-1")[0]
        .out_refund_no
        .clone();
    testbed
        .wechat
        .admin()
        .settle_refund(&out_refund_no, RefundStatus::Success)
        .unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    let parked = testbed.items("parked-refund#").await;
    assert_eq!(
        (parked.len(), parked[0]["reason"].as_str()),
        (1, "exceeds_payment")
    );
    assert_eq!(testbed.notices().await[0]["status"], "parked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_payment_that_the_console_gives_back_is_not_given_back_here() {
    let testbed = paid().await;
    let admin = testbed.wechat.admin();
    admin.pay_again("ORDER-1", &Default::default()).unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    let second = testbed.items("payment#").await[0]["transaction_id"].clone();
    admin
        .console_refund(&ConsoleRefund {
            order: "ORDER-1".to_owned(),
            transaction_id: Some(second.clone()),
            refund_fen: 100,
            notify_url: Some(testbed.notify_url.clone()),
            ..ConsoleRefund::default()
        })
        .unwrap();
    minutes(&testbed, 2).await;
    assert_eq!(testbed.items("payment#").await[0]["state"], "refunded");
    assert!(testbed.items("parked-refund#").await.is_empty());
    let refund = &testbed.items("refund#").await[0];
    assert_eq!(
        (refund["state"].as_str(), refund["payment_kind"].as_str()),
        ("succeeded", "parked")
    );
    let order = testbed.get_order("ORDER-1").await.body;
    assert_eq!(order["state"], "paid", "the order's own money is untouched");
    let again = json!({"refund_no": "R1", "amount_fen": 100, "transaction_id": second});
    let asked = testbed.post("/v1/orders/ORDER-1/refunds", &again).await;
    assert_eq!(asked.body["code"], "refund_exceeds_payment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_notice_that_differs_in_its_amount_is_parked_and_applied_to_nothing() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Hold);
    testbed.refund("ORDER-1", "R1", 40).await;
    testbed.work_off().await;
    let out_refund_no = testbed.wechat.admin().refunds_of("ORDER-1")[0]
        .out_refund_no
        .clone();
    let altered = wechatpay_simulator::Damage::Altered(json!({"amount": {"refund": 41}}));
    let callback = testbed
        .wechat
        .admin()
        .signed_callback(&out_refund_no, &altered)
        .unwrap();
    assert_eq!(testbed.receive(&callback).await.status, 204);
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(state(&testbed, "R1").await, "processing");
    assert_eq!(
        testbed.items("parked-refund#").await[0]["reason"],
        "amount.refund"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn spellings_of_codes_without_underscores_change_nothing() {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_settings(Settings {
            bare_codes: true,
            ..Settings::default()
        })
        .unwrap();
    testbed.wechat.admin().set_balance(0);
    testbed.refund("ORDER-1", "R1", 100).await;
    testbed.work_off().await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "NOTENOUGH");
    assert!(refund["what_to_do"].as_str().unwrap().contains("balance"));
}

/// Time passes and the sweep checks: how often a refund is logged for an operator.
async fn told_after(testbed: &Testbed, hours: u64) -> usize {
    testbed.advance(Duration::from_secs(hours * 3600)).await;
    let lines = Lines::default();
    lines.of(testbed.sweep()).await;
    let errors = lines.take("ERROR");
    let about_it = |line: &&serde_json::Value| line["message"] == "refund needs a person";
    errors.iter().filter(about_it).count()
}

/// The refund of 100 fen that WeChat Pay has accepted and not ended.
pub(crate) async fn processing() -> Testbed {
    let testbed = paid().await;
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Hold);
    testbed.refund("ORDER-1", "R1", 100).await;
    testbed.work_off().await;
    assert_eq!(state(&testbed, "R1").await, "processing");
    testbed
}

/// The event that a mark came or went.
async fn is_told_of_the_mark(testbed: &Testbed) {
    let journal = testbed.journal("ORDER-1").await;
    let last = journal.last().unwrap();
    assert_eq!(
        (last.subject.kind(), last.from.as_deref(), last.to.as_str()),
        ("refund", Some("processing"), "processing")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_says_processing_for_ten_days_needs_a_person_until_its_news_comes() {
    let testbed = processing().await;
    assert_eq!(told_after(&testbed, 9 * 24).await, 0);
    assert_eq!(told_after(&testbed, 24).await, 1);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(
        (&refund["state"], &refund["trouble"]),
        (&json!("processing"), &json!("PROCESSING"))
    );
    assert!(refund["overdue_since"].is_string(), "{refund}");
    let what_to_do = refund["what_to_do"].as_str().unwrap();
    assert!(what_to_do.contains("open a case"), "{what_to_do}");
    is_told_of_the_mark(&testbed).await;
    assert_eq!(
        told_after(&testbed, 2).await,
        0,
        "asked on, and not told of"
    );
    assert_eq!(
        told_after(&testbed, 4).await,
        1,
        "six hours after the first"
    );

    let admin = testbed.wechat.admin();
    let out_refund_no = admin.refunds_of("ORDER-1")[0].out_refund_no.clone();
    admin
        .settle_refund(&out_refund_no, RefundStatus::Success)
        .unwrap();
    testbed.deliver().await;
    testbed.work_off().await;
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "succeeded");
    for mark in ["overdue_since", "trouble", "what_to_do"] {
        assert_eq!(refund.get(mark), None, "{refund}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_whose_query_is_refused_for_an_hour_needs_a_person_until_it_is_answered() {
    let testbed = processing().await;
    let refused = Fault::Refuse {
        status: 400,
        code: "A_NEW_ONE".to_owned(),
    };
    let rule = Rule::always(refused).at(Endpoint::QueryRefund);
    testbed.wechat.admin().add_fault(rule).unwrap();
    assert_eq!(told_after(&testbed, 1).await, 0);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["trouble"], "A_NEW_ONE");
    assert_eq!(refund.get("overdue_since"), None, "once may be chance");
    assert_eq!(told_after(&testbed, 2).await, 1);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    assert_eq!(refund["state"], "processing");
    assert!(refund["overdue_since"].is_string(), "{refund}");
    let what_to_do = refund["what_to_do"].as_str().unwrap();
    assert!(what_to_do.contains("refuses to tell"), "{what_to_do}");

    testbed.wechat.admin().clear_faults(None);
    assert_eq!(told_after(&testbed, 2).await, 0);
    let refund = testbed.get_refund("ORDER-1", "R1").await.body;
    for mark in ["overdue_since", "trouble", "what_to_do"] {
        assert_eq!(refund.get(mark), None, "{refund}");
    }
    is_told_of_the_mark(&testbed).await;
}
