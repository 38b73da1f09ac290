//! `cargo measure reconcile`: a day's trade bill against the books, compared with the unavoidable
//! minimum and with two engines that are made for such work.
//!
//! Each program runs in its own process on one processor, in turns with the others, and measures
//! itself. All of them must list exactly the planted differences.

mod books;
mod day;
mod job;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use self::day::DayFiles;
use crate::failure::{ErrorContext, Failure, MeasureResult};
use crate::peers;
use crate::progress::progress;
use crate::report::{Report, Table};
use crate::stats::{median, ns, ratio};
use crate::{paths, process};

/// Rows of the days that are measured.
pub(crate) const SIZES: [u64; 3] = [100_000, MAIN, 10_000_000];
/// The size that limits are for, and the only one that the peers take part in.
const MAIN: u64 = 1_000_000;

/// At most this much of gunzip and SHA-1 alone.
const FLOOR_AT_MOST: f64 = 1.6;
/// At most this much of a peer.
const PEER_AT_MOST: f64 = 0.333;
/// MiB, the books among them.
const MEMORY_AT_MOST: f64 = 64.0;

/// Reads `--rows 100000,1000000`; each a thousand at least, one for each difference.
pub(crate) fn sizes(text: &str) -> Option<Vec<u64>> {
    let size = |text: &str| text.parse().ok().filter(|rows| *rows >= day::DIFFERENCES);
    text.split(',').map(size).collect()
}

