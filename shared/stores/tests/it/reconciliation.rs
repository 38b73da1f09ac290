//! The reconciliation table: races, lost answers, and what a list leaves out.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use matching::totals::{Gap, Gaps};
use payments::{
    model::{
        bill_date::{BillDate, BillName},
        ids::{OrderNo, RefundNo},
    },
    reconcile::{
        carried::{CarriedKind, CarriedTrade, TradeIdentity},
        difference::{
            Decision, Difference, DifferenceKind, DifferenceState, DifferenceSubject, RefundStage,
            SideView, TrackedRefund,
        },
        run::{BillFacts, PartDone, Run, RunState},
    },
};
use runtime::clock::Clock;
use stores::notices::{Notice, NoticeStatus, Notices, money::ParkedMoneyRecord};
use stores::order_table::ParkedStatus;
use stores::reconciliation::{
    FindOutcome, ReconciliationError, ReconciliationTable, SaveOutcome, TrackedDifference,
};
use testbed::NOW;
use testbed::{DynamoEngine, Fault, FaultyTransport, Match, Service, Tables};

const MCHID: &str = "1900000001";

/// An empty table and a wire to break.
struct Bench {
    clock: Clock,
    wire: FaultyTransport,
    tables: Tables,
    engine: DynamoEngine,
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
        }
    }

    fn table(&self) -> ReconciliationTable {
        self.table_of(MCHID)
    }

    fn table_of(&self, mchid: &str) -> ReconciliationTable {
        ReconciliationTable::new(
            self.engine.client_over(&self.wire, &self.clock),
            &self.tables.reconciliation,
            mchid,
        )
        .with_ledger(self.ledger())
    }

    fn ledger(&self) -> Notices {
        let client = self.engine.client_over(&self.wire, &self.clock);
        Notices::new(client, &self.tables.notices, MCHID)
    }

    /// The state of the notice of the difference's payment.
    async fn notice(&self) -> Option<Notice> {
        let found = self.ledger().get("payment#4200001").await;
        found.expect("an answer")
    }

    async fn followed(&self) -> Vec<TrackedDifference> {
        let page = self.table().followed(None).await.expect("an answer");
        assert!(page.next.is_none());
        page.items
    }

    fn lose_the_next_put(&self) {
        let puts = Match::operation(Service::DynamoDb, "PutItem");
        self.wire.break_next(puts, Fault::LostAnswer);
    }

    async fn save_run(&self, run: &Run) -> SaveOutcome {
        self.table().save_run(run).await.expect("an answer")
    }

    /// The stored real run.
    async fn stored(&self) -> Option<Run> {
        let runs = self.table().day_runs(day()).await.expect("read");
        runs.run().cloned()
    }

    async fn find(&self, difference: &Difference) -> FindOutcome {
        self.table().find(difference).await.expect("an answer")
    }

    async fn save(&self, difference: &Difference) -> SaveOutcome {
        let saved = self.table().save_difference(difference).await;
        saved.expect("an answer")
    }

    async fn difference(&self, id: &str) -> Option<Difference> {
        self.table().difference(day(), id).await.expect("read")
    }

    /// A later version adds a member to the record in an item.
    async fn add_later(&self, sk: &str) {
        let key = [
            ("pk", format!("day#{MCHID}#{}", day())),
            ("sk", sk.to_owned()),
        ];
        let key = key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
        let client = self.engine.client(&self.clock);
        let (table, key) = (&self.tables.reconciliation, Some(key.into()));
        let read = client
            .get_item()
            .table_name(table)
            .set_key(key)
            .send()
            .await;
        let mut item = read.expect("read").item.expect("an item");
        let mut body: serde_json::Value =
            serde_json::from_str(item["body"].as_s().expect("a text")).expect("JSON");
        body["added_later"] = serde_json::json!({"by": ["a later version"]});
        item.insert("body".to_owned(), AttributeValue::S(body.to_string()));
        let put = client.put_item().table_name(table).set_item(Some(item));
        put.send().await.expect("written");
    }

    /// What that member is now.
    async fn added_later(&self, sk: &str) -> serde_json::Value {
        let client = self.engine.client(&self.clock);
        let read = client
            .get_item()
            .table_name(&self.tables.reconciliation)
            .key("pk", AttributeValue::S(format!("day#{MCHID}#{}", day())))
            .key("sk", AttributeValue::S(sk.to_owned()))
            .send()
            .await;
        let item = read.expect("read").item.expect("an item");
        let body = item["body"].as_s().expect("a text");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        body["added_later"].clone()
    }

    /// Makes one attribute of an item useless.
    async fn damage(&self, sk: &str, attribute: &str) {
        let client = self.engine.client(&self.clock);
        let update = client
            .update_item()
            .table_name(&self.tables.reconciliation)
            .key("pk", AttributeValue::S(format!("day#{MCHID}#{}", day())))
            .key("sk", AttributeValue::S(sk.to_owned()))
            .update_expression("SET #a = :v")
            .expression_attribute_names("#a", attribute)
            .expression_attribute_values(":v", AttributeValue::S("?".to_owned()));
        update.send().await.expect("damaged");
    }
}

