mod history;
mod one_difference;
mod run;
mod totals;

use matching::totals::Sums;
use payments::{
    model::{bill_date::BillDate, journal::Event},
    reconcile::{
        difference::{
            Decision, Difference, DifferenceKind, DifferenceState, DifferenceSubject, SideView,
            SoloExplainLimit,
        },
        run::{FundState, PartDone, Run, RunState},
    },
};
use stores::reconciliation::DifferenceCount;
use wechatpay::UnixSeconds;

use super::{ChartDay, DayView, DifferenceView, day, difference};
use crate::{
    breakdown::Breakdown,
    daily_run::DailyRun,
    day_listing::DayListing,
    input::Filter,
    person::{Person, Viewer},
    runs::DayAlerts,
};

const NOW: UnixSeconds = UnixSeconds(1_785_643_200);

fn date() -> BillDate {
    BillDate::parse("2026-08-01").unwrap()
}

fn li() -> Viewer {
    Viewer::Known(Person::named("li").unwrap())
}

/// What others may have written, with every character that is special in HTML.
const EVIL: &str = r#"<img src=x onerror="alert('1')">&"#;

fn found(kind: DifferenceKind) -> Difference {
    let about = DifferenceSubject {
        order_no: Some(EVIL.to_owned()),
        transaction_id: Some("4200001".to_owned()),
        ..DifferenceSubject::default()
    };
    let there = SideView {
        amount_fen: Some(12_345),
        state: Some(EVIL.to_owned()),
        at: Some(NOW),
        note: Some(EVIL.to_owned()),
        appid: Some(EVIL.to_owned()),
        ..SideView::default()
    };
    Difference::found(date(), kind, about, Some(there), None, EVIL, NOW)
}

/// A run that counted this much more in the bill, all of it covered by its differences.
fn breakdown_run(fen: i64) -> Run {
    crate::breakdown::tests::run(fen, Some(fen))
}

fn run(state: RunState) -> Run {
    let mut run = Run::begun(date(), "run-1", false, NOW);
    run.state = state;
    if state == RunState::Done {
        run.funds.as_mut().unwrap().state = FundState::Done;
    }
    run
}

fn page(run: Option<&Run>, items: Vec<Difference>) -> String {
    let mut all = DayListing::with(items, Filter::default());
    if let Some(run) = run {
        all.breakdown = Breakdown::begin(run, None);
    }
    page_of_choice(run, &all, Filter::default())
}

fn page_of_choice(run: Option<&Run>, all: &DayListing, filter: Filter) -> String {
    let needing = DifferenceCount {
        count: u64::try_from(all.needing()).unwrap(),
        is_all: true,
    };
    let chart = [ChartDay::of(date(), run, Some(needing))];
    let view = DayView {
        viewer: &li(),
        date: date(),
        run,
        preview: None,
        is_missing: false,
        is_unreadable: false,
        alerts: &DayAlerts::default(),
        daily_run: DailyRun::default(),
        day: all,
        filter,
        chart: &chart,
        has_bill: true,
        has_next: true,
        later_are_done: false,
        now: NOW,
        started: None,
    };
    day(&view).into_string()
}

fn one(viewer: &Viewer, difference_: &Difference, journal: Option<Vec<Event>>) -> String {
    let view = DifferenceView {
        viewer,
        alerts: DayAlerts::default(),
        daily_run: DailyRun::default(),
        difference: difference_,
        journal,
        now: NOW,
        explain_alone: SoloExplainLimit::default(),
        done: None,
        draft: None,
    };
    difference(&view).into_string()
}

#[test]
fn whatever_others_wrote_is_text_on_the_page() {
    let mut failed = run(RunState::Failed);
    failed.trouble = Some(EVIL.to_owned());
    let mut part = PartDone::default();
    part.there.0.insert(EVIL.to_owned(), Sums::default());
    failed.parts_done.insert(0, part);
    let items = vec![found(DifferenceKind::UnknownOrderThere)];
    let escaped = "&lt;img src=x onerror=&quot;alert('1')&quot;&gt;&amp;";
    let day = page(Some(&failed), items);
    assert_eq!(day.matches(escaped).count(), 5, "{day}");
    let person = Viewer::TypesIn(Person::named(EVIL));
    let explained = found(DifferenceKind::UnknownOrderThere)
        .decided(Decision::Propose, EVIL, EVIL, NOW)
        .unwrap();
    let single = one(&person, &explained, None);
    assert!(single.matches(escaped).count() >= 8, "{single}");
    for page in [day, single] {
        assert!(!page.contains("<img"), "{page}");
    }
}

#[test]
fn a_file_is_offered_for_what_is_chosen_and_only_if_it_holds_all_of_it() {
    let done = run(RunState::Done);
    let many = |count, is_cut, filter| {
        let about = |number| DifferenceSubject {
            order_no: Some(format!("ORDER-{number}")),
            ..DifferenceSubject::default()
        };
        let one = |number| {
            let kind = DifferenceKind::AmountDiffers;
            Difference::found(date(), kind, about(number), None, None, "r", NOW)
        };
        let mut day = DayListing::with((0..count).map(one), filter);
        day.is_cut = is_cut;
        day
    };
    let of_kind = Filter {
        kind: Some(DifferenceKind::AmountDiffers),
        ..Filter::default()
    };
    let whole = "href=\"/v1/reconciliations/2026-08-01/differences.csv\"";
    let chosen = "href=\"/v1/reconciliations/2026-08-01/differences.csv?kind=amount_differs\"";
    let shown =
        |count, is_cut, filter| page_of_choice(Some(&done), &many(count, is_cut, filter), filter);
    let all = shown(501, false, Filter::default());
    assert!(all.contains(whole) && !all.contains(chosen));
    let some = shown(501, false, of_kind);
    assert_eq!(some.matches(chosen).count(), 2, "the button and the hint");
    assert!(some.contains("1 more are in <a"), "{some}");

    let all = shown(2, true, Filter::default());
    assert!(all.contains("Too many for one file") && !all.contains("differences.csv"));
    let some = shown(501, true, of_kind);
    assert!(some.contains(chosen) && !some.contains("Too many for one file"));
    let still = shown(8_001, true, of_kind);
    assert!(!still.contains("differences.csv"));
    assert!(still.contains("More than 7,501 others"), "{still}");
    assert!(
        still.contains("Choose a state, or let a program"),
        "{still}"
    );
    let of_state = Filter {
        state: Some(DifferenceState::Open),
        ..of_kind
    };
    let exact = shown(8_001, false, of_state);
    assert!(
        exact.contains("<p>7,501 others are of this kind"),
        "{exact}"
    );
    assert!(!exact.contains("Choose a state") && exact.contains("Let a program"));
}
