//! The notices table: which status follows which, what is stored, and what an operator must decide.

mod decided;

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::ids::OrderNo;
use runtime::clock::Clock;
use stores::notices::{
    DecideOutcome, FailedNotice, Notice, NoticeStatus, Notices, NoticesError, ParkedNotice,
    SettledNotice, money::ParkedMoneyRecord,
};
use stores::order_table::ParkedStatus;
use testbed::NOW;
use testbed::{DynamoEngine, Fault, FaultyTransport, Match, Service, Tables};
use wechatpay::UnixSeconds;

const MCHID: &str = "1900000001";
const ID: &str = "EV-2026080100001";
const MESSAGE: &str = r#"{"v":"callback.v1","headers":{},"body":"{}"}"#;

/// An empty ledger, a manual clock and a wire to break.
struct Bench {
    clock: Clock,
    wire: FaultyTransport,
    tables: Tables,
    engine: DynamoEngine,
    order_no: OrderNo,
}

impl Bench {
    async fn new() -> Self {
        let clock = Clock::manual(NOW);
        let engine = DynamoEngine::start();
        let tables = engine.create_tables("test-").await;
        let wire = FaultyTransport::new(clock.clone());
        Self {
            clock,
            wire,
            tables,
            engine,
            order_no: OrderNo::parse("ORDER-1").expect("an order number"),
        }
    }

    fn notices(&self) -> Notices {
        self.notices_of(MCHID)
    }

    fn notices_of(&self, mchid: &str) -> Notices {
        Notices::new(
            self.engine.client_over(&self.wire, &self.clock),
            &self.tables.notices,
            mchid,
        )
    }

    fn pass(&self, seconds: u64) -> UnixSeconds {
        self.clock.advance(Duration::from_secs(seconds));
        self.clock.now()
    }

    fn failure(&self, retries: u32) -> FailedNotice<'_> {
        FailedNotice {
            notice_id: ID,
            order_no: Some(&self.order_no),
            event_type: "TRANSACTION.SUCCESS",
            message: MESSAGE,
            retries,
            next_retry_at: UnixSeconds(self.clock.now().0 + 60),
            last_error: "the orders table did not answer",
            now: self.clock.now(),
        }
    }

    fn parking(&self) -> ParkedNotice<'_> {
        ParkedNotice {
            notice_id: ID,
            order_no: None,
            event_type: "TRANSACTION.SUCCESS",
            message: MESSAGE,
            what_to_do: "find out whose money it is",
            now: self.clock.now(),
        }
    }

    async fn failed(&self, retries: u32) {
        let failed = self.notices().failed(&self.failure(retries)).await;
        failed.expect("written");
    }

    async fn parked(&self) -> ParkedStatus {
        self.notices().parked(&self.parking()).await.expect("kept")
    }

    async fn settled(&self) {
        let order_no = Some(&self.order_no);
        let settled = self.notices().settled(ID, order_no, self.clock.now()).await;
        settled.expect("written");
    }

    async fn settled_at_last(&self, retries: u32) {
        let notice = SettledNotice {
            notice_id: ID,
            order_no: Some(&self.order_no),
            event_type: "TRANSACTION.SUCCESS",
            message: MESSAGE,
            retries,
            now: self.clock.now(),
        };
        let settled = self.notices().settled_at_last(&notice).await;
        settled.expect("written");
    }

    async fn decided(&self, why: &str) -> DecideOutcome {
        let now = self.clock.now();
        let decided = self.notices().decide(ID, "li", why, now).await;
        decided.expect("written")
    }

    async fn notice(&self) -> Notice {
        self.notices()
            .get(ID)
            .await
            .expect("read")
            .expect("a notice")
    }

    async fn status(&self) -> NoticeStatus {
        self.notice().await.status
    }

    /// When DynamoDB may remove the record (Unix seconds).
    async fn expires_at(&self) -> Option<i64> {
        let client = self.engine.client(&self.clock);
        let get = client
            .get_item()
            .table_name(&self.tables.notices)
            .key("pk", AttributeValue::S(format!("{MCHID}#{ID}")));
        let item = get.send().await.expect("read").item.expect("an item");
        let value = item.get("expires_at")?.as_n().expect("a number");
        Some(value.parse().expect("a whole number"))
    }
}

