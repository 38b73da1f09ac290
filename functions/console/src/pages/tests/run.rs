//! What is said of runs, and offered for them.

use payments::reconcile::{
    difference::{DifferenceKind, SoloExplainLimit},
    run::RunState,
};
use wechatpay::UnixSeconds;

use super::super::{DayView, DifferenceView, day, difference};
use super::{NOW, date, found, li, page, run};
use crate::{daily_run::DailyRun, day_listing::DayListing, input::Filter, runs::DayAlerts};

#[test]
fn a_run_that_is_silent_for_too_long_may_be_run_again() {
    let mut silent = run(RunState::Running);
    let button = "name=\"dry_run\"";
    assert!(!page(Some(&silent), Vec::new()).contains(button));
    silent.updated_at = UnixSeconds(NOW.0 - 901);
    let page = page(Some(&silent), Vec::new());
    assert!(page.contains("Stuck") && page.contains(button), "{page}");
}

#[test]
fn a_preview_offers_to_be_applied() {
    let mut preview = run(RunState::Done);
    preview.dry_run = true;
    let page = page(
        Some(&preview),
        vec![found(DifferenceKind::DuplicatePayment)],
    );
    assert!(page.contains("nothing was settled") && page.contains(">Apply</button>"));
}

#[test]
fn the_page_of_a_day_that_still_runs_after_its_time_is_red_too() {
    let running = run(RunState::Running);
    let all = DayListing::default();
    let banner = |is_missing| {
        let view = DayView {
            viewer: &li(),
            date: date(),
            run: Some(&running),
            preview: None,
            is_missing,
            is_unreadable: false,
            alerts: &DayAlerts::default(),
            daily_run: DailyRun::default(),
            day: &all,
            filter: Filter::default(),
            chart: &[],
            has_bill: true,
            has_next: true,
            later_are_done: true,
            now: NOW,
            started: None,
        };
        day(&view).into_string()
    };
    let late = banner(true);
    assert!(late.contains("class=\"banner bad\""), "{late}");
    assert!(late.contains("was due to be reconciled by 13:00"), "{late}");
    let in_time = banner(false);
    assert!(in_time.contains("class=\"banner wait\""), "{in_time}");
}

#[test]
fn a_run_that_is_missing_is_said_first_on_every_page() {
    let view = DayView {
        viewer: &li(),
        date: date(),
        run: None,
        preview: None,
        is_missing: false,
        is_unreadable: false,
        alerts: &DayAlerts {
            missing: vec![date().plus_days(1), date().plus_days(-3)],
            unreadable: vec![date().plus_days(-1), date().plus_days(-2)],
        },
        daily_run: DailyRun::default(),
        day: &DayListing::default(),
        filter: Filter::default(),
        chart: &[],
        has_bill: true,
        has_next: true,
        later_are_done: true,
        now: NOW,
        started: None,
    };
    let page = day(&view).into_string();
    let (missing, first) = (page.find("id=\"missing\""), page.find("<h1"));
    assert!(missing.is_some() && missing < first, "{page}");
    assert!(page.contains("Sunday, 2 August 2026 is not reconciled"));
    assert!(page.contains("was due at 10:30"), "{page}");
    assert!(page.contains(">Wednesday, 29 July 2026</a>"), "{page}");
    assert!(page.contains("Friday, 31 July 2026: its record cannot be read"));
    assert!(page.contains(">Thursday, 30 July 2026</a>"), "{page}");
    let own = DayView {
        is_missing: true,
        alerts: &DayAlerts {
            missing: vec![date()],
            unreadable: vec![date()],
        },
        daily_run: DailyRun::default(),
        ..view
    };
    let own = day(&own).into_string();
    for id in ["missing", "unreadable"] {
        let id = format!("id=\"{id}\"");
        assert!(!own.contains(&id), "its own page says so itself");
    }
    let found = found(DifferenceKind::AmountDiffers);
    let view = DifferenceView {
        explain_alone: SoloExplainLimit::default(),
        viewer: &li(),
        alerts: DayAlerts {
            missing: vec![date().plus_days(1)],
            unreadable: Vec::new(),
        },
        daily_run: DailyRun::default(),
        difference: &found,
        journal: None,
        now: NOW,
        done: None,
        draft: None,
    };
    assert!(difference(&view).into_string().contains("id=\"missing\""));
}
