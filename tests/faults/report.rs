//! Results of a run: progress for people, and one line of JSON at the end.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;

use crate::{cases::case::CaseResult, engine::call::Strike};

/// What a run has found so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    flows: usize,
    races: usize,
    calls: usize,
    strikes: BTreeSet<String>,
    cases: usize,
    seeds: usize,
    seeds_took: Duration,
    violations: usize,
    passed: usize,
    failed: usize,
    search: Option<Search>,
}

/// The search for one check's first violation: it ends the run, and nothing else is reported.
#[derive(Debug)]
struct Search {
    check: String,
    /// The case in which it was found, and how to repeat it.
    found: Option<(String, String)>,
    /// Other checks that reported a violation.
    others: BTreeSet<&'static str>,
}

impl Report {
    /// A report of everything, or of the first violation of one check.
    pub(crate) fn new(find: Option<String>) -> Self {
        Self {
            search: find.map(|check| Search {
                check,
                found: None,
                others: BTreeSet::new(),
            }),
            ..Self::default()
        }
    }

    /// Whether further cases are wanted.
    pub(crate) fn wants_more(&self) -> bool {
        let found = |search: &Search| search.found.is_some();
        !self.search.as_ref().is_some_and(found)
    }

    /// Prints how far the run is.
    pub(crate) fn print(&self, line: &str) {
        if self.search.is_none() {
            println!("{line}");
        }
    }

    /// Counts a flow and its calls.
    pub(crate) fn flow(&mut self, calls: usize) {
        self.flows += 1;
        self.calls += calls;
    }

    /// Counts a race.
    pub(crate) fn race(&mut self) {
        self.races += 1;
    }

    /// Counts a kind of fault.
    pub(crate) fn strike(&mut self, strike: Strike) {
        self.strikes.insert(strike.to_string());
    }

    /// Counts a case, and reports each violation with the command that repeats it.
    pub(crate) fn case(&mut self, name: &str, outcome: &CaseResult, replay: &str) {
        self.cases += 1;
        self.count(outcome.violations.is_empty());
        self.violations += outcome.violations.len();
        for violation in &outcome.violations {
            if let Some(search) = &mut self.search {
                if violation.check == search.check {
                    search
                        .found
                        .get_or_insert_with(|| (name.to_owned(), replay.to_owned()));
                } else {
                    search.others.insert(violation.check);
                }
            }
            self.print(&format!(
                "VIOLATION {name}: {}: {} | cargo faults {replay}",
                violation.check, violation.found
            ));
        }
    }

    /// The harness itself did not do what it should: a case was not the one that was asked for,
    /// say.
    pub(crate) fn harness_fault(&mut self, what: &str) {
        self.count(false);
        self.violations += 1;
        self.print(&format!("HARNESS {what}"));
    }

    /// Counts the seeds that were run, and their time.
    pub(crate) fn seeds(&mut self, count: usize, took: Duration) {
        self.seeds += count;
        self.seeds_took += took;
    }

    pub(crate) fn violations(&self) -> usize {
        self.violations
    }

    /// Ends the run: prints the counts for people and the line for machines. Returns whether there
    /// was no violation.
    pub(crate) fn close(&self) -> bool {
        if let Some(search) = &self.search {
            return search.close();
        }
        println!("{} passed, {} failed", self.passed, self.failed);
        let line = json!({
            "flows": self.flows,
            "races": self.races,
            "calls": self.calls,
            "faults": self.strikes.len(),
            "cases": self.cases,
            "seeds": self.seeds,
            "violations": self.violations,
            "seeds_per_s": per_second(self.seeds, self.seeds_took),
        });
        println!("{line}");
        self.failed == 0
    }

    fn count(&mut self, well: bool) {
        if well {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }
}

impl Search {
    /// Says where the violation is, or what was found instead. Whether it was found.
    fn close(&self) -> bool {
        match &self.found {
            Some((case, replay)) => println!("FOUND {case} | cargo faults {replay}"),
            None => println!(
                "NOT FOUND: {:?}; other checks with violations: {:?}",
                self.check, self.others
            ),
        }
        self.found.is_some()
    }
}

/// So many a second, to one decimal.
pub(crate) fn per_second(count: usize, took: Duration) -> f64 {
    let count = u32::try_from(count).map_or(f64::MAX, f64::from);
    let took_s = took.as_secs_f64();
    if took_s > 0.0 {
        (count / took_s * 10.0).round() / 10.0
    } else {
        0.0
    }
}
