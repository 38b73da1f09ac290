//! The last days in a chart: what both sides agree on, what only one has, and which days need an
//! operator.

use maud::{Markup, html};
use payments::{
    model::bill_date::BillDate,
    reconcile::run::{Run, RunState},
};
use stores::reconciliation::DifferenceCount;

use crate::{
    money::yuan,
    text::{Month, day_and_month, long_day},
};

/// One day's column.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct ChartDay {
    date: BillDate,
    /// The state of its run; `None` without one.
    state: Option<RunState>,
    sums: PaidBar,
    /// Number of its differences that need an operator.
    needing: DifferenceCount,
    /// Whether its run should have been, and was not.
    is_missing: bool,
    /// Whether its record cannot be read.
    is_unreadable: bool,
}

/// What was paid on a day, in fen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct PaidBar {
    /// On both sides.
    agreed: i64,
    /// In the bill only.
    there: i64,
    /// In our books only.
    here: i64,
}

// Units of the drawing, about a pixel each on a wide screen.
const LEFT: i64 = 70;
const TOP: i64 = 26;
const HEIGHT: i64 = 150;
const SLOT: i64 = 29;
const BAR: i64 = 17;
const BOTTOM: i64 = 30;

impl ChartDay {
    /// A day's bar; `needing` is `None` if not counted because no run found differences.
    pub(crate) fn of(date: BillDate, run: Option<&Run>, needing: Option<DifferenceCount>) -> Self {
        let none = DifferenceCount {
            count: 0,
            is_all: true,
        };
        let needing = needing.unwrap_or(none);
        Self {
            is_missing: false,
            is_unreadable: false,
            date,
            state: run.map(|run| run.state),
            sums: run.map(PaidBar::of).unwrap_or_default(),
            needing,
        }
    }

    /// Marks a day whose run is missing.
    pub(crate) fn missing(self, is_missing: bool) -> Self {
        Self { is_missing, ..self }
    }

    /// The same of a day whose record cannot be read.
    pub(crate) fn unreadable(self, is_unreadable: bool) -> Self {
        Self {
            is_unreadable,
            ..self
        }
    }

    fn label(&self) -> String {
        let day = long_day(self.date);
        if self.is_unreadable {
            return format!("{day}: its record cannot be read");
        }
        let Some(state) = self.state else {
            let overdue = if self.is_missing {
                ", which is overdue"
            } else {
                ""
            };
            return format!("{day}: no run{overdue}");
        };
        let run = match state {
            RunState::Done if self.is_missing => "only a preview, and the run is overdue, ",
            RunState::Done => "",
            RunState::Waiting => "waits for the bill, ",
            RunState::Running => "runs, ",
            RunState::Failed => "the run failed, ",
        };
        let mut label = format!("{day}: {run}{} agreed", yuan(self.sums.agreed));
        for (fen, whose) in [
            (self.sums.there, "in the bill only"),
            (self.sums.here, "in our books only"),
        ] {
            if fen > 0 {
                label.push_str(&format!(", {} {whose}", yuan(fen)));
            }
        }
        let or_more = if self.needing.is_all { "" } else { " or more" };
        match self.needing.count {
            0 if self.needing.is_all => {}
            1 => label.push_str(&format!(", 1{or_more} difference not done")),
            more => label.push_str(&format!(", {more}{or_more} differences not done")),
        }
        label
    }
}

impl PaidBar {
    fn of(run: &Run) -> Self {
        let (of_bill, of_books) = (run.there(), run.here());
        let mut stack = Self::default();
        let products = of_bill.0.keys().chain(of_books.0.keys());
        for product in std::collections::BTreeSet::from_iter(products) {
            let paid = |side: &std::collections::BTreeMap<_, _>| {
                side.get(product)
                    .map_or(0, |sums: &matching::totals::Sums| sums.payments_fen.max(0))
            };
            let (there, here) = (paid(&of_bill.0), paid(&of_books.0));
            let agreed = there.min(here);
            stack.agreed = stack.agreed.saturating_add(agreed);
            stack.there = stack.there.saturating_add(there - agreed);
            stack.here = stack.here.saturating_add(here - agreed);
        }
        stack
    }