#[tokio::test]
async fn what_a_later_version_added_to_a_run_or_a_difference_is_in_what_this_one_writes() {
    let bench = Bench::new().await;
    let kept = serde_json::json!({"by": ["a later version"]});
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    bench.add_later("run").await;
    let run = bench.stored().await.expect("a run");
    let done = next(&run, RunState::Done);
    assert_eq!(bench.save_run(&done).await, SaveOutcome::Saved);
    assert_eq!(bench.added_later("run").await, kept);
    assert_eq!(bench.stored().await, Some(done));

    let found = difference("ORDER-1");
    let sk = format!("difference#{}", found.id);
    bench.find(&found).await;
    bench.add_later(&sk).await;
    let read = bench.difference(&found.id).await.expect("a difference");
    let completed = bench.table().complete_difference(&read).await;
    assert_eq!(completed.expect("completed"), SaveOutcome::Saved);
    assert_eq!(bench.added_later(&sk).await, kept);
    let noted = read.noted("run-2", "looked at", NOW);
    assert_eq!(bench.save(&noted).await, SaveOutcome::Saved);
    assert_eq!(bench.added_later(&sk).await, kept);
    assert_eq!(bench.difference(&found.id).await, Some(noted));
}

fn day() -> BillDate {
    BillDate::parse("2026-08-01").expect("a day")
}

fn first_run() -> Run {
    Run::begun(day(), "run-1", false, NOW)
}

/// A run after one more write.
fn next(run: &Run, state: RunState) -> Run {
    Run {
        state,
        version: run.version + 1,
        ..run.clone()
    }
}

fn difference(order_no: &str) -> Difference {
    let about = DifferenceSubject {
        order_no: Some(order_no.to_owned()),
        transaction_id: Some("4200001".to_owned()),
        line: Some(3),
        ..DifferenceSubject::default()
    };
    let there = SideView {
        amount_fen: Some(1250),
        state: Some("SUCCESS".to_owned()),
        at: Some(NOW),
        ..SideView::default()
    };
    let kind = DifferenceKind::DuplicatePayment;
    Difference::found(day(), kind, about, Some(there), None, "run-1", NOW)
}

fn carried(order_no: &str) -> CarriedTrade {
    let trade = TradeIdentity {
        kind: CarriedKind::Payment,
        order_no: order_no.to_owned(),
        transaction_id: Some(format!("42{order_no}")),
        out_refund_no: None,
        refund_id: None,
        amount_fen: 100,
        at: NOW,
    };
    CarriedTrade::to(day(), trade)
}

