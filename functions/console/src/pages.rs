//! The HTML pages of days and differences. Pure functions; `maud` escapes all inserted text.
//!
//! No page needs JavaScript, and none has an inline style: bars and the chart are SVG, whose
//! geometry needs no style.

mod chart;
mod day;
mod difference;
mod list;
mod products;
pub(crate) mod style;

use flows::problem::Problem;
use lambda_http::http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};
use maud::{DOCTYPE, Markup, html};
use payments::reconcile::run::BillDate;

pub(crate) use chart::ChartDay;
pub(crate) use day::{DayView, day};
pub(crate) use difference::{DifferenceView, RejectedForm, difference};

use crate::{
    person::Viewer,
    text::{self, Tone},
};

/// No scripts, no external resources, no framing.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Two equal bars: both sides agree.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Crect width='32' height='32' rx='8' fill='%230f6b4f'/%3E%3Cpath d='M8 12h16M8 20h16' stroke='%23fff' stroke-width='3.5' stroke-linecap='round'/%3E%3C/svg%3E";

/// An answer with a page.
pub(crate) fn answer(status: StatusCode, page: Markup) -> Response<String> {
    let mut answer = Response::new(page.into_string());
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    unkept(answer)
}

/// An answer that browsers do not cache: it is for one person, and it changes.
pub(crate) fn unkept(mut answer: Response<String>) -> Response<String> {
    for (name, value) in [
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ] {
        answer
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// A problem as a page, with the same words as `answer`, which programs read, and its headers.
pub(crate) fn problem(problem: &Problem, told: Response<String>) -> Response<String> {
    let body = html! {
        section.banner.bad {
            h1 { (problem.title) }
            p { (problem.detail) }
        }
        p { a.button href="/console" { "To yesterday" } }
    };
    let page = layout(problem.title, None, body);
    let (mut parts, _) = told.into_parts();
    parts.headers.remove(CONTENT_TYPE);
    let mut answer = answer(problem.status, page);
    answer.headers_mut().extend(parts.headers);
    answer
}

/// What all pages have around them.
fn layout(title: &str, viewer: Option<&Viewer>, body: Markup) -> Markup {
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

/// A word with a look.
fn chip((text, tone): (&str, Tone)) -> Markup {
    html! { span.chip.(tone.class()) { (text) } }
}

/// A message above the page.
fn notice(text: Option<&str>) -> Markup {
    html! {
        @if let Some(text) = text {
            p.notice role="status" { (text) }
        }
    }
}

/// Says of yesterday that its run is missing.
fn missing(date: Option<BillDate>) -> Markup {
    html! {
        @if let Some(date) = date {
            section.banner.bad #missing role="alert" {
                div {
                    h2 { (text::long_day(date)) " is not reconciled" }
                    p { "Its run was due at 10:30 on the next day and did not come." }
                }
                a.button href=(format!("/console/{date}")) { "To that day" }
            }
        }
    }
}

/// A moment in Beijing.
fn moment(at: wechatpay::UnixSeconds) -> Markup {
    let machine = wechatpay::time::format_rfc3339_beijing(at);
    html! { time datetime=(machine) { (text::moment(at)) } }
}

#[cfg(test)]
mod tests;
