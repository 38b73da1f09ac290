//! The differences of a day, grouped by kind.

use std::collections::BTreeSet;

use maud::{Markup, html};
use payments::{
    model::bill_date::BillDate,
    reconcile::difference::{Difference, DifferenceKind, DifferenceState, SideView},
};
use wechatpay::bill::yuan_of_fen;

use super::layout::chip;
use crate::{
    day_listing::DayListing,
    input::{Filter, STATES},
    money::{count, yuan, yuan_of_e5},
    text,
};

/// The button for the file of what is chosen.
pub(super) fn download(date: BillDate, filter: Filter, day: &DayListing) -> Markup {
    let is_all = filter == Filter::default();
    html! {
        @if !day.fits_a_file(filter) {
            p.hint {
                "Too many for one file. "
                @if is_all { "Choose a kind or a state and download that." }
                @else { "Programs can read all of them: " code { (format!("/v1/reconciliations/{date}/differences")) } }
            }
        } @else {
            a.button href=(file(date, filter)) download
                title="Amounts and fees are numbers. Ids are in the first column too, in words, where no spreadsheet program rounds them." {
                @if is_all { "Download CSV" } @else { "Download this choice as CSV" }
            }
        }
    }
}

/// Counts by state, which are the choice too, and a group for each kind.
pub(super) fn list(date: BillDate, day: &DayListing, filter: Filter) -> Markup {
    html! {
        (states(date, day, filter))
        @if day.is_cut {
            p.notice { "The day has more differences than are counted here. So many have one cause: check the run and the bill first." }
        }
        @if let Some(kind) = filter.kind {
            p.choice {
                "Only: " strong { (kind.title()) } " · "
                a href=(address(date, None, filter.state)) { "all kinds" }
            }
        }
        @if DifferenceKind::ALL.into_iter().all(|kind| day.of(kind).is_empty()) {
            p.empty { "No difference of this choice." }
        }
        @for kind in DifferenceKind::ALL {
            (group(date, kind, day, filter))
        }
    }
}

fn states(date: BillDate, day: &DayListing, filter: Filter) -> Markup {
    let of = |state: DifferenceState| {
        day.count_of(Filter {
            state: Some(state),
            ..filter
        })
    };
    let all: usize = STATES.map(of).iter().sum();
    html! {
        nav.states aria-label="Differences by state" {
            a href=(address(date, filter.kind, None)) aria-current=[filter.state.is_none().then_some("true")] {
                "All " span.count { (number(all)) }
            }
            @for state in STATES {
                @let found = of(state);
                @let (name, tone) = text::state_of_several(state);
                @let is_chosen = filter.state == Some(state);
                @if found > 0 || is_chosen {
                    a.(tone.class()) href=(address(date, filter.kind, Some(state))) aria-current=[is_chosen.then_some("true")] {
                        (name) " " span.count { (number(found)) }
                    }
                }
            }
        }
    }
}

