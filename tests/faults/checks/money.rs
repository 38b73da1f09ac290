//! Money: every yuan at WeChat Pay is booked, parked or given back, and nothing else is.

use std::collections::BTreeMap;

use wechatpay_simulator::{OrderView, PaymentView, Refund, RefundStatus, TradeState};

use super::{Findings, field, state};
use crate::engine::{
    books::{Item, OrderRecords, Records, number, text},
    client::{ApiAnswer, PendingRequest},
    deployment::Deployment,
};

/// Answers after which a client may pay the money back another way.
///
/// `order_not_found` and `order_not_paid` are not among them: they say "not yet". Of two requests
/// for one refund the first may come before the payment is booked and the second after it.
const REFUSALS_OF_A_REFUND: [&str; 5] = [
    "refund_exceeds_payment",
    "refund_limit_reached",
    "refund_too_late",
    "no_such_payment",
    "refund_released",
];

/// States in which an order has its payment.
const PAID: [&str; 4] = ["paid", "partially_refunded", "refunded", "paid_after_close"];

/// The payments that WeChat Pay has, with their orders.
fn payments(orders: &[OrderView]) -> impl Iterator<Item = (&OrderView, &PaymentView)> {
    orders
        .iter()
        .flat_map(|view| view.payments.iter().map(move |payment| (view, payment)))
}

/// Our order, if it has this payment for its own.
fn booked_by<'a>(book: &'a OrderRecords, transaction_id: &str) -> Option<&'a Item> {
    let order = book.order.as_ref()?;
    let booked = PAID.contains(&state(order)) && text(order, "transaction_id") == transaction_id;
    booked.then_some(order)
}

/// A payment at WeChat Pay is *the* payment of our order, or waits for an operator. None is
/// dropped.
pub(super) fn every_payment_is_booked_or_parked(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    for (view, PaymentView { payment, .. }) in payments(&deployment.wechat().orders()) {
        let (order_no, id) = (&view.order.out_trade_no, payment.transaction_id.as_str());
        let book = books.orders.get(order_no);
        let booked = book.is_some_and(|book| booked_by(book, id).is_some());
        let parked = book.is_some_and(|book| {
            book.payments
                .iter()
                .any(|payment| text(payment, "transaction_id") == id)
        });
        if !booked && !parked {
            found.add(
                "every payment is booked or parked",
                format!(
                    "WeChat Pay has payment {id} for {order_no}, which is {} here and has it neither booked nor parked",
                    book.map_or("unknown", |book| book.state())
                ),
            );
        }
    }
}

/// What we hold for paid was paid: this payment, this amount, for this order.
pub(super) fn what_is_booked_was_paid(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    let orders = deployment.wechat().orders();
    for (order_no, book) in &books.orders {
        let Some(order) = book
            .order
            .as_ref()
            .filter(|order| PAID.contains(&state(order)))
        else {
            continue;
        };
        let (id, amount_fen) = (text(order, "transaction_id"), number(order, "amount_fen"));
        let was_paid = payments(&orders).any(|(view, PaymentView { payment, .. })| {
            view.order.out_trade_no == *order_no
                && payment.transaction_id == id
                && view.order.total_fen == amount_fen
        });
        if !was_paid {
            found.add(
                "what is booked was paid",
                format!("{order_no} is {} by {amount_fen} fen of {id:?}, which WeChat Pay does not have", state(order)),
            );
        }
    }
}

/// Refunds never exceed the payment, neither in our books nor at WeChat Pay.
pub(super) fn no_more_is_refunded_than_was_paid(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    const CHECK: &str = "no more is refunded than was paid";
    for (view, payment) in payments(&deployment.wechat().orders()) {
        if payment.refund_committed_fen > view.order.total_fen {
            found.add(
                CHECK,
                format!(
                    "{}: WeChat Pay gives back {} of {} fen",
                    view.order.out_trade_no, payment.refund_committed_fen, view.order.total_fen
                ),
            );
        }
    }
    for (order_no, book) in &books.orders {
        let Some(order) = &book.order else {
            continue;
        };
        let paid_fen = number(order, "amount_fen");
        let committed_fen = number(order, "refund_committed_fen");
        let refunds = || {
            book.refunds
                .iter()
                .filter(|refund| text(refund, "payment_kind") == "booked")
        };
        let sum = |refunds: Vec<&Item>| {
            refunds
                .into_iter()
                .map(|refund| number(refund, "amount_fen"))
                .sum::<i64>()
        };
        let held_fen = sum(refunds()
            .filter(|refund| state(refund) != "closed")
            .collect());
        let back_fen = sum(refunds()
            .filter(|refund| state(refund) == "succeeded")
            .collect());
        if committed_fen > paid_fen
            || held_fen != committed_fen
            || back_fen != number(order, "refunded_fen")
        {
            found.add(
                CHECK,
                format!(
                    "{order_no}: of {paid_fen} fen {committed_fen} are committed and {} refunded, the refunds hold {held_fen} and gave back {back_fen}",
                    number(order, "refunded_fen")
                ),
            );
        }
    }
}

