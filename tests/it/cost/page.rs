//! `infra/COST.md`: what was counted, times `infra/prices.json`.

use std::{collections::BTreeMap, fmt::Write as _, sync::LazyLock};

use serde_json::Value;

use super::{Counted, FUNCTIONS, Flow, Function, POLLS, SWEEPS, Usage, alarms, count};

pub(super) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/COST.md");

/// What a million orders may cost in us-east-1 with a sealed key, in millionths of a dollar.
pub(super) const LIMIT_MICRO_USD: u128 = 15_000_000;

const HOME: &str = "us-east-1";

/// How long a day's run takes for a million orders, as estimated in infra/sizing.md.
const RECONCILE_GB_SECONDS: u128 = 22;
/// How long the run of a day without orders takes, with both of its messages.
const EMPTY_DAY_MS: u128 = 5_000;

static PRICES: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../infra/prices.json")).expect("the prices")
});

const SERVICES: [&str; 6] = ["API Gateway", "Lambda", "DynamoDB", "SQS", "KMS", "logs"];

fn in_region<'a>(region: &str, list: &str, of: &str) -> &'a Value {
    &PRICES["regions"][region][list][of]
}

/// Of a million, in millionths.
fn price(region: &str, of: &str) -> u128 {
    let price = in_region(region, "prices", of)["price"].as_u64();
    u128::from(price.unwrap_or_else(|| panic!("no price of {of} in {region}")))
}

/// Of one for a month, in millionths.
fn monthly(region: &str, of: &str) -> u128 {
    let price = in_region(region, "monthly", of)["price"].as_u64();
    u128::from(price.unwrap_or_else(|| panic!("no price of {of} in {region}")))
}

/// What a million times this usage cost, by service, in millionths. Events are not among it.
fn of_a_million(usage: &Usage, region: &str) -> [u128; 6] {
    let price = |of| price(region, of);
    [
        usage.api_requests * price("api_requests"),
        usage.runs * price("lambda_requests")
            + usage.mb_ms * price("lambda_gb_seconds") / (1_024 * 1_000),
        (usage.half_writes * price("dynamodb_writes") + usage.half_reads * price("dynamodb_reads"))
            / 2,
        usage.sqs_requests * price("sqs_requests"),
        usage.kms_requests * price("kms_requests"),
        usage.log_bytes * price("log_kilobytes") / 1_000,
    ]
}

fn sum(costs: [u128; 6]) -> u128 {
    costs.into_iter().sum()
}

/// What a million orders more take in the day's reconciliation.
fn reconcile(counted: &Counted, region: &str) -> [u128; 6] {
    let lambda = RECONCILE_GB_SECONDS * price(region, "lambda_gb_seconds") / 1_000_000;
    let half_reads = counted.day.half_reads_of_a_million;
    let tables = half_reads * price(region, "dynamodb_reads") / 2 / 1_000_000;
    [0, lambda, tables, 0, 0, 0]
}

/// Each flow's cost by service, the day's reconciliation last.
fn rows(counted: &Counted, region: &str) -> Vec<(&'static str, u128, [u128; 6])> {
    let flows = counted.flows.iter();
    let mut rows: Vec<_> = flows
        .map(|flow| {
            let costs = of_a_million(&flow.usage, region);
            let costs = costs.map(|micro| micro * flow.per_mille / 1_000);
            (flow.name, flow.per_mille, costs)
        })
        .collect();
    rows.push(("reconcile the day", 1_000, reconcile(counted, region)));
    rows
}

fn totals(counted: &Counted, region: &str) -> [u128; 6] {
    let mut sums = [0; 6];
    for (_, _, costs) in rows(counted, region) {
        for (sum, cost) in sums.iter_mut().zip(costs) {
            *sum += cost;
        }
    }
    sums
}

fn total(counted: &Counted, region: &str) -> u128 {
    sum(totals(counted, region))
}

/// Events of a million orders.
fn events(counted: &Counted) -> u128 {
    let flows = counted.flows.iter();
    let per_mille: u128 = flows.map(|flow| flow.usage.events * flow.per_mille).sum();
    per_mille * 1_000
}

/// What the Pipe, the bus and its archive take for the events of a million orders.
fn bus(counted: &Counted, region: &str) -> u128 {
    let price = |of| price(region, of);
    let each = price("pipe_requests")
        + price("bus_events")
        + counted.event_bytes * price("archived_kilobytes") / 1_000;
    each * events(counted) / 1_000_000
}

/// What it takes to bring these events to receivers.
fn webhooks(counted: &Counted, region: &str) -> [u128; 6] {
    of_a_million(&counted.webhook, region).map(|micro| micro * events(counted) / 1_000_000)
}

