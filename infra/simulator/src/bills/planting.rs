//! Puts a difference into a day's bill, about the payment or refund that is named, or that the seed
//! picks.

use super::{
    day::BillDay,
    differences::{InjectedDifference, PlantedDifference, WantedDifference},
    injected::InjectedDifferences,
    making::{self, GeneratedOrder},
};
use crate::{
    books::Store,
    endpoint::Product,
    ledger::{MovementSubject, Reason},
    order::{Order, Payment},
    refund::Refund,
    schema,
    sim::{MutableState, Shared},
};

/// Why a difference cannot be put into a bill.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DifferenceError {
    #[error("date must be a Beijing day that has begun, as in 2026-08-03; it is {0}")]
    Date(String),
    /// An amount, or a correct summary.
    #[error(
        "fen must not be negative, of a payment at least 1; a summary must be off by something"
    )]
    Value,
    /// The named order or refund has nothing on that day.
    #[error(
        "{0} has no payment (or refund) on that day that this difference could be about; give the day on which it was \
         paid (or accepted), or name none and let the seed pick one"
    )]
    NotThatDay(String),
    /// The day has nothing to pick from.
    #[error(
        "no payment (or refund) on {0} is left without a difference; pay (or refund) an order on that day, or fill it \
         by POST /admin/bills/make"
    )]
    Nothing(String),
    /// The number of an unknown order is known.
    #[error("{0} is an order already, or no order's number; an unknown order needs one of its own")]
    Number(String),
}

/// What a difference is about.
#[derive(Clone, Copy, Eq, PartialEq)]
enum DifferenceTarget {
    Payment,
    Refund,
    /// A payment unless a refund is named.
    Either,
}

/// Plants it, and returns what it is about. Bills of that day and later ones are created again.
pub(crate) fn plant(
    sim: &Shared,
    world: &mut MutableState,
    wanted: &WantedDifference,
) -> Result<InjectedDifference, DifferenceError> {
    let wrong_date = || DifferenceError::Date(wanted.date.clone());
    let day = BillDay::parse(&wanted.date).ok_or_else(wrong_date)?;
    if day.start_ms > sim.now_ms() {
        return Err(wrong_date());
    }
    check(&wanted.difference)?;
    let planted = match &wanted.difference {
        PlantedDifference::DropPayment | PlantedDifference::AlterAmount { .. } => {
            find(world, &day, wanted, DifferenceTarget::Payment)?
        }
        PlantedDifference::DropRefund
        | PlantedDifference::AlterRefundAmount { .. }
        | PlantedDifference::AlterRefundState { .. } => {
            find(world, &day, wanted, DifferenceTarget::Refund)?
        }
        PlantedDifference::AlterState { .. }
        | PlantedDifference::AlterCurrency { .. }
        | PlantedDifference::AlterAppid { .. }
        | PlantedDifference::AlterMchid { .. }
        | PlantedDifference::AlterFee { .. }
        | PlantedDifference::TradeWithoutFund => {
            find(world, &day, wanted, DifferenceTarget::Either)?
        }
        PlantedDifference::UnknownOrder { fen } => unknown_order(sim, world, &day, wanted, *fen)?,
        PlantedDifference::FundWithoutTrade { fen } => stray_money(sim, world, &day, wanted, *fen),
        PlantedDifference::SummaryOff { .. } => about_nothing(wanted),
    };
    world.books.differences.push(planted.clone());
    world.books.forget_bills_since(&day.name);
    Ok(planted)
}

