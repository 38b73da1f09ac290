//! The page of one day.

use maud::{Markup, html};
use payments::{
    model::bill_date::{BILLS_LAST_DAYS, BillDate, BillName},
    reconcile::run::{Run, RunState},
};

use wechatpay::UnixSeconds;

use super::{
    chart::{self, ChartDay},
    layout::{alerts, chip, layout, moment},
    list, products,
};
use crate::{
    daily_run::DailyRun,
    day_listing::DayListing,
    input::{Filter, RunForm},
    money::count,
    person::Viewer,
    runs::DayAlerts,
    text::{self, Tone},
};

/// What the page shows.
pub(crate) struct DayView<'a> {
    pub(crate) viewer: &'a Viewer,
    pub(crate) date: BillDate,
    pub(crate) run: Option<&'a Run>,
    /// The latest preview, if the run is a real one.
    pub(crate) preview: Option<&'a Run>,
    /// Whether its run is missing.
    pub(crate) is_missing: bool,
    /// Whether its record cannot be read; `run` and `preview` are unknown then.
    pub(crate) is_unreadable: bool,
    /// What is wrong with the last days: said before all else.
    pub(crate) alerts: &'a DayAlerts,
    /// When the daily run is due.
    pub(crate) daily_run: DailyRun,
    pub(crate) day: &'a DayListing,
    pub(crate) filter: Filter,
    pub(crate) chart: &'a [ChartDay],
    /// Whether a run could find a bill of the day.
    pub(crate) has_bill: bool,
    /// Whether the next day has begun.
    pub(crate) has_next: bool,
    /// Whether the runs are through to whose days' bills something was left.
    pub(crate) later_are_done: bool,
    pub(crate) now: UnixSeconds,
    /// The run that was asked for just now and has not begun yet.
    pub(crate) started: Option<RunForm>,
}

pub(crate) fn day(view: &DayView<'_>) -> Markup {
    let read = view.run.filter(|run| !run.parts_done.is_empty());
    let has_items = view.day.len() > 0;
    let body = html! {
        (alerts(view.alerts, Some(view.date), view.daily_run))
        (head(view))
        @if let Some(asked) = view.started {
            p.notice role="status" {
                (text::started(asked)) " "
                a href=(format!("/console/{}", view.date)) { "Load the page again" } " in a minute."
            }
        }
        (state(view))
        @if let Some(run) = read {
            (products::figures(run, view.day, view.has_bill))
            section.card {
                h2 { "By product" }
                @if run.there().0.is_empty() && run.here().0.is_empty() {
                    p.empty { "Nothing was paid or given back on this day, on either side." }
                } @else {
                    (products::table(run, &view.day.breakdown))
                }
                (products::fees(run))
            }
        }
        section.card {
            h2 { (view.chart.len()) " days" }
            (chart::chart(view.chart, view.date))
        }
        section.card #differences {
            div.title {
                h2 { "Differences" }
                // A file without those that cannot be read would be taken for the whole.
                @if has_items && view.day.unreadable == 0 {
                    (list::download(view.date, view.filter, view.day))
                }
            }
            @if view.day.unreadable > 0 {
                p.trouble #unreadable-differences role="alert" {
                    (count_of(view.day.unreadable)) " of this day’s differences cannot be read. They are in no number on this page, and until that is put right there is no file of the day and no run of it comes to its end. Tell the people who run the system: the log of the function console names them."
                }
            }
            @if has_items {
                (list::list(view.date, view.day, view.filter))
            } @else {
                @if view.is_unreadable {
                    p.empty { "None are stored. Without the day’s record that says nothing about the day." }
                } @else {
                    (no_differences(view.run, view.day, view.later_are_done))
                }
            }
        }
        @if let Some(run) = view.run {
            (funds(run))
            (bills(run))
        }
    };
    layout(&view.date.to_string(), Some(view.viewer), body)
}

fn count_of(items: usize) -> String {
    count(u64::try_from(items).unwrap_or(u64::MAX))
}

fn head(view: &DayView<'_>) -> Markup {
    let link = |days: i64| format!("/console/{}", view.date.plus_days(days));
    html! {
        div.day {
            div {
                p.over { "Day" }
                h1 { (text::long_day(view.date)) }
            }
            nav.days aria-label="Days" {
                a.button href=(link(-1)) rel="prev" { "← " span { (text::day_and_month(view.date.plus_days(-1), text::Month::Short)) } }
                @if view.has_next {
                    a.button href=(link(1)) rel="next" { span { (text::day_and_month(view.date.plus_days(1), text::Month::Short)) } " →" }
                }
                form method="get" action="/console" {
                    label.hidden for="day" { "Go to a day" }
                    input #day type="date" name="day" value=(view.date) required;
                    button type="submit" { "Go" }
                }
            }
        }
    }
}