/// Two decimals, rounded.
fn amount(micro: u128) -> String {
    let cents = (micro + 5_000) / 10_000;
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// One decimal, rounded: of an amount.
fn rough(micro: u128) -> String {
    let tenths = (micro + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// A price as it is published: of a million, or of one.
fn published(micro: u128) -> String {
    let (whole, rest) = (micro / 1_000_000, micro % 1_000_000);
    let rest = format!("{rest:06}");
    match rest.trim_end_matches('0') {
        "" => format!("{whole}.00"),
        rest => format!("{whole}.{rest:0<2}"),
    }
}

fn halves(units: u128) -> String {
    if units.is_multiple_of(2) {
        (units / 2).to_string()
    } else {
        format!("{}.5", units / 2)
    }
}

fn tenths(per_million: u128) -> String {
    let tenths = (per_million + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The calls of a flow in a few words.
fn in_short(calls: &[String]) -> String {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        *times.entry(call).or_default() += 1;
    }
    let each = times.iter().map(|(call, times)| match times {
        1 => (*call).to_owned(),
        times => format!("{times} {call}"),
    });
    each.collect::<Vec<_>>().join(", ")
}

fn cells(costs: [u128; 6], show: impl Fn(u128) -> String) -> String {
    costs.map(show).join(" | ")
}

fn page(sealed: &Counted, kms: &Counted) -> Result<String, std::fmt::Error> {
    let mut page = String::from(OPENING);
    by_flow(&mut page, sealed)?;
    events_and_webhooks(&mut page, sealed)?;
    by_region(&mut page, sealed, kms)?;
    other_ways(&mut page, sealed)?;
    what_is_counted(&mut page, sealed, kms)?;
    assumptions(&mut page)?;
    each_month(&mut page, sealed)?;
    all_prices(&mut page)?;
    page.push_str(LEFT);
    Ok(page)
}

const OPENING: &str = "# What a million orders cost

Made by `cargo cost` from the flows in `tests/it/cost.rs`, which run over the real handlers while their calls, units and log lines are
counted, and from the prices in [prices.json](prices.json). A test fails when a flow uses something else than this page says. It is no
offer of AWS's: check a price before you rely on it. How big a day may be is in [sizing.md](sizing.md).

Of 1,000 orders 900 are paid within a minute and announced by a callback, 100 are never paid, and 100 are refunded. Free tiers,
storage and traffic out (a few KB an order) are left out. So is `OperatorChannels=on`, about 2 USD a month whatever the
trade: the KMS key of the topics, and five alarms; and `LogForwarding`, about 0.90 USD a month for five alarms, what Lambda takes for a
run of some 100 ms for each delivery (with `all`, several a minute of each function that is used), and traffic out.

";

const LEFT: &str = "
## How to lower it further

- Provisioned or reserved capacity of DynamoDB, and Compute Savings Plans of Lambda, where the load is even enough.
- Callbacks by a function URL in place of the API Gateway: 0.90 USD less, and without its throttling and its access log.
- Without webhooks of clients the rule `WebhooksRule` may be disabled: 4.20 USD less of what events add. `doctor`
  reports it as long as it is off.
";

fn by_flow(page: &mut String, sealed: &Counted) -> std::fmt::Result {
    writeln!(
        page,
        "## By flow and service\n\nUSD for a million orders in {HOME}, with a sealed signer (`MerchantSigner=sealed`), at `LogLevel=info`. Products are\nnative; events and webhooks come after it.\n"
    )?;
    writeln!(page, "| flow | of 1,000 | {} | all |", SERVICES.join(" | "))?;
    writeln!(page, "|---|---|{}", "---|".repeat(SERVICES.len() + 1))?;
    for (name, per_mille, costs) in rows(sealed, HOME) {
        let cells = cells(costs, amount);
        writeln!(
            page,
            "| {name} | {per_mille} | {cells} | {} |",
            amount(sum(costs))
        )?;
    }
    let sums = totals(sealed, HOME);
    let bold = |micro| format!("**{}**", amount(micro));
    let all = sum(sums);
    writeln!(
        page,
        "| **all** | | {} | {} |\n",
        cells(sums, bold),
        bold(all)
    )?;
    let largest = SERVICES.iter().zip(sums).max_by_key(|(_, sum)| *sum);
    let largest = largest.expect("services");
    writeln!(
        page,
        "The largest item is {}: {} USD. The limit is {} USD, which a test holds.\n",
        largest.0,
        amount(largest.1),
        amount(LIMIT_MICRO_USD)
    )
}

fn events_and_webhooks(page: &mut String, sealed: &Counted) -> std::fmt::Result {
    let (bus, webhooks) = (bus(sealed, HOME), webhooks(sealed, HOME));
    let events = events(sealed);
    writeln!(
        page,
        "## What events and webhooks add\n\nEach change of an order is an event: {} for each order. The Pipe, the bus and its archive get all of them, whether or not any system consumes them; the rule\ncopies each into the queue, and `send-webhook` posts those of clients that have set up a webhook.\n",
        tenths(events)
    )?;
    writeln!(page, "| USD for a million orders in {HOME} | |\n|---|---|")?;
    writeln!(page, "| Pipe, bus, archive | {} |", amount(bus))?;
    writeln!(
        page,
        "| webhooks: queue {}, DynamoDB {}, Lambda {}, logs {} | {} |",
        amount(webhooks[3]),
        amount(webhooks[2]),
        amount(webhooks[1]),
        amount(webhooks[5]),
        amount(sum(webhooks))
    )?;
    writeln!(
        page,
        "| **orders with events and webhooks** | **{}** |\n",
        amount(total(sealed, HOME) + bus + sum(webhooks))
    )
}

fn by_region(page: &mut String, sealed: &Counted, kms: &Counted) -> std::fmt::Result {
    writeln!(
        page,
        "## By Region and signer\n\nA million orders, without and with events and webhooks. Where a price could not be verified the sum is marked (?):\n\n| Region | sealed signer | with events and webhooks | KMS | with events and webhooks |\n|---|---|---|---|---|"
    )?;
    for (region, of_region) in PRICES["regions"].as_object().expect("Regions") {
        let prices = of_region["prices"].as_object().expect("prices");
        let mark = if prices.values().all(|price| price["verified"] == true) {
            ""
        } else {
            " (?)"
        };
        let currency = of_region["currency"].as_str().expect("a currency");
        write!(page, "| {region} |")?;
        for counted in [sealed, kms] {
            let all = total(counted, region);
            let with_events = all + bus(counted, region) + sum(webhooks(counted, region));
            // What is not verified is not known to a hundredth either.
            let show = |micro| match mark {
                "" => format!("{} {currency}", amount(micro)),
                _ => format!("{} {currency}{mark}", rough(micro)),
            };
            write!(page, " {} | {} |", show(all), show(with_events))?;
        }
        writeln!(page)?;
    }
    writeln!(page)
}

fn other_ways(page: &mut String, sealed: &Counted) -> std::fmt::Result {
    let read = sum(of_a_million(&sealed.read, HOME));
    let native = sum(of_a_million(&sealed.flows[0].usage, HOME));
    let jsapi = sum(of_a_million(&sealed.jsapi, HOME));
    writeln!(
        page,
        "A million orders with a named payer (JSAPI) cost {} USD more in {HOME}: the payer's lease, and a longer prepay value. A million\nreads of orders (`GET /v1/orders/{{order_no}}`) cost {} USD on top: a client that gets changes by webhook saves them.\n",
        amount(jsapi - native),
        amount(read)
    )
}

fn what_is_counted(page: &mut String, sealed: &Counted, kms: &Counted) -> std::fmt::Result {
    writeln!(
        page,
        "## Counted\n\nWhat a flow takes once, with a sealed signer. Of the log, lines of functions, of Lambda and of the API:\n\n| flow | calls | write units | read units | requests to SQS | runs | events | log, bytes |\n|---|---|---|---|---|---|---|---|"
    )?;
    let event = Flow {
        name: "bring an event to its receiver",
        per_mille: 0,
        usage: sealed.webhook.clone(),
    };
    for Flow { name, usage, .. } in sealed.flows.iter().chain([&event]) {
        writeln!(
            page,
            "| {name} | {} | {} | {} | {} | {} | {} | {} |",
            in_short(&usage.calls),
            halves(usage.half_writes),
            halves(usage.half_reads),
            usage.sqs_requests,
            usage.runs,
            usage.events,
            usage.log_bytes
        )?;
    }
    let signatures: Vec<String> = kms
        .flows
        .iter()
        .filter(|flow| flow.usage.kms_requests > 0)
        .map(|flow| format!("{}: {}", flow.name, flow.usage.kms_requests))
        .collect();
    writeln!(
        page,
        "\nSignatures by KMS, where it signs: {}. An event is {} bytes on the bus.\nThe day's reconciliation reads {} units of the index by day for a million orders, whose rows are next to each other; it takes {}\nGB-seconds (estimated in [sizing.md](sizing.md)).\nNot counted: what each sandbox does once a minute, however many orders there are (it reads its keys, and KMS opens those that\nchanged), and KMS's requests for SQS, DynamoDB and the bus, which keep their data keys for minutes.\n",
        signatures.join("; "),
        sealed.event_bytes,
        sealed.day.half_reads_of_a_million / 2,
        RECONCILE_GB_SECONDS,
    )
}

fn assumptions(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "## Assumptions\n\n\
         - Each message comes alone, so Lambda receives and deletes it by one request each, and runs once for it; each event leaves the table\n  alone. Under load up to ten go together, which saves up to nine tenths of the requests of queues and Pipe.\n\
         - Unpaid orders are queried concurrently, so a sweep gets longer by 20 ms for each, at 50 calls a second.\n\
         - Durations are estimated, not measured at AWS:\n\n| function | memory, MB | ms a run | of which |\n|---|---|---|---|"
    )?;
    for function in FUNCTIONS {
        let (ms, of) = function.ms();
        writeln!(
            page,
            "| {} | {} | {ms} | {of} |",
            function.logical(),
            function.memory_mb()
        )?;
    }
    writeln!(page)
}

fn each_month(page: &mut String, sealed: &Counted) -> std::fmt::Result {
    let price = |of| price(HOME, of);
    let idle = &sealed.idle;
    let sweeps = SWEEPS
        * (idle.half_reads * price("dynamodb_reads") / 2
            + price("lambda_requests")
            + 300 * Function::Reconcile.memory_mb() * price("lambda_gb_seconds") / (1_024 * 1_000)
            + (idle.log_bytes + Function::Reconcile.logged_by_lambda()) * price("log_kilobytes")
                / 1_000)
        / 1_000_000;
    let day = sealed.day.empty.clone().by_a_queue().by_a_queue();
    let days =
        30 * sum(of_a_million(
            &day.for_ms(Function::Reconcile, EMPTY_DAY_MS),
            HOME,
        )) / 1_000_000;
    let queues = 4 * POLLS * price("sqs_requests") / 1_000_000;
    let alarms = alarms();
    let keys = 4;
    let called = alarms.watched * monthly(HOME, "alarm")
        + alarms.composites * monthly(HOME, "composite_alarm")
        + alarms.dashboards * monthly(HOME, "dashboard");
    writeln!(
        page,
        "## What a month costs without any order\n\n| USD in {HOME} | |\n|---|---|\n\
         | sweeps, each minute: {} read units and 300 ms (estimated) | {} |\n\
         | the day's reconciliation without orders: {} read and {} write units, {} s (estimated) | {} |\n\
         | Lambda's polling of 4 queues | {} |\n\
         | {keys} KMS keys | {} |\n\
         | alarms on {} metrics, {} composite ones, {} dashboard | {} |\n\
         | {} metrics of the stack's own that they watch | {} |\n",
        halves(idle.half_reads),
        amount(sweeps),
        halves(sealed.day.empty.half_reads),
        halves(sealed.day.empty.half_writes),
        EMPTY_DAY_MS / 1_000,
        amount(days),
        amount(queues),
        amount(keys * monthly(HOME, "kms_key")),
        alarms.watched,
        alarms.composites,
        alarms.dashboards,
        amount(called),
        alarms.own,
        amount(alarms.own * monthly(HOME, "metric"))
    )
}

fn all_prices(page: &mut String) -> std::fmt::Result {
    let checked_on = PRICES["looked_up"].as_str().expect("a date");
    writeln!(
        page,
        "## Prices\n\nChecked on {checked_on}, of a million each; of alarms, metrics and keys one for a month. DynamoDB's are those on demand. \"Yes\":\nthe price was found in a stored copy of its source, or of a page that cites it. Any other price was not verified, and may be wrong:\n\n| Region | of | price | verified | source |\n|---|---|---|---|---|"
    )?;
    for (region, of_region) in PRICES["regions"].as_object().expect("Regions") {
        let currency = of_region["currency"].as_str().expect("a currency");
        for list in ["prices", "monthly"] {
            for (of, price) in of_region[list].as_object().expect("prices") {
                let verified = if price["verified"] == true {
                    "yes"
                } else {
                    "**no**"
                };
                let micro = u128::from(price["price"].as_u64().expect("a price"));
                writeln!(
                    page,
                    "| {region} | {} | {} {currency} | {verified} | {} |",
                    of.replace('_', " "),
                    published(micro),
                    price["source"].as_str().expect("a source")
                )?;
            }
        }
    }
    Ok(())
}

/// The page, and what a million orders cost by it, in millionths of a dollar.
pub(super) async fn made() -> (String, u128) {
    let (sealed, kms) = (
        Box::pin(count("sealed")).await,
        Box::pin(count("kms")).await,
    );
    let page = page(&sealed, &kms).expect("a page");
    (page, total(&sealed, HOME))
}
