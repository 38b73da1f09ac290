//! The HTML pages of days and differences. Pure functions; `maud` escapes all inserted text.
//!
//! No page needs JavaScript, and none has an inline style: bars and the chart are SVG, whose
//! geometry needs no style.

mod chart;
mod day;
mod difference;
mod layout;
mod list;
mod map;
mod order;
mod products;
pub(crate) mod style;

use flows::problem::Problem;
use lambda_http::http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
};
use maud::{Markup, html};

pub(crate) use chart::ChartDay;
pub(crate) use day::{DayView, day};
pub(crate) use difference::{DifferenceView, RejectedForm, difference};
pub(crate) use map::{map, no_map};
pub(crate) use order::order;

use layout::layout;

/// No scripts, no external resources, no framing.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

pub(crate) fn answer(status: StatusCode, page: Markup) -> Response<String> {
    let mut answer = Response::new(page.into_string());
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    uncached(answer)
}

/// An answer that browsers do not cache: it is for one person, and it changes.
pub(crate) fn uncached(mut answer: Response<String>) -> Response<String> {
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
pub(crate) fn problem(problem: &Problem, answered: Response<String>) -> Response<String> {
    let body = html! {
        section.banner.bad {
            h1 { (problem.title) }
            p { (problem.detail) }
        }
        p { a.button href="/console" { "To yesterday" } }
    };
    let page = layout(problem.title, None, body);
    let (mut parts, _) = answered.into_parts();
    parts.headers.remove(CONTENT_TYPE);
    let mut answer = answer(problem.status, page);
    answer.headers_mut().extend(parts.headers);
    answer
}

#[cfg(test)]
mod tests;
