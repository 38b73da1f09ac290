//! `cargo measure coldstart`: from exec to the first request for an event, beside a program that
//! does nothing else; then the first invocation, the memory, and the size of the package.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};
use testbed::environment::Environment;

use crate::aws::{ServedCall, Services};
use crate::collector::Collector;
use crate::deployment::{Signer, environment};
use crate::failure::{ErrorContext, Failure, MeasureResult};
use crate::process::Running;
use crate::progress::progress;
use crate::report::{Report, Table};
use crate::runtime_api::RuntimeApi;
use crate::stats::{median, ns, ratio};
use crate::wechat::Wechat;
use crate::{clock, event, paths};

/// Starts of each program.
const RUNS: u32 = 20;

/// The functions, in the order in which each has what it needs: an order is made before it is read
/// and settled.
const FUNCTIONS: [Function; 7] = [
    Function {
        name: "create-order",
        event: create,
        answers: r#""statusCode":201"#,
    },
    Function {
        name: "manage-order",
        event: read,
        answers: r#""statusCode":200"#,
    },
    Function {
        name: "receive-callback",
        event: callback,
        answers: r#""statusCode":204"#,
    },
    Function {
        name: "process-payment",
        event: queued_callback,
        answers: r#""batchItemFailures":[]"#,
    },
    Function {
        name: "reconcile",
        event: sweep,
        answers: r#""claimed":0"#,
    },
    // No webhook is registered: only the look-up is measured, not a receiver's server.
    Function {
        name: "send-webhook",
        event: queued_event,
        answers: r#""batchItemFailures":[]"#,
    },
    // No day was reconciled: what is measured is reading that.
    Function {
        name: "console",
        event: day,
        answers: r#""statusCode":404"#,
    },
];

/// At most this much of the floor's time.
const START_AT_MOST: f64 = 3.0;
/// Memory, in MiB.
const MEMORY_AT_MOST_MIB: f64 = 16.0;
/// What exporting spans may add to the fastest start, in milliseconds.
const SPANS_ADD_AT_MOST_MS: f64 = 1.0;
/// A package, in MB of a million bytes.
const ZIP_AT_MOST_MB: f64 = 4.0;
/// The limit for `reconcile`, the only function with S3's SDK, which is built for speed rather than
/// size: a bill is minutes of work, and no caller waits for its start.
const ZIP_OF_RECONCILE_AT_MOST_MB: f64 = 6.0;

/// What a `zip` file holds beside the compressed bytes: local header, central header and end
/// record, with the name `bootstrap` twice.
const ZIP_HEADERS: u64 = 30 + 46 + 22 + 2 * 9;

/// A function under measurement.
struct Function {
    name: &'static str,
    event: fn(&Wechat, &str) -> MeasureResult<String>,
    /// What a right answer holds.
    answers: &'static str,
}

/// The starts of one program. On a busy machine the median is mostly waiting for a processor, which
/// makes all programs look the same; the fastest start shows the real work. Both are compared with
/// the limit.
#[derive(Clone, Copy)]
struct Start {
    median: Duration,
    fastest: Duration,
}

impl Start {
    fn of(samples: &[Duration]) -> Self {
        Self {
            median: median(samples).unwrap_or_default(),
            fastest: samples.iter().min().copied().unwrap_or_default(),
        }
    }
}

/// What was measured of one function, start by start.
#[derive(Default)]
struct Starts {
    start: Vec<Duration>,
    first: Vec<Duration>,
    /// How long KMS itself had a call of the first invocation.
    kms: Vec<Duration>,
    /// The calls of the last first invocation, with the time since its event.
    timeline: Vec<Value>,
    kms_calls: usize,
    memory_started: Vec<u64>,
    memory_invoked: Vec<u64>,
}

