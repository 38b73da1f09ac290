//! `cargo measure warm`: CPU for an invocation of a warm function with its real SDK calls, without
//! spans and with them, beside the same callback function written in Python and in Node.
//!
//! Each program gets its events in turns of a few hundred, all of them the same callbacks; they are
//! signed turn by turn, so that none is older than WeChat Pay's window. CPU is the process's own,
//! user and system: the canned services and the Runtime API run in this process and cost others
//! nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use testbed::environment::Environment;

use crate::aws::Services;
use crate::coldstart;
use crate::collector::Collector;
use crate::deployment::{Signer, environment};
use crate::failure::{Failure, MeasureResult};
use crate::peers::{self, PeerStatus};
use crate::process::Running;
use crate::progress::progress;
use crate::report::{Report, Table};
use crate::runtime_api::RuntimeApi;
use crate::stats::{median, ns, ratio};
use crate::wechat::{CannedCallback, Wechat};
use crate::{clock, event};

/// Events in one turn.
const TURN: u32 = 250;
/// Turns that count: 5,000 events.
const TURNS: u32 = 20;
/// Turns before them, for caches and just-in-time compilers to settle.
const WARM_UP: u32 = 2;

/// At most this much of either peer's CPU.
const AT_MOST: f64 = 0.25;

/// The caller's wait with spans, to the one without: it is not to be longer, and clocks are rough.
const WAIT_WITH_SPANS_AT_MOST: f64 = 1.1;

/// What a program is fed with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Feed {
    Creates,
    Callbacks,
}

/// A program that works off events.
struct Worker {
    name: &'static str,
    key: &'static str,
    feed: Feed,
    runtime_api: RuntimeApi,
    running: Running,
    services: Services,
    cpu: Duration,
    wall: Vec<Duration>,
    calls: usize,
}

/// How a program is started.
struct Start {
    name: &'static str,
    key: &'static str,
    feed: Feed,
    signer: Signer,
    program: PathBuf,
    arguments: Vec<String>,
    extra: Environment,
}

/// Runs the benchmark.
pub(crate) fn measure() -> MeasureResult<Report> {
    let mut report = Report::new("warm");
    let wechat = Arc::new(Wechat::new()?);
    let mut workers = Vec::new();
    let collector = Collector::start()?;
    for start in programs(&mut report, &collector)? {
        workers.push(Worker::start(start, &wechat)?);
    }
    progress(format!("{} events each, in turns of {TURN}", TURN * TURNS));
    for turn in 0..WARM_UP + TURNS {
        let notices: Vec<CannedCallback> = (0..TURN)
            .map(|position| wechat.notice(&format!("WARM-{turn:03}-{position:04}"), clock::now()))
            .collect::<MeasureResult<_>>()?;
        for worker in &mut workers {
            worker
                .turn(turn, &notices, turn >= WARM_UP)
                .map_err(|failure| Failure::new(format!("{}: {failure}", worker.name)))?;
        }
        if turn >= WARM_UP && (turn - WARM_UP + 1).is_multiple_of(TURNS / 4) {
            progress(format!("{} events done", (turn - WARM_UP + 1) * TURN));
        }
    }
    let exports = u32::try_from(collector.exports()).unwrap_or_default();
    if exports < 2 * TURN * TURNS {
        return Err(Failure::new("not every invocation exported its spans"));
    }
    add_to_report(&workers, &mut report);
    Ok(report)
}

fn add_to_report(workers: &[Worker], report: &mut Report) {
    let count = TURN * TURNS;
    let ours = workers
        .iter()
        .find(|worker| worker.key == RECEIVE_CALLBACK)
        .map(|worker| worker.cpu / count);
    let mut table = Table::new(
        format!("{count} events each, canned services over plain HTTP"),
        &["", "CPU", "wall (median)", "calls", "to receive-callback"],
    );
    for worker in workers {
        let cpu = worker.cpu / count;
        let wall = median(&worker.wall).unwrap_or_default();
        let against = ours
            .filter(|_| worker.feed == Feed::Callbacks)
            .and_then(|ours| ratio(cpu, ours));
        // Hundredths by whole numbers: all five thousand may make a few calls more, for the keys
        // each minute.
        let calls = format!("{}.{:02}", worker.calls / 5_000, worker.calls % 5_000 / 50);
        table.row([
            worker.name.to_owned(),
            micros(cpu),
            micros(wall),
            calls,
            against.map_or_else(String::new, |ratio| ratio.to_string()),
        ]);
        report.figure(
            worker.key,
            json!({"cpu_ns": ns(cpu), "wall_ns": ns(wall), "events": count, "calls": worker.calls}),
        );
    }
    report.table(table);
    for worker in workers
        .iter()
        .filter(|worker| worker.feed == Feed::Callbacks && !OURS.contains(&worker.key))
    {
        let ratio = ours.and_then(|ours| ratio(ours, worker.cpu / count));
        report.limit(to(worker.name), ratio, AT_MOST);
    }
    for (without, with) in WITH_SPANS {
        let wait = |key| {
            workers
                .iter()
                .find(|worker| worker.key == key)
                .and_then(|worker| median(&worker.wall))
        };
        let ratio = wait(with)
            .zip(wait(without))
            .and_then(|(with, without)| ratio(with, without));
        report.limit(
            format!("{without}: the caller's wait with spans, to the one without"),
            ratio,
            WAIT_WITH_SPANS_AT_MOST,
        );
    }
}

