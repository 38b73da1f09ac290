//! `cargo measure availability`: a day of orders in minutes on the running bundle, with faults at
//! named times, and what of it callers, payers and the objectives saw. The same day once more with
//! breaker and failover switched off, in the same run.

mod ask;
mod figures;
mod hosts;
mod load;
mod plan;
mod stack;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use self::figures::{DayFigures, Values, booked};
use self::hosts::{Health, Host};
use self::load::Shop;
use self::plan::{FAULTS, Fault, Staged, arrivals, offset};
use self::stack::{Functions, Stack, built};
use crate::clock;
use crate::failure::{Failure, MeasureResult};
use crate::progress::progress;
use crate::report::{Report, Table};

/// How long the last payments may take to be booked: WeChat Pay's third repeat of a callback comes
/// within a minute, and a message that was in work when the engine stopped after 180 s.
const BOOKED_WITHIN: Duration = Duration::from_secs(300);

/// How often the watch over the functions' lines asks for them; this is a bit longer.
const LINES_AFTER: Duration = Duration::from_secs(7);

/// The setting of functions that this compares. Only a simulator's client takes it.
const SETTING: &str = "WECHATPAY_HOST_CHOICE";

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    day: Duration,
    orders_per_minute: u64,
    functions: Functions,
    faults: Vec<Staged>,
}

impl Options {
    /// Reads the words after `availability`.
    pub(crate) fn read(mut words: &[&str]) -> Option<Self> {
        let mut options = Self {
            day: Duration::from_secs(6 * 60),
            orders_per_minute: 60,
            functions: Functions::Debug,
            faults: FAULTS.to_vec(),
        };
        while let [flag, rest @ ..] = words {
            words = match (*flag, rest) {
                ("--minutes", [minutes, rest @ ..]) => {
                    options.day = Duration::from_secs(whole(minutes)?.checked_mul(60)?);
                    rest
                }
                ("--seconds", [seconds, rest @ ..]) => {
                    options.day = Duration::from_secs(whole(seconds)?);
                    rest
                }
                ("--orders-per-minute", [rate, rest @ ..]) => {
                    options.orders_per_minute = whole(rate)?;
                    rest
                }
                ("--without", [fault, rest @ ..]) => {
                    let count = options.faults.len();
                    options.faults.retain(|it| it.fault.name() != *fault);
                    (options.faults.len() < count).then_some(())?;
                    rest
                }
                ("--bins", [directory, rest @ ..]) => {
                    options.functions = built(directory);
                    rest
                }
                ("--release", rest) => {
                    options.functions = Functions::Release;
                    rest
                }
                _ => return None,
            };
        }
        Some(options)
    }

    fn orders(&self) -> u64 {
        self.orders_per_minute * self.day.as_secs() / 60
    }
}

fn whole(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number > 0)
}

/// One of the two days.
#[derive(Clone, Copy, Debug)]
struct Day {
    name: &'static str,
    key: &'static str,
    /// What order numbers begin with.
    prefix: &'static str,
    /// The setting's value.
    choice: &'static str,
}

const DAYS: [Day; 2] = [
    Day {
        name: "with breaker and failover",
        key: "with",
        prefix: "with",
        choice: "by_health",
    },
    Day {
        name: "without",
        key: "without",
        prefix: "less",
        choice: "main_always",
    },
];

/// Runs both days.
pub(crate) fn measure(options: &Options) -> MeasureResult<Report> {
    progress("starting the bundle of cargo local (its log: target/measure/availability/local.log)");
    let stack = Stack::start(&options.functions)?;
    let hosts = Hosts {
        main: Host::start(stack.simulator_address())?,
        backup: Host::start(stack.simulator_address())?,
    };
    let mut report = Report::new("availability");
    let mut both = Vec::new();
    for day in DAYS {
        progress(format!("deploying {SETTING}={}", day.choice));
        stack.deploy(&[
            format!("WechatpayBaseUrl={}", hosts.main.url()),
            format!("WechatpayBackupUrl={}", hosts.backup.url()),
            "--setting".to_owned(),
            format!("{SETTING}={}", day.choice),
        ])?;
        let figures = run(day, options, &stack, &hosts)?;
        report.figure(day.key, figures.json());
        report.none_of(format!("lost callbacks, {}", day.name), figures.lost);
        both.push(figures);
    }
    let seconds = options.day.as_secs();
    report.figure(
        "day",
        json!({"seconds": seconds, "orders": options.orders()}),
    );
    if let [with, without] = both.as_slice() {
        report.table(table(options, with, without));
    }
    report.table(faults_table(options));
    report.note(
        "the day is compressed, what waits is not: a time-out, a repeat of WeChat Pay's or of a queue, and the \
         engine's restart take as long as ever, so each fault weighs more than in a day of 24 hours.",
    );
    Ok(report)
}

struct Hosts {
    main: Host,
    backup: Host,
}