/// A refund is always requested under one number: the one in our books.
pub(super) fn refunds_keep_their_numbers(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    let refunds: Vec<&Item> = books
        .orders
        .values()
        .flat_map(|book| &book.refunds)
        .collect();
    let mut asked: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for exchange in deployment
        .exchanges
        .all()
        .iter()
        .filter(|exchange| exchange.endpoint == "refund")
    {
        let out_refund_no = field(&exchange.asked, "out_refund_no");
        let bodies = asked.entry(out_refund_no.to_owned()).or_default();
        let body = exchange.asked.to_string();
        if !bodies.contains(&body) {
            bodies.push(body);
        }
    }
    for (out_refund_no, bodies) in asked {
        let ours = refunds
            .iter()
            .filter(|refund| text(refund, "out_refund_no") == out_refund_no)
            .count();
        if ours != 1 || bodies.len() != 1 {
            found.add(
                "a refund keeps its number and its bytes",
                format!("WeChat Pay was asked for {out_refund_no}, which {ours} refunds here have, as {bodies:?}"),
            );
        }
    }
}

/// Money that was redirected to the merchant's own account is recorded as that in our books, with
/// the person who decided, in the refund and in the journal: it is never mistaken for the payer's.
pub(super) fn what_goes_to_the_merchant_is_on_record(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    for there in deployment.wechat().refunds() {
        let sent = there.redirected.as_ref();
        if !sent.is_some_and(|sent| sent["type"] == "MERCHANT_BANK_CARD") {
            continue;
        }
        let book = books.orders.get(&there.out_trade_no);
        let here = book.and_then(|book| {
            let mut refunds = book.refunds.iter();
            refunds.find(|refund| text(refund, "out_refund_no") == there.out_refund_no)
        });
        // It is never redirected in WeChat Pay's console here, so one of our operators did it.
        let is_on_record = here.is_some_and(|refund| {
            let sent_by = text(refund, "sent_by");
            text(refund, "sent_to") == "merchant"
                && !["", "WeChat Pay's console"].contains(&sent_by)
        });
        let is_in_the_journal = book.is_some_and(|book| {
            let mut events = book.events.iter();
            events.any(|event| !text(event, "decision").is_empty())
        });
        let parked = book.and_then(|book| {
            let mut payments = book.payments.iter();
            payments.find(|payment| text(payment, "transaction_id") == there.transaction_id)
        });
        let is_given_back = parked.is_some_and(|parked| state(parked) == "refunded");
        if !is_on_record || !is_in_the_journal || is_given_back {
            found.add(
                "what goes to the merchant is on record",
                format!(
                    "{} went to the merchant, and here it is {:?}",
                    there.out_refund_no,
                    here.map(|refund| (state(refund), text(refund, "sent_to")))
                ),
            );
        }
    }
}

/// Whether a client got the answer that a refund is rejected.
pub(super) fn is_refusal_of_a_refund(pending: &PendingRequest, answer: &ApiAnswer) -> bool {
    let asks_for_one = pending.method == "POST" && pending.path.ends_with("/refunds");
    asks_for_one && REFUSALS_OF_A_REFUND.contains(&answer.code())
}

/// A rejected refund really does not exist.
pub(super) fn no_refund_is_refused_and_known(
    books: &Records,
    pending: &PendingRequest,
    answer: &ApiAnswer,
    found: &mut Findings,
) {
    let order_no = pending.path.split('/').nth(3).unwrap_or_default();
    let asked = pending.body.as_ref().expect("a body");
    let refunds = books.orders.get(order_no).map(|book| &book.refunds);
    let known = refunds.into_iter().flatten().find(|refund| {
        text(refund, "refund_no") == field(asked, "refund_no")
            && asked["amount_fen"] == number(refund, "amount_fen")
    });
    if let Some(refund) = known {
        found.add(
            "no refund is both refused and known",
            format!(
                "{order_no} {} was answered {} {} and is {}",
                text(refund, "refund_no"),
                answer.status,
                answer.body,
                state(refund)
            ),
        );
    }
}