#[tokio::test]
async fn a_run_is_read_as_it_was_written_with_every_bill_and_part() {
    let bench = Bench::new().await;
    assert_eq!(bench.stored().await, None);
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    let mut run = next(&first_run(), RunState::Done);
    run.bills.insert(
        BillName::Trade,
        BillFacts {
            rows: 3,
            sha1: Some("79bb0f45fc4c42234a918000b2668d689e2bde04".to_owned()),
            kept_as: Some("2026/08/01/trade.csv.gz".to_owned()),
        },
    );
    let mut part = PartDone::default();
    part.differences.insert(DifferenceKind::AmountDiffers, 2);
    let sums = part.there.0.entry("NATIVE".to_owned()).or_default();
    sums.payments_fen = 7;
    run.parts_done.insert(0, part);
    run.trouble = Some("nothing to do".to_owned());
    assert_eq!(bench.save_run(&run).await, SaveOutcome::Saved);
    assert_eq!(bench.stored().await, Some(run));
    let reads = bench.wire.calls();
    assert!(
        reads
            .iter()
            .filter(|call| call.operation == "Query")
            .all(|call| call.consistent),
        "{reads:?}"
    );
}

#[tokio::test]
async fn differences_are_counted_where_they_lie_and_none_is_read() {
    let bench = Bench::new().await;
    for order_no in ["A", "B", "C"] {
        bench.table().find(&difference(order_no)).await.unwrap();
    }
    let repaired = difference("C").repaired("run-1", "they agree", NOW);
    let saved = bench.table().save_difference(&repaired).await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);
    let count = async |states: &[DifferenceState], pages| {
        let counted = bench.table().count_in(day(), states, pages).await.unwrap();
        (counted.count, counted.is_all)
    };
    assert_eq!(
        count(&[DifferenceState::Open, DifferenceState::Proposed], 5).await,
        (2, true)
    );
    assert_eq!(count(&[DifferenceState::Repaired], 5).await, (1, true));
    assert_eq!(count(&[DifferenceState::Explained], 5).await, (0, true));
    assert_eq!(
        count(&[DifferenceState::Open], 0).await,
        (0, false),
        "nobody looked"
    );
}

#[tokio::test]
async fn what_differences_make_of_a_run_s_sums_is_read_back_of_the_attempts_that_count_or_not_at_all()
 {
    let bench = Bench::new().await;
    let gaps = |fen| {
        let mut gaps = Gaps::default();
        gaps.add("NATIVE", Gap::of_payment(fen));
        gaps.add("JSAPI", Gap::of_refund(fen));
        gaps
    };
    let of_part = |part: i64, count: i64| -> BTreeMap<String, Gaps> {
        (0..count)
            .map(|at| (format!("amount-differs-{part}-{at:04}"), gaps(at + 1)))
            .collect()
    };
    let (first, second) = (of_part(0, 1_001), of_part(1, 2));
    for (run, part, attempt, gaps) in [
        ("r", 0, "died", &of_part(0, 2_001)),
        ("r", 0, "ended", &first),
        ("r", 1, "ended", &second),
        ("r", 2, "runs", &second),
        ("other", 0, "ended", &second),
    ] {
        let table = bench.table();
        let saved = table.save_gaps(day(), run, part, attempt, gaps).await;
        saved.unwrap();
    }
    let read = async |id: &str, at_most| {
        let mut run = Run::begun(day(), id, false, NOW);
        for part in 0..2 {
            let done = PartDone {
                gaps_of: Some("ended".to_owned()),
                ..PartDone::default()
            };
            run.parts_done.insert(part, done);
        }
        bench.table().gaps(&run, at_most).await.unwrap()
    };
    let mut all = first;
    all.extend(second.clone());
    assert_eq!(read("r", 1_003).await, Some(all));
    assert_eq!(read("r", 1_002).await, None, "more than were asked for");
    assert_eq!(read("other", 10).await, Some(second));
    assert_eq!(read("never", 10).await, Some(BTreeMap::new()));
}

