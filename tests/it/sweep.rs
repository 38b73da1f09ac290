//! The sweep: what was lost is found, and settled by the path that all news takes.

use std::time::Duration;

use payments::model::next_check;
use testbed::Fault as AwsFault;
use wechatpay_simulator::{Endpoint, Fault, PayOptions, Rule};

use crate::support::{Testbed, TestbedOptions, native, number};

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_whose_callback_was_lost_is_found_and_settled() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::LostCallback))
        .unwrap();
    testbed.pay("ORDER-1").await;
    assert_eq!(
        testbed.sweep().await.claimed,
        0,
        "the callback has its time first"
    );
    testbed.advance(Duration::from_secs(60)).await;
    let report = testbed.sweep().await;
    assert_eq!((report.claimed, report.settled), (1, 1));
    assert_eq!(testbed.get_order("ORDER-1").await.body["state"], "paid");
    assert_eq!(testbed.sweep().await.claimed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_whose_creator_died_is_handed_to_the_queue_and_gets_its_value() {
    let testbed = Testbed::start().await;
    testbed
        .wire
        .break_next(testbed.order_changes(), AwsFault::DieBefore);
    let died = testbed
        .wire
        .run_until_crash(testbed.post_order(&native("ORDER-1")))
        .await;
    assert!(died.is_none());
    testbed.wire.mend();
    testbed.advance(Duration::from_secs(60)).await;
    let report = testbed.sweep().await;
    assert_eq!((report.claimed, report.resumed), (1, 1));
    assert_eq!(testbed.work_off().await, 0);
    let shown = testbed.get_order("ORDER-1").await;
    assert_eq!(shown.body["state"], "awaiting_payment");
    assert!(
        testbed
            .wechat
            .admin()
            .order(shown.code_url())
            .unwrap()
            .payable
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sweeps_at_once_ask_about_each_order_once() {
    let testbed = Testbed::start().await;
    for n in 0..6 {
        testbed.post_order(&native(&format!("ORDER-{n}"))).await;
    }
    testbed.advance(Duration::from_secs(60)).await;
    testbed.wechat.admin().reset_requests();
    let (one, other) = futures_util::join!(testbed.sweep(), testbed.sweep());
    assert_eq!(one.claimed + other.claimed, 6);
    assert_eq!(
        testbed.wechat.admin().requests()[&Endpoint::QueryByOutTradeNo],
        6
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unpaid_order_is_asked_about_again_on_the_ladder_and_a_failed_question_is_repeated() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.advance(Duration::from_secs(60)).await;
    assert_eq!(testbed.sweep().await.open, 1);
    assert_eq!(testbed.sweep().await.claimed, 0);
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::ServerErrorBefore { status: 500 }))
        .unwrap();
    testbed.advance(Duration::from_secs(120)).await;
    assert_eq!(testbed.sweep().await.failed, 1);
    testbed.wechat.admin().clear_faults(None);
    testbed
        .wechat
        .admin()
        .pay("ORDER-1", &PayOptions::default())
        .unwrap();
    testbed.advance(Duration::from_secs(120)).await;
    assert_eq!(
        testbed.sweep().await.settled + u32::from(testbed.work_off().await == 0),
        2,
        "the sweep settles it, the callback finds it done"
    );
    assert_eq!(testbed.journal("ORDER-1").await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_wechat_pay_is_down_what_is_due_keeps_its_place() {
    let testbed = Testbed::with(TestbedOptions {
        both_hosts_are_down: true,
        ..TestbedOptions::default()
    })
    .await;
    // All in one part of the index, so that one page has them.
    let of_one_part = (0..)
        .map(|n| format!("ORDER-{n}"))
        .filter(|order_no| next_check::shard_of(&number(order_no)) == 3);
    for order_no in of_one_part.take(40) {
        assert_eq!(
            testbed.post_order_async(&native(&order_no)).await.status,
            202
        );
    }
    testbed.advance(Duration::from_secs(60)).await;
    let report = testbed.sweep().await;
    assert!(report.wechat_down, "{report:?}");
    assert!(
        report.claimed < 40,
        "the others are due at the next run, not at the next step of their ladder: {report:?}"
    );
    assert_eq!(report.claimed + report.left, 40, "{report:?}");
    assert_eq!(
        report.pages + report.parts_unread,
        u32::from(next_check::PARTS),
        "{report:?}"
    );
    assert_eq!(report.parts_with_more, 0, "{report:?}");
}

/// Paid, and the callback is lost, while WeChat Pay fails for ten minutes.
async fn paid_in_an_outage(outage: Fault) -> Testbed {
    let testbed = Testbed::start().await;
    let admin = testbed.wechat.admin();
    for n in 0..4 {
        testbed.post_order(&native(&format!("ORDER-{n}"))).await;
        testbed.advance(Duration::from_secs(150)).await;
    }
    admin.add_fault(Rule::always(Fault::LostCallback)).unwrap();
    for n in 0..4 {
        testbed.pay(&format!("ORDER-{n}")).await;
    }
    let outage = admin.add_fault(Rule::always(outage)).unwrap();
    let mut unanswered = 0;
    for _ in 0..10 {
        testbed.advance(Duration::from_secs(60)).await;
        let report = testbed.sweep().await;
        assert_eq!(report.settled, 0);
        unanswered += report.unanswered;
    }
    assert!(unanswered >= 8, "each was asked about: {unanswered}");
    admin.clear_faults(Some(outage));
    testbed
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_were_paid_while_wechat_pay_failed_for_ten_minutes_are_settled_in_the_minute_after()
 {
    for outage in [Fault::ServerErrorBefore { status: 503 }, Fault::ResetBefore] {
        let testbed = paid_in_an_outage(outage.clone()).await;
        testbed.advance(Duration::from_secs(60)).await;
        let report = testbed.sweep().await;
        assert_eq!(report.settled, 4, "{outage:?}: {report:?}");
        for n in 0..4 {
            let shown = testbed.get_order(&format!("ORDER-{n}")).await;
            assert_eq!(shown.body["state"], "paid", "{outage:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_an_order_is_queried_leaves_it_at_its_next_step() {
    let testbed = Testbed::start().await;
    testbed.post_order(&native("ORDER-1")).await;
    testbed.advance(Duration::from_secs(60)).await;
    let admin = testbed.wechat.admin();
    let failing = Rule::always(Fault::ServerErrorBefore { status: 500 });
    admin.add_fault(failing).unwrap();
    // The claim is the first update of the order, the way back the second.
    let updates = testbed.order_changes();
    testbed.wire.break_after(updates, 1, 1, AwsFault::DieBefore);
    assert!(
        testbed
            .wire
            .run_until_crash(testbed.sweep())
            .await
            .is_none()
    );
    testbed.wire.mend();
    let order = testbed.order("ORDER-1").await;
    let due = order.due.unwrap().at.0;
    assert_eq!(due - order.created_at.0, 180, "the claimed step holds");
    admin.clear_faults(None);
    testbed.advance(Duration::from_secs(120)).await;
    assert_eq!(testbed.sweep().await.open, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_and_a_closing_that_got_no_answer_are_asked_about_again_in_the_next_minutes() {
    let testbed = Testbed::start().await;
    let admin = testbed.wechat.admin();
    testbed.post_order(&native("ORDER-1")).await;
    testbed.pay("ORDER-1").await;
    assert_eq!(testbed.work_off().await, 0);
    assert_eq!(testbed.refund("ORDER-1", "R1", 40).await.status, 202);
    assert_eq!(testbed.work_off().await, 0);
    testbed.post_order(&native("ORDER-2")).await;
    // Long over, so that the steps are far apart.
    testbed.advance(Duration::from_secs(3 * 3600)).await;
    let failing = Rule::always(Fault::ServerErrorBefore { status: 500 });
    let id = admin.add_fault(failing).unwrap();
    let report = testbed.sweep().await;
    assert_eq!(report.unanswered, 2, "{report:?}");
    admin.clear_faults(Some(id));
    testbed.advance(Duration::from_secs(60)).await;
    let report = testbed.sweep().await;
    assert_eq!((report.closed, report.claimed), (1, 2), "{report:?}");
    let overdue = report.overdue_s.keys().copied().collect::<Vec<_>>();
    assert_eq!(overdue, ["closing", "refund"]);
}