/// What is over here is over there, and the same in money.
pub(super) fn both_sides_say_the_same(
    deployment: &Deployment,
    books: &Records,
    found: &mut Findings,
) {
    let orders = deployment.wechat().orders();
    let refunds = deployment.wechat().refunds();
    for (order_no, book) in &books.orders {
        let there = orders
            .iter()
            .find(|view| view.order.out_trade_no == *order_no);
        order_agrees(order_no, book, there, &refunds, found);
        for refund in &book.refunds {
            refund_agrees(order_no, refund, &refunds, found);
        }
    }
    for refund in &refunds {
        let book = books.orders.get(&refund.out_trade_no);
        let known = book.is_some_and(|book| {
            let ours = book
                .refunds
                .iter()
                .any(|ours| text(ours, "out_refund_no") == refund.out_refund_no);
            ours || book
                .parked_refunds
                .iter()
                .any(|parked| text(parked, "refund_id") == refund.refund_id)
        });
        if !known && refund.status != RefundStatus::Closed {
            found.add(
                "every refund is booked or parked",
                format!(
                    "WeChat Pay has refund {} of {}, which nobody here knows",
                    refund.out_refund_no, refund.out_trade_no
                ),
            );
        }
    }
}

fn order_agrees(
    order_no: &str,
    book: &OrderRecords,
    there: Option<&OrderView>,
    refunds: &[Refund],
    found: &mut Findings,
) {
    let Some(order) = &book.order else {
        return; // a payment for an unknown order is parked; another check covers it
    };
    let here = state(order);
    let agrees = if PAID.contains(&here) {
        let payment = there.and_then(|view| {
            let id = text(order, "transaction_id");
            view.payments
                .iter()
                .find(|payment| payment.payment.transaction_id == id)
        });
        let (paid_fen, back_fen) = (number(order, "amount_fen"), number(order, "refunded_fen"));
        let fits = match here {
            "paid" => back_fen == 0,
            "partially_refunded" => 0 < back_fen && back_fen < paid_fen,
            "refunded" => back_fen == paid_fen,
            _ => back_fen < paid_fen, // after a close, what is owed back is not back yet
        };
        let parked_fen = parked_fen(book, text(order, "transaction_id"), refunds);
        fits && payment.is_some_and(|payment| payment.refunded_fen == back_fen + parked_fen)
    } else if ["closed", "rejected"].contains(&here) {
        there.is_none_or(|view| view.trade_state == TradeState::Closed)
    } else {
        true // half way; another check sees to it
    };
    if !agrees {
        let there = there.map(|view| (view.trade_state, view.received_fen, view.refunded_fen));
        found.add(
            "both sides say the same",
            format!(
                "{order_no} is {here}, {} fen given back, here; at WeChat Pay {there:?}",
                number(order, "refunded_fen")
            ),
        );
    }
}

/// The amount of a payment returned by refunds that were made elsewhere, contradict the books, and
/// wait for an operator.
fn parked_fen(book: &OrderRecords, transaction_id: &str, refunds: &[Refund]) -> i64 {
    let parked = |refund: &&Refund| {
        let is_it = |parked: &Item| text(parked, "refund_id") == refund.refund_id;
        refund.status == RefundStatus::Success
            && refund.transaction_id == transaction_id
            && book.parked_refunds.iter().any(is_it)
    };
    refunds
        .iter()
        .filter(parked)
        .map(|refund| refund.refund_fen)
        .sum()
}

fn refund_agrees(order_no: &str, refund: &Item, refunds: &[Refund], found: &mut Findings) {
    let number_there = text(refund, "out_refund_no");
    let there = refunds
        .iter()
        .find(|there| there.out_refund_no == number_there);
    let agrees = match (state(refund), there) {
        ("succeeded", Some(there)) => there.status == RefundStatus::Success,
        ("abnormal", Some(there)) => there.status == RefundStatus::Abnormal,
        ("processing", Some(there)) => there.status == RefundStatus::Processing,
        ("closed", Some(there)) => there.status == RefundStatus::Closed,
        ("closed" | "refused" | "reserved", None) => true,
        _ => false,
    };
    let same_amount = there.is_none_or(|there| there.refund_fen == number(refund, "amount_fen"));
    if !agrees || !same_amount {
        found.add(
            "both sides say the same",
            format!(
                "{order_no} refund {} of {} fen is {} here; at WeChat Pay {:?}",
                text(refund, "refund_no"),
                number(refund, "amount_fen"),
                state(refund),
                there.map(|there| (there.status, there.refund_fen))
            ),
        );
    }
}