#[tokio::test]
async fn a_preview_and_a_run_in_earnest_each_have_a_place_of_their_own() {
    let bench = Bench::new().await;
    let preview = Run::begun(day(), "preview-1", true, NOW);
    for run in [&first_run(), &preview] {
        assert_eq!(bench.save_run(run).await, SaveOutcome::Saved);
    }
    let done = next(&preview, RunState::Done);
    assert_eq!(bench.save_run(&done).await, SaveOutcome::Saved);
    let runs = bench.table().day_runs(day()).await.expect("read");
    assert_eq!(
        (runs.run(), runs.preview()),
        (Some(&first_run()), Some(&done))
    );
    let of_days = bench.table().runs(&[day()]).await.expect("read");
    assert_eq!(of_days, [(day(), runs)]);
}

#[tokio::test]
async fn of_many_who_begin_a_day_at_once_one_does() {
    let bench = Bench::new().await;
    let table = bench.table();
    let runs: Vec<Run> = (0..8)
        .map(|count| Run::begun(day(), &format!("run-{count}"), false, NOW))
        .collect();
    let saved = join_all(runs.iter().map(|run| table.save_run(run))).await;
    let begun: Vec<&Run> = runs
        .iter()
        .zip(saved)
        .filter(|(_, saved)| *saved.as_ref().expect("an answer") == SaveOutcome::Saved)
        .map(|(run, _)| run)
        .collect();
    assert_eq!(begun.len(), 1);
    assert_eq!(bench.stored().await.as_ref(), begun.first().copied());
}

#[tokio::test]
async fn of_two_decided_on_the_same_version_the_later_is_stale() {
    let bench = Bench::new().await;
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    let done = next(&first_run(), RunState::Done);
    assert_eq!(bench.save_run(&done).await, SaveOutcome::Saved);
    let failed = next(&first_run(), RunState::Failed);
    assert_eq!(bench.save_run(&failed).await, SaveOutcome::VersionMoved);
    let skipping = next(&next(&done, RunState::Running), RunState::Failed);
    assert_eq!(bench.save_run(&skipping).await, SaveOutcome::VersionMoved);
    assert_eq!(bench.stored().await, Some(done));
}

#[tokio::test]
async fn a_later_version_of_what_is_not_there_is_stale() {
    let bench = Bench::new().await;
    let saved = bench.save_run(&next(&first_run(), RunState::Done)).await;
    assert_eq!(saved, SaveOutcome::VersionMoved);
    let proposed = difference("A").proposed("run-1", "paid twice", NOW);
    assert_eq!(bench.save(&proposed).await, SaveOutcome::VersionMoved);
}

#[tokio::test]
async fn a_put_whose_answer_is_lost_counts_as_written_once() {
    let bench = Bench::new().await;
    bench.lose_the_next_put();
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    bench.lose_the_next_put();
    let done = next(&first_run(), RunState::Done);
    assert_eq!(bench.save_run(&done).await, SaveOutcome::Saved);
    bench.lose_the_next_put();
    assert_eq!(bench.find(&difference("A")).await, FindOutcome::New);
    bench.lose_the_next_put();
    let proposed = difference("A").proposed("run-1", "paid twice", NOW);
    assert_eq!(bench.save(&proposed).await, SaveOutcome::Saved);
    bench.lose_the_next_put();
    let carry = bench.table().carry(&carried("A")).await;
    carry.expect("carried");
    let puts = Match::operation(Service::DynamoDb, "PutItem");
    assert_eq!(bench.wire.count(&puts), 10, "each was sent twice");
}

