//! Fills a day with orders that were paid, and refunds of them.

use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use super::day::BillDay;
use crate::{
    books::{BookContext, Store},
    clock,
    endpoint::Product,
    ids::Ids,
    ledger,
    order::{CLOSED_AFTER_MS, Order, Payment, Prepay},
    refund::{Refund, RefundEnd, RefundSource, RefundStatus},
    sim::{Account, MutableState, Shared},
};

/// More would not fit into the memory of a developer's machine.
const ORDERS_MAX: u32 = 1_000_000;
/// From the creation of a made order to its payment.
const PAID_AFTER_MS: i64 = 30_000;

/// What a day is to be filled with.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GenerateDay {
    /// The Beijing day, `2026-08-03`; the running one is filled up to now.
    pub date: String,
    /// How many orders are paid on it, 1 to 1,000,000.
    pub orders: u32,
    /// How many of them are refunded on it, each once.
    #[serde(default)]
    pub refunds: u32,
    /// The seed for amounts, times and numbers; 1 by default. A day is filled only once with the
    /// same seed.
    #[serde(default = "one")]
    pub seed: u32,
}

fn one() -> u32 {
    1
}

/// What a day was filled with: numbers, in the order of their payments.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GeneratedDay {
    /// Each `out_trade_no`.
    pub orders: Vec<String>,
    /// Each `out_refund_no`.
    pub refunds: Vec<String>,
}

/// Why a day cannot be filled.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GenerateError {
    #[error("date must be a Beijing day that has begun, as in 2026-08-03; it is {0}")]
    Date(String),
    #[error("orders must be 1 to 1000000, and refunds no more than orders")]
    Count,
    /// The day has these orders already.
    #[error("the day was filled by this seed already; take another seed")]
    MadeAlready,
}

/// An order that was created and paid without an API request.
pub(crate) struct GeneratedOrder {
    pub(crate) number: String,
    pub(crate) product: Product,
    pub(crate) total_fen: i64,
    pub(crate) coupon_fen: i64,
    pub(crate) paid_ms: i64,
}

/// Enters an order and its payment. No callback is sent. Gives the payment's number. The ledger may
/// be out of order.
pub(crate) fn sell(
    books: &mut Store,
    merchant: &Account,
    sale: &GeneratedOrder,
    now_ms: i64,
    ids: &mut Ids,
) -> String {
    let created_ms = sale.paid_ms.saturating_sub(PAID_AFTER_MS);
    let prepay_id = ids.prepay_id(created_ms);
    let payment = Payment {
        transaction_id: ids.transaction_id(sale.paid_ms),
        openid: ids.openid(),
        paid_ms: sale.paid_ms,
        bank_type: "OTHERS".to_owned(),
        coupon_fen: sale.coupon_fen,
    };
    let transaction_id = payment.transaction_id.clone();
    books.orders.insert(Order {
        out_trade_no: sale.number.clone(),
        product: sale.product,
        appid: merchant.appids.first().cloned().unwrap_or_default(),
        mchid: merchant.mchid.clone(),
        description: "Tea, green".to_owned(),
        total_fen: sale.total_fen,
        notify_url: String::new(),
        attach: None,
        openid: None,
        device_id: None,
        request: serde_json::Value::Null,
        prepay: Prepay {
            value: prepay_id.clone(),
            prepay_id,
            expires_ms: sale.paid_ms,
        },
        dead_values: Vec::new(),
        created_ms,
        expires_ms: created_ms.saturating_add(CLOSED_AFTER_MS),
        closed_ms: None,
        payment: None,
        more_payments: Vec::new(),
        attempts: Vec::new(),
    });
    books.enter_payment(&sale.number, payment, now_ms, ids);
    transaction_id
}

