//! Refunds that could not be paid out: who decides where the money goes, and who is still owed.

use std::time::Duration;

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
use stores::order_table::ApplyOutcome;
use testbed::Fault as AwsFault;
use wechatpay::UnixSeconds;
use wechatpay_simulator::{Endpoint, Fault, RefundOutcome, Rule};

use super::{REDIRECT, abnormal, minutes, paid, state};
use crate::{contract::conforms, support::Testbed};

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

    // Logged every six hours, and no later news clears it.
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
    assert!(
        !due.contains_key("due_at"),
        "no one is notified of it any more"
    );
}

/// The last event undoes the redirect of the one before.
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
async fn a_decision_that_wechat_pay_refused_or_never_got_leaves_the_refund_to_be_decided_about_again()
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
async fn if_two_persons_say_at_once_how_a_payer_was_paid_the_second_is_refused() {
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
        is_sampled: true,
        at: testbed.clock.now(),
        millisecond: None,
        delivery: None,
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
async fn a_check_that_began_before_a_decision_undoes_none_of_it() {
    let testbed = abnormal().await;
    let (_, stale) = books(&testbed).await;
    let to = json!({"to": "merchant", "who": "Wang", "why": "card gone"});
    assert_eq!(testbed.post(REDIRECT, &to).await.status, 202);
    let (_, decided) = books(&testbed).await;
    assert_eq!(decided.tries, stale.tries, "only the decision is new");
    let (orders, next) = (&testbed.orders, stale.due.unwrap());
    let trouble = Trouble {
        code: "PROCESSING".to_owned(),
        since: UnixSeconds(1),
    };
    for was_written in [
        orders.hold_refund(&stale, "X", next).await,
        orders.note_trouble(&stale, Some(&trouble), next).await,
        orders.note_trouble(&stale, None, next).await,
        orders.forget_redirection(&stale, "X", next).await,
        orders.redirect_again(&stale, UnixSeconds(1), next).await,
        orders.claim_refund(&stale, next).await,
    ] {
        assert!(!was_written.unwrap());
    }
    assert_eq!(books(&testbed).await.1, decided);
    // Nor does one that started before WeChat Pay was called again.
    let again = decided.redirected.as_ref().unwrap();
    let again = again.next_sent_at(testbed.clock.now());
    let was_noted = orders.redirect_again(&decided, again, next).await;
    assert!(was_noted.unwrap());
    let forgot = orders.forget_redirection(&decided, "X", next).await;
    assert!(!forgot.unwrap());
    let (_, redirected_again) = books(&testbed).await;
    assert_eq!(
        redirected_again.redirected.unwrap().sent_again_at,
        Some(again)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_redirect_is_not_undone_once_a_duplicate_of_it_was_carried_out() {
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
async fn a_refused_redirect_is_not_undone_while_another_call_of_the_same_decision_is_under_way() {
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
    let redirects =
        events["events"].as_array().unwrap().iter().filter(|event| {
            event["from"] == event["to"] && event["decision"]["what"] == "redirect"
        });
    assert_eq!(redirects.count(), 1, "decided once: {events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_was_sent_twice_and_refused_twice_is_queried_in_a_minute() {
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
async fn another_card_of_the_payer_s_is_not_answered_as_if_it_had_been_sent_to_wechat_pay() {
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
