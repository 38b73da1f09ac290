//! The console over a month of 20,000 differences, within the memory that its function has.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    process::Command,
    sync::Arc,
};

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use base64::{Engine, engine::general_purpose::STANDARD};
use console::app::App;
use futures_util::{StreamExt, stream};
use matching::totals::{Gap, Gaps};
use payments::{
    model::bill_date::BillDate,
    reconcile::{
        difference::{Difference, DifferenceKind, DifferenceSubject, SideView},
        run::{FundState, PartDone, Run, RunState},
    },
};
use runtime::{
    aws::{Aws, AwsSettings},
    clock::Clock,
    random::Random,
};
use serde_json::{Value, json};
use stores::reconciliation::{FindOutcome, ReconciliationTable, SaveOutcome};
use testbed::{DynamoEngine, Tables};
use wechatpay::UnixSeconds;

use crate::support::{MCHID, answer_to_event, open};

/// Noon in Beijing on the day after the last one.
const NOW: UnixSeconds = UnixSeconds(1_785_556_800);
const DAYS: i64 = 30;
const DIFFERENCES: usize = 20_000;
/// How long what a run noted of each difference is, in bytes: as long as a person's reason may be.
const NOTE_BYTES: usize = 1_000;
/// Where the process that measures finds the table.
const ENDPOINT: &str = "CONSOLE_MEMORY_ENDPOINT";

/// What all requests together may take beyond the memory that the first one took, in bytes.
const GROWN_BYTES_MAX: usize = 48_000_000;
/// What the whole process may take, in bytes; the function has 256 MB.
const WHOLE_BYTES_MAX: usize = 200_000_000;

fn day(back: i64) -> BillDate {
    BillDate::of(NOW).plus_days(-back)
}

/// The days, the earliest first.
fn days() -> impl Iterator<Item = BillDate> {
    (1..=DAYS).rev().map(day)
}

fn found(date: BillDate, line: usize) -> Difference {
    let kinds = [
        DifferenceKind::AmountDiffers,
        DifferenceKind::UnknownOrderThere,
        DifferenceKind::StatusDiffers,
    ];
    let about = DifferenceSubject {
        line: Some(u64::try_from(line).unwrap()),
        order_no: Some(format!("TEA-{date}-{line:05}")),
        transaction_id: Some(format!("42000012342026{line:014}")),
        ..DifferenceSubject::default()
    };
    let side = |fen| SideView {
        amount_fen: Some(fen),
        state: Some("SUCCESS".to_owned()),
        ..SideView::default()
    };
    let (there, here) = (Some(side(12_850)), Some(side(12_800)));
    let one = Difference::found(date, kinds[line % 3], about, there, here, "run", NOW);
    one.noted("run", &"x".repeat(NOTE_BYTES), NOW)
}

/// How many differences a day has.
fn count_of(date: BillDate) -> usize {
    let place = days().position(|day| day == date).expect("one of the days");
    DIFFERENCES / 30 + usize::from(place < DIFFERENCES % 30)
}

/// A day's run that is through, with what each difference makes of its sums.
async fn write_run(table: &ReconciliationTable, all: &[Difference]) {
    let date = all[0].date;
    let mut accounted_for = Gaps::default();
    let mut gaps = BTreeMap::new();
    for one in all {
        let gap = Gap {
            paid_fen: 50,
            ..Gap::default()
        };
        let mut of_one = Gaps::default();
        for gaps in [&mut accounted_for, &mut of_one] {
            gaps.add("NATIVE", gap);
        }
        gaps.insert(one.id.clone(), of_one);
    }
    let saved = table.save_gaps(date, "run", 0, "once", &gaps);
    saved.await.expect("a table");
    let mut run = Run::begun(date, "run", false, NOW);
    run.state = RunState::Done;
    run.funds.as_mut().expect("a fund side").state = FundState::Done;
    let mut part = PartDone {
        accounted_for: Some(accounted_for),
        gaps_of: Some("once".to_owned()),
        ..PartDone::default()
    };
    for one in all {
        *part.differences.entry(one.kind).or_default() += 1;
    }
    run.parts_done.insert(0, part);
    let saved = table.save_run(&run).await.expect("a table");
    assert_eq!(saved, SaveOutcome::Saved);
}

