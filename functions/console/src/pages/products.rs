//! Both sides' totals: three figures, and a table by product.

use std::collections::{BTreeMap, BTreeSet};

use matching::totals::{Gap, Sums};
use maud::{Markup, html};
use payments::reconcile::{difference::DifferenceKind, run::Run};

use crate::{
    breakdown::{Breakdown, GapStatus},
    day_listing::DayListing,
    input::Filter,
    money::{count, yuan, yuan_of_e5, yuan_signed},
    text,
};

/// How long the longest bar is.
const BAR: i64 = 100;

/// The bill's sum, ours, and what of the difference is still open.
pub(super) fn figures(run: &Run, day: &DayListing, has_bill: bool) -> Markup {
    let (there, here) = (run.there().all(), run.here().all());
    let foreign = day.count_of(Filter {
        kind: Some(DifferenceKind::IdentityDiffers),
        ..Filter::default()
    });
    let currencies = (foreign > 0)
        .then_some("Rows in another currency are in it with the numbers that they have.");
    html! {
        div.figures {
            (figure("WeChat Pay’s bill", &there, currencies))
            (figure("Our books", &here, None))
            (difference_of_all(run, day, has_bill))
        }
    }
}

/// The gap between the sums: red only for open parts, and not green while a part is not covered by
/// a difference.
fn difference_of_all(run: &Run, day: &DayListing, has_bill: bool) -> Markup {
    let (breakdown, is_cut) = (&day.breakdown, day.is_cut);
    let (now, is_open) = (breakdown.now(), breakdown.is_open());
    let repaired = breakdown.at(GapStatus::Repaired);
    let is_complete = breakdown.at(GapStatus::OtherDays).is_none();
    let is_readable = breakdown.is_readable();
    html! {
        section.figure.good[is_readable && !is_open && (is_complete || now.is_none())].bad[is_open] {
            @if now.is_none() && !is_open {
                h2 { "Difference" }
                p.sum { (yuan_signed(0)) }
                p { "Payments and refunds agree, in number and sum." }
                @if !is_readable {
                    p { "Not all differences can be read: whether something is open is not known." }
                }
            } @else if breakdown.is_whole() {
                h2 { "Still open · + if the bill has more" }
                p.sum { (yuan_signed(breakdown.at(GapStatus::Open).net_fen())) }
                p.equation {
                    "Difference " strong { (yuan_signed(now.net_fen())) } " ="
                    @for (position, end) in ENDS.into_iter().enumerate() {
                        @if position > 0 { " +" }
                        " " (text::end(end).to_lowercase()) " " (yuan_signed(breakdown.at(end).net_fen()))
                    }
                    @let other_days = breakdown.at(GapStatus::OtherDays);
                    @if !other_days.is_none() {
                        " + " (text::end(GapStatus::OtherDays).to_lowercase()) " " (yuan_signed(other_days.net_fen()))
                    }
                }
                p { "In all: " (differs(now, is_open)) "." }
                @if is_open && breakdown.at(GapStatus::Open).is_none() {
                    p { "The open differences cancel out in the sums: both sides do not agree." }
                }
                @let of_next_day = breakdown.of_next_day();
                @if !of_next_day.is_none() {
                    p {
                        (yuan_signed(of_next_day.net_fen()))
                        " of it was left to the next day’s bill, which does not have it either: it is among "
                        a href=(format!("/console/{}#differences", run.date.plus_days(1))) { "that day’s differences" } "."
                    }
                }
                @if !is_complete {
                    p { "The part in no difference is mostly of trades near midnight, which one side has on another day, or of trades that agreed when they were read again." }
                }
            } @else {
                h2 { "Difference · + if the bill has more" }
                p.sum { (yuan_signed(now.net_fen())) }
                p { (text::sentence(&differs(now, is_open))) }
                p {
                    @if !is_readable { "Not all differences can be read: how much of it is open is not known." }
                    @else if is_cut { "The day has more differences than are counted here: how much of it is open is not known." }
                    @else if has_bill { "How much of it is open is not known: run the day again to find out." }
                    @else { "How much of it is open is not known." }
                }
            }
            @if breakdown.is_whole() && !repaired.is_none() {
                p { "When it was counted " (yuan_signed(breakdown.counted().net_fen())) ", of which " (yuan_signed(repaired.net_fen())) " is repaired since." }
            }
        }
    }
}

/// The parts whose sum is the gap.
const ENDS: [GapStatus; 4] = [
    GapStatus::Explained,
    GapStatus::Rejected,
    GapStatus::OnItsWay,
    GapStatus::Open,
];

/// `+5 payments, +¥206.50; the refunds agree`. Sums that are alike are no agreement while something
/// is open, which may make up for itself.
fn differs(gap: Gap, is_open: bool) -> String {
    let alike = if is_open { "come to the same" } else { "agree" };
    let worded = |what: &str, number: i64, fen: i64| {
        if (number, fen) == (0, 0) {
            format!("the {what}s {alike}")
        } else {
            format!("{} {what}s, {}", more(number), yuan_signed(fen))
        }
    };
    let payments = worded("payment", gap.payments, gap.paid_fen);
    let refunds = worded("refund", gap.refunds, gap.refunded_fen);
    format!("{payments}; {refunds}")
}

fn figure(title: &str, sums: &Sums, note: Option<&str>) -> Markup {
    html! {
        section.figure {
            h2 { (title) }
            p.sum { (yuan(net(sums))) }
            p { (yuan(sums.payments_fen)) " in " (plural(sums.payments, "payment")) }
            p { "− " (yuan(sums.refunds_fen)) " in " (plural(sums.refunds, "refund")) }
            @if let Some(note) = note { p { (note) } }
        }
    }
}

