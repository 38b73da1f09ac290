//! Indexes of orders and refunds, so that no request scans all of them.
//!
//! The state file stores them as plain maps; the indexes are built again when it is read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    order::{Attempt, Order, Payment, Prepay},
    refund::Refund,
};

/// All orders, by number, by prepay value and by payment.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(from = "BTreeMap<String, Order>", into = "BTreeMap<String, Order>")]
pub(crate) struct Orders {
    by_number: BTreeMap<String, Order>,
    /// Live and replaced prepay values, and the ids behind them.
    by_value: BTreeMap<String, String>,
    by_transaction: BTreeMap<String, String>,
    /// Numbers of those that changed since they were last written.
    changed: BTreeSet<String>,
}

impl From<BTreeMap<String, Order>> for Orders {
    fn from(stored: BTreeMap<String, Order>) -> Self {
        let mut orders = Self::default();
        for order in stored.into_values() {
            orders.insert(order);
        }
        orders.forget_changes();
        orders
    }
}

impl From<Orders> for BTreeMap<String, Order> {
    fn from(orders: Orders) -> Self {
        orders.by_number
    }
}

impl Orders {
    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.by_number.values()
    }

    pub(crate) fn get(&self, number: &str) -> Option<&Order> {
        self.by_number.get(number)
    }

    /// The order that has, or once had, this prepay value or the id behind it.
    pub(crate) fn with_value(&self, value: &str) -> Option<&Order> {
        self.by_value
            .get(value)
            .and_then(|number| self.by_number.get(number))
    }

    /// The payment with this number, and its order.
    pub(crate) fn with_transaction(&self, transaction_id: &str) -> Option<(&Order, &Payment)> {
        let number = self.by_transaction.get(transaction_id)?;
        let order = self.by_number.get(number)?;
        let payment = order.payment_with(transaction_id)?;
        Some((order, payment))
    }

    pub(crate) fn insert(&mut self, order: Order) {
        let number = &order.out_trade_no;
        let live = [&order.prepay.value, &order.prepay.prepay_id];
        for value in live.into_iter().chain(&order.dead_values) {
            self.by_value.insert(value.clone(), number.clone());
        }
        for payment in order.payments() {
            self.by_transaction
                .insert(payment.transaction_id.clone(), number.clone());
        }
        self.changed.insert(number.clone());
        self.by_number.insert(number.clone(), order);
    }

    /// Those that changed since the last time.
    pub(crate) fn take_changes(&mut self) -> Vec<Order> {
        let changed = std::mem::take(&mut self.changed);
        let orders = changed
            .iter()
            .filter_map(|number| self.by_number.get(number));
        orders.cloned().collect()
    }

    /// All are written as they are now.
    pub(crate) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    fn changing(&mut self, number: &str) -> Option<&mut Order> {
        let order = self.by_number.get_mut(number)?;
        self.changed.insert(number.to_owned());
        Some(order)
    }

    /// Another prepay value takes the place of the one so far, which is dead from now on.
    pub(crate) fn renew(&mut self, number: &str, prepay: Prepay) {
        for value in [&prepay.value, &prepay.prepay_id] {
            self.by_value.insert(value.clone(), number.to_owned());
        }
        if let Some(order) = self.changing(number) {
            let old = std::mem::replace(&mut order.prepay, prepay);
            order.dead_values.push(old.value);
            order.dead_values.push(old.prepay_id);
            order.dead_values.dedup();
        }
    }

    /// Money arrives: the order's payment, or one more if it has one.
    pub(crate) fn add_payment(&mut self, number: &str, payment: Payment) {
        self.by_transaction
            .insert(payment.transaction_id.clone(), number.to_owned());
        if let Some(order) = self.changing(number) {
            if order.payment.is_none() {
                order.payment = Some(payment);
            } else {
                order.more_payments.push(payment);
            }
        }
    }

    /// The merchant closes it; the first time counts.
    pub(crate) fn close(&mut self, number: &str, now_ms: i64) {
        if let Some(order) = self.changing(number) {
            order.closed_ms.get_or_insert(now_ms);
        }
    }

    pub(crate) fn add_attempt(&mut self, number: &str, attempt: Attempt) {
        if let Some(order) = self.changing(number) {
            order.attempts.push(attempt);
        }
    }
}

