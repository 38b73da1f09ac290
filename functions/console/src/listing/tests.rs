//! Reading a day: how often, how much is held, and how much memory it takes.

use std::{
    collections::BTreeMap,
    env,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use matching::totals::{Gap, Gaps};
use payments::reconcile::{difference::DifferenceSubject, run::PartDone};
use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
};
use serde_json::{Value, json};
use testbed::{AttributeValue, DynamoEngine, FaultyTransport, Match, Service};
use wechatpay::UnixSeconds;

use super::*;
use crate::day_listing::{OF_EACH_KIND, OF_ONE_KIND};

fn found(kind: DifferenceKind, line: u64) -> Difference {
    let date = BillDate::parse("2026-08-01").unwrap();
    let about = DifferenceSubject {
        line: Some(line),
        transaction_id: Some(line.to_string()),
        ..DifferenceSubject::default()
    };
    Difference::found(date, kind, about, None, None, "r", UnixSeconds(0))
}

fn held(day: &DayListing) -> usize {
    let of = |kind: &DifferenceKind| day.of(*kind).len();
    DifferenceKind::ALL.iter().map(of).sum()
}

#[test]
fn no_more_of_a_hundred_thousand_differences_are_held_than_a_page_shows() {
    let kind = |line: u64| {
        let at = usize::try_from(line).unwrap() % DifferenceKind::ALL.len();
        DifferenceKind::ALL[at]
    };
    let mut day = DayListing::default();
    for line in (0..100_000).rev() {
        let one = found(kind(line), line);
        day.count(&one);
        day.hold(one, Filter::default());
        assert!(held(&day) <= DifferenceKind::ALL.len() * OF_EACH_KIND);
    }
    assert_eq!(day.len(), 100_000);
    assert_eq!(day.needing(), 100_000);
    assert_eq!(held(&day), DifferenceKind::ALL.len() * OF_EACH_KIND);
    let first: Vec<_> = day.of(DifferenceKind::ALL[0]).iter().take(3).collect();
    let lines: Vec<_> = first.iter().map(|one| one.about.line.unwrap()).collect();
    let kinds = u64::try_from(DifferenceKind::ALL.len()).unwrap();
    assert_eq!(lines, [0, kinds, 2 * kinds], "the first ones of the bill");
}

#[test]
fn what_needs_a_person_is_kept_before_what_is_done_however_late_it_is_read() {
    let over = (0..1_000).map(|line| {
        let one = found(DifferenceKind::AmountDiffers, line);
        one.repaired("r", "agrees", UnixSeconds(0))
    });
    let open = found(DifferenceKind::AmountDiffers, 5_000);
    let day = DayListing::with(over.chain([open.clone()]), Filter::default());
    assert_eq!(day.of(DifferenceKind::AmountDiffers).first(), Some(&open));
    assert_eq!((day.len(), day.needing(), held(&day)), (1_001, 1, 50));
}

#[test]
fn what_was_not_asked_for_is_counted_and_takes_no_room() {
    let items = || {
        let many = (0..600).map(|line| found(DifferenceKind::AmountDiffers, line));
        many.chain([found(DifferenceKind::StatusDiffers, 1)])
    };
    let of = |kind| Filter {
        kind: Some(kind),
        ..Filter::default()
    };
    let day = DayListing::with(items(), of(DifferenceKind::StatusDiffers));
    assert_eq!((day.len(), held(&day)), (601, 1));
    let day = DayListing::with(items(), of(DifferenceKind::AmountDiffers));
    assert_eq!(
        (day.count_of(of(DifferenceKind::AmountDiffers)), held(&day)),
        (600, 500)
    );
}

const MCHID: &str = "1900000001";

/// A table in memory, and the calls to it.
struct Bench {
    engine: DynamoEngine,
    wire: FaultyTransport,
    clock: Clock,
    name: String,
    table: ReconciliationTable,
}

impl Bench {
    async fn new() -> Self {
        let clock = Clock::manual(UnixSeconds(1_785_643_200));
        let engine = DynamoEngine::start();
        let name = engine.create_tables("test-").await.reconciliation;
        let wire = FaultyTransport::new(clock.clone());
        let client = engine.client_over(&wire, &clock);
        Self {
            table: ReconciliationTable::new(client, &name, MCHID),
            engine,
            wire,
            clock,
            name,
        }
    }

