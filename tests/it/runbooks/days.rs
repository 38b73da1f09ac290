//! `reconciliation.md`: what a day's record shows.

use std::time::Duration;

use payments::reconcile::run::RunState;
use wechatpay_simulator::{PlantedDifference, WantedDifference};

use super::row_says;
use crate::support::{Lines, MCHID, Testbed};

#[tokio::test(flavor = "multi_thread")]
async fn a_bill_in_a_form_that_this_version_cannot_read_names_its_line_and_column() {
    let testbed = Testbed::start().await;
    let day = testbed.fresh_day().await;
    testbed.paid("ORDER-1").await;
    let state = "A_NEW_STATE".to_owned();
    let altered = PlantedDifference::AlterState { state };
    testbed.plant(WantedDifference::picked(&day.to_string(), altered).of_order("ORDER-1"));
    testbed.until(day.plus_days(1), 10, 30).await;
    let work = stores::queues::ReconcileWork::DayV1 {
        date: day,
        dry_run: false,
        run_id: "fails".to_owned(),
        requested_at_ms: Some(testbed.clock.now_ms()),
    };
    let lines = Lines::default();
    let mut fetched = 0;
    while fetched == 0 || testbed.run_of(day).await.state == RunState::Waiting {
        testbed.send_work(&work).await;
        lines.of(testbed.work_off_days()).await;
        testbed.advance(Duration::from_secs(1_800)).await;
        fetched += 1;
    }
    assert_eq!(fetched, 4, "as any bill of no use");
    let run = testbed.run_of(day).await;
    assert_eq!(run.state, RunState::Failed);
    let trouble = run.trouble.expect("words");
    for words in [
        "line 2, ",
        "\"A_NEW_STATE\" is none of SUCCESS, REFUND, REVOKED",
    ] {
        assert!(trouble.contains(words), "{trouble}");
    }
    let logged = lines.take_all();
    assert!(
        logged
            .iter()
            .any(|line| line["message"] == "the day needs a person")
    );
    let evidence = testbed.evidence();
    let of_the_day = format!("bills/{MCHID}/{day}/trade-");
    let kept = evidence.iter().filter(|key| key.starts_with(&of_the_day));
    assert_eq!(kept.count(), 1, "{evidence:?}");
    row_says(
        "reconciliation.md",
        "`failed`: a line and a column",
        &[
            "the alarm `day-failed`",
            "it is read four times, half an hour apart",
            "The file is kept as it came",
        ],
    );
}