/// All refunds, by number, by the payment that they give back, and by the moment at which they end.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(from = "BTreeMap<String, Refund>", into = "BTreeMap<String, Refund>")]
pub(crate) struct Refunds {
    by_number: BTreeMap<String, Refund>,
    by_transaction: BTreeMap<String, Vec<String>>,
    by_id: BTreeMap<String, String>,
    due: BTreeSet<(i64, String)>,
    /// Numbers of those that changed since they were last written.
    changed: BTreeSet<String>,
}

impl From<BTreeMap<String, Refund>> for Refunds {
    fn from(stored: BTreeMap<String, Refund>) -> Self {
        let mut stored: Vec<Refund> = stored.into_values().collect();
        stored.sort_by_key(|refund| refund.created_ms);
        let mut refunds = Self::default();
        for refund in stored {
            refunds.insert(refund);
        }
        refunds.forget_changes();
        refunds
    }
}

impl From<Refunds> for BTreeMap<String, Refund> {
    fn from(refunds: Refunds) -> Self {
        refunds.by_number
    }
}

impl Refunds {
    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Refund> {
        self.by_number.values()
    }

    pub(crate) fn get(&self, number: &str) -> Option<&Refund> {
        self.by_number.get(number)
    }

    /// The refund with WeChat Pay's number.
    pub(crate) fn with_id(&self, refund_id: &str) -> Option<&Refund> {
        let number = self.by_id.get(refund_id)?;
        self.by_number.get(number)
    }

    /// The refunds of one payment, the oldest first.
    pub(crate) fn of(&self, transaction_id: &str) -> impl Iterator<Item = &Refund> {
        self.by_transaction
            .get(transaction_id)
            .into_iter()
            .flatten()
            .filter_map(|number| self.by_number.get(number))
    }

    pub(crate) fn insert(&mut self, refund: Refund) {
        let number = refund.out_refund_no.clone();
        self.by_transaction
            .entry(refund.transaction_id.clone())
            .or_default()
            .push(number.clone());
        self.by_id.insert(refund.refund_id.clone(), number.clone());
        if let Some(end) = refund.ends {
            self.due.insert((end.at_ms, number.clone()));
        }
        self.changed.insert(number.clone());
        self.by_number.insert(number, refund);
    }

    /// A refund that is new, or in the place of what it was.
    pub(crate) fn put(&mut self, refund: Refund) {
        let number = refund.out_refund_no.clone();
        if self.by_number.contains_key(&number) {
            self.change(&number, |known| *known = refund);
        } else {
            self.insert(refund);
        }
    }

    /// Those that changed since the last time, the oldest first.
    pub(crate) fn take_changes(&mut self) -> Vec<Refund> {
        let changed = std::mem::take(&mut self.changed);
        let refunds = changed
            .iter()
            .filter_map(|number| self.by_number.get(number));
        let mut refunds: Vec<Refund> = refunds.cloned().collect();
        refunds.sort_by_key(|refund| refund.created_ms);
        refunds
    }

    /// All are written as they are now.
    pub(crate) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    /// Changes a refund's standing; its numbers stay as they are.
    pub(crate) fn change(
        &mut self,
        number: &str,
        change: impl FnOnce(&mut Refund),
    ) -> Option<&Refund> {
        let refund = self.by_number.get_mut(number)?;
        self.changed.insert(number.to_owned());
        if let Some(end) = refund.ends {
            self.due.remove(&(end.at_ms, number.to_owned()));
        }
        change(refund);
        if let Some(end) = refund.ends {
            self.due.insert((end.at_ms, number.to_owned()));
        }
        Some(refund)
    }

    /// The next moment at which one ends.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.due.first().map(|(at_ms, _)| *at_ms)
    }

    /// One whose time has come, the earliest first.
    pub(crate) fn due(&self, now_ms: i64) -> Option<&Refund> {
        let (at_ms, number) = self.due.first()?;
        (*at_ms <= now_ms)
            .then(|| self.by_number.get(number))
            .flatten()
    }
}