    async fn has(&self, date: BillDate, kind: DifferenceKind, count: u64) {
        for line in 0..count {
            let one = Difference {
                date,
                ..found(kind, line)
            };
            self.table.find(&one).await.unwrap();
        }
        self.wire.forget();
    }

    /// How many calls there were since this was last read. Each is a piece of the list.
    fn reads(&self) -> usize {
        let queries = Match::operation(Service::DynamoDb, "Query");
        let (all, queries) = (self.wire.calls().len(), self.wire.count(&queries));
        assert_eq!(all, queries, "nothing else was asked for");
        self.wire.forget();
        queries
    }
}

fn date() -> BillDate {
    BillDate::parse("2026-08-01").unwrap()
}

#[tokio::test]
async fn a_day_is_read_sixty_times_at_most_and_a_kind_that_was_chosen_as_often_again() {
    let bench = Bench::new().await;
    bench.has(date(), DifferenceKind::AmountDiffers, 70).await;
    bench.has(date(), DifferenceKind::StatusDiffers, 1).await;
    let of = |kind| Filter {
        kind,
        ..Filter::default()
    };
    let read = async |kind, page| {
        let reads = Reads {
            page,
            ..Reads::OF_A_DAY
        };
        let day = day_within(&bench.table, date(), None, of(kind), reads).await;
        let day = day.unwrap();
        (bench.reads(), day.len(), day.is_cut)
    };
    assert_eq!(read(None, 1).await, (60, 60, true));
    let chosen = Some(DifferenceKind::AmountDiffers);
    assert_eq!(read(chosen, 1).await, (120, 60, true));
    // A kind behind the last one that was counted.
    let rare = Some(DifferenceKind::StatusDiffers);
    assert_eq!(read(rare, 1).await, (62, 61, true));
    // All of it in pieces that are larger.
    assert_eq!(read(None, 2).await, (36, 71, false));
}

#[tokio::test]
async fn the_differences_of_a_month_are_counted_where_they_lie_and_none_is_read() {
    let bench = Bench::new().await;
    let mut runs = Vec::new();
    for (back, count) in [(0, 3), (1, 0), (2, 1), (3, 0)] {
        let date = date().plus_days(-back);
        bench.has(date, DifferenceKind::AmountDiffers, count).await;
        let mut run = Run::begun(date, "r", false, UnixSeconds(0));
        let mut part = PartDone::default();
        let count = u32::try_from(count).unwrap();
        part.differences
            .insert(DifferenceKind::AmountDiffers, count);
        run.parts_done.insert(0, part);
        runs.push((date, DayRuns::new(Some(run), None)));
    }
    // A reader of any of them fails: its body is unusable.
    let id = found(DifferenceKind::AmountDiffers, 0).id;
    let update = bench.engine.client(&bench.clock);
    let update = update
        .update_item()
        .table_name(&bench.name)
        .key("pk", AttributeValue::S(format!("day#{MCHID}#{}", date())))
        .key("sk", AttributeValue::S(format!("difference#{id}")))
        .update_expression("SET body = :body")
        .expression_attribute_values(":body", AttributeValue::S("?".to_owned()));
    update.send().await.unwrap();
    let listed = bench.table.differences(date(), None, 10).await;
    assert!(listed.is_err(), "who reads it cannot go on");
    bench.wire.forget();

    let needing = needing_of_each(&bench.table, &runs).await.unwrap();
    let counts: Vec<_> = needing
        .iter()
        .map(|(date, counted)| (*date, counted.count, counted.is_all))
        .collect();
    assert_eq!(counts, [(date(), 3, true), (date().plus_days(-2), 1, true)]);
    assert_eq!(bench.reads(), 2, "one for each day that has some");
}

/// A DynamoDB whose days never end: each page has this many differences of several kilobytes. What
/// a run's differences make of its sums, and the trades that it left, are as many as are kept.
#[derive(Clone, Debug)]
struct Endless {
    /// How many pages of differences it gave, and how many there are.
    pages: Arc<AtomicUsize>,
    pages_max: usize,
    /// How long a difference's last note is.
    note_bytes: usize,
}