/// A day's run and its differences: the first one by the store, all others as it writes them.
async fn write_day(client: &aws_sdk_dynamodb::Client, tables: &Tables, date: BillDate) {
    let store = ReconciliationTable::new(client.clone(), &tables.reconciliation, MCHID);
    let all: Vec<Difference> = (0..count_of(date)).map(|line| found(date, line)).collect();
    write_run(&store, &all).await;
    let first = Difference {
        version: 1,
        ..all[0].clone()
    };
    let outcome = store.find(&first).await.expect("a table");
    assert_eq!(outcome, FindOutcome::New);
    let text = |value: String| AttributeValue::S(value);
    let sk = |one: &Difference| text(format!("difference#{}", one.id));
    let read = client.get_item().table_name(&tables.reconciliation);
    let read = read.key("pk", text(format!("day#{MCHID}#{date}")));
    let read = read.key("sk", sk(&first)).send().await.expect("a table");
    let pattern = read.item.expect("the first one");
    let items = all.iter().map(|one| {
        let mut item: HashMap<String, AttributeValue> = pattern.clone();
        let body = serde_json::to_string(one).expect("JSON");
        for (name, value) in [
            ("sk", sk(one)),
            ("kind", text(one.kind.name().to_owned())),
            ("state", text(one.state.name().to_owned())),
            ("version", AttributeValue::N(one.version.to_string())),
            ("body", text(body)),
        ] {
            assert!(item.insert(name.to_owned(), value).is_some(), "{name}");
        }
        let put = PutRequest::builder().set_item(Some(item)).build();
        WriteRequest::builder()
            .put_request(put.expect("an item"))
            .build()
    });
    let items: Vec<WriteRequest> = items.collect();
    for batch in items.chunks(25) {
        let write = client.batch_write_item();
        let write = write.request_items(&tables.reconciliation, batch.to_vec());
        let left = write.send().await.expect("a table").unprocessed_items;
        assert!(left.is_none_or(|left| left.is_empty()));
    }
}

/// The function over the tables that the other process filled.
struct FilledConsole {
    app: Arc<App>,
}

impl FilledConsole {
    fn open(endpoint: &str) -> Self {
        let vars = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("ORDERS_TABLE", "orders"),
            ("NOTICES_TABLE", "notices"),
            ("RECONCILIATION_TABLE", "reconciliation"),
            ("RECONCILE_WORK_QUEUE_URL", "http://127.0.0.1:9/none"),
            ("WECHATPAY_MCHID", MCHID),
            ("CONSOLE_AUTH", "jwt"),
            ("CONSOLE_GROUP", "finance"),
            ("METRICS_NAMESPACE", "wechatpay"),
            ("API_ID", "a1b2c3d4e5"),
        ];
        let vars = vars.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let vars = BTreeMap::from(vars);
        let clock = Clock::manual(NOW);
        let aws = Aws::new(&AwsSettings::local(endpoint), &clock);
        let app = open!(console, &vars, &aws, clock, Random::system());
        Self { app: Arc::new(app) }
    }

    /// What the function answers, as text.
    async fn get(&self, path: &str, query: &str) -> String {
        let claims = json!({
            "email": "li@example.com", "email_verified": "true", "cognito:groups": "[finance]"
        });
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
            "headers": {"host": "pay.example.com"}, "isBase64Encoded": false,
            "requestContext": {
                "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "1.2.3.4"},
                "authorizer": {"jwt": {"claims": claims}},
            },
        });
        let answer = answer_to_event(&self.app, &event).await;
        let body = answer["body"].as_str().unwrap_or_default();
        assert_eq!(answer["statusCode"], 200, "{path}?{query}: {body}");
        if answer["isBase64Encoded"] == true {
            String::from_utf8(STANDARD.decode(body).expect("base64")).expect("UTF-8")
        } else {
            body.to_owned()
        }
    }

    async fn json(&self, path: &str, query: &str) -> Value {
        serde_json::from_str(&self.get(path, query).await).expect("JSON")
    }

    /// All of a day by the list for programs: how many there are.
    async fn listed(&self, date: BillDate) -> usize {
        let (mut count, mut query) = (0, "limit=500".to_owned());
        loop {
            let path = format!("/v1/reconciliations/{date}/differences");
            let page = self.json(&path, &query).await;
            count += page["differences"].as_array().expect("a list").len();
            let Some(next) = page["next"].as_str() else {
                return count;
            };
            query = format!("limit=500&after={next}");
        }
    }
}