/// Fills the day. Bills of that day and later ones are created again.
pub(crate) fn make(
    sim: &Shared,
    world: &mut MutableState,
    wanted: &GenerateDay,
) -> Result<GeneratedDay, GenerateError> {
    let now_ms = sim.now_ms();
    let day = BillDay::parse(&wanted.date)
        .filter(|day| day.start_ms <= now_ms)
        .ok_or_else(|| GenerateError::Date(wanted.date.clone()))?;
    if !(1..=ORDERS_MAX).contains(&wanted.orders) || wanted.refunds > wanted.orders {
        return Err(GenerateError::Count);
    }
    let prefix = format!("MADE-{}-{}", clock::compact_day(day.start_ms), wanted.seed);
    let name = |at: usize| number(&prefix, at);
    if world.books.orders.get(&name(0)).is_some() {
        return Err(GenerateError::MadeAlready);
    }
    let (mut ids, mut rng) = Ids::for_a_day(wanted.seed, day.start_ms);
    let last_ms = day.end_ms().saturating_sub(1).min(now_ms);
    let mut moments: Vec<i64> = (0..wanted.orders)
        .map(|_| rng.random_range(day.start_ms..=last_ms))
        .collect();
    moments.sort_unstable();
    let refunded = chosen(wanted, &mut rng);

    let mut made = GeneratedDay {
        orders: Vec::new(),
        refunds: Vec::new(),
    };
    let mut refunds = Vec::new();
    for (at, (paid_ms, is_refunded)) in moments.into_iter().zip(refunded).enumerate() {
        let sale = sale(name(at), paid_ms, &mut rng);
        let transaction_id = sell(&mut world.books, &sim.merchant, &sale, now_ms, &mut ids);
        if is_refunded {
            let refund_id = ids.refund_id(paid_ms);
            let refund = refund(&sale, transaction_id, refund_id, last_ms, &mut rng);
            made.refunds.push(refund.out_refund_no.clone());
            refunds.push(end(refund, sim.refund_takes_ms, now_ms));
        }
        made.orders.push(sale.number);
    }
    for refund in refunds {
        let mut tools = BookContext {
            clock: &sim.clock,
            ids: &mut ids,
            faults: &mut world.faults,
        };
        world.books.open_refund(refund, &mut tools);
    }
    world.books.ledger.put_in_order();
    world.books.forget_bills_since(&day.name);
    Ok(made)
}

/// `MADE-20260803-1-0000001`: within the 32 characters of an order's number.
fn number(prefix: &str, at: usize) -> String {
    format!("{prefix}-{:07}", at.saturating_add(1))
}

/// Which orders are refunded: just as many as wanted, spread over the day.
fn chosen(wanted: &GenerateDay, rng: &mut ChaCha20Rng) -> Vec<bool> {
    let mut left = wanted.refunds;
    (0..wanted.orders)
        .map(|at| {
            let orders_left = wanted.orders.saturating_sub(at);
            let is_chosen = rng.random_range(0..orders_left.max(1)) < left;
            left = left.saturating_sub(u32::from(is_chosen));
            is_chosen
        })
        .collect()
}

/// 1 to 500 yuan, by any product; every tenth has a coupon.
fn sale(number: String, paid_ms: i64, rng: &mut ChaCha20Rng) -> GeneratedOrder {
    let total_fen = rng.random_range(100..=50_000);
    GeneratedOrder {
        number,
        product: match rng.random_range(0..4) {
            0 => Product::Jsapi,
            1 => Product::App,
            2 => Product::H5,
            _ => Product::Native,
        },
        total_fen,
        coupon_fen: if rng.random_range(0..10) == 0 {
            rng.random_range(1..total_fen)
        } else {
            0
        },
        paid_ms,
    }
}

/// All of it, or a part.
fn refund(
    sale: &GeneratedOrder,
    transaction_id: String,
    refund_id: String,
    last_ms: i64,
    rng: &mut ChaCha20Rng,
) -> Refund {
    let refund_fen = if rng.random_bool(0.5) {
        sale.total_fen
    } else {
        rng.random_range(1..=sale.total_fen)
    };
    let payer_total_fen = sale.total_fen.saturating_sub(sale.coupon_fen);
    Refund {
        out_refund_no: format!("R-{}", sale.number),
        refund_id,
        out_trade_no: sale.number.clone(),
        transaction_id,
        refund_fen,
        payer_refund_fen: ledger::share(refund_fen, payer_total_fen.into(), sale.total_fen.into()),
        notify_url: None,
        request: serde_json::Value::Null,
        redirected: None,
        source: RefundSource::Api,
        created_ms: rng.random_range(sale.paid_ms..=last_ms),
        status: RefundStatus::Processing,
        success_ms: None,
        ends: None,
    }
}

/// The refund's present state: done, or to be done in a moment.
fn end(mut refund: Refund, takes_ms: i64, now_ms: i64) -> Refund {
    let at_ms = refund.created_ms.saturating_add(takes_ms);
    let status = RefundStatus::Success;
    if at_ms <= now_ms {
        refund.status = status;
        refund.success_ms = Some(at_ms);
    } else {
        refund.ends = Some(RefundEnd { at_ms, status });
    }
    refund
}
