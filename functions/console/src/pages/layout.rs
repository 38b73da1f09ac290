//! The frame of all pages, and the parts that several pages share.

use maud::{DOCTYPE, Markup, html};
use payments::model::bill_date::BillDate;

use super::style;
use crate::{
    daily_run::DailyRun,
    person::Viewer,
    runs::DayAlerts,
    text::{self, Tone},
};

/// Two strokes alike: both sides agree.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8' fill='%230f6b4f'/%3E%3Cpath d='M8 12h16M8 20h16' stroke='%23fff' stroke-width='3.5' stroke-linecap='round'/%3E%3C/svg%3E";

/// The frame of all pages.
pub(super) fn layout(title: &str, viewer: Option<&Viewer>, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) " · Reconciliation" }
                link rel="icon" href=(ICON);
                link rel="stylesheet" href=(style::href());
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    a.brand href="/console" {
                        svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true" {
                            rect width="32" height="32" rx="8" {}
                            path d="M8 12h16M8 20h16" {}
                        }
                        span { "Reconciliation" }
                    }
                    @if viewer.is_some() {
                        a.elsewhere href="/console/map" { (text::map::TITLE) }
                    }
                    @if let Some(name) = viewer.and_then(Viewer::name) {
                        p.person { "You are " (name) }
                    }
                }
                main #main { (body) }
                footer {
                    p { "Days and times are Beijing’s. Amounts are in yuan, to the fen." }
                }
            }
        }
    }
}

/// A word with its colour.
pub(super) fn chip((text, tone): (&str, Tone)) -> Markup {
    html! { span.chip.(tone.class()) { (text) } }
}

/// A message above the page.
pub(super) fn notice(text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            p.notice role="status" { (text) }
        }
    }
}

/// Says what is wrong with the last days, the latest first; the page of one says so itself.
pub(super) fn alerts(alerts: &DayAlerts, but: Option<BillDate>, daily_run: DailyRun) -> Markup {
    let latest_first = |days: &[BillDate]| {
        let mut days = days.to_vec();
        days.retain(|day| Some(*day) != but);
        days.sort_unstable();
        days.reverse();
        days
    };
    html! {
        (alert(&missing(daily_run), &latest_first(&alerts.missing)))
        (alert(&unreadable(), &latest_first(&alerts.unreadable)))
    }
}

/// The alert about days with the same problem.
struct AlertText {
    id: &'static str,
    /// Behind the latest one's name.
    headline: &'static str,
    detail: String,
    /// Before the names of the others.
    others: &'static str,
}

fn missing(daily_run: DailyRun) -> AlertText {
    AlertText {
        id: "missing",
        headline: " is not reconciled",
        detail: format!("Its run was due at {daily_run} on the next day, and none is done."),
        others: "Nor is:",
    }
}

fn unreadable() -> AlertText {
    AlertText {
        id: "unreadable",
        headline: ": its record cannot be read",
        detail: "Whether it was reconciled is not known. Tell the people who run the system."
            .to_owned(),
        others: "Nor can that of:",
    }
}

fn alert(text: &AlertText, days: &[BillDate]) -> Markup {
    let Some((last, others)) = days.split_first() else {
        return html! {};
    };
    html! {
        section.banner.bad id=(text.id) role="alert" {
            div {
                h2 { (text::long_day(*last)) (text.headline) }
                p { (text.detail) }
                @if !others.is_empty() {
                    p {
                        (text.others)
                        @for day in others {
                            " " a href=(format!("/console/{day}")) { (text::long_day(*day)) }
                        }
                    }
                }
            }
            a.button href=(format!("/console/{last}")) { "To that day" }
        }
    }
}

/// A moment in Beijing.
pub(super) fn moment(at: wechatpay::UnixSeconds) -> Markup {
    let machine = wechatpay::time::format_rfc3339_beijing(at);
    html! { time datetime=(machine) { (text::moment(at)) } }
}