/// The most memory that this process had so far, in bytes.
fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: usize = peak.unwrap().trim_end_matches("kB").trim().parse().unwrap();
    kib * 1024
}

/// Reads all that the console shows of the month, and measures.
async fn reads_the_month(endpoint: &str) {
    let console = FilledConsole::open(endpoint);
    let quiet = day(DAYS + 40);
    console.get(&format!("/console/{quiet}"), "").await;
    let before = peak_bytes();
    let mut in_files = 0;
    let mut in_lists = 0;
    for (number, date) in days().enumerate() {
        let path = format!("/v1/reconciliations/{date}");
        let count = count_of(date);
        let shown = console.json(&path, "").await;
        let open = &shown["totals"]["difference_by"]["open"]["paid_fen"];
        assert_eq!(*open, 50 * count, "{date}: by what each makes of the sums");
        // In turn, since both read the same.
        if number % 2 == 0 {
            let file = console.get(&format!("{path}/differences.csv"), "").await;
            in_files += file.lines().count() - 1;
        } else {
            in_lists += console.listed(date).await;
        }
    }
    assert_eq!(in_files + in_lists, DIFFERENCES);
    assert!(in_files > 9_000 && in_lists > 9_000);
    // A page counts what is open on each of the thirty days of its chart, and holds one kind of its
    // own. That of the last day has all of them.
    for (date, charted) in [(day(DAYS), 16), (day(1), 30)] {
        let page = format!("/console/{date}");
        let shown = console.get(&page, "").await;
        let is_shown = |other: &BillDate| {
            let link = format!("href=\"/console/{other}\" aria-label");
            let column = shown.split(&link).nth(1);
            let column = column.and_then(|rest| rest.split('>').next());
            let shown = format!("{} differences not done", count_of(*other));
            column.is_some_and(|column| column.contains(&shown))
        };
        assert_eq!(days().filter(is_shown).count(), charted, "{date}");
        console.get(&page, "kind=amount_differs&state=open").await;
    }
    let (whole, grown) = (peak_bytes(), peak_bytes() - before);
    println!("{whole} bytes, {grown} of them for the month");
    assert!(grown < GROWN_BYTES_MAX, "{grown} bytes for the month");
    assert!(whole < WHOLE_BYTES_MAX, "{whole} bytes in all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_20_000_differences_is_shown_listed_and_filed_within_the_function_s_memory() {
    const NAME: &str = "console_memory::a_month_of_20_000_differences_is_shown_listed_and_filed_within_the_function_s_memory";
    if let Some(endpoint) = env::var_os(ENDPOINT) {
        return reads_the_month(endpoint.to_str().expect("text")).await;
    }
    let engine = DynamoEngine::start();
    let tables = engine.create_tables("").await;
    let client = engine.client(&Clock::manual(NOW));
    let written = stream::iter(days()).map(|date| write_day(&client, &tables, date));
    written.buffer_unordered(4).collect::<Vec<()>>().await;
    // In a process of its own, so that neither the engine nor another test is in its memory.
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(ENDPOINT, engine.endpoint())
        .output();
    let child = child.expect("a process");
    let said = String::from_utf8_lossy(&child.stdout);
    let printed = String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said} {printed}"
    );
}