/// Runs the benchmark.
pub(crate) fn measure() -> MeasureResult<Report> {
    let release = build()?;
    let wechat = Arc::new(Wechat::new()?);
    let services = Services::start(Arc::clone(&wechat))?;
    let mut floor = Vec::new();
    let none = || -> Vec<Starts> { FUNCTIONS.iter().map(|_| Starts::default()).collect() };
    let (mut measured, mut with_spans) = (none(), none());
    let collector = Collector::start()?;
    let exporting = collector.environment();

    progress(format!(
        "starting each program {RUNS} times without spans and {RUNS} times with them, in turns"
    ));
    for run in 0..RUNS {
        for (spans, extra, measured) in [
            ("off", &Environment::new(), &mut measured),
            ("on", &exporting, &mut with_spans),
        ] {
            let order_no = format!("COLDSTART-{spans}-{run:04}");
            for (function, starts) in FUNCTIONS.iter().zip(measured) {
                // The floor right before each: what else the machine does then weighs on both.
                floor.push(start_floor(&release, &services)?);
                let event = (function.event)(&wechat, &order_no)?;
                start(function, event, &release, &services, extra, starts)
                    .map_err(|failure| Failure::new(format!("{}: {failure}", function.name)))?;
            }
        }
    }
    if collector.exports() == 0 {
        return Err(Failure::new("no function exported its spans"));
    }

    progress("compressing the packages");
    let mut report = Report::new("coldstart");
    let floor = Start::of(&floor);
    report.figure("floor_ns", ns(floor.median));
    report.figure("floor_fastest_ns", ns(floor.fastest));
    let mut table = Table::new(
        format!("medians of {RUNS} starts; memory is the highest of all"),
        &[
            "",
            "to first next",
            "ratio",
            "fastest",
            "ratio",
            "first invocation",
            "of it KMS",
            "calls",
            "MiB started",
            "MiB invoked",
            "zip MB",
        ],
    );
    let mut row = vec![
        "floor: std, one blocking GET".to_owned(),
        format!("{:.2?}", floor.median),
        "1".to_owned(),
        format!("{:.2?}", floor.fastest),
        "1".to_owned(),
    ];
    row.resize(11, String::new());
    table.row(row);
    for (function, starts) in FUNCTIONS.iter().zip(&measured) {
        let zipped = zipped(&release.join(function.name))?;
        add_to_report(function, starts, floor, zipped, &mut table, &mut report);
    }
    report.table(table);
    add_spans(&measured, &with_spans, &mut report);
    report.note(
        "the services answer over plain HTTP on this machine: a first invocation has no TLS handshake and no network in \
         it. KMS is the time from its having the request to its answer; on AWS that is a round trip.",
    );
    Ok(report)
}

fn add_to_report(
    function: &Function,
    starts: &Starts,
    floor: Start,
    zipped: u64,
    table: &mut Table,
    report: &mut Report,
) {
    let name = function.name;
    let start = Start::of(&starts.start);
    let (first, kms) = (
        median(&starts.first).unwrap_or_default(),
        median(&starts.kms).unwrap_or_default(),
    );
    let highest = |samples: &[u64]| samples.iter().copied().max().unwrap_or_default();
    let (started, invoked) = (
        highest(&starts.memory_started),
        highest(&starts.memory_invoked),
    );
    let medians = ratio(start.median, floor.median);
    let fastest = ratio(start.fastest, floor.fastest);
    let (started_mib, invoked_mib) = (hundredths(started, 1 << 20), hundredths(invoked, 1 << 20));
    let zip_mb = hundredths(zipped, 1_000_000);
    table.row([
        name.to_owned(),
        format!("{:.2?}", start.median),
        shown(medians),
        format!("{:.2?}", start.fastest),
        shown(fastest),
        format!("{first:.2?}"),
        format!("{kms:.2?}"),
        format!("{} ({} KMS)", starts.timeline.len(), starts.kms_calls),
        started_mib.clone(),
        invoked_mib.clone(),
        zip_mb.clone(),
    ]);
    report.figure(
        name,
        json!({
            "start_ns": ns(start.median), "start_ratio": medians,
            "start_fastest_ns": ns(start.fastest), "start_fastest_ratio": fastest, "first_invocation_ns": ns(first), "kms_ns": ns(kms),
            "first_invocation_without_kms_ns": ns(first.saturating_sub(kms)),
            "calls": starts.timeline, "kms_calls": starts.kms_calls,
            "memory_started_bytes": started, "memory_invoked_bytes": invoked, "zip_bytes": zipped,
        }),
    );
    report.limit(
        format!("{name}: exec to first next, to the floor, medians"),
        medians,
        START_AT_MOST,
    );
    report.limit(
        format!("{name}: exec to first next, to the floor, fastest"),
        fastest,
        START_AT_MOST,
    );
    report.limit_in(
        " MiB",
        format!("{name}: peak memory"),
        invoked_mib.parse().ok(),
        MEMORY_AT_MOST_MIB,
    );
    report.limit_in(
        " MB",
        format!("{name}: package"),
        zip_mb.parse().ok(),
        if name == "reconcile" {
            ZIP_OF_RECONCILE_AT_MOST_MB
        } else {
            ZIP_AT_MOST_MB
        },
    );
}

