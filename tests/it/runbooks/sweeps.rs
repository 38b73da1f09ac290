//! `functions.md`: what the report of a sweep says that does not keep up.

use std::time::Duration;

use reconcile::SweepReport;
use serde_json::Value;
use testbed::{Fault as AwsFault, Match, Service};
use wechatpay_simulator::{Fault, Rule};

use super::row_says;
use crate::support::{Lines, Testbed, TestbedOptions, native};

const PAGE: &str = "functions.md";
const MINUTE: Duration = Duration::from_secs(60);

/// A sweep's report, and all lines. The last one has the report.
async fn sweep(testbed: &Testbed) -> (SweepReport, Vec<Value>) {
    let lines = Lines::default();
    let report = lines.of(testbed.sweep()).await;
    let logged = lines.take_all();
    let done = logged.last().expect("lines");
    assert_eq!(done["message"], "sweep done");
    assert_eq!(
        done["report"],
        format!("{report:?}"),
        "as the page reads it"
    );
    (report, logged)
}

/// Orders that are due after two minutes.
async fn orders(testbed: &Testbed, count: usize) {
    for number in 0..count {
        testbed
            .post_order(&native(&format!("ORDER-{number}")))
            .await;
    }
    testbed.advance(MINUTE * 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_wechat_pay_does_not_answer_says_so_and_asks_again_within_a_minute() {
    let testbed = Testbed::start().await;
    orders(&testbed, 3).await;
    let admin = testbed.wechat.admin();
    let down = Rule::always(Fault::ServerErrorBefore { status: 500 });
    let down = admin.add_fault(down).unwrap();
    let (report, _) = sweep(&testbed).await;
    assert_eq!((report.claimed, report.unanswered), (3, 3), "{report:?}");
    admin.clear_faults(Some(down));
    testbed.advance(MINUTE).await;
    assert_eq!(testbed.sweep().await.claimed, 3);

    let options = TestbedOptions {
        both_hosts_are_down: true,
        ..TestbedOptions::default()
    };
    let testbed = Testbed::with(options).await;
    orders(&testbed, 20).await;
    let (report, _) = sweep(&testbed).await;
    assert!(report.wechat_down, "{report:?}");
    row_says(
        PAGE,
        "`wechat_down`, or `unanswered` near `claimed`",
        &[
            "[wechat-down.md](wechat-down.md)",
            "due again within a minute",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_whose_minute_is_over_says_what_is_left_and_how_long_it_has_been_due() {
    let testbed = Testbed::start().await;
    orders(&testbed, 40).await;
    let writes = Match::operation(Service::DynamoDb, "UpdateItem").on(&testbed.tables.orders);
    testbed.wire.break_all(writes, AwsFault::Held);
    let lines = Lines::default();
    // The first checks take until the minute is nearly over. Nothing moves the clock before the
    // whole index is read.
    let index_is_read = async {
        let mut logged = Vec::new();
        let is_it = |line: &Value| line["message"] == "what is due longest";
        while !logged.iter().any(is_it) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            logged.extend(lines.take_all());
        }
    };
    let minute_passes = async {
        let read = tokio::time::timeout(Duration::from_secs(20), index_is_read).await;
        testbed.clock.advance(Duration::from_secs(55));
        testbed.wire.mend();
        read
    };
    let (report, read) = tokio::join!(lines.of(testbed.sweep()), minute_passes);
    assert_eq!(read, Ok(()), "the longest delay is reported");
    assert!(report.left > 0 && report.open > 0, "{report:?}");
    assert!(!report.wechat_down, "{report:?}");
    row_says(
        PAGE,
        "`left` or `parts_with_more`",
        &["more is due than `CallsPerSecond` lets through"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_cannot_read_some_parts_counts_them_and_does_the_others() {
    let testbed = Testbed::start().await;
    orders(&testbed, 6).await;
    let query = Match::operation(Service::DynamoDb, "Query").on(&testbed.tables.orders);
    testbed.wire.break_after(query, 0, 2, AwsFault::Denied);
    let (report, _) = sweep(&testbed).await;
    testbed.wire.mend();
    assert!(report.parts_unreadable > 0, "{report:?}");
    assert!(report.pages > 0, "{report:?}");
    row_says(
        PAGE,
        "`parts_unreadable`",
        &["DynamoDB, or the function's role"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_order_that_cannot_be_checked_stays_due_and_is_named_above_the_report() {
    let testbed = Testbed::start().await;
    orders(&testbed, 1).await;
    testbed.damage("ORDER-0", "amount_fen").await;
    let mut overdue_s = Vec::new();
    for _ in 0..2 {
        let (report, logged) = sweep(&testbed).await;
        assert!(!report.wechat_down, "{report:?}");
        let others = [
            report.unanswered,
            report.left,
            report.parts_with_more,
            report.parts_unreadable,
        ];
        assert_eq!(others, [0; 4], "{report:?}");
        let named = |line: &Value| line["level"] == "ERROR" && line["order_no"] == "ORDER-0";
        let above = logged.iter().position(named);
        let done = logged
            .iter()
            .position(|line| line["message"] == "sweep done");
        assert!(above.is_some() && above < done, "{logged:?}");
        overdue_s.extend(report.overdue_s.values().copied().max());
        testbed.advance(MINUTE).await;
    }
    assert!(
        overdue_s.len() == 2 && overdue_s[0] < overdue_s[1],
        "{overdue_s:?}"
    );
    row_says(
        PAGE,
        "none of these, and one item stays due",
        &["the lines above the report name its order"],
    );
}