fn check(difference: &PlantedDifference) -> Result<(), DifferenceError> {
    let is_right = match difference {
        PlantedDifference::AlterAmount { fen }
        | PlantedDifference::AlterRefundAmount { fen }
        | PlantedDifference::AlterFee { fen } => fen.is_none_or(|fen| fen >= 0),
        PlantedDifference::UnknownOrder { fen } | PlantedDifference::FundWithoutTrade { fen } => {
            fen.is_none_or(|fen| fen >= 1)
        }
        PlantedDifference::SummaryOff { fen, count, .. } => *count != 0 || *fen != Some(0),
        PlantedDifference::DropPayment
        | PlantedDifference::AlterState { .. }
        | PlantedDifference::AlterCurrency { .. }
        | PlantedDifference::AlterAppid { .. }
        | PlantedDifference::AlterMchid { .. }
        | PlantedDifference::DropRefund
        | PlantedDifference::AlterRefundState { .. }
        | PlantedDifference::TradeWithoutFund => true,
    };
    if is_right {
        Ok(())
    } else {
        Err(DifferenceError::Value)
    }
}

/// The payment or refund of that day that is named, or one that the seed picks of those without a
/// difference.
fn find(
    world: &mut MutableState,
    day: &BillDay,
    wanted: &WantedDifference,
    subject: DifferenceTarget,
) -> Result<InjectedDifference, DifferenceError> {
    let refund_is_meant = subject == DifferenceTarget::Refund
        || (subject == DifferenceTarget::Either && wanted.out_refund_no.is_some());
    let mut fitting = if refund_is_meant {
        refunds(&world.books, day, wanted)
    } else {
        payments(&world.books, day, wanted)
    };
    let named = [&wanted.out_refund_no, &wanted.transaction_id, &wanted.order];
    let at = match named.into_iter().flatten().next() {
        Some(name) if fitting.is_empty() => return Err(DifferenceError::NotThatDay(name.clone())),
        Some(_) => 0,
        None if fitting.is_empty() => return Err(DifferenceError::Nothing(day.name.clone())),
        None => world.ids.pick(fitting.len()),
    };
    Ok(fitting.swap_remove(at))
}

fn payments(books: &Store, day: &BillDay, wanted: &WantedDifference) -> Vec<InjectedDifference> {
    // A refund's number is not a payment's.
    if wanted.out_refund_no.is_some() {
        return Vec::new();
    }
    let taken = InjectedDifferences::of(books);
    let range = day.range();
    let orders: Box<dyn Iterator<Item = &Order>> = match &wanted.order {
        Some(name) => Box::new(
            books
                .find(name)
                .ok()
                .and_then(|name| books.orders.get(&name))
                .into_iter(),
        ),
        None => Box::new(books.orders.iter()),
    };
    orders
        .flat_map(|order| order.payments().map(move |payment| (order, payment)))
        .filter(|(_, payment)| range.contains(&payment.paid_ms))
        .filter(|(_, payment)| {
            let asked_for = wanted.transaction_id.as_ref();
            let is_named = wanted.order.is_some() || asked_for.is_some();
            asked_for.is_none_or(|id| *id == payment.transaction_id)
                && (is_named || taken.on(&payment.transaction_id).is_none())
        })
        .map(|(order, payment)| about_payment(wanted, order, payment))
        .collect()
}

fn refunds(books: &Store, day: &BillDay, wanted: &WantedDifference) -> Vec<InjectedDifference> {
    let taken = InjectedDifferences::of(books);
    let range = day.range();
    let order = wanted
        .order
        .as_ref()
        .map(|name| books.find(name).unwrap_or_default());
    let refunds: Box<dyn Iterator<Item = &Refund>> = match &wanted.out_refund_no {
        Some(number) => Box::new(books.refunds.get(number).into_iter()),
        None => Box::new(books.refunds.iter()),
    };
    let is_named = wanted.out_refund_no.is_some();
    refunds
        .filter(|refund| range.contains(&refund.created_ms))
        .filter(|refund| {
            order
                .as_ref()
                .is_none_or(|order| *order == refund.out_trade_no)
        })
        .filter(|refund| {
            let asked_for = wanted.transaction_id.as_ref();
            asked_for.is_none_or(|id| *id == refund.transaction_id)
        })
        .filter(|refund| is_named || taken.on(&refund.refund_id).is_none())
        .map(|refund| about_refund(wanted, refund))
        .collect()
}