/// What a difference of [`Endless`] takes, at the least, and how many a page has.
const ONE_BYTES: usize = 3_000;
const OF_A_PAGE: usize = 200;
/// How many gaps an item has, and how many items a page.
const GAPS_OF_AN_ITEM: usize = 500;
const ITEMS_OF_GAPS: usize = 2;

impl Default for Endless {
    fn default() -> Self {
        Self {
            pages: Arc::default(),
            pages_max: usize::MAX,
            note_bytes: ONE_BYTES,
        }
    }
}

impl Endless {
    fn page(&self) -> Value {
        let page = self.pages.fetch_add(1, Ordering::Relaxed);
        let items = (0..OF_A_PAGE).map(|at| {
            let line = u64::try_from(page * OF_A_PAGE + at).unwrap();
            let why = "x".repeat(self.note_bytes);
            let one = found(DifferenceKind::AmountDiffers, line);
            let one = one.noted("r", &why, UnixSeconds(0));
            json!({
                "pk": {"S": "day"},
                "sk": {"S": format!("difference#{}", one.id)},
                "version": {"N": one.version.to_string()},
                "body": {"S": serde_json::to_string(&one).unwrap()},
            })
        });
        let items: Vec<Value> = items.collect();
        let mut answer = json!({"Items": items, "Count": OF_A_PAGE});
        if page + 1 < self.pages_max {
            let last = format!("difference#{page:06}");
            answer["LastEvaluatedKey"] = json!({"pk": {"S": "day"}, "sk": {"S": last}});
        }
        answer
    }

    /// A page of gaps, behind the item whose number ends this key.
    fn gaps(prefix: &str, after: Option<&str>) -> Value {
        let after = after.and_then(|key| key.rsplit('#').next()?.parse().ok());
        let first = after.map_or(0, |after: usize| after + 1);
        let items = (first..first + ITEMS_OF_GAPS).map(|number| {
            let gaps = (0..GAPS_OF_AN_ITEM).map(|at| {
                let line = u64::try_from(number * GAPS_OF_AN_ITEM + at).unwrap();
                let one = Gap {
                    payments: 1,
                    paid_fen: 100,
                    ..Gap::default()
                };
                let mut gaps = Gaps::default();
                gaps.add("native", one);
                (found(DifferenceKind::AmountDiffers, line).id, gaps)
            });
            let gaps: BTreeMap<String, Gaps> = gaps.collect();
            json!({
                "pk": {"S": "day"},
                "sk": {"S": format!("{prefix}{number:06}")},
                "body": {"S": serde_json::to_string(&gaps).unwrap()},
            })
        });
        let items: Vec<Value> = items.collect();
        let mut answer = json!({"Items": items, "Count": items.len()});
        let next = first + ITEMS_OF_GAPS;
        if next * GAPS_OF_AN_ITEM < GAPS_MAX {
            let last = format!("{prefix}{:06}", next - 1);
            answer["LastEvaluatedKey"] = json!({"pk": {"S": "day"}, "sk": {"S": last}});
        }
        answer
    }
}

impl HttpConnector for Endless {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let asked: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let prefix = asked["ExpressionAttributeValues"][":prefix"]["S"]
            .as_str()
            .unwrap();
        let body = if prefix == "difference#" {
            self.page()
        } else {
            Self::gaps(prefix, asked["ExclusiveStartKey"]["sk"]["S"].as_str())
        };
        let body = SdkBody::from(body.to_string());
        let mut answer = HttpResponse::new(200.try_into().unwrap(), body);
        let headers = answer.headers_mut();
        headers.insert("content-type", "application/x-amz-json-1.0");
        HttpConnectorFuture::ready(Ok(answer))
    }
}

impl HttpClient for Endless {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// The most memory that this process had so far, in bytes.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: usize = peak.unwrap().trim_end_matches("kB").trim().parse().unwrap();
    kib * 1024
}

/// Runs a test in a process of its own, so that nothing else is in its memory. `true` in there.
fn is_alone(name: &str) -> bool {
    const IS_CHILD: &str = "READS_AN_ENDLESS_DAY";
    if env::var_os(IS_CHILD).is_some() {
        return true;
    }
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", name])
        .env(IS_CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}"
    );
    false
}