/// One day, from its first order until its bill was held against the books.
fn run(day: Day, options: &Options, stack: &Stack, hosts: &Hosts) -> MeasureResult<DayFigures> {
    let (since_ms, first_date) = (clock::now_ms(), Stack::today());
    let prefix = format!("{}-{since_ms}-", day.prefix);
    let arrivals = arrivals(options.orders(), options.day);
    progress(format!(
        "a day of {} orders in {} s, {}",
        arrivals.len(),
        options.day.as_secs(),
        day.name
    ));
    hosts.main.take_requests();
    hosts.backup.take_requests();
    let shop = Arc::new(Shop::new(stack, &prefix)?);
    let begin = Instant::now();
    let orders = thread::scope(|scope| {
        let staged = scope.spawn(|| stage(options, stack, hosts, begin));
        let orders = shop.work(begin, &arrivals)?;
        let staged = staged.join();
        staged.map_err(|_| Failure::new("the thread that stages faults ended early"))??;
        Ok::<_, Failure>(orders)
    })?;

    let paid = orders.iter().filter(|order| order.is_paid).count();
    progress(format!(
        "the day is over; {paid} payments are waited for in the books"
    ));
    let paid = u64::try_from(paid).unwrap_or(u64::MAX);
    let over = Instant::now();
    while booked(&stack.metrics(since_ms)?) < paid && over.elapsed() < BOOKED_WITHIN {
        thread::sleep(Duration::from_secs(1));
    }
    thread::sleep(LINES_AFTER);
    let metrics = stack.metrics(since_ms)?;
    let mut figures = DayFigures::of(&metrics, &orders, &options.faults, options.day);
    figures.main_requests = hosts.main.take_requests();
    figures.backup_requests = hosts.backup.take_requests();
    progress("holding WeChat Pay's bill against the books");
    let mut dates = vec![first_date, Stack::today()];
    dates.dedup();
    for date in dates {
        figures.lost += stack.payments_in_the_bill_alone(&date, &prefix)?;
    }
    Ok(figures)
}

/// Begins and ends each fault at its time.
fn stage(options: &Options, stack: &Stack, hosts: &Hosts, begin: Instant) -> MeasureResult<()> {
    let wait_for = |minute| {
        let at = offset(minute, options.day);
        thread::sleep(at.saturating_sub(begin.elapsed()));
    };
    for staged in &options.faults {
        wait_for(staged.from_min);
        progress(format!("{}: {}", staged.time(), staged.fault.text()));
        match staged.fault {
            Fault::WechatPayFails => {
                let fault = json!({"fault": "server_error_before", "status": 502});
                stack.admin("faults", &fault)?;
            }
            Fault::EngineRestarts => stack.restart_engine()?,
            Fault::AwsThrottles => stack.throttle(&["dynamodb", "kms", "sqs"], 20)?,
            Fault::MainHostSilent => hosts.main.becomes(Health::Silent),
            Fault::MainHostRefuses => hosts.main.becomes(Health::Refusing),
        }
        wait_for(staged.to_min);
        match staged.fault {
            Fault::WechatPayFails => stack.end_faults()?,
            Fault::EngineRestarts => {}
            Fault::AwsThrottles => stack.throttle(&[], 0)?,
            Fault::MainHostSilent | Fault::MainHostRefuses => hosts.main.becomes(Health::Well),
        }
    }
    Ok(())
}

fn table(options: &Options, with: &DayFigures, without: &DayFigures) -> Table {
    let mut table = Table::new(
        format!(
            "a day of {} orders in {} s, the busiest hour five times the mean",
            options.orders(),
            options.day.as_secs()
        ),
        &["", DAYS[0].name, DAYS[1].name],
    );
    let mut row = |name: &str, of: &dyn Fn(&DayFigures) -> String| {
        table.row([name.to_owned(), of(with), of(without)]);
    };
    row(
        "callbacks acknowledged right and in time (goal 99.95 %)",
        &|it| it.callbacks.text(),
    );
    row("orders answered in time (goal 99.95 %)", &|it| {
        it.orders.text()
    });
    row("the value in the first answer", &|it| it.at_once.text());
    for (at, (fault, _)) in with.at_once_during.iter().enumerate() {
        row(&format!("  while {}", fault.text()), &|it| {
            let during = it.at_once_during.get(at);
            during.map_or_else(String::new, |(_, share)| share.text())
        });
    }
    row("from asking to the value, p50 / p99", &|it| {
        percentiles(&it.payable_ms, "ms")
    });
    row("from paying to the booking, p50 / p99", &|it| {
        percentiles(&it.settlement_s, "s")
    });
    row("  the news brought by", &|it| {
        let mut by: Vec<String> = Vec::new();
        for (name, count) in &it.brought_by {
            by.push(format!("{name} {count}"));
        }
        by.join(", ")
    });
    row("payments", &|it| it.payments.to_string());
    row("lost callbacks, by the bill", &|it| it.lost.to_string());
    row("calls to the main host / the backup", &|it| {
        format!("{} / {}", it.main_requests, it.backup_requests)
    });
    row("a sandbox began to avoid a host, or used it again", &|it| {
        it.host_changes.to_string()
    });
    table
}

fn percentiles(values: &Values, unit: &str) -> String {
    let percentile = |percent| {
        let value = values.percentile(percent);
        value.map_or_else(|| "-".to_owned(), |value| format!("{value} {unit}"))
    };
    format!("{} / {}", percentile(50), percentile(99))
}

fn faults_table(options: &Options) -> Table {
    let mut table = Table::new("what went wrong", &["at", ""]);
    for staged in &options.faults {
        table.row([staged.time(), staged.fault.text().to_owned()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_read_or_refused() {
        let read = |words: &str| Options::read(&words.split_whitespace().collect::<Vec<_>>());
        let usual = read("").expect("none is needed");
        assert_eq!((usual.orders(), usual.faults.len()), (360, FAULTS.len()));
        let short =
            "--seconds 24 --orders-per-minute 120 --without engine-restarts --bins target/debug";
        let short = read(short).expect("known");
        assert_eq!((short.orders(), short.faults.len()), (48, FAULTS.len() - 1));
        assert_eq!(short.functions, built("target/debug"));
        for wrong in [
            "--minutes",
            "--minutes 0",
            "--minutes many",
            "--minutes 0.5",
            "--orders-per-minute -1",
            "--without rain",
            "--without engine-restarts --without engine-restarts",
            "6",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
