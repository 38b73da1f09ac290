//! `infra/METRICS.md`: every metric, and what all of them cost a month. `cargo metrics` writes it
//! from the table in `runtime::telemetry::metrics`, the texts here and `infra/prices.json`.

mod texts;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use runtime::telemetry::metrics::{Dimension, METRICS, Metric, Owner, Unit};
use serde_json::Value;
use testbed::template::resources;
use texts::TEXTS;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/METRICS.md");

/// Up to so many metrics in an account and Region cost the price of `infra/prices.json`; more are
/// cheaper.
const FIRST_TIER: usize = 10_000;

const OPENING: &str = "# Metrics

Made by `cargo metrics` from the table in `shared/runtime/src/telemetry/metrics.rs`, texts in `tests/it/metrics/page/texts.rs` and the
price in [prices.json](prices.json). A test fails when this page says something else. Alarms are in `infra/runbooks/README.md`, what a
million orders cost in [COST.md](COST.md).

All are in the namespace that has the stack's name. They are made of log lines (infra/ARCHITECTURE.md, 8.3): no call is
made for them, and nearly none has a line of its own. A value that no line is written for waits for the next line with a metric, or for
one at the end of the run. So its time may be that of the run's end, and the values of a run that is killed are lost, but for the two
objectives, to which the API's log adds those requests.

Percentiles come from single values: `WechatCallMs` at p99 by `interface` and `outcome`, say. The number of samples is the number of
events. A share is the average of a metric that is 1 or 0, or a quotient of two: of `PaidFen`, the part that the callback path missed is
what is not `brought_by` `notice`; of `OrderAnswerMs`, the share of 202 is the samples with `answer` `queued`.

";

/// How many metrics CloudWatch may bill for this one.
fn streams(metric: &Metric) -> usize {
    1 + metric.by.iter().map(|set| size(set)).sum::<usize>()
}

fn size(set: &[&Dimension]) -> usize {
    set.iter().map(|dimension| dimension.values.len()).product()
}

fn unit(metric: &Metric) -> &'static str {
    match metric.unit {
        Unit::Count => "Count",
        Unit::Seconds => "Seconds",
        Unit::Milliseconds => "Milliseconds",
        Unit::Share => "none: 1 or 0",
        Unit::Fen => "none: fen",
    }
}

/// The sets of dimensions.
fn sets(metric: &Metric) -> String {
    let merchant = match metric.owner {
        Owner::Merchant => Some("Mchid"),
        Owner::Stack => None,
    };
    let set = |dimensions: &[&Dimension]| {
        let fields = dimensions.iter().map(|dimension| dimension.field);
        let fields = merchant.into_iter().chain(fields);
        let fields: Vec<String> = fields.map(|field| format!("`{field}`")).collect();
        if fields.is_empty() {
            "none".to_owned()
        } else {
            fields.join(", ")
        }
    };
    let further = metric.by.iter().map(|dimensions| set(dimensions));
    std::iter::once(set(&[]))
        .chain(further)
        .collect::<Vec<_>>()
        .join("; ")
}

fn page() -> Result<String, std::fmt::Error> {
    let mut page = String::from(OPENING);
    table(&mut page)?;
    dimensions(&mut page)?;
    of_filters(&mut page)?;
    cost(&mut page)?;
    Ok(page)
}

fn table(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "## All of them\n\n\"Dimensions\" lists the sets under which a value is stored, the last column how many metrics CloudWatch may bill for it.\n\n\
         | Metric | Unit | Dimensions | Who emits it, when | What it is for | Billed |\n|---|---|---|---|---|---|"
    )?;
    for metric in METRICS {
        let (_, when, what_for) = text_of(metric.name);
        writeln!(
            page,
            "| `{}` | {} | {} | {when} | {what_for} | {} |",
            metric.name,
            unit(metric),
            sets(metric),
            streams(metric)
        )?;
    }
    writeln!(page)
}

fn text_of(name: &str) -> (&'static str, &'static str, &'static str) {
    let found = TEXTS.iter().find(|(of, ..)| *of == name);
    *found.unwrap_or_else(|| panic!("no text about {name}"))
}

