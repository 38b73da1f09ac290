//! The page of one order: its way as a picture, and as a table for whoever cannot see one.

use maud::{Markup, html};
use payments::{
    model::ids::OrderNo,
    rules::waterfall::{Scale, Span, SpanKind, Waterfall, duration},
};
use wechatpay::UnixSeconds;

use super::layout::layout;
use crate::{
    person::Viewer,
    text::{moment, order as words},
};

// Units of the drawing, about a pixel each on a wide screen.
const NAMES: i64 = 190;
const BARS: i64 = 640;
const TIMES: i64 = 110;
const ROW: i64 = 26;
const BAR: i64 = 12;

/// The way of an order; `None` if there is no such order.
pub(crate) fn order(viewer: &Viewer, order_no: &OrderNo, way: Option<&Waterfall>) -> Markup {
    let body = html! {
        div.title.left { h1 { (words::TITLE) } code { (order_no) } }
        @match way {
            None => { p.empty { (words::NO_ORDER) } }
            Some(way) => {
                p.lead { (words::LEAD) }
                @if way.spans.iter().any(|span| !span.is_exact) { p.hint { (words::ROUGH) } }
                section.card { (picture(way)) (legend()) }
                section.card { (table(way)) }
                p { a href="/console/map" { (words::TO_THE_MAP) } }
            }
        }
    };
    layout(&format!("{} {order_no}", words::TITLE), Some(viewer), body)
}

fn picture(way: &Waterfall) -> Markup {
    let scale = Scale::new(way, BARS);
    let rows = i64::try_from(way.spans.len()).unwrap_or_default();
    let width = NAMES + BARS + TIMES;
    html! {
        div.chart.way tabindex="0" role="region" aria-label=(words::PICTURE) {
            svg viewBox=(format!("0 0 {width} {}", rows * ROW + 6)) role="img" aria-label=(words::PICTURE) {
                @for (row, span) in (0_i64..).zip(&way.spans) {
                    (bar(span, &scale, row * ROW + 3))
                }
            }
        }
    }
}

fn bar(span: &Span, scale: &Scale, top: i64) -> Markup {
    let from = NAMES + scale.place(span.from_ms);
    let until = NAMES + scale.place(span.until_ms);
    let (middle, indent) = (top + ROW / 2, if is_within(span) { 12 } else { 0 });
    html! {
        g.span {
            title { (span.name) ": " (span.what) }
            line.grid x1=(NAMES) x2=(NAMES + BARS) y1=(top + ROW - 1) y2=(top + ROW - 1) {}
            text x=(indent) y=(middle + 4) { (span.name) }
            @match span.kind {
                SpanKind::Queue | SpanKind::Work => {
                    rect.(span.kind.name()) x=(from) y=(middle - BAR / 2) width=((until - from).max(2)) height=(BAR) rx="2" {}
                    text.took x=(until + 6) y=(middle + 4) { (duration(span.took_ms())) }
                }
                SpanKind::Event | SpanKind::Callback => {
                    path.(span.kind.name()) d=(format!("M{from} {}l5 5l-5 5l-5 -5z", middle - 5)) {}
                }
            }
        }
    }
}

/// Whether it happened within the work above it.
fn is_within(span: &Span) -> bool {
    span.kind == SpanKind::Event
}

fn legend() -> Markup {
    html! {
        ul.legend.way {
            @for kind in [SpanKind::Work, SpanKind::Queue, SpanKind::Callback, SpanKind::Event] {
                li {
                    svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true" {
                        rect.(kind.name()) x="0.5" y="0.5" width="11" height="11" rx="2" {}
                    }
                    (words::sample(kind))
                }
            }
        }
    }
}

fn table(way: &Waterfall) -> Markup {
    html! {
        div.chart.way tabindex="0" role="region" aria-label=(words::TITLE) {
            table.steps {
                thead { tr { @for name in words::COLUMNS { th scope="col" { (name) } } } }
                tbody {
                    @for span in &way.spans {
                        tr {
                            td { @if !span.is_exact { "~" } (when(span.from_ms)) }
                            td { @if span.gap_ms > 0 { "+" (duration(span.gap_ms)) } }
                            td { @if span.took_ms() > 0 { (duration(span.took_ms())) } }
                            td { (span.name) }
                            td {
                                (span.what)
                                @if span.kind == SpanKind::Work {
                                    small { " " code { (span.trace_id) } }
                                    @if let Some(link) = &span.link {
                                        small { " " (words::linked(&link.trace_id)) }
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

/// In Beijing, to the millisecond.
fn when(at_ms: i64) -> String {
    let at = moment(UnixSeconds(at_ms.div_euclid(1000)));
    format!("{at}.{:03}", at_ms.rem_euclid(1000))
}