/// One program of the benchmark: does its part and prints what it took.
pub(crate) fn part(part: &str, arguments: &[&str]) -> ExitCode {
    let took = match (part, arguments) {
        ("floor", [bill]) => job::floor(Path::new(bill)),
        ("ours", [rows, bill, books, found]) => rows
            .parse()
            .during("reading the number of rows")
            .and_then(|rows| job::ours(rows, Path::new(bill), Path::new(books), Path::new(found))),
        _ => Err(Failure::new("no such part")),
    };
    match took {
        Ok(took) => {
            println!("{took}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("measure reconcile-part {part}: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the benchmark.
pub(crate) fn measure(sizes: &[u64]) -> MeasureResult<Report> {
    let mut report = Report::new("reconcile");
    let directory = paths::scratch()?.join("reconcile");
    let bench = Programs {
        cpu: process::one_cpu(),
        found: directory.join("found.txt"),
    };
    if bench.cpu.is_none() {
        report.note("there is no `taskset`: the programs were not held to one processor");
    }
    let mut per_row = Vec::new();
    for &rows in sizes {
        let day = DayFiles::of(rows, &directory)?;
        let mut programs = vec![Program::floor()?, Program::ours()?];
        if rows == MAIN {
            for found in peers::engines() {
                match found.peer {
                    Ok(peer) => programs.push(Program::peer(found.name, found.key, &peer)),
                    Err(cause) => {
                        report.note(format!("{} could not be measured: {cause}", found.name));
                        report.limit(to(found.name), None, PEER_AT_MOST);
                    }
                }
            }
        }
        let turns = turns(rows);
        progress(format!("reconciling {rows} rows, {turns} turns"));
        let sha1 = bench.run_in_turns(&mut programs, &day, turns)?;
        add_to_report(&programs, &day, &sha1, &mut report)?;
        if let Some(ours) = programs.iter().find(|program| program.key == OURS) {
            per_row.push((rows, ours.median(WHOLE), ours.median(PASS)));
        }
    }
    report_growth(&per_row, &mut report);
    Ok(report)
}

const FLOOR: &str = "floor";
const OURS: &str = "ours";
/// Names of a program's figures: the whole job, and the parts of ours.
const WHOLE: &str = "whole";
const LOAD: &str = "load";
const PASS: &str = "pass";
const LIST: &str = "list";

/// Turns, so that the small sizes are not left to chance and the big one does not take an hour.
fn turns(rows: u64) -> u32 {
    match rows {
        0..=200_000 => 15,
        200_001..=2_000_000 => 7,
        _ => 3,
    }
}

/// Where the programs run.
struct Programs {
    cpu: Option<String>,
    /// What they write.
    found: PathBuf,
}

/// A program, and what its turns took.
struct Program {
    name: &'static str,
    key: &'static str,
    program: PathBuf,
    first: Vec<String>,
    took: Vec<Value>,
}

impl Program {
    fn floor() -> MeasureResult<Self> {
        Self::of_this("gunzip and SHA-1 alone", FLOOR)
    }

    fn ours() -> MeasureResult<Self> {
        Self::of_this("this repository, Rust", OURS)
    }

    fn of_this(name: &'static str, key: &'static str) -> MeasureResult<Self> {
        Ok(Self {
            name,
            key,
            program: std::env::current_exe().during("finding this program")?,
            first: vec!["reconcile-part".to_owned(), key.to_owned()],
            took: Vec::new(),
        })
    }

    fn peer(name: &'static str, key: &'static str, peer: &peers::Peer) -> Self {
        let script = peer.script(&format!("reconcile_{key}"));
        Self {
            name,
            key,
            program: peer.program.clone(),
            first: vec![script.display().to_string()],
            took: Vec::new(),
        }
    }

    fn arguments(&self, day: &DayFiles, found: &Path) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let mut arguments = self.first.clone();
        match self.key {
            FLOOR => {}
            OURS => arguments.push(day.rows.to_string()),
            _ => {}
        }
        arguments.push(text(&day.bill));
        if self.key != FLOOR {
            arguments.extend([text(&day.books), text(found)]);
        }
        arguments
    }

    /// The median CPU time of a part of the job.
    fn median(&self, part: &str) -> Duration {
        self.median_of(part, "cpu_ns")
    }

    fn median_of(&self, part: &str, figure: &str) -> Duration {
        let of = |took: &Value| {
            took.get(part)?
                .get(figure)?
                .as_u64()
                .map(Duration::from_nanos)
        };
        let times: Vec<Duration> = self.took.iter().filter_map(of).collect();
        median(&times).unwrap_or_default()
    }

    fn peak_bytes(&self) -> u64 {
        let of = |took: &Value| took.get("peak_bytes")?.as_u64();
        self.took.iter().filter_map(of).max().unwrap_or_default()
    }
}

impl Programs {
    /// Gives the SHA-1 that all of them found.
    fn run_in_turns(
        &self,
        programs: &mut [Program],
        day: &DayFiles,
        turns: u32,
    ) -> MeasureResult<String> {
        let made = fs::read_to_string(&day.differences)
            .during(format!("reading {}", day.differences.display()))?;
        let mut sha1 = None;
        for _ in 0..turns {
            for program in &mut *programs {
                let took = self
                    .run(program, day, &made)
                    .map_err(|failure| Failure::new(format!("{}: {failure}", program.name)))?;
                let hash = took.get("sha1").and_then(Value::as_str).unwrap_or_default();
                let known = sha1.get_or_insert_with(|| hash.to_owned());
                if known != hash {
                    let name = program.name;
                    return Err(Failure::new(format!(
                        "{name} has SHA-1 {hash}, not {known}"
                    )));
                }
                program.took.push(took);
            }
        }
        Ok(sha1.unwrap_or_default())
    }

    fn run(&self, program: &Program, day: &DayFiles, made: &str) -> MeasureResult<Value> {
        let arguments = program.arguments(day, &self.found);
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let took = process::ask_on_one_cpu(&program.program, &arguments, self.cpu.as_deref())?;
        if program.key != FLOOR {
            let found = fs::read_to_string(&self.found)
                .during(format!("reading {}", self.found.display()))?;
            fs::remove_file(&self.found).during("making room for the next list")?;
            if found != made {
                let (found, made) = (found.lines().count(), made.lines().count());
                return Err(Failure::new(format!(
                    "lists {found} differences that are not the {made} that were made"
                )));
            }
        }
        Ok(took)
    }
}

fn add_to_report(
    programs: &[Program],
    day: &DayFiles,
    sha1: &str,
    report: &mut Report,
) -> MeasureResult<()> {
    let rows = day.rows;
    let packed = fs::metadata(&day.bill)
        .during(format!("reading {}", day.bill.display()))?
        .len();
    let of = |key: &str, part| {
        let program = programs.iter().find(|program| program.key == key);
        program
            .map(|program| program.median(part))
            .unwrap_or_default()
    };
    let (floor, ours, pass) = (of(FLOOR, WHOLE), of(OURS, WHOLE), of(OURS, PASS));
    let mut table = Table::new(
        format!(
            "{rows} rows ({} MB packed), {} differences, one processor",
            packed / 1_000_000,
            day::DIFFERENCES
        ),
        &[
            "",
            "CPU",
            "wall",
            "peak memory",
            "CPU to the floor",
            "CPU to ours",
        ],
    );
    let shown = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| ratio.to_string());
    for program in programs {
        let (cpu, wall) = (program.median(WHOLE), program.median_of(WHOLE, "wall_ns"));
        table.row([
            program.name.to_owned(),
            ms(cpu),
            ms(wall),
            format!("{} MiB", program.peak_bytes() / (1024 * 1024)),
            shown(ratio(cpu, floor)),
            shown(ratio(cpu, ours)),
        ]);
        let mut figures = json!({
            "cpu_ns": ns(cpu), "wall_ns": ns(wall), "peak_bytes": program.peak_bytes(), "turns": program.took.len(),
        });
        if program.key == OURS {
            for (part, name) in [
                (LOAD, "  the books into memory"),
                (PASS, "  the bill: unpack, hash, parse, match"),
                (LIST, "  the differences listed"),
            ] {
                let cpu = program.median(part);
                let wall = program.median_of(part, "wall_ns");
                table.row([
                    name.to_owned(),
                    ms(cpu),
                    ms(wall),
                    String::new(),
                    shown(ratio(cpu, floor)),
                    String::new(),
                ]);
                if let Some(figures) = figures.as_object_mut() {
                    figures.insert(format!("{part}_cpu_ns"), ns(cpu).into());
                    figures.insert(format!("{part}_wall_ns"), ns(wall).into());
                }
            }
        }
        report.figure(format!("{}_{rows}", program.key), figures);
    }
    report.table(table);
    report.figure(
        format!("bill_{rows}"),
        json!({"packed_bytes": packed, "sha1": sha1}),
    );
    report.figure(format!("pass_to_floor_{rows}"), ratio(pass, floor));
    report.figure(format!("whole_to_floor_{rows}"), ratio(ours, floor));
    if rows != MAIN {
        return Ok(());
    }
    report.limit(
        "the bill, CPU to gunzip and SHA-1 alone",
        ratio(pass, floor),
        FLOOR_AT_MOST,
    );
    let ours_peak = programs
        .iter()
        .find(|program| program.key == OURS)
        .map(Program::peak_bytes);
    report.limit_in(
        " MiB",
        "peak memory, the books among it",
        ours_peak.and_then(mib),
        MEMORY_AT_MOST,
    );
    for program in programs {
        if program.key != FLOOR && program.key != OURS {
            report.figure(
                format!("{}_to_ours", program.key),
                ratio(program.median(WHOLE), ours),
            );
            report.limit(
                to(program.name),
                ratio(ours, program.median(WHOLE)),
                PEER_AT_MOST,
            );
        }
    }
    Ok(())
}

/// Whether the cost grows with the rows and no faster.
fn report_growth(per_row: &[(u64, Duration, Duration)], report: &mut Report) {
    let mut table = Table::new("CPU for a row", &["rows", "the whole job", "the bill"]);
    for (rows, whole, pass) in per_row {
        let each = |time: &Duration| ns(*time).checked_div(*rows).unwrap_or_default();
        let (whole, pass) = (each(whole), each(pass));
        table.row([
            rows.to_string(),
            format!("{whole} ns"),
            format!("{pass} ns"),
        ]);
        report.figure(
            format!("row_{rows}_ns"),
            json!({"whole": whole, "pass": pass}),
        );
    }
    report.table(table);
}

/// The name of a limit.
fn to(peer: &str) -> String {
    format!("the whole job, CPU to {peer}")
}

fn ms(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

/// To a tenth.
fn mib(bytes: u64) -> Option<f64> {
    let tenths = bytes.saturating_mul(10) / (1024 * 1024);
    format!("{}.{}", tenths / 10, tenths % 10).parse().ok()
}