fn group(date: BillDate, kind: DifferenceKind, day: &DayListing, filter: Filter) -> Markup {
    let items = day.of(kind);
    if items.is_empty() {
        return html! {};
    }
    let of_kind = |state: Option<DifferenceState>| {
        day.count_of(Filter {
            kind: Some(kind),
            state,
        })
    };
    let all = of_kind(filter.state);
    let hidden = all.saturating_sub(items.len());
    let decided_about = items
        .iter()
        .filter(|one| matches!(one.state, DifferenceState::Open | DifferenceState::Proposed));
    let to_do: BTreeSet<&str> = decided_about.map(text::what_to_do).collect();
    let ours = kind.our_side().label();
    html! {
        section.kind {
            h3 { (kind.title()) " " span.count { (number(all)) } }
            p { (text::sentence(kind.meaning())) }
            @for to_do in to_do { p.todo { strong { "What to do: " } (to_do) "." } }
            table.differences role="table" {
                caption.hidden { (kind.title()) }
                thead role="rowgroup" {
                    tr role="row" {
                        th scope="col" role="columnheader" { "State" }
                        th scope="col" role="columnheader" { "Order" }
                        th.number scope="col" role="columnheader" { "WeChat Pay" }
                        th.number scope="col" role="columnheader" { (ours) }
                        th scope="col" role="columnheader" { "Who acts next" }
                    }
                }
                tbody role="rowgroup" {
                    @for one in items { (row(one, ours)) }
                }
            }
            @if hidden > 0 && filter.kind.is_none() {
                p { a href=(address(date, Some(kind), filter.state)) { "Show " (number(hidden)) " more of this kind" } }
            } @else if hidden > 0 && day.unreadable > 0 {
                p { (number(hidden)) " more are of this kind. Choose a state: while some differences of the day cannot be read there is no file of it." }
            } @else if hidden > 0 && !day.fits_a_file(filter) {
                p {
                    @if day.is_cut { "More than " }
                    (number(hidden)) " others are of this kind: more than a file holds. "
                    @if filter.state.is_none() { "Choose a state, or let a program read them all." }
                    @else { "Let a program read them all." }
                }
            } @else if hidden > 0 {
                p { (number(hidden)) " more are in " a href=(file(date, filter)) download { "the CSV file" } "." }
            }
        }
    }
}

fn row(one: &Difference, ours: &str) -> Markup {
    html! {
        tr role="row" {
            td role="cell" { (chip(text::stands(one))) }
            th.order scope="row" role="rowheader" {
                a href=(format!("/console/{}/differences/{}", one.date, one.id)) { (name(one)) }
            }
            td.number role="cell" data-label="WeChat Pay" { (side(one.there.as_ref())) }
            td.number role="cell" data-label=(ours) { (side(one.here.as_ref())) }
            td.next role="cell" data-label="Next" { (text::next(one)) }
        }
    }
}

/// The shortest name of a difference's subject.
pub(super) fn name(one: &Difference) -> String {
    if let Some(many) = &one.aggregate {
        return format!("{} of this kind", count(many.count));
    }
    let about = &one.about;
    let number = [
        &about.order_no,
        &about.transaction_id,
        &about.out_refund_no,
        &about.refund_id,
    ];
    match (number.into_iter().flatten().next(), about.line) {
        (Some(number), _) => number.clone(),
        (None, Some(line)) => format!("Row {line} of {}", text::which_bill(about.bill)),
        (None, None) => capital(&format!("{} as a whole", text::which_bill(about.bill))),
    }
}

fn side(side: Option<&SideView>) -> Markup {
    let Some(side) = side else {
        return html! { span.nothing { "Nothing" } };
    };
    html! {
        @if let Some(amount) = amount(side) {
            span.amount { (amount) }
        }
        @if let Some(fee) = side.fee_e5 {
            small { "Fee " (yuan_of_e5(fee)) }
        }
        @for text in [&side.appid, &side.mchid].into_iter().flatten() {
            small { (text) }
        }
        @if let Some(state) = &side.state {
            small { (state) }
        }
    }
}

/// An amount in the currency that it is of: ours, unless the side says another.
pub(super) fn amount(side: &SideView) -> Option<String> {
    let fen = side.amount_fen?;
    Some(match side.currency.as_deref() {
        None | Some("CNY") => yuan(fen),
        Some(other) => format!("{} {other}", yuan_of_fen(fen)),
    })
}

fn address(date: BillDate, kind: Option<DifferenceKind>, state: Option<DifferenceState>) -> String {
    format!("/console/{date}{}#differences", query(kind, state))
}

/// The path of the file with the differences that are chosen.
fn file(date: BillDate, filter: Filter) -> String {
    let query = query(filter.kind, filter.state);
    format!("/v1/reconciliations/{date}/differences.csv{query}")
}

fn query(kind: Option<DifferenceKind>, state: Option<DifferenceState>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(kind) = kind {
        query.append_pair("kind", kind.name());
    }
    if let Some(state) = state {
        query.append_pair("state", state.name());
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{mark}{query}")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

fn number(number: usize) -> String {
    count(u64::try_from(number).unwrap_or(u64::MAX))
}