#[tokio::test]
async fn a_notice_that_fails_again_and_again_has_one_record_that_says_how_it_stands() {
    let bench = Bench::new().await;
    assert_eq!(bench.notices().get(ID).await.expect("read"), None);
    bench.failed(1).await;
    bench.pass(60);
    bench.failed(2).await;
    assert_eq!(
        bench.notice().await,
        Notice {
            notice_id: ID.to_owned(),
            order_no: Some(bench.order_no.clone()),
            event_type: "TRANSACTION.SUCCESS".to_owned(),
            status: NoticeStatus::Pending,
            retries: 2,
            next_retry_at: Some(UnixSeconds(NOW.0 + 120)),
            last_error: Some("the orders table did not answer".to_owned()),
            what_to_do: None,
            message: MESSAGE.to_owned(),
            first_seen_at: NOW,
            updated_at: UnixSeconds(NOW.0 + 60),
            decided_by: None,
            decided_why: None,
        }
    );
    assert_eq!(bench.expires_at().await, None, "money may hang on it");
}

#[tokio::test]
async fn an_order_number_that_was_known_once_is_kept() {
    let bench = Bench::new().await;
    bench.failed(1).await;
    let later = FailedNotice {
        order_no: None,
        ..bench.failure(2)
    };
    bench.notices().failed(&later).await.expect("written");
    assert_eq!(bench.notice().await.order_no, Some(bench.order_no.clone()));
}

#[tokio::test]
async fn a_pending_notice_that_settles_is_ok_and_goes_after_90_days() {
    let bench = Bench::new().await;
    bench.failed(1).await;
    let now = bench.pass(60);
    bench.settled().await;
    let notice = bench.notice().await;
    assert_eq!(notice.status, NoticeStatus::Settled);
    assert_eq!(
        (notice.retries, notice.next_retry_at, notice.updated_at),
        (1, None, now)
    );
    assert_eq!(bench.expires_at().await, Some(now.0 + 90 * 86_400));
}

#[tokio::test]
async fn a_notice_whose_first_tries_left_no_record_has_one_once_it_settles() {
    let bench = Bench::new().await;
    bench.settled_at_last(2).await;
    let notice = bench.notice().await;
    assert_eq!(
        (notice.status, notice.retries, notice.event_type.as_str()),
        (NoticeStatus::Settled, 2, "TRANSACTION.SUCCESS")
    );
    assert_eq!(
        (notice.message.as_str(), notice.last_error),
        (MESSAGE, None)
    );
    assert_eq!(bench.expires_at().await, Some(NOW.0 + 90 * 86_400));
}

#[tokio::test]
async fn a_record_keeps_its_text_when_its_notice_settles_at_last() {
    let bench = Bench::new().await;
    bench.failed(4).await;
    bench.pass(60);
    bench.settled_at_last(1).await;
    let notice = bench.notice().await;
    assert_eq!(
        (notice.status, notice.retries, notice.first_seen_at),
        (NoticeStatus::Settled, 4, NOW)
    );
    assert_eq!(notice.next_retry_at, None);
    assert!(notice.last_error.is_some());
    assert_eq!(bench.parked().await, ParkedStatus::Waiting);
    bench.settled_at_last(5).await;
    assert_eq!(bench.status().await, NoticeStatus::Parked);
}

#[tokio::test]
async fn settling_makes_no_record_and_is_one_write() {
    let bench = Bench::new().await;
    bench.settled().await;
    assert_eq!(bench.notices().get(ID).await.expect("read"), None);
    let writes = Match::operation(Service::DynamoDb, "UpdateItem");
    assert_eq!(bench.wire.count(&writes), 1);
}

#[tokio::test]
async fn a_settled_notice_fails_again_only_by_a_later_failure() {
    let bench = Bench::new().await;
    bench.failed(1).await;
    let before = bench.failure(2);
    bench.pass(10);
    bench.settled().await;
    // Two workers had the message: the other one's failure is written last, but happened before.
    bench.notices().failed(&before).await.expect("written");
    assert_eq!(bench.status().await, NoticeStatus::Settled);
    bench.failed(2).await;
    assert_eq!(
        bench.status().await,
        NoticeStatus::Settled,
        "in the same second"
    );
    bench.pass(1);
    bench.failed(3).await;
    assert_eq!(bench.status().await, NoticeStatus::Pending);
    assert_eq!(bench.expires_at().await, None);
}

