//! Both sides' totals: three figures, and a table by product.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};
use payments::reconcile::{difference::Difference, run::Run, totals::Sums};

use crate::{
    json::signed,
    money::{count, yuan, yuan_of_e5, yuan_signed},
    words,
};

/// How long the longest bar is.
const BAR: i64 = 100;

/// The bill's sum, ours, and the difference; and whether `found` has what was put right since they were counted.
pub(super) fn figures(run: &Run, found: &[Difference]) -> Markup {
    let (of_bill, of_books) = (run.there(), run.here());
    let (there, here) = (of_bill.all(), of_books.all());
    let agree = agree(&there, &here);
    html! {
        div.figures {
            (figure("WeChat Pay’s bill", &there))
            (figure("Our books", &here))
            section.figure.good[agree].bad[!agree] {
                h2 { "Difference" @if !agree { " · + if the bill has more" } }
                p.sum { (yuan_signed(net(&there).saturating_sub(net(&here)))) }
                @if agree {
                    p { "Payments and refunds agree, in number and sum." }
                } @else {
                    p { (differs("payment", there.payments, here.payments, there.payments_fen, here.payments_fen)) }
                    p { (differs("refund", there.refunds, here.refunds, there.refunds_fen, here.refunds_fen)) }
                }
            }
        }
        @if words::is_counted_before_repairs(run, found, agree) {
            p.hint { "The sums were counted before the repairs of this run. Run the day again to count what was repaired." }
        }
    }
}

/// `+5 payments, +¥206.50`, or that they agree.
fn differs(what: &str, there: u64, here: u64, there_fen: i64, here_fen: i64) -> String {
    if (there, there_fen) == (here, here_fen) {
        return format!("The {what}s agree");
    }
    let fen = yuan_signed(there_fen.saturating_sub(here_fen));
    format!("{} {what}s, {fen}", more(there, here))
}

fn figure(title: &str, sums: &Sums) -> Markup {
    html! {
        section.figure {
            h2 { (title) }
            p.sum { (yuan(net(sums))) }
            p { (yuan(sums.payments_fen)) " in " (plural(sums.payments, "payment")) }
            p { "− " (yuan(sums.refunds_fen)) " in " (plural(sums.refunds, "refund")) }
        }
    }
}

/// The table by product.
pub(super) fn table(run: &Run) -> Markup {
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
                        td.number role="cell" data-label="Difference" { (difference(there, here)) }
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

fn difference(there: &Sums, here: &Sums) -> Markup {
    if agree(there, here) {
        return html! { span.amount.good { "None" } };
    }
    let refunded = there.refunds_fen.saturating_sub(here.refunds_fen);
    html! {
        span.amount.bad { (yuan_signed(there.payments_fen.saturating_sub(here.payments_fen))) }
        small { (more(there.payments, here.payments)) " payments" }
        @if refunded != 0 || there.refunds != here.refunds {
            small { (yuan_signed(refunded)) " in " (more(there.refunds, here.refunds)) " refunds" }
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

fn agree(there: &Sums, here: &Sums) -> bool {
    (
        there.payments,
        there.payments_fen,
        there.refunds,
        there.refunds_fen,
    ) == (
        here.payments,
        here.payments_fen,
        here.refunds,
        here.refunds_fen,
    )
}

fn net(sums: &Sums) -> i64 {
    sums.payments_fen.saturating_sub(sums.refunds_fen)
}

/// `+2`, `−1`, `±0`: how many the bill has more.
fn more(there: u64, here: u64) -> String {
    match signed(there, here) {
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