/// What exporting spans costs a start and a first invocation, whose answer does not wait for the
/// export.
fn add_spans(without: &[Starts], with: &[Starts], report: &mut Report) {
    let mut table = Table::new(
        "without spans and with them",
        &[
            "",
            "fastest start",
            "with spans",
            "first invocation",
            "with spans",
            "MiB invoked",
            "with spans",
        ],
    );
    for ((function, without), with) in FUNCTIONS.iter().zip(without).zip(with) {
        let (off, on) = (Start::of(&without.start), Start::of(&with.start));
        let first = |starts: &Starts| median(&starts.first).unwrap_or_default();
        let memory = |starts: &Starts| starts.memory_invoked.iter().copied().max();
        let mib = |starts: &Starts| hundredths(memory(starts).unwrap_or_default(), 1 << 20);
        table.row([
            function.name.to_owned(),
            format!("{:.2?}", off.fastest),
            format!("{:.2?}", on.fastest),
            format!("{:.2?}", first(without)),
            format!("{:.2?}", first(with)),
            mib(without),
            mib(with),
        ]);
        report.figure(
            format!("{}-spans", function.name),
            json!({
                "start_ns": ns(on.median), "start_fastest_ns": ns(on.fastest),
                "first_invocation_ns": ns(first(with)),
                "memory_invoked_bytes": memory(with),
            }),
        );
        let added = on.fastest.saturating_sub(off.fastest);
        report.limit_in(
            " ms",
            format!("{}: what spans add to the fastest start", function.name),
            ratio(added, Duration::from_millis(1)),
            SPANS_ADD_AT_MOST_MS,
        );
    }
    report.table(table);
}

fn shown(ratio: Option<f64>) -> String {
    ratio.map_or_else(String::new, |ratio| ratio.to_string())
}

fn create(_: &Wechat, order_no: &str) -> MeasureResult<String> {
    event::create(order_no)
}

fn read(_: &Wechat, order_no: &str) -> MeasureResult<String> {
    event::read(order_no)
}

fn callback(wechat: &Wechat, order_no: &str) -> MeasureResult<String> {
    Ok(event::callback(&wechat.notice(order_no, clock::now())?))
}

fn queued_callback(wechat: &Wechat, order_no: &str) -> MeasureResult<String> {
    Ok(event::queued_callback(
        &wechat.notice(order_no, clock::now())?,
    ))
}

fn queued_event(_: &Wechat, order_no: &str) -> MeasureResult<String> {
    Ok(event::queued_event(order_no))
}

fn sweep(_: &Wechat, _: &str) -> MeasureResult<String> {
    Ok(event::sweep())
}

fn day(_: &Wechat, _: &str) -> MeasureResult<String> {
    Ok(event::day())
}