fn about_nothing(wanted: &WantedDifference) -> InjectedDifference {
    InjectedDifference {
        date: wanted.date.clone(),
        difference: wanted.difference.clone(),
        order: None,
        transaction_id: None,
        out_refund_no: None,
        refund_id: None,
    }
}

fn about_payment(
    wanted: &WantedDifference,
    order: &Order,
    payment: &Payment,
) -> InjectedDifference {
    InjectedDifference {
        order: Some(order.out_trade_no.clone()),
        transaction_id: Some(payment.transaction_id.clone()),
        ..about_nothing(wanted)
    }
}

fn about_refund(wanted: &WantedDifference, refund: &Refund) -> InjectedDifference {
    InjectedDifference {
        order: Some(refund.out_trade_no.clone()),
        transaction_id: Some(refund.transaction_id.clone()),
        out_refund_no: Some(refund.out_refund_no.clone()),
        refund_id: Some(refund.refund_id.clone()),
        ..about_nothing(wanted)
    }
}

/// An order was made with the merchant's key by another program, and it was paid: the simulator's
/// books have it, the merchant's not.
fn unknown_order(
    sim: &Shared,
    world: &mut MutableState,
    day: &BillDay,
    wanted: &WantedDifference,
    fen: Option<i64>,
) -> Result<InjectedDifference, DifferenceError> {
    let made_up = || format!("UNKNOWN-{}", world.ids.digits(16));
    let number = wanted.order.clone().unwrap_or_else(made_up);
    let is_number = schema::is_number(&number, "_-|*", 6, 32);
    if !is_number || world.books.orders.get(&number).is_some() {
        return Err(DifferenceError::Number(number));
    }
    let now_ms = sim.now_ms();
    let sale = GeneratedOrder {
        number: number.clone(),
        product: Product::Native,
        total_fen: fen.unwrap_or_else(|| some_fen(world)),
        coupon_fen: 0,
        paid_ms: moment(world, day, now_ms),
    };
    let MutableState { books, ids, .. } = world;
    let transaction_id = making::sell(books, &sim.merchant, &sale, now_ms, ids);
    books.ledger.put_in_order();
    Ok(InjectedDifference {
        order: Some(number),
        transaction_id: Some(transaction_id),
        ..about_nothing(wanted)
    })
}

/// Money for a payment that is nowhere else.
fn stray_money(
    sim: &Shared,
    world: &mut MutableState,
    day: &BillDay,
    wanted: &WantedDifference,
    fen: Option<i64>,
) -> InjectedDifference {
    let at_ms = moment(world, day, sim.now_ms());
    let fen = fen.unwrap_or_else(|| some_fen(world));
    let transaction_id = world.ids.transaction_id(at_ms);
    let made_up = || format!("STRAY-{}", world.ids.digits(16));
    let number = wanted.order.clone().unwrap_or_else(made_up);
    let occasion = MovementSubject {
        at_ms,
        business_id: &transaction_id,
        voucher: &number,
    };
    let MutableState { books, ids, .. } = world;
    books.ledger.book(ids, &occasion, Reason::Payment, fen);
    books.ledger.put_in_order();
    InjectedDifference {
        order: Some(number),
        transaction_id: Some(transaction_id),
        ..about_nothing(wanted)
    }
}

/// Some moment of the day that has passed.
fn moment(world: &mut MutableState, day: &BillDay, now_ms: i64) -> i64 {
    let last_ms = day.end_ms().saturating_sub(1).min(now_ms);
    let span_ms = last_ms.saturating_sub(day.start_ms);
    let choices = usize::try_from(span_ms).unwrap_or(0).saturating_add(1);
    let after_ms = i64::try_from(world.ids.pick(choices)).unwrap_or(0);
    day.start_ms.saturating_add(after_ms)
}

/// 1 to 100 yuan.
fn some_fen(world: &mut MutableState) -> i64 {
    i64::try_from(world.ids.pick(9_901))
        .unwrap_or(0)
        .saturating_add(100)
}
