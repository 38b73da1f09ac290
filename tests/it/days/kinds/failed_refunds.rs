//! Refunds that fail on their day or later.

use super::*;

/// A refund of `ORDER-1` that WeChat Pay accepts and leaves in progress.
async fn a_refund_that_lasts(testbed: &Testbed) {
    testbed
        .wechat
        .admin()
        .set_refund_outcome(RefundOutcome::Hold);
    assert_eq!(testbed.refund("ORDER-1", "R1", 40).await.status, 202);
    assert_eq!(testbed.work_off().await, 0);
}

/// It fails for good.
async fn it_fails(testbed: &Testbed) {
    let admin = testbed.wechat.admin();
    let [refund] = admin.refunds().try_into().unwrap();
    admin
        .settle_refund(&refund.out_refund_no, RefundStatus::Closed)
        .unwrap();
    testbed.deliver().await;
    assert_eq!(testbed.work_off().await, 0);
}

/// A refund that was made in WeChat Pay's console and failed the same day, without any notice; and
/// one of ours that did.
#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_failed_on_its_day_is_in_no_sum_whether_or_not_our_books_have_it() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    a_refund_that_lasts(&testbed).await;
    it_fails(&testbed).await;
    // Refunds of a payment are a minute apart.
    testbed.advance(std::time::Duration::from_secs(60)).await;
    let admin = testbed.wechat.admin();
    let by_staff = ConsoleRefund {
        order: "ORDER-1".to_owned(),
        refund_fen: 30,
        out_refund_no: Some("by-staff-1".to_owned()),
        ..ConsoleRefund::default()
    };
    testbed
        .in_silence(async {
            admin.console_refund(&by_staff).unwrap();
            let failed = admin.settle_refund("by-staff-1", RefundStatus::Closed);
            failed.unwrap();
        })
        .await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    assert_eq!(testbed.difference_lines(day).await, Vec::<String>::new());
    let [there, here] = [run.there().all(), run.here().all()];
    assert_eq!((there.refunds, there.refunds_fen), (0, 0));
    assert_eq!((here.refunds, here.refunds_fen), (0, 0));
    assert_eq!(run.gaps(), Gaps::default());
    every_fen_has_come_to_an_end(&testbed, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_fails_days_later_moves_the_account_and_is_no_difference() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    a_refund_that_lasts(&testbed).await;
    for days in 0..3 {
        let (date, next) = (day.plus_days(days), day.plus_days(days + 1));
        testbed.until(next, 10, 30).await;
        let run = testbed.reconcile(date, false).await;
        assert_eq!(run.state, RunState::Done, "{date}: {:?}", run.trouble);
        assert_eq!(
            testbed.difference_lines(date).await,
            Vec::<String>::new(),
            "{date}"
        );
        if days == 1 {
            it_fails(&testbed).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_moves_the_account_there_and_back_over_midnight_is_no_difference() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    let next = day.plus_days(1);
    testbed.paid("ORDER-1").await;
    testbed.until(day, 22, 0).await;
    a_refund_that_lasts(&testbed).await;
    testbed.until(next, 0, 30).await;
    it_fails(&testbed).await;
    testbed.until(next, 10, 30).await;
    let run = testbed.reconcile(day, false).await;
    assert_eq!(testbed.difference_lines(day).await, Vec::<String>::new());
    assert_eq!(run.carried(), 1, "the money came back tomorrow");
    testbed.until(next.plus_days(1), 10, 30).await;
    testbed.reconcile(next, false).await;
    assert_eq!(testbed.difference_lines(next).await, Vec::<String>::new());
}