    fn sum(self) -> i64 {
        self.agreed
            .saturating_add(self.there)
            .saturating_add(self.here)
    }
}

/// The chart. `chosen` is the day whose page shows it.
pub(super) fn chart(days: &[ChartDay], chosen: BillDate) -> Markup {
    let count = i64::try_from(days.len()).unwrap_or(30);
    let width = LEFT + SLOT * count + 4;
    let highest = days.iter().map(|day| day.sums.sum()).max().unwrap_or(0);
    let top = round_up(highest);
    let base = TOP + HEIGHT;
    let lines = [(base, 0), (TOP + HEIGHT / 2, top / 2), (TOP, top)];
    // Where nothing was paid there is no scale.
    let lines = lines.into_iter().take(if highest > 0 { 3 } else { 1 });
    html! {
        div.chart tabindex="0" role="region" aria-label="Chart of the last days" {
            svg viewBox=(format!("0 0 {width} {}", base + BOTTOM)) role="group"
                aria-label="What was paid on each day; each column leads to its day" {
                @for (y, fen) in lines {
                    line.grid x1=(LEFT) x2=(width) y1=(y) y2=(y) {}
                    text.axis x=(LEFT - 8) y=(y + 4) text-anchor="end" { (short_yuan(fen)) }
                }
                @for (position, day) in (0_i64..).zip(days) {
                    (column(day, LEFT + SLOT * position, top, day.date == chosen))
                }
            }
        }
        ul.legend {
            li { (sample("agreed")) "On both sides" }
            li { (sample("there")) "In the bill only" }
            li { (sample("here")) "In our books only" }
            li { svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" { circle.open cx="6" cy="6" r="5" {} } "Differences that are open or being carried out" }
            li { (sample("none")) "No run" }
        }
    }
}

fn column(day: &ChartDay, x: i64, top: i64, is_chosen: bool) -> Markup {
    let base = TOP + HEIGHT;
    let bar_x = x + (SLOT - BAR) / 2;
    let middle = x + SLOT / 2;
    let agreed = height(day.sums.agreed, top);
    let there = height(day.sums.there, top);
    let here = height(day.sums.here, top);
    let peak = base - agreed - there - here;
    let label = day.label();
    let is_labelled = is_chosen || is_monday(day.date);
    html! {
        a href=(format!("/console/{}", day.date)) aria-label=(label) aria-current=[is_chosen.then_some("page")] {
            title { (label) }
            rect.slot.chosen[is_chosen] x=(x) y=(TOP - 20) width=(SLOT) height=(HEIGHT + 20) {}
            @if day.state.is_none() && !day.is_unreadable {
                rect.none.missing[day.is_missing] x=(bar_x) y=(base - 8) width=(BAR) height="8" rx="2" {}
            }
            @if agreed > 0 {
                rect.agreed x=(bar_x) y=(base - agreed) width=(BAR) height=(agreed) {}
            }
            @if there > 0 {
                rect.there x=(bar_x) y=(base - agreed - there) width=(BAR) height=(there) {}
            }
            @if here > 0 {
                rect.here x=(bar_x) y=(peak) width=(BAR) height=(here) {}
            }
            @if day.is_unreadable || day.state == Some(RunState::Failed) {
                path.failed d=(format!("M{} {}l8 8m0 -8l-8 8", middle - 4, base - 14)) {}
            }
            @match day.state {
                Some(RunState::Waiting | RunState::Running) => {
                    circle.waits.missing[day.is_missing] cx=(middle) cy=(base - 8) r="4" {}
                }
                Some(RunState::Done) if day.is_missing => {
                    rect.none.missing x=(bar_x) y=(base - 8) width=(BAR) height="8" rx="2" {}
                }
                Some(RunState::Done | RunState::Failed) | None => {}
            }
            @if day.needing.count > 0 || !day.needing.is_all {
                circle.open cx=(middle) cy=(peak - 9) r="5" {}
            }
            @if is_labelled {
                text.day.chosen[is_chosen] x=(middle) y=(base + 19) text-anchor="middle" {
                    (day_and_month(day.date, Month::Short))
                }
            }
        }
    }
}

fn sample(class: &str) -> Markup {
    html! {
        svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" {
            rect.(class) x="0.5" y="0.5" width="11" height="11" rx="2" {}
        }
    }
}