#[tokio::test]
async fn a_difference_is_new_once_and_keeps_what_was_decided_when_a_later_run_finds_it() {
    let bench = Bench::new().await;
    assert_eq!(bench.find(&difference("A")).await, FindOutcome::New);
    let explained = difference("A")
        .decided(Decision::Explain, "li", "a test payment", NOW)
        .expect("decided");
    assert_eq!(bench.save(&explained).await, SaveOutcome::Saved);

    let mut again = difference("A");
    again.history = Vec::new();
    let found = bench.find(&again).await;
    assert_eq!(found, FindOutcome::Known(Box::new(explained.clone())));
    assert_eq!(bench.difference(&explained.id).await, Some(explained));
}

#[tokio::test]
async fn of_many_runs_that_find_a_difference_one_finds_it_first() {
    let bench = Bench::new().await;
    let table = bench.table();
    let found: Vec<Difference> = (0..8)
        .map(|count| {
            let run = format!("run-{count}");
            let about = difference("A").about;
            Difference::found(
                day(),
                DifferenceKind::DuplicatePayment,
                about,
                None,
                None,
                &run,
                NOW,
            )
        })
        .collect();
    let answers = join_all(found.iter().map(|difference| table.find(difference))).await;
    let news = answers
        .iter()
        .filter(|answer| matches!(answer, Ok(FindOutcome::New)))
        .count();
    assert_eq!((news, answers.len()), (1, 8));
}

#[tokio::test]
async fn of_two_persons_who_approve_at_once_one_reads_again() {
    let bench = Bench::new().await;
    let open = difference("A");
    assert_eq!(bench.find(&open).await, FindOutcome::New);
    let proposed = open.proposed("run-1", "paid twice", NOW);
    assert_eq!(bench.save(&proposed).await, SaveOutcome::Saved);
    let approve = |who: &str, on: &Difference| {
        on.decided(Decision::Approve, who, "looked at it", NOW)
            .expect("decided")
    };
    assert_eq!(
        bench.save(&approve("li", &proposed)).await,
        SaveOutcome::Saved
    );
    let late = approve("wang", &proposed);
    assert_eq!(bench.save(&late).await, SaveOutcome::VersionMoved);
    let read = bench.difference(&open.id).await.expect("a difference");
    let approved = approve("wang", &read);
    assert_eq!(approved.state, DifferenceState::Approved);
    assert_eq!(bench.save(&approved).await, SaveOutcome::Saved);
}

/// A difference with a parked payment and a proposed refund.
async fn with_a_notice(bench: &Bench) -> Difference {
    let money = ParkedMoneyRecord {
        notice_id: "payment#4200001",
        order_no: &OrderNo::parse("ORDER-1").expect("a number"),
        what_to_do: "refund this second payment",
        now: NOW,
    };
    let kept = bench.ledger().keep(&money).await;
    assert_eq!(kept.expect("an answer"), ParkedStatus::Waiting);
    let open = difference("ORDER-1");
    bench.find(&open).await;
    let proposed = open.proposed("run-1", "twice", NOW);
    assert_eq!(bench.save(&proposed).await, SaveOutcome::Saved);
    proposed
}

fn approved(proposed: &Difference) -> [Difference; 2] {
    let once = proposed.decided(Decision::Approve, "li", "twice", NOW);
    let once = once.expect("a decision");
    let twice = once.decided(Decision::Approve, "wang", "yes", NOW);
    [once, twice.expect("a decision")]
}

fn with_stage(of: &Difference, stage: RefundStage) -> Difference {
    let refund = TrackedRefund {
        refund_no: RefundNo::parse("second-4200001").expect("a number"),
        stage,
        to_merchant: false,
        payer_has_it: false,
    };
    of.with_refund(&refund, "run-2", NOW).expect("news")
}

