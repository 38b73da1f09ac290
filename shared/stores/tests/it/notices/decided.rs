//! Notices that a person decides.

use super::*;

#[tokio::test]
async fn a_decision_is_kept_with_who_and_why_and_is_final() {
    let bench = Bench::new().await;
    assert_eq!(bench.parked().await, ParkedStatus::Waiting);
    let now = bench.pass(3600);
    assert_eq!(
        bench.decided("refunded by hand").await,
        DecideOutcome::Written
    );
    let decided = bench.notice().await;
    assert_eq!(decided.status, NoticeStatus::Decided);
    assert_eq!(decided.decided_by.as_deref(), Some("li"));
    assert_eq!(decided.decided_why.as_deref(), Some("refunded by hand"));
    assert_eq!(bench.expires_at().await, Some(now.0 + 90 * 86_400));

    bench.pass(60);
    bench.failed(2).await;
    bench.settled().await;
    assert_eq!(bench.parked().await, ParkedStatus::Decided);
    let late = bench.decided("kept as a tip").await;
    assert_eq!(late, DecideOutcome::Closed(Box::new(decided.clone())));
    assert_eq!(bench.notice().await, decided);
}

#[tokio::test]
async fn a_message_that_lies_in_the_dead_letter_queue_can_be_decided_too() {
    let bench = Bench::new().await;
    bench.failed(8).await;
    assert_eq!(
        bench.decided("not one of ours").await,
        DecideOutcome::Written
    );
}

#[tokio::test]
async fn a_settled_or_missing_notice_cannot_be_decided() {
    let bench = Bench::new().await;
    assert_eq!(bench.decided("x").await, DecideOutcome::Unknown);
    assert_eq!(bench.notices().get(ID).await.expect("read"), None);
    bench.failed(1).await;
    bench.settled().await;
    let settled = Box::new(bench.notice().await);
    assert_eq!(bench.decided("x").await, DecideOutcome::Closed(settled));
}