/// Builds the functions as they are deployed, and the floor. The first time takes minutes.
pub(crate) fn build() -> MeasureResult<PathBuf> {
    progress(
        "building the seven functions and the floor in release mode (the first time takes about ten minutes)",
    );
    let mut functions = vec!["build", "--release"];
    for function in &FUNCTIONS {
        functions.extend(["--package", function.name]);
    }
    // Built separately, so that features this tool enables in shared crates do not reach the
    // functions.
    for arguments in [
        functions.as_slice(),
        &[
            "build",
            "--release",
            "--package",
            "measure",
            "--bin",
            "floor",
        ],
    ] {
        let status = Command::new("cargo")
            .args(arguments)
            .current_dir(paths::root()?)
            .status()
            .during("running cargo")?;
        if !status.success() {
            return Err(Failure::new(
                "the release build failed; cargo's own words are above",
            ));
        }
    }
    paths::release()
}

fn start_floor(release: &Path, services: &Services) -> MeasureResult<Duration> {
    let runtime_api = RuntimeApi::start()?;
    let environment = environment("floor", &services.url(), &runtime_api.host(), Signer::Kms);
    let begin = Instant::now();
    let running = Running::start(&release.join("floor"), &[], &environment)?;
    let next = runtime_api.next()?;
    drop(running);
    Ok(next.saturating_duration_since(begin))
}

/// One start and one invocation.
fn start(
    function: &Function,
    event: String,
    release: &Path,
    services: &Services,
    extra: &Environment,
    starts: &mut Starts,
) -> MeasureResult<()> {
    let runtime_api = RuntimeApi::start()?;
    let mut environment = environment(
        function.name,
        &services.url(),
        &runtime_api.host(),
        Signer::Kms,
    );
    environment.extend(extra.clone());
    let begin = Instant::now();
    let running = Running::start(&release.join(function.name), &[], &environment)?;
    let next = runtime_api.next()?;
    starts.start.push(next.saturating_duration_since(begin));
    starts.memory_started.push(running.peak_memory()?);

    services.take_calls();
    let invocation = runtime_api.invoke(event)?;
    if !invocation.body.contains(function.answers) {
        return Err(Failure::new(format!(
            "answered {} instead of {}",
            invocation.body, function.answers
        )));
    }
    let calls = services.take_calls();
    let kms: Vec<&ServedCall> = calls.iter().filter(|call| call.is_kms()).collect();
    starts
        .first
        .push(invocation.to.saturating_duration_since(invocation.from));
    starts.kms.push(kms.iter().map(|call| call.took).sum());
    starts.kms_calls = kms.len();
    let timeline = calls.iter().map(|call| {
        let asked = call.asked.saturating_duration_since(invocation.from);
        json!({"call": call.operation, "asked_ns": ns(asked), "took_ns": ns(call.took)})
    });
    starts.timeline = timeline.collect();
    starts.memory_invoked.push(running.peak_memory()?);
    Ok(())
}

/// The size of the package that is deployed: a `zip` file with the program in it.
///
/// SAM deflates by zlib at its usual level. This library's usual level is faster and comes to 3 %
/// more; its best comes to 0.5 to 0.8 % less than zlib's usual. So one percent is added to its
/// best.
fn zipped(program: &Path) -> MeasureResult<u64> {
    let bytes = std::fs::read(program).during(format!("reading {}", program.display()))?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes).during("compressing")?;
    let compressed = encoder.finish().during("compressing")?;
    let compressed = u64::try_from(compressed.len()).unwrap_or(u64::MAX);
    Ok(compressed
        .saturating_add(compressed.div_ceil(100))
        .saturating_add(ZIP_HEADERS))
}

/// `value` in units of `unit`, with two decimals, rounded up: a value over a limit must not look as
/// if it met the limit.
fn hundredths(value: u64, unit: u64) -> String {
    let hundredths = value.saturating_mul(100).div_ceil(unit);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_decimals_and_are_rounded_up() {
        assert_eq!(hundredths(3_990_000, 1_000_000), "3.99");
        assert_eq!(hundredths(4_000_001, 1_000_000), "4.01");
        assert_eq!(hundredths(16 << 20, 1 << 20), "16.00");
    }
}