#[tokio::test]
async fn a_decision_closes_the_notice_of_its_money_and_one_that_failed_opens_it_again() {
    let bench = Bench::new().await;
    let proposed = with_a_notice(&bench).await;
    let status = async || bench.notice().await.map(|notice| notice.status);
    let [once, twice] = approved(&proposed);
    assert_eq!(bench.save(&once).await, SaveOutcome::Saved);
    assert_eq!(status().await, Some(NoticeStatus::Parked), "one person");
    // The answer is lost: the SDK asks again, and finds its own write.
    let writes = Match::operation(Service::DynamoDb, "TransactWriteItems");
    bench.wire.break_next(writes, Fault::LostAnswer);
    assert_eq!(bench.save(&twice).await, SaveOutcome::Saved);
    let closed = bench.notice().await.expect("a notice");
    assert_eq!(
        (closed.status, closed.decided_by.as_deref()),
        (NoticeStatus::Decided, Some("wang"))
    );
    let moving = with_stage(&twice, RefundStage::Moving);
    assert_eq!(bench.save(&moving).await, SaveOutcome::Saved);
    assert_eq!(status().await, Some(NoticeStatus::Decided));
    let stuck = with_stage(&moving, RefundStage::Refused);
    assert_eq!(bench.save(&stuck).await, SaveOutcome::Saved);
    let open = bench.notice().await.expect("a notice");
    assert_eq!((open.status, open.decided_by), (NoticeStatus::Parked, None));
}

#[tokio::test]
async fn a_decision_that_is_stale_or_whose_money_has_no_notice_writes_none() {
    let bench = Bench::new().await;
    let proposed = with_a_notice(&bench).await;
    let explain = |who| proposed.decided(Decision::Explain, who, "settled by phone", NOW);
    let (first, late) = (
        explain("li").expect("holds"),
        explain("wang").expect("holds"),
    );
    assert_eq!(bench.save(&first).await, SaveOutcome::Saved);
    assert_eq!(bench.save(&late).await, SaveOutcome::VersionMoved);
    let notice = bench.notice().await.expect("a notice");
    assert_eq!(notice.decided_by.as_deref(), Some("li"));

    let bench = Bench::new().await;
    let open = difference("ORDER-1");
    bench.find(&open).await;
    let explained = open.decided(Decision::Explain, "li", "settled by phone", NOW);
    assert_eq!(
        bench.save(&explained.expect("holds")).await,
        SaveOutcome::Saved
    );
    assert_eq!(bench.notice().await, None);
}

#[tokio::test]
async fn a_difference_is_followed_from_the_step_on_that_begins_to_wait_for_its_refund() {
    let bench = Bench::new().await;
    let proposed = with_a_notice(&bench).await;
    let [once, twice] = approved(&proposed);
    for step in [&once, &twice] {
        assert_eq!(bench.save(step).await, SaveOutcome::Saved);
        assert_eq!(bench.followed().await, [], "nothing is made yet");
    }
    let moving = with_stage(&twice, RefundStage::Moving);
    assert_eq!(bench.save(&moving).await, SaveOutcome::Saved);
    let [early] = bench.followed().await.try_into().expect("one");
    assert_eq!((early.date, early.id.as_str()), (day(), moving.id.as_str()));

    // The process that removes it from the list has read it before it was added again.
    let stuck = with_stage(&moving, RefundStage::Abnormal);
    assert_eq!(bench.save(&stuck).await, SaveOutcome::Saved);
    bench
        .table()
        .follow_no_more(&early)
        .await
        .expect("an answer");
    let [late] = bench
        .followed()
        .await
        .try_into()
        .expect("it is still there");
    let arrived = with_stage(&stuck, RefundStage::Succeeded);
    assert_eq!(bench.save(&arrived).await, SaveOutcome::Saved);
    bench
        .table()
        .follow_no_more(&late)
        .await
        .expect("an answer");
    assert_eq!(bench.followed().await, []);
}