/// The table over it, and the memory that clients and runtime need once.
async fn table_of(endless: &Endless) -> (ReconciliationTable, usize) {
    let clock = Clock::manual(UnixSeconds(0));
    let client = SharedHttpClient::new(endless.clone());
    let aws = Aws::with_http_client(&AwsSettings::local("http://127.0.0.1:1"), &clock, client);
    let table = ReconciliationTable::new(aws.dynamodb(), "table", MCHID);
    table.differences(date(), None, 500).await.unwrap();
    endless.pages.store(0, Ordering::Relaxed);
    (table, peak_bytes())
}

#[tokio::test]
async fn a_day_of_any_size_takes_the_memory_of_a_page() {
    if !is_alone("listing::tests::a_day_of_any_size_takes_the_memory_of_a_page") {
        return;
    }
    let endless = Endless::default();
    let (table, before) = table_of(&endless).await;
    let day = day(&table, date(), None, Filter::default()).await.unwrap();
    let pages = endless.pages.load(Ordering::Relaxed);
    assert_eq!((pages, day.is_cut), (DAY_READS_MAX, true));
    assert_eq!(day.len(), DAY_READS_MAX * OF_A_PAGE);
    let grown = peak_bytes() - before;
    let of_all = DAY_READS_MAX * OF_A_PAGE * ONE_BYTES;
    assert!(grown < of_all / 4, "{grown} bytes for a day of {of_all}");
    let of_a_choice = Filter {
        kind: Some(DifferenceKind::AmountDiffers),
        ..Filter::default()
    };
    let day = super::day(&table, date(), None, of_a_choice).await.unwrap();
    assert_eq!(held(&day), OF_ONE_KIND);
    let grown = peak_bytes() - before;
    assert!(grown < of_all / 4, "{grown} bytes for a kind of {of_all}");
}

/// The most memory that a request may take beside the program itself, in bytes. The function has
/// 256 MB.
const OF_A_REQUEST: usize = 96_000_000;

#[tokio::test]
async fn the_effects_of_differences_and_carried_trades_on_the_sums_fit_into_the_function() {
    if !is_alone(
        "listing::tests::the_effects_of_differences_and_carried_trades_on_the_sums_fit_into_the_function",
    ) {
        return;
    }
    let endless = Endless::default();
    let (table, before) = table_of(&endless).await;
    let mut run = Run::begun(date(), "r", false, UnixSeconds(0));
    let part = PartDone {
        gaps_of: Some("attempt".to_owned()),
        left_of: Some("attempt".to_owned()),
        ..PartDone::default()
    };
    run.parts_done.insert(0, part);
    let gaps = table.gaps(&run, GAPS_MAX).await.unwrap().unwrap();
    assert_eq!(gaps.len(), GAPS_MAX, "as many as are kept");
    let left = table.left(&run, GAPS_MAX).await.unwrap().unwrap();
    assert_eq!(left.len(), GAPS_MAX);
    drop((gaps, left));
    let all = Filter::default();
    let day = day(&table, date(), Some(&run), all).await.unwrap();
    let of_next_day = 2;
    let pages = endless.pages.load(Ordering::Relaxed);
    assert_eq!(pages, of_next_day + DAY_READS_MAX);
    assert_eq!(day.len(), DAY_READS_MAX * OF_A_PAGE);
    let grown = peak_bytes() - before;
    assert!(grown < OF_A_REQUEST, "{grown} bytes");
}

#[tokio::test]
async fn the_largest_file_takes_the_memory_of_a_few_of_its_size() {
    if !is_alone("listing::tests::the_largest_file_takes_the_memory_of_a_few_of_its_size") {
        return;
    }
    let endless = Endless {
        pages_max: FILE_MAX / OF_A_PAGE,
        note_bytes: 200,
        ..Endless::default()
    };
    let (table, before) = table_of(&endless).await;
    let file = file(&table, date(), Filter::default()).await.unwrap();
    let file = file.expect("as many as a file holds");
    assert_eq!(file.lines().count(), FILE_MAX + 1);
    assert!(file.len() > 2_500_000, "{} bytes", file.len());
    let grown = peak_bytes() - before;
    assert!(
        grown < 6 * file.len(),
        "{grown} bytes for {} bytes",
        file.len()
    );
}
