//! The reconciliation table: races, lost answers, and what a list leaves out.

mod carried;
mod decisions;
mod differences;
mod runs;

use aws_sdk_dynamodb::types::AttributeValue;
use payments::model::bill_date::BillDate;
use payments::model::ids::RefundNo;
use payments::reconcile::carried::{CarriedKind, CarriedTrade, TradeIdentity};
use payments::reconcile::difference::{
    Difference, DifferenceKind, DifferenceSubject, RefundStage, SideView, TrackedRefund,
};
use payments::reconcile::run::{Run, RunState};
use runtime::clock::Clock;
use stores::notices::{Notice, Notices};
use stores::reconciliation::{
    FindOutcome, ReconciliationError, ReconciliationTable, SaveOutcome, TrackedDifference,
};
use testbed::{DynamoEngine, Fault, FaultyTransport, Match, NOW, Service, Tables};

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

    async fn tracked(&self) -> Vec<TrackedDifference> {
        let page = self.table().tracked_page(None).await.expect("an answer");
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
async fn members_that_a_later_version_added_to_a_run_or_difference_are_kept_by_this_one() {
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