#[tokio::test]
async fn differences_come_page_by_page_in_the_order_of_their_ids_each_once() {
    let bench = Bench::new().await;
    let mut ids = Vec::new();
    for count in 0..7 {
        let difference = difference(&format!("ORDER-{count}"));
        assert_eq!(bench.find(&difference).await, FindOutcome::New);
        ids.push(difference.id);
    }
    ids.sort_unstable();
    // Other items of the day, of another day, and of another merchant.
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    bench.table().carry(&carried("A")).await.expect("carried");
    let elsewhere = Difference {
        date: day().plus_days(1),
        ..difference("A")
    };
    assert_eq!(bench.find(&elsewhere).await, FindOutcome::New);
    let stranger = bench.table_of("1900000002");
    let theirs = stranger.find(&difference("B")).await;
    assert_eq!(theirs.expect("an answer"), FindOutcome::New);

    let (mut listed, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = bench
            .table()
            .differences(day(), after.as_deref(), 3)
            .await
            .expect("read");
        listed.extend(page.items.into_iter().map(|difference| difference.id));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn an_id_that_nothing_can_have_finds_nothing() {
    let bench = Bench::new().await;
    assert_eq!(bench.find(&difference("A")).await, FindOutcome::New);
    let too_long = "x".repeat(3000);
    for id in ["", "nothing", &too_long] {
        assert_eq!(bench.difference(id).await, None);
    }
    let table = bench.table();
    let page = table.differences(day(), Some(&too_long), 3).await;
    let page = page.expect("read");
    assert_eq!((page.items.len(), page.next), (0, None));
}

#[tokio::test]
async fn the_runs_of_many_days_come_in_one_call_the_earliest_first() {
    let bench = Bench::new().await;
    for days in [2, 0] {
        let run = Run::begun(day().plus_days(days), "run-1", true, NOW);
        assert_eq!(bench.save_run(&run).await, SaveOutcome::Saved);
    }
    let asked: Vec<BillDate> = [3, 2, 1, 0, 0, 2].map(|days| day().plus_days(days)).into();
    let runs = bench.table().runs(&asked).await.expect("read");
    let dates: Vec<BillDate> = runs.iter().map(|(date, _)| *date).collect();
    assert_eq!(dates, [day(), day().plus_days(2)]);
    let batches = Match::operation(Service::DynamoDb, "BatchGetItem");
    assert_eq!(bench.wire.count(&batches), 1);
    let none = bench.table().runs(&[]).await.expect("nothing to read");
    assert!(none.is_empty());
}

#[tokio::test]
async fn of_many_days_one_damaged_record_is_an_error_of_its_own_day() {
    let bench = Bench::new().await;
    let asked: Vec<BillDate> = (-1..=1).map(|days| day().plus_days(days)).collect();
    for date in &asked {
        let run = Run::begun(*date, "run-1", false, NOW);
        assert_eq!(bench.save_run(&run).await, SaveOutcome::Saved);
    }
    bench.damage("run", "body").await;
    let table = bench.table();
    let of_each = table.runs_of_each(&asked).await.expect("read");
    let read: Vec<(BillDate, bool)> = of_each
        .iter()
        .map(|(date, runs)| (*date, runs.is_ok()))
        .collect();
    let [before, damaged, after] = asked[..] else {
        panic!("three days");
    };
    assert_eq!(read, [(before, true), (damaged, false), (after, true)]);
    assert!(table.runs(&asked).await.is_err(), "all or nothing");
}

/// DynamoDB leaves out what does not fit into 16 MB.
#[tokio::test]
async fn runs_that_a_batch_leaves_out_are_asked_for_again() {
    let bench = Bench::new().await;
    let mut asked = Vec::new();
    for days in 0..50 {
        let mut run = Run::begun(day().plus_days(days), "run-1", false, NOW);
        run.trouble = Some("x".repeat(390_000));
        assert_eq!(bench.save_run(&run).await, SaveOutcome::Saved);
        asked.push(run.date);
    }
    let runs = bench.table().runs(&asked).await.expect("read");
    let dates: Vec<BillDate> = runs.iter().map(|(date, _)| *date).collect();
    assert_eq!(dates, asked);
    let batches = Match::operation(Service::DynamoDb, "BatchGetItem");
    assert!(bench.wire.count(&batches) > 1, "one batch proves nothing");
}

#[tokio::test]
async fn a_carried_trade_waits_once_and_stays_reconciled_when_it_is_carried_again() {
    let bench = Bench::new().await;
    let table = bench.table();
    for order_no in ["A", "B", "A"] {
        table.carry(&carried(order_no)).await.expect("carried");
    }
    let settled = CarriedTrade {
        settled: true,
        ..carried("A")
    };
    let settle = table.settle_carried(day(), &settled.id).await;
    settle.expect("settled");
    table.carry(&carried("A")).await.expect("carried again");
    let mut all = vec![settled, carried("B")];
    all.sort_unstable_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(table.carried(day()).await.expect("read"), all);
    let tomorrow = table.carried(day().plus_days(1)).await;
    assert!(tomorrow.expect("read").is_empty());
}

#[tokio::test]
async fn settling_what_was_never_carried_makes_no_item() {
    let bench = Bench::new().await;
    let settled = bench.table().settle_carried(day(), "bill-payment-0").await;
    settled.expect("nothing to do");
    assert!(bench.table().carried(day()).await.expect("read").is_empty());
}

#[tokio::test]
async fn more_carried_trades_than_fit_one_page_all_come() {
    let bench = Bench::new().await;
    let table = bench.table();
    for count in 0..520 {
        let carry = table.carry(&carried(&format!("ORDER-{count}"))).await;
        carry.expect("carried");
    }
    assert_eq!(table.carried(day()).await.expect("read").len(), 520);
}

#[tokio::test]
async fn a_damaged_item_is_named_with_its_attribute() {
    let bench = Bench::new().await;
    assert_eq!(bench.save_run(&first_run()).await, SaveOutcome::Saved);
    let found = difference("A");
    assert_eq!(bench.find(&found).await, FindOutcome::New);
    bench.table().carry(&carried("A")).await.expect("carried");
    let difference_sk = format!("difference#{}", found.id);
    let carried_sk = format!("carried#{}", carried("A").id);
    for (sk, attribute) in [
        ("run", "version"),
        ("run", "body"),
        (&difference_sk, "version"),
        (&difference_sk, "body"),
        (&carried_sk, "state"),
        (&carried_sk, "body"),
    ] {
        bench.damage(sk, attribute).await;
        let table = bench.table();
        let error = match attribute {
            _ if sk == "run" => table.day_runs(day()).await.err(),
            _ if sk == difference_sk => table.difference(day(), &found.id).await.err(),
            _ => table.carried(day()).await.err(),
        };
        let error = error.expect("an error");
        assert!(
            matches!(&error, ReconciliationError::Damaged { item, attribute: named }
                if item.contains(sk) && item.contains("2026-08-01") && *named == attribute),
            "{sk} {attribute}: {error}"
        );
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_table_that_is_away_is_an_error_and_nothing_is_taken_for_written() {
    let bench = Bench::new().await;
    bench
        .wire
        .break_all(Match::service(Service::DynamoDb), Fault::Throttled);
    let table = bench.table();
    let failures = [
        table.day_runs(day()).await.err(),
        table.save_run(&first_run()).await.err(),
        table.runs(&[day()]).await.err(),
        table.find(&difference("A")).await.err(),
        table.save_difference(&difference("A")).await.err(),
        table.difference(day(), "A").await.err(),
        table.differences(day(), None, 5).await.err(),
        table.carry(&carried("A")).await.err(),
        table.carried(day()).await.err(),
        table.settle_carried(day(), "A").await.err(),
    ];
    for failure in failures {
        let failure = failure.expect("an error");
        assert!(matches!(failure, ReconciliationError::Unavailable(_)));
        assert!(failure.is_transient());
    }
}