/// The table by product.
pub(super) fn table(run: &Run, breakdown: &Breakdown) -> Markup {
    let (of_bill, of_books) = (run.there(), run.here());
    let products: BTreeSet<&String> = of_bill.0.keys().chain(of_books.0.keys()).collect();
    let of = |side: &BTreeMap<String, Sums>, product: &str| {
        side.get(product).copied().unwrap_or_default()
    };
    let rows: Vec<(&String, Sums, Sums)> = products
        .into_iter()
        .map(|product| {
            let (there, here) = (of(&of_bill.0, product), of(&of_books.0, product));
            (product, there, here)
        })
        .collect();
    let longest = rows
        .iter()
        .map(|(_, there, here)| there.payments_fen.max(here.payments_fen))
        .max()
        .unwrap_or_default();
    html! {
        table.products role="table" {
            caption.hidden { "Payments and refunds by product" }
            thead role="rowgroup" {
                tr role="row" {
                    th scope="col" role="columnheader" { "Product" }
                    th.number scope="col" role="columnheader" { "WeChat Pay’s bill" }
                    th.number scope="col" role="columnheader" { "Our books" }
                    th.number scope="col" role="columnheader" { "Difference" }
                    th.bars scope="col" role="columnheader" { span.hidden { "As bars" } }
                }
            }
            tbody role="rowgroup" {
                @for (product, there, here) in &rows {
                    tr role="row" {
                        th scope="row" role="rowheader" { (product_name(product)) }
                        td.number role="cell" data-label="Bill" { (side(there)) }
                        td.number role="cell" data-label="Our books" { (side(here)) }
                        td.number role="cell" data-label="Difference" { (difference(breakdown, product)) }
                        td.bars role="cell" { (bars(there.payments_fen, here.payments_fen, longest)) }
                    }
                }
            }
        }
    }
}

/// What is only in the bill: fees and what goes to the account.
pub(super) fn fees(run: &Run) -> Markup {
    let there = run.there().all();
    html! {
        dl.facts {
            div { dt { "Fees, less fees given back" } dd { (yuan_of_e5(there.fees)) } }
            div { dt { "Settled to the account, before fees" } dd { (yuan(there.settled_fen())) } }
            div {
                dt { "Left to the next day’s bills" }
                dd { (plural(run.carried(), "trade")) }
            }
        }
    }
}

fn side(sums: &Sums) -> Markup {
    html! {
        span.amount { (yuan(sums.payments_fen)) }
        small { (plural(sums.payments, "payment")) }
        @if sums.refunds > 0 {
            small { "− " (yuan(sums.refunds_fen)) " in " (plural(sums.refunds, "refund")) }
        }
    }
}

/// The present gap of a product's sums, in red if a part of it is open.
fn difference(breakdown: &Breakdown, product: &str) -> Markup {
    let (now, is_open) = (breakdown.now_of(product), breakdown.is_open_of(product));
    if now.is_none() && !is_open {
        return html! {
            span.amount.good[breakdown.is_readable()] { "None" }
            @if breakdown.is_whole() && !breakdown.at_of(GapStatus::Repaired, product).is_none() { small { "Repaired since" } }
        };
    }
    html! {
        span.amount.bad[is_open && !breakdown.is_whole()] { (yuan_signed(now.paid_fen)) }
        small { (more(now.payments)) " payments" }
        @if now.refunded_fen != 0 || now.refunds != 0 {
            small { (yuan_signed(now.refunded_fen)) " in " (more(now.refunds)) " refunds" }
        }
        @if breakdown.is_whole() {
            @for end in [GapStatus::Explained, GapStatus::Rejected, GapStatus::OnItsWay, GapStatus::Open, GapStatus::OtherDays] {
                @let gap = breakdown.at_of(end, product);
                @if !gap.is_none() || is_open && end == GapStatus::Open {
                    small.bad[end == GapStatus::Open] {
                        (text::end(end)) " " (yuan_signed(gap.net_fen()))
                        @if gap.is_none() { ", which cancels out" }
                    }
                }
            }
        }
    }
}

/// Two bars, the bill's above ours. The table beside them says the same in numbers.
fn bars(there: i64, here: i64, longest: i64) -> Markup {
    html! {
        svg viewBox="0 0 100 22" preserveAspectRatio="none" aria-hidden="true" {
            rect.there x="0" y="1" width=(length(there, longest)) height="9" {}
            rect.here x="0" y="12" width=(length(here, longest)) height="9" {}
        }
    }
}

fn length(fen: i64, longest: i64) -> i64 {
    if fen <= 0 || longest <= 0 {
        return 0;
    }
    let length = i128::from(fen) * i128::from(BAR) / i128::from(longest);
    i64::try_from(length).unwrap_or(BAR).clamp(1, BAR)
}

fn net(sums: &Sums) -> i64 {
    sums.payments_fen.saturating_sub(sums.refunds_fen)
}

/// `+2`, `−1`, `±0`: how many the bill has more.
fn more(number: i64) -> String {
    match number {
        0 => "±0".to_owned(),
        less if less < 0 => format!("−{}", count(less.unsigned_abs())),
        more => format!("+{}", count(more.unsigned_abs())),
    }
}

fn plural(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {what}{s}", count(number))
}

/// WeChat Pay's word for a product, and what it is where that is known.
fn product_name(product: &str) -> Markup {
    let meaning = match product {
        "NATIVE" => "QR code",
        "JSAPI" => "In WeChat",
        "APP" => "Mobile app",
        "MWEB" => "Mobile browser",
        "MICROPAY" => "Payment code",
        _ => return html! { (product) },
    };
    html! { (meaning) " " small { (product) } }
}