fn state(view: &DayView<'_>) -> Markup {
    let words = if view.is_unreadable {
        text::unreadable_run()
    } else {
        text::run(
            view.date,
            view.run,
            view.day,
            view.later_are_done,
            view.daily_run,
            view.now,
        )
    };
    let late = view.run.filter(|_| view.is_missing);
    let late = late.and_then(|run| match run.state {
        RunState::Done => Some("The time of this day’s run is over, and there was only a preview."),
        RunState::Running | RunState::Waiting => {
            Some("This day was due to be reconciled by 13:00 of the next day, and is not yet.")
        }
        RunState::Failed => None,
    });
    let tone = if late.is_some() {
        Tone::Bad
    } else {
        words.tone
    };
    let is_preview = view.run.is_some_and(|run| run.dry_run);
    let under_way = view.run.is_some_and(|run| match run.state {
        RunState::Running => !text::is_stuck(run, view.now),
        RunState::Waiting | RunState::Done | RunState::Failed => false,
    });
    html! {
        section.banner.(tone.class()) {
            div {
                @if let Some(late) = late { p.trouble { (late) } }
                h2 {
                    (words.headline)
                    @if is_preview { " " span.chip.quiet { "Preview" } }
                }
                @if let Some(trouble) = &words.trouble { p.trouble { (trouble) } }
                p { (words.detail) }
                @if is_preview {
                    p { "This was a preview: differences are listed, nothing was settled and no refund proposed. Apply it to do so." }
                }
                @if let Some(run) = view.run {
                    p.meta {
                        "Started " (moment(run.started_at)) " · updated " (moment(run.updated_at))
                        " · run " code { (run.id) }
                    }
                }
                @if let Some(preview) = view.preview {
                    p.meta {
                        "Latest preview: " (text::run_state(preview.state))
                        " · started " (moment(preview.started_at)) " · run " code { (preview.id) }
                    }
                }
            }
            @if !view.has_bill {
                p.meta {
                    @if view.has_next {
                        "WeChat Pay keeps bills for " (BILLS_LAST_DAYS) " days: it no longer has this day’s."
                        @if view.run.is_some_and(|run| !run.bills.is_empty()) {
                            " Those that were read are kept; who runs the system can run the day again from them."
                        }
                    }
                    @else { "The day is not over: there is no bill yet." }
                }
            } @else if !under_way && !view.is_unreadable && view.day.unreadable == 0 {
                form.actions method="post" action=(format!("/console/{}", view.date)) {
                    button type="submit" name="dry_run" value="true" { "Preview" }
                    button.main type="submit" name="dry_run" value="false" {
                        @if is_preview { "Apply" } @else if view.run.is_some() { "Run again" } @else { "Run now" }
                    }
                }
            }
        }
    }
}

fn no_differences(run: Option<&Run>, day: &DayListing, later_are_done: bool) -> Markup {
    let is_next_day_s = !day.breakdown.of_next_day().is_none();
    let is_open = run.is_some_and(|run| text::is_left_open(run, later_are_done));
    html! {
        p.empty {
            @if day.unreadable > 0 {
                "None that can be read."
            } @else { @match run.map(|run| run.state) {
                None => { "Nothing is known before the first run." }
                Some(RunState::Waiting | RunState::Running) => { "None so far. The run is not done yet." }
                Some(RunState::Failed) => { "None were found before the run failed, so the day is not checked." }
                Some(RunState::Done) if !run.is_some_and(Run::is_through) => { "None among the trades. The account’s movements are not checked yet." }
                Some(RunState::Done) if day.breakdown.is_unreadable_next_day() => { "None of this day’s own. The result of trades that were left to the next day’s bill is not known: a difference of that day cannot be read." }
                Some(RunState::Done) if is_next_day_s => { "None of this day’s own. Trades that were left to the next day’s bill are among that day’s." }
                Some(RunState::Done) if is_open => { "None so far. The rest will be compared with later days’ bills." }
                Some(RunState::Done) => { "None. Both sides agree." }
            } }
        }
    }
}

/// The fund side of the run: its state, the bills it reads, and what blocks it.
fn funds(run: &Run) -> Markup {
    let Some(funds) = &run.funds else {
        return html! {};
    };
    let accounts = funds.accounts.iter().map(|bill| text::bill(*bill));
    let accounts: Vec<&str> = accounts.collect();
    html! {
        section.card #funds {
            div.title {
                h2 { "Account movements" }
                (chip(text::fund_state(funds.state)))
            }
            p.meta {
                (accounts.join(", ")) " · settled by T+" (funds.settlement_days)
                @if funds.parts > 1 { " · " (funds.parts_done.len()) " of " (funds.parts) " parts" }
            }
        }
    }
}

fn bills(run: &Run) -> Markup {
    html! {
        @if !run.bills.is_empty() {
            details.card {
                summary { h2 { "Bills that were read" } }
                table.bills role="table" {
                    caption.hidden { "Bills that were read" }
                    thead role="rowgroup" {
                        tr role="row" {
                            th scope="col" role="columnheader" { "Bill" }
                            th.number scope="col" role="columnheader" { "Rows" }
                            th scope="col" role="columnheader" { "SHA-1" }
                            th scope="col" role="columnheader" { "Kept as" }
                        }
                    }
                    tbody role="rowgroup" {
                        @for name in BillName::ALL {
                            @if let Some(facts) = run.bills.get(&name) {
                                tr role="row" {
                                    th scope="row" role="rowheader" { (text::bill(name)) }
                                    td.number role="cell" data-label="Rows" { (count(facts.rows)) }
                                    td role="cell" data-label="SHA-1" {
                                        @match &facts.sha1 {
                                            Some(sha1) => { code { (sha1) } }
                                            None => { "There is no bill: nothing happened" }
                                        }
                                    }
                                    td role="cell" data-label="Kept as" {
                                        @if let Some(kept) = &facts.kept_as { code { (kept) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
