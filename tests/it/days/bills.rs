//! Bills that are late, empty, altered, cut, or come from elsewhere.

use std::time::Duration;

use payments::reconcile::run::RunState;
use stores::queues::ReconcileWork;
use wechatpay_simulator::{Fault, Rule};

use crate::support::Testbed;

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_that_is_still_being_made_is_asked_for_again() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 9, 0).await;
    testbed.begin_day(day, false).await;
    assert_eq!(testbed.work_off_days().await, 1, "the message comes again");
    let run = testbed.run_of(day).await;
    assert_eq!(run.state, RunState::Waiting);
    assert!(run.trouble.unwrap().contains("10:00"));
    assert_eq!(
        testbed.hidden.times_s().last(),
        Some(&1_800),
        "in half an hour"
    );

    testbed.until(day.plus_days(1), 10, 0).await;
    let run = testbed.reconcile(day, false).await;
    assert_eq!((run.state, run.trouble), (RunState::Done, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bill_is_an_empty_day_but_not_before_ten() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    let none = testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::NoStatement))
        .unwrap();
    testbed.until(day.plus_days(1), 9, 30).await;
    testbed.begin_day(day, false).await;
    assert_eq!(testbed.work_off_days().await, 1);
    assert_eq!(testbed.run_of(day).await.state, RunState::Waiting);
    testbed.wechat.admin().clear_faults(Some(none));

    testbed.until(day.plus_days(1), 10, 30).await;
    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    assert!(
        run.bills
            .values()
            .all(|bill| bill.rows == 0 && bill.sha1.is_none())
    );
    assert_eq!(testbed.evidence(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_of_no_use_gives_no_verdict_and_is_not_kept() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.paid_in_silence("LOST-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    for (fault, says) in [
        (Fault::WrongHash, "SHA-1"),
        (Fault::AlteredByte { zipped: false }, "SHA-1"),
        (Fault::AlteredByte { zipped: true }, "unpacked"),
        (
            Fault::CutFile {
                keep_bytes: None,
                dies: false,
            },
            "unpacked",
        ),
        (
            Fault::ForeignHost {
                base_url: "https://bills.example".to_owned(),
            },
            "bills.example",
        ),
    ] {
        let name = format!("{fault:?}");
        let id = testbed
            .wechat
            .admin()
            .add_fault(Rule::always(fault))
            .unwrap();
        testbed.begin_day(day, false).await;
        assert_eq!(testbed.work_off_days().await, 1, "{name}");
        let run = testbed.run_of(day).await;
        assert_eq!(run.state, RunState::Waiting, "{name}: it is fetched again");
        let trouble = run.trouble.unwrap();
        assert!(trouble.contains(says), "{name}: {trouble}");
        assert_eq!(
            testbed.difference_lines(day).await,
            Vec::<String>::new(),
            "{name}"
        );
        assert_eq!(
            testbed.order("LOST-1").await.state.name(),
            "awaiting_payment"
        );
        let kept = testbed.evidence();
        assert!(
            kept.iter().all(|key| !key.contains("trade")),
            "{name}: {kept:?}"
        );
        testbed.wechat.admin().clear_faults(Some(id));
    }
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_there_unpaid_here LOST-1 repaired"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_off_or_a_link_that_ran_out_is_asked_for_again() {
    for fault in [
        Fault::CutFile {
            keep_bytes: None,
            dies: true,
        },
        Fault::ExpiredLink,
    ] {
        let testbed = Testbed::start().await;
        let day = testbed.fresh_day().await;
        testbed.paid("ORDER-1").await;
        testbed.until(day.plus_days(1), 10, 30).await;
        let name = format!("{fault:?}");
        testbed
            .wechat
            .admin()
            .add_fault(Rule::times(fault, 1))
            .unwrap();
        testbed.begin_day(day, false).await;
        assert_eq!(testbed.work_off_days().await, 1, "{name}");
        assert_eq!(testbed.run_of(day).await.state, RunState::Running, "{name}");
        let run = testbed.reconcile(day, false).await;
        assert_eq!(run.state, RunState::Done, "{name}: {:?}", run.trouble);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_run_again_reads_the_bill_that_was_kept() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let first = testbed.reconcile(day, false).await;
    // WeChat Pay no longer provides it.
    testbed
        .wechat
        .admin()
        .add_fault(Rule::always(Fault::ExpiredLink))
        .unwrap();
    testbed.advance(Duration::from_secs(3600)).await;
    let second = testbed.reconcile(day, false).await;
    assert_eq!(second.state, RunState::Done, "{:?}", second.trouble);
    assert_eq!(first.bills, second.bills);
    let kept = testbed.evidence();
    let trade = kept.iter().find(|key| key.contains("/trade-")).unwrap();
    let sha1 = second.bills.values().next().unwrap().sha1.clone().unwrap();
    assert_eq!(
        trade,
        &format!("bills/1900000001/{day}/trade-{sha1}.csv.gz")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bills_in_every_form_that_wechat_pay_has_are_read() {
    for settings in [
        serde_json::json!({"old_bill_format": true}),
        serde_json::json!({"full_width_brackets": true, "short_fees": true}),
        serde_json::json!({"bill_bom": false, "bill_line_ends": "LF_BETWEEN"}),
    ] {
        let testbed = Testbed::start().await;
        testbed.at_wechat(&settings);
        let day = testbed.fresh_day().await;
        testbed.paid("ORDER-1").await;
        testbed.refunded("ORDER-1", "R1", 40).await;
        testbed.until(day.plus_days(1), 10, 30).await;
        let run = testbed.reconcile(day, false).await;
        assert_eq!(run.state, RunState::Done, "{settings}: {:?}", run.trouble);
        assert_eq!(
            testbed.difference_lines(day).await,
            Vec::<String>::new(),
            "{settings}"
        );
        assert_eq!(run.there().all().payments_fen, 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_of_no_use_is_fetched_four_times_before_the_day_is_left_to_a_person() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let admin = testbed.wechat.admin();
    admin.add_fault(Rule::always(Fault::WrongHash)).unwrap();
    let again = ReconcileWork::DayV1 {
        date: day,
        dry_run: false,
        run_id: "run-1".to_owned(),
        requested_at_ms: None,
    };
    let mut states = Vec::new();
    for _ in 0..4 {
        testbed.send_work(&again).await;
        testbed.work_off_days().await;
        states.push(testbed.run_of(day).await.state);
    }
    let waiting = RunState::Waiting;
    assert_eq!(states, [waiting, waiting, waiting, RunState::Failed]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daily_message_that_is_moved_back_days_later_reconciles_its_own_day() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(3), 10, 30).await;
    let scheduled_at = Some(format!("{}T02:30:00Z", day.plus_days(1)));
    testbed
        .send_work(&ReconcileWork::DailyV1 { scheduled_at })
        .await;
    assert_eq!(testbed.work_off_days().await, 0);
    assert_eq!(testbed.run_of(day).await.state, RunState::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_whose_bills_are_kept_can_be_run_however_old_it_is() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    testbed.reconcile(day, false).await;
    testbed.until(day.plus_days(200), 10, 30).await;
    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.state, RunState::Done, "{:?}", run.trouble);
    assert_eq!(run.there().all().payments, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_that_wechat_pay_denied_and_made_later_is_read_when_the_day_is_run_again() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    testbed.until(day.plus_days(1), 10, 30).await;
    let admin = testbed.wechat.admin();
    let none = admin.add_fault(Rule::always(Fault::NoStatement)).unwrap();
    testbed.reconcile(day, false).await;
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_here_absent_there ORDER-1 open"]
    );
    admin.clear_faults(Some(none));
    let run = testbed.reconcile(day, false).await;
    assert_eq!(run.there().all().payments, 1);
    assert_eq!(
        testbed.difference_lines(day).await,
        ["paid_here_absent_there ORDER-1 repaired"]
    );
}