#[tokio::test]
async fn a_parked_notice_waits_for_a_person_whatever_its_message_does_next() {
    let bench = Bench::new().await;
    bench.failed(1).await;
    bench.pass(60);
    assert_eq!(bench.parked().await, ParkedStatus::Waiting);
    let parked = bench.notice().await;
    assert_eq!(parked.status, NoticeStatus::Parked);
    assert_eq!(
        parked.what_to_do.as_deref(),
        Some("find out whose money it is")
    );
    assert_eq!(
        (parked.first_seen_at, parked.next_retry_at, parked.retries),
        (NOW, None, 1)
    );
    bench.pass(60);
    bench.failed(2).await;
    bench.settled().await;
    let again = ParkedNotice {
        what_to_do: "something else",
        ..bench.parking()
    };
    let kept = bench.notices().parked(&again).await.expect("kept");
    assert_eq!(kept, ParkedStatus::Waiting);
    assert_eq!(bench.notice().await, parked);
}

#[tokio::test]
async fn money_that_was_found_by_asking_has_one_record_and_its_callback_adds_the_message() {
    let bench = Bench::new().await;
    let money = |what_to_do| ParkedMoneyRecord {
        notice_id: ID,
        order_no: &bench.order_no,
        what_to_do,
        now: bench.clock.now(),
    };
    let notices = bench.notices();
    let kept = notices.keep(&money("refund it")).await;
    assert_eq!(kept.expect("kept"), ParkedStatus::Waiting);
    bench.pass(60);
    let again = notices.keep(&money("something else")).await;
    assert_eq!(again.expect("kept"), ParkedStatus::Waiting);
    let found = bench.notice().await;
    assert_eq!(
        (found.what_to_do.as_deref(), found.message.as_str()),
        (Some("refund it"), ""),
        "what is there keeps its words"
    );
    assert_eq!(found.first_seen_at, NOW);
    assert_eq!(bench.parked().await, ParkedStatus::Waiting);
    let noted = bench.notice().await;
    assert_eq!(
        (noted.status, noted.message.as_str()),
        (NoticeStatus::Parked, MESSAGE)
    );
    bench.decided("given back").await;
    let decided = notices.keep(&money("refund it")).await;
    assert_eq!(decided.expect("kept"), ParkedStatus::Decided);
}

#[tokio::test]
async fn a_notice_that_settled_and_is_parked_later_waits_without_an_end() {
    let bench = Bench::new().await;
    bench.failed(1).await;
    bench.settled().await;
    assert_eq!(bench.parked().await, ParkedStatus::Waiting);
    assert_eq!(bench.status().await, NoticeStatus::Parked);
    assert_eq!(bench.expires_at().await, None);
}

#[tokio::test]
async fn every_write_may_be_repeated_after_a_lost_answer() {
    let bench = Bench::new().await;
    let lose = || {
        let writes = Match::operation(Service::DynamoDb, "UpdateItem");
        bench.wire.break_next(writes, Fault::LostAnswer);
    };
    lose();
    bench.failed(1).await;
    assert_eq!(bench.status().await, NoticeStatus::Pending);
    lose();
    bench.settled().await;
    assert_eq!(bench.status().await, NoticeStatus::Settled);
    lose();
    assert_eq!(bench.parked().await, ParkedStatus::Waiting);
    lose();
    assert_eq!(
        bench.decided("refunded by hand").await,
        DecideOutcome::Written
    );
    assert_eq!(bench.wire.calls().len(), 4 * 2 + 2, "each was sent twice");
}