/// The name of a limit.
fn to(peer: &str) -> String {
    format!("receive-callback, CPU to {peer}")
}

fn micros(time: Duration) -> String {
    format!("{} µs", time.as_micros())
}

const RECEIVE_CALLBACK: &str = "receive-callback";
const RECEIVE_CALLBACK_SPANS: &str = "receive-callback-spans";
/// Programs that are no peers, of those that are fed with callbacks.
const OURS: [&str; 2] = [RECEIVE_CALLBACK, RECEIVE_CALLBACK_SPANS];
/// Each that is measured without spans, and with them.
const WITH_SPANS: [(&str, &str); 2] = [
    (RECEIVE_CALLBACK, RECEIVE_CALLBACK_SPANS),
    ("create-order-sealed", "create-order-sealed-spans"),
];

/// What is run: the functions, and of the peers those that are here.
fn programs(report: &mut Report, collector: &Collector) -> MeasureResult<Vec<Start>> {
    let release = coldstart::build()?;
    let ours = |name, key, feed, signer, program: &str| Start {
        name,
        key,
        feed,
        signer,
        program: release.join(program),
        arguments: Vec::new(),
        extra: Environment::new(),
    };
    let mut programs = vec![
        ours(
            "create-order, signed by KMS",
            "create-order",
            Feed::Creates,
            Signer::Kms,
            "create-order",
        ),
        ours(
            "create-order, sealed key",
            "create-order-sealed",
            Feed::Creates,
            Signer::Sealed,
            "create-order",
        ),
        ours(
            "receive-callback",
            RECEIVE_CALLBACK,
            Feed::Callbacks,
            Signer::Kms,
            "receive-callback",
        ),
    ];
    for (name, key, feed, signer, program) in [
        (
            "create-order, sealed key, with spans",
            "create-order-sealed-spans",
            Feed::Creates,
            Signer::Sealed,
            "create-order",
        ),
        (
            "receive-callback, with spans",
            RECEIVE_CALLBACK_SPANS,
            Feed::Callbacks,
            Signer::Kms,
            "receive-callback",
        ),
    ] {
        programs.push(Start {
            extra: collector.environment(),
            ..ours(name, key, feed, signer, program)
        });
    }
    for PeerStatus { name, key, peer } in peers::install() {
        let peer = match peer {
            Ok(peer) => peer,
            Err(cause) => {
                report.note(format!("{name} could not be measured: {cause}"));
                report.limit(to(name), None, AT_MOST);
                continue;
            }
        };
        let root = peer.directory.display().to_string();
        let arguments = match key {
            "python" => vec![
                "-m".to_owned(),
                "awslambdaric".to_owned(),
                "handler.handler".to_owned(),
            ],
            _ => vec![peer.script("loop").display().to_string()],
        };
        let search = std::env::var_os("PATH")
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let extra = [
            ("LAMBDA_TASK_ROOT", root.clone()),
            ("PYTHONPATH", root),
            ("PATH", search),
        ];
        programs.push(Start {
            name,
            key,
            feed: Feed::Callbacks,
            signer: Signer::Kms,
            program: peer.program,
            arguments,
            extra: extra
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        });
    }
    Ok(programs)
}

impl Worker {
    fn start(start: Start, wechat: &Arc<Wechat>) -> MeasureResult<Self> {
        let Start {
            name,
            key,
            feed,
            signer,
            program,
            arguments,
            extra,
        } = start;
        let services = Services::start(Arc::clone(wechat))?;
        let runtime_api = RuntimeApi::start()?;
        let mut environment = environment(key, &services.url(), &runtime_api.host(), signer);
        environment.extend(extra);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let running = Running::start(&program, &arguments, &environment)?;
        runtime_api
            .next()
            .map_err(|failure| Failure::new(format!("{name}: {failure}")))?;
        Ok(Self {
            name,
            key,
            feed,
            runtime_api,
            running,
            services,
            cpu: Duration::ZERO,
            wall: Vec::new(),
            calls: 0,
        })
    }

    /// One turn of events, one after the other.
    fn turn(&mut self, turn: u32, notices: &[CannedCallback], counts: bool) -> MeasureResult<()> {
        let (events, right): (Vec<String>, _) = match self.feed {
            Feed::Creates => {
                let events = (0..TURN)
                    .map(|position| event::create(&format!("WARM-{turn:03}-{position:04}")));
                (events.collect::<MeasureResult<_>>()?, r#""statusCode":201"#)
            }
            Feed::Callbacks => (
                notices.iter().map(event::callback).collect(),
                r#""statusCode":204"#,
            ),
        };
        self.services.take_calls();
        self.services.forget_orders();
        let before = self.running.cpu()?;
        let mut walls = Vec::new();
        for event in events {
            let invocation = self.runtime_api.invoke(event)?;
            if !invocation.body.replace(": ", ":").contains(right) {
                return Err(Failure::new(format!(
                    "answered {} instead of {right}",
                    invocation.body
                )));
            }
            walls.push(invocation.to.saturating_duration_since(invocation.from));
        }
        self.runtime_api.next()?; // what it does after an answer is part of the work
        let after = self.running.cpu()?;
        if counts {
            self.cpu = self.cpu.saturating_add(after.saturating_sub(before));
            self.wall.append(&mut walls);
            self.calls = self.calls.saturating_add(self.services.take_calls().len());
        }
        Ok(())
    }
}
