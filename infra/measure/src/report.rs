//! Results of a benchmark: a table for people and one line of JSON with everything.

use serde_json::{Map, Value, json};

use crate::failure::{ErrorContext, Failure, MeasureResult};

/// A report as it grows.
#[derive(Debug)]
pub(crate) struct Report {
    benchmark: &'static str,
    tables: Vec<Table>,
    figures: Map<String, Value>,
    limits: Vec<Limit>,
    notes: Vec<String>,
}

/// A table, its first row the heads of the columns. The first column is text, the others are
/// figures.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

/// A figure held to the limit.
#[derive(Debug)]
struct Limit {
    what: String,
    /// `None` when it could not be measured here.
    value: Option<f64>,
    at_most: f64,
    unit: &'static str,
    miss: Miss,
}

/// What it means that a limit is missed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Miss {
    /// A person reads it.
    IsShown,
    /// The measured thing does not do what it promises.
    Fails,
}

impl Report {
    pub(crate) fn new(benchmark: &'static str) -> Self {
        Self {
            benchmark,
            tables: Vec::new(),
            figures: Map::new(),
            limits: Vec::new(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// A figure, or an object of figures, by its name in the JSON.
    pub(crate) fn figure(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.figures.insert(name.into(), value.into());
    }

    /// A ratio that must not exceed a limit. One that could not be measured is reported as such,
    /// and counts as not met.
    pub(crate) fn limit(&mut self, what: impl Into<String>, value: Option<f64>, at_most: f64) {
        self.limit_in("", what, value, at_most);
    }

    /// A count that must be zero, or the program ends with a failure.
    pub(crate) fn none_of(&mut self, what: impl Into<String>, count: u64) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.limits.push(Limit {
            what: what.into(),
            value: Some(f64::from(count)),
            at_most: 0.0,
            unit: "",
            miss: Miss::Fails,
        });
    }

    /// A figure in a unit, such as megabytes.
    pub(crate) fn limit_in(
        &mut self,
        unit: &'static str,
        what: impl Into<String>,
        value: Option<f64>,
        at_most: f64,
    ) {
        let what = what.into();
        self.limits.push(Limit {
            what,
            value,
            at_most,
            unit,
            miss: Miss::IsShown,
        });
    }

    /// Something a reader has to know, such as a peer that could not be installed.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Prints all of it. A limit that was missed is no failure of the program.
    pub(crate) fn print(&self) -> MeasureResult<()> {
        for table in &self.tables {
            println!("\n{}", table.text());
        }
        if !self.limits.is_empty() {
            println!("\n{}", self.limits_table().text());
        }
        for note in &self.notes {
            println!("\nnote: {note}");
        }
        let count = |verdict| {
            let limits = self.limits.iter();
            limits.filter(|limit| limit.verdict() == verdict).count()
        };
        let (missed, unmeasured) = (count(LimitResult::Missed), count(LimitResult::NotMeasured));
        match (missed, unmeasured) {
            (0, 0) => println!("\nAll limits met."),
            _ => println!(
                "\n{missed} of {} limits MISSED, {unmeasured} not measured.",
                self.limits.len()
            ),
        }
        self.print_json()
    }

    /// Prints the figures alone.
    pub(crate) fn print_json(&self) -> MeasureResult<()> {
        println!(
            "{}",
            serde_json::to_string(&self.json()).during("writing the figures")?
        );
        Ok(())
    }

    /// # Errors
    /// Something was counted of which there must be none.
    pub(crate) fn must_hold(&self) -> MeasureResult<()> {
        let failed =
            |limit: &&Limit| limit.miss == Miss::Fails && limit.verdict() != LimitResult::Met;
        match self.limits.iter().find(failed) {
            None => Ok(()),
            Some(limit) => Err(Failure::new(format!("there must be none: {}", limit.what))),
        }
    }

    fn limits_table(&self) -> Table {
        let mut table = Table::new("limits", &["", "measured", "at most", ""]);
        for limit in &self.limits {
            let unit = limit.unit;
            let value = limit.value.map(|value| format!("{value}{unit}"));
            table.row([
                limit.what.as_str(),
                value.as_deref().unwrap_or_default(),
                &format!("{}{unit}", limit.at_most),
                limit.verdict().name(),
            ]);
        }
        table
    }

    fn json(&self) -> Value {
        let limits = self.limits.iter().map(|limit| {
            json!({"what": limit.what, "value": limit.value, "at_most": limit.at_most, "unit": limit.unit.trim(), "verdict": limit.verdict().name()})
        });
        json!({
            "benchmark": self.benchmark,
            "figures": self.figures,
            "limits": limits.collect::<Vec<_>>(),
            "all_met": self.limits.iter().all(|limit| limit.verdict() == LimitResult::Met),
            "notes": self.notes,
        })
    }
}

/// Result for a limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum LimitResult {
    Met,
    Missed,
    NotMeasured,
}

impl LimitResult {
    fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::NotMeasured => "not measured",
        }
    }
}

impl Limit {
    fn verdict(&self) -> LimitResult {
        match self.value {
            Some(value) if value <= self.at_most => LimitResult::Met,
            Some(_) => LimitResult::Missed,
            None => LimitResult::NotMeasured,
        }
    }
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, heads: &[&str]) -> Self {
        let mut table = Self {
            title: title.into(),
            rows: Vec::new(),
        };
        table.row(heads);
        table
    }

    pub(crate) fn row<T: ToString>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows
            .push(cells.into_iter().map(|cell| cell.to_string()).collect());
    }

    fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row: &Vec<String>| row.get(column));
            cells
                .map(|cell: &String| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = self.title.clone();
        for row in &self.rows {
            text.push_str("\n ");
            for (position, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let aligned = if position == 0 {
                    format!(" {cell:<width$}")
                } else {
                    format!("  {cell:>width$}")
                };
                text.push_str(&aligned);
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_limit_and_one_not_measured_are_shown_in_table_and_json() {
        let mut report = Report::new("test");
        report.limit("fine", Some(0.4), 0.4);
        report.limit("too slow", Some(0.401), 0.4);
        report.limit("unknown", None, 1.0);
        let text = report.limits_table().text();
        assert!(
            text.contains("too slow") && text.contains("MISSED"),
            "{text}"
        );
        let json = report.json();
        assert_eq!(json["all_met"], false);
        assert_eq!(json["limits"][0]["verdict"], "met");
        assert_eq!(json["limits"][1]["verdict"], "MISSED");
        assert_eq!(json["limits"][2]["verdict"], "not measured");
    }

    #[test]
    fn a_limit_is_for_people_and_what_must_not_be_is_a_failure() {
        let mut report = Report::new("test");
        report.limit("too slow", Some(2.0), 1.0);
        report.none_of("lost", 0);
        report.must_hold().expect("only slow");
        report.none_of("lost", 1);
        let failure = report.must_hold().expect_err("one is lost");
        assert!(failure.to_string().contains("lost"), "{failure}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new("t", &["", "ms"]);
        table.row(["long name", "1"]);
        assert_eq!(table.text(), "t\n             ms\n  long name   1");
    }
}