#[tokio::test]
async fn a_list_goes_on_page_by_page_with_the_longest_untouched_first() {
    let bench = Bench::new().await;
    let ids: Vec<String> = (0..40).map(|count| format!("EV-{count:02}")).collect();
    for id in &ids {
        let notice = FailedNotice {
            notice_id: id,
            ..bench.failure(1)
        };
        bench.notices().failed(&notice).await.expect("written");
        bench.pass(1);
    }
    bench.parked().await;
    let stranger = bench.notices_of("1900000002");
    let theirs = stranger.failed(&bench.failure(1)).await;
    theirs.expect("written");

    let (mut listed, mut next, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = bench.notices().list(NoticeStatus::Pending, next).await;
        let page = page.expect("read");
        listed.extend(page.notices.into_iter().map(|notice| notice.notice_id));
        pages += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
    assert!(pages > 1, "one page would prove nothing");
    let parked = bench.notices().list(NoticeStatus::Parked, None).await;
    assert_eq!(parked.expect("read").notices, [bench.notice().await]);
}

#[tokio::test]
async fn notices_behind_more_of_other_merchants_than_are_counted_are_not_counted_as_none() {
    let bench = Bench::new().await;
    let stranger = bench.notices_of("1900000002");
    // Two of them fill a page of DynamoDB's.
    let message = "x".repeat(380_000);
    for count in 0..20 {
        let notice = ParkedNotice {
            notice_id: &format!("EV-{count:02}"),
            message: &message,
            ..bench.parking()
        };
        stranger.parked(&notice).await.expect("kept");
        bench.pass(1);
    }
    bench.parked().await;
    assert_eq!(bench.notices().count_parked().await.expect("counted"), 1);
    let pages = Match::operation(Service::DynamoDb, "Query");
    assert_eq!(bench.wire.count(&pages), 8, "there is another one");
    assert_eq!(stranger.count_parked().await.expect("counted"), 16);
}

#[tokio::test]
async fn none_is_none_if_all_were_counted() {
    let bench = Bench::new().await;
    let stranger = bench.notices_of("1900000002");
    stranger.parked(&bench.parking()).await.expect("kept");
    assert_eq!(bench.notices().count_parked().await.expect("counted"), 0);
    assert_eq!(stranger.count_parked().await.expect("counted"), 1);
}

#[tokio::test]
async fn a_ledger_that_is_away_is_an_error_and_nothing_is_taken_for_written() {
    let bench = Bench::new().await;
    bench
        .wire
        .break_all(Match::service(Service::DynamoDb), Fault::Throttled);
    let notices = bench.notices();
    let failures = [
        notices.failed(&bench.failure(1)).await.err(),
        notices.parked(&bench.parking()).await.err(),
        notices.settled(ID, None, NOW).await.err(),
        notices.decide(ID, "li", "x", NOW).await.err(),
        notices.get(ID).await.err(),
        notices.list(NoticeStatus::Pending, None).await.err(),
    ];
    for failure in failures {
        assert!(matches!(failure, Some(NoticesError::Unavailable(_))));
    }
}

#[tokio::test]
async fn a_damaged_record_names_the_notice_and_the_attribute() {
    let bench = Bench::new().await;
    for attribute in [
        "order_no",
        "event_type",
        "status",
        "retries",
        "next_retry_at",
        "message",
        "first_seen_at",
    ] {
        bench.failed(1).await;
        let client = bench.engine.client(&bench.clock);
        let key = AttributeValue::S(format!("{MCHID}#{ID}"));
        let update = client
            .update_item()
            .table_name(&bench.tables.notices)
            .key("pk", key.clone())
            .update_expression("SET #a = :v")
            .expression_attribute_names("#a", attribute)
            .expression_attribute_values(":v", AttributeValue::S("?".to_owned()));
        let update = if ["event_type", "message"].contains(&attribute) {
            update.expression_attribute_values(":v", AttributeValue::Bool(true))
        } else {
            update
        };
        update.send().await.expect("written");
        let error = bench.notices().get(ID).await.expect_err(attribute);
        let text = error.to_string();
        assert!(text.contains(ID) && text.contains(attribute), "{text}");
        let delete = client.delete_item().table_name(&bench.tables.notices);
        delete.key("pk", key).send().await.expect("deleted");
    }
}

#[tokio::test]
async fn a_shown_notice_leaves_its_message_out() {
    let bench = Bench::new().await;
    bench.failed(1).await;
    let shown = format!(
        "{:?} {:?} {:?}",
        bench.notice().await,
        bench.failure(1),
        bench.parking()
    );
    assert!(!shown.contains("callback.v1"), "{shown}");
}
