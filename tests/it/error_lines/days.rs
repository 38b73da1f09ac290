//! Days, and the refunds of differences.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::reconcile::difference::DifferenceState;
use payments::reconcile::run::RunState;
use serde_json::{Value, json};
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Endpoint, Fault, RefundOutcome};

use super::common::{MINUTE, always, named, refuse};
use crate::console;
use crate::payer_owed::{ConsoleDifference, could_not_be_paid_out};
use crate::support::{Lines, MCHID, Testbed};

pub(super) async fn an_approved_refund_cannot_be_paid_out() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let (day, found) = testbed.paid_twice("TWICE-1", false).await;
    let admin = testbed.wechat.admin();
    admin.set_refund_outcome(RefundOutcome::Abnormal);
    testbed.two_approve(&found).await;
    testbed.work_off().await;
    testbed.advance(MINUTE).await;
    testbed.work_off().await;
    lines.of(testbed.sweep()).await;
    let [stands] = &testbed.differences_of(day).await[..] else {
        panic!("one difference");
    };
    assert_eq!(stands.state, DifferenceState::Open);
    let errors = lines.take("ERROR");
    assert_eq!(errors[0]["id"], stands.id);
    errors
}

pub(super) async fn what_two_persons_approved_is_refused() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let difference = could_not_be_paid_out(&testbed).await;
    let rule = always(refuse(400, "PARAM_ERROR"), Endpoint::AbnormalRefund);
    testbed.wechat.admin().add_fault(rule).unwrap();
    difference
        .decides("li", "redirect", "the card is gone")
        .await;
    difference
        .decides("wang", "approve", "asked the payer")
        .await;
    assert_eq!(lines.of(testbed.work_off_days()).await, 0);
    assert_eq!(difference.stands().await.state, DifferenceState::Open);
    lines.take("ERROR")
}

pub(super) async fn an_entry_of_the_list_of_refunds_is_damaged() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let (day, found) = testbed.paid_twice("TWICE-1", false).await;
    testbed.two_approve(&found).await;
    let text = |value: String| AttributeValue::S(value);
    let put = testbed.dynamo().put_item();
    let put = put.table_name(&testbed.tables.reconciliation);
    let put = put.item("pk", text(format!("followed#{MCHID}")));
    let put = put.item("sk", text("damaged".to_owned()));
    put.send().await.expect("a table");
    testbed.work_off().await;
    testbed.advance(MINUTE).await;
    testbed.work_off().await;
    lines.of(testbed.sweep()).await;
    let [stands] = &testbed.differences_of(day).await[..] else {
        panic!("one difference");
    };
    assert_eq!(stands.state, DifferenceState::Repaired, "it has the state");
    lines.take("ERROR")
}

/// First its orders may not be read, then its own item is damaged; between them a call fails that
/// passes by itself.
pub(super) async fn a_difference_that_waits_for_a_refund_is_damaged() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let (day, found) = testbed.paid_twice("TWICE-1", false).await;
    testbed.two_approve(&found).await;
    let message = "a difference cannot be told how its refund stands";
    let reads = || Match::operation(Service::DynamoDb, "GetItem").on(&testbed.tables.orders);
    let mut all = Vec::new();
    for (fault, is_logged) in [(AwsFault::Denied, true), (AwsFault::ServiceFault, false)] {
        testbed.wire.break_all(reads(), fault);
        testbed.advance(MINUTE).await;
        lines.of(testbed.sweep()).await;
        testbed.wire.mend();
        let new = lines.take("ERROR");
        assert_eq!(!named(&new, message).is_empty(), is_logged, "{fault:?}");
        all.extend(new);
    }
    let sk = format!("difference#{}", found.id);
    console::damage(&testbed, day, &sk).await;
    testbed.advance(MINUTE).await;
    lines.of(testbed.sweep()).await;
    let new = lines.take("ERROR");
    let [line] = &named(&new, message)[..] else {
        panic!("{new:?}");
    };
    let (date, id) = (day.to_string(), found.id.as_str());
    assert_eq!((&line["date"], &line["id"]), (&json!(date), &json!(id)));
    all.extend(new);
    all
}

pub(super) async fn a_bill_is_of_no_use_four_times() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let wrong = always(Fault::WrongHash, Endpoint::TradeBill);
    testbed.wechat.admin().add_fault(wrong).unwrap();
    let work = stores::queues::ReconcileWork::DayV1 {
        date: day,
        dry_run: false,
        run_id: "fails".to_owned(),
        requested_at_ms: Some(testbed.clock.now_ms()),
    };
    for _ in 0..4 {
        assert!(lines.take("ERROR").is_empty(), "it is fetched again");
        testbed.send_work(&work).await;
        lines.of(testbed.work_off_days()).await;
        testbed.advance(MINUTE * 30).await;
    }
    let run = testbed.run_of(day).await;
    assert_eq!(run.state, RunState::Failed);
    let errors = lines.take("ERROR");
    assert_eq!(errors[0]["error"], json!(run.trouble));
    errors
}

pub(super) async fn an_approval_cannot_be_handed_over() -> Vec<Value> {
    let (testbed, lines) = (Testbed::start().await, Lines::default());
    let (day, found) = testbed.paid_twice("TWICE-1", false).await;
    let app = ConsoleDifference {
        testbed: &testbed,
        day,
        id: found.id,
        order_no: "TWICE-1",
    };
    app.decides("li", "approve", "paid twice").await;
    let send = Match::operation(Service::Sqs, "SendMessage");
    testbed.wire.break_all(send, AwsFault::Denied);
    let version = ConsoleDifference::version(&app.page("wang").await);
    let approves = app.presses("wang", ("approve", "so it is"), version);
    assert_eq!(lines.of(approves).await.status(), 503);
    assert_eq!(app.stands().await.state, DifferenceState::Approved);
    testbed.advance(MINUTE * 2).await;
    lines.of(app.page("wang")).await;
    let errors = lines.take("ERROR");
    testbed.wire.mend();
    app.page("zhao").await;
    assert_eq!(testbed.work_off_days().await, 0);
    assert_ne!(app.stands().await.state, DifferenceState::Approved);
    assert_eq!(testbed.wechat.admin().refunds().len(), 0);
    testbed.work_off().await;
    assert_eq!(testbed.wechat.admin().refunds().len(), 1);
    errors
}