/// The height of an amount in the drawing; every amount above zero stays visible, however small.
fn height(fen: i64, top: i64) -> i64 {
    if fen <= 0 || top <= 0 {
        return 0;
    }
    let height = i128::from(fen) * i128::from(HEIGHT) / i128::from(top);
    i64::try_from(height).unwrap_or(HEIGHT).clamp(2, HEIGHT)
}

/// The smallest of 1, 2, 4, 5 or 10 times a power of ten, in yuan, that is no less.
fn round_up(fen: i64) -> i64 {
    let mut power: i64 = 100;
    loop {
        for factor in [1, 2, 4, 5] {
            let round = power.saturating_mul(factor);
            if round >= fen || round == i64::MAX {
                return round;
            }
        }
        power = power.saturating_mul(10);
    }
}

/// An amount on the axis: `¥5,000`, `¥0.50`.
fn short_yuan(fen: i64) -> String {
    let whole = yuan(fen);
    whole.strip_suffix(".00").unwrap_or(&whole).to_owned()
}

fn is_monday(date: BillDate) -> bool {
    long_day(date).starts_with("Monday")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_at_a_round_amount() {
        for (fen, round) in [
            (0, 100),
            (1, 100),
            (101, 200),
            (30_000, 40_000),
            (40_001, 50_000),
            (50_001, 100_000),
            (i64::MAX, i64::MAX),
        ] {
            assert_eq!(round_up(fen), round);
        }
        assert_eq!(short_yuan(500_000), "¥5,000");
        assert_eq!(short_yuan(50), "¥0.50");
    }

    #[test]
    fn a_single_fen_can_be_seen_beside_millions_and_nothing_is_higher_than_the_chart() {
        assert_eq!(height(1, 1_000_000_000), 2);
        assert_eq!(height(0, 100), 0);
        assert_eq!(height(i64::MAX, i64::MAX), HEIGHT);
    }

    #[test]
    fn a_day_without_a_run_looks_different_from_a_day_without_trade() {
        let date = BillDate::parse("2026-08-03").unwrap();
        let never = ChartDay::of(date, None, None);
        assert_eq!(never.label(), "Monday, 3 August 2026: no run");
        let mut quiet = Run::begun(date, "r", false, wechatpay::UnixSeconds(0));
        quiet.state = RunState::Done;
        let quiet = ChartDay::of(date, Some(&quiet), None);
        assert_eq!(quiet.label(), "Monday, 3 August 2026: ¥0.00 agreed");
        let drawn = |day| chart(&[day], date).into_string();
        assert!(drawn(never).contains("class=\"none\" x=\"76\""));
        assert!(!drawn(quiet).contains("class=\"none\" x=\"76\""));
        assert!(drawn(quiet).contains("href=\"/console/2026-08-03\""));
    }

    #[test]
    fn a_day_whose_run_is_missing_is_red_whatever_there_is_of_it() {
        let date = BillDate::parse("2026-08-03").unwrap();
        let run = |state, dry_run| {
            let begun = Run::begun(date, "r", dry_run, wechatpay::UnixSeconds(0));
            Run { state, ..begun }
        };
        for (run, class, label) in [
            (None, "none missing", "no run, which is overdue"),
            (
                Some(run(RunState::Done, true)),
                "none missing",
                "only a preview, and the run is overdue",
            ),
            (
                Some(run(RunState::Waiting, false)),
                "waits missing",
                "waits for the bill",
            ),
            (Some(run(RunState::Running, false)), "waits missing", "runs"),
            (
                Some(run(RunState::Failed, false)),
                "failed",
                "the run failed",
            ),
        ] {
            let day = ChartDay::of(date, run.as_ref(), None).missing(true);
            assert!(day.label().contains(label), "{}", day.label());
            let drawn = chart(&[day], date).into_string();
            assert!(drawn.contains(&format!("class=\"{class}\"")), "{drawn}");
        }
    }
}