fn dimensions(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "## Values of dimensions\n\nEach is a name from our code; `tests/it/metrics/closed.rs` holds the lists to it. A value that is not listed makes no dimension.\n\n\
         | Dimension | Of | Values |\n|---|---|---|"
    )?;
    let mut lists: BTreeMap<(&str, &[&str]), BTreeSet<&str>> = BTreeMap::new();
    for metric in METRICS {
        for dimension in metric.by.iter().copied().flatten() {
            let of = lists
                .entry((dimension.field, dimension.values))
                .or_default();
            of.insert(metric.name);
        }
    }
    let quoted = |names: &mut dyn Iterator<Item = &str>| {
        names
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for ((field, values), of) in lists {
        writeln!(
            page,
            "| `{field}` | {} | {} |",
            quoted(&mut of.into_iter()),
            quoted(&mut values.iter().copied())
        )?;
    }
    writeln!(page)
}

/// Metrics that metric filters of the template make, and the dimensions of each.
fn filtered() -> BTreeMap<String, BTreeSet<String>> {
    let mut filtered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, filter) in resources("AWS::Logs::MetricFilter") {
        for made in filter["MetricTransformations"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let keys = made["Dimensions"].as_array().into_iter().flatten();
            filtered
                .entry(text(&made["MetricName"]))
                .or_default()
                .extend(keys.map(|key| text(&key["Key"])));
        }
    }
    filtered
}

fn of_filters(page: &mut String) -> std::fmt::Result {
    writeln!(
        page,
        "## From metric filters\n\nThe template's metric filters read the API's log and the ERROR lines of functions. To metrics of the table above they add the values of\nrequests that no function answered.\n\n| Metric | Dimensions |\n|---|---|"
    )?;
    for (name, by) in filtered() {
        let by: Vec<String> = by.into_iter().map(|key| format!("`{key}`")).collect();
        let by = if by.is_empty() {
            "none".to_owned()
        } else {
            by.join(", ")
        };
        writeln!(page, "| `{name}` | {by} |")?;
    }
    writeln!(page)
}

fn cost(page: &mut String) -> std::fmt::Result {
    let prices: Value =
        serde_json::from_str(include_str!("../../../infra/prices.json")).expect("the prices");
    let all: usize = METRICS.iter().map(streams).sum();
    assert!(all < FIRST_TIER, "{all} metrics reach the next tier");
    let undivided = METRICS.len();
    writeln!(
        page,
        "## What they cost\n\nA metric is billed for the hours in which it gets a value. The table above has {undivided} metrics, and {all} with every combination of dimension values:\nso much is billed if each of them gets a value in every hour of a month, which no stack comes near. Without the metrics of filters,\nwhich are a handful. The price is that of the first {FIRST_TIER} metrics of an account and Region.\n\n\
         | Region | each, a month | {undivided} alone | all {all}, at most |\n|---|---|---|---|"
    )?;
    for (region, of_region) in prices["regions"].as_object().expect("Regions") {
        let currency = of_region["currency"].as_str().expect("a currency");
        let price = &of_region["monthly"]["metric"];
        let mark = if price["verified"] == true {
            ""
        } else {
            " (?)"
        };
        let micro = price["price"].as_u64().expect("a price");
        let show = |metrics: usize| {
            let micro = micro * u64::try_from(metrics).expect("few");
            let cents = (micro + 5_000) / 10_000;
            format!("{}.{:02} {currency}{mark}", cents / 100, cents % 100)
        };
        writeln!(
            page,
            "| {region} | {} | {} | {} |",
            show(1),
            show(undivided),
            show(all)
        )?;
    }
    Ok(())
}

#[test]
fn the_page_lists_every_metric_as_the_code_has_it_and_what_all_cost() {
    let named: BTreeSet<&str> = TEXTS.iter().map(|(name, ..)| *name).collect();
    let known: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(named, known);
    let (made, written) = (
        page().expect("a page"),
        std::fs::read_to_string(PATH).expect("infra/METRICS.md"),
    );
    let mut lines = made.lines().zip(written.lines());
    let differs = lines.find(|(made, written)| made != written);
    assert!(
        made == written,
        "infra/METRICS.md is not what the code has any more; `cargo metrics` writes it again: {differs:?}"
    );
}

/// Not a test but `cargo metrics`.
#[test]
#[ignore = "it writes infra/METRICS.md: cargo metrics"]
fn the_page_is_written_again() {
    std::fs::write(PATH, page().expect("a page")).expect("a file");
}
