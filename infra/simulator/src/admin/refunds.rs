//! Refunds: those of WeChat Pay's console, and the ends of all.

use serde_json::json;

use super::Admin;
use crate::order::Order;
use crate::refund::{Refund, RefundOutcome, RefundSource, RefundStatus};
use crate::refunding::NewRefund;
use crate::sim::MutableState;
use crate::views::{ConsoleRefund, ConsoleRefundError, SettleError};
use crate::{refunding, schema};

impl Admin {
    /// All refunds, the oldest first.
    pub fn refunds(&self) -> Vec<Refund> {
        let mut refunds: Vec<Refund> = self.sim.world().books.refunds.iter().cloned().collect();
        refunds.sort_by_key(|refund| refund.created_ms);
        refunds
    }

    /// The refund with this number.
    pub fn refund(&self, out_refund_no: &str) -> Option<Refund> {
        self.sim.world().books.refunds.get(out_refund_no).cloned()
    }

    /// All refunds of an order, for any of its payments, oldest first; none if there is no such
    /// order.
    pub fn refunds_of(&self, order: &str) -> Vec<Refund> {
        let world = self.sim.world();
        let number = world.books.find(order).unwrap_or_default();
        let payments = world.books.orders.get(&number).into_iter();
        let mut refunds: Vec<Refund> = payments
            .flat_map(Order::payments)
            .flat_map(|payment| world.books.refunds.of(&payment.transaction_id))
            .cloned()
            .collect();
        refunds.sort_by_key(|refund| refund.created_ms);
        refunds
    }

    /// The merchant's staff refund in WeChat Pay's console, by the same rules as over the API.
    ///
    /// # Errors
    /// If there is no such payment, or a rule of refunds is against it.
    pub fn console_refund(&self, requested: &ConsoleRefund) -> Result<Refund, ConsoleRefundError> {
        let refund = {
            let mut world = self.sim.world();
            let wanted = wanted(&mut world, requested)?;
            refunding::accept(&self.sim, &mut world, wanted).map_err(|refusal| {
                ConsoleRefundError::Refused {
                    code: refusal.code.to_string(),
                    message: refusal.in_english().to_owned(),
                }
            })?
        };
        self.sim.log(&format!(
            "the merchant's staff refund {} fen of {}",
            refund.refund_fen, refund.out_trade_no
        ));
        self.sim.touched();
        Ok(refund)
    }

    /// The result of refunds that are accepted from now on.
    pub fn set_refund_outcome(&self, outcome: RefundOutcome) {
        self.sim.world().books.next_refunds = outcome;
        self.sim.touched();
    }

    /// Ends a refund now, whatever was planned for it. An `ABNORMAL` one can be ended as `SUCCESS`,
    /// as if the merchant's staff had redirected it in the console.
    ///
    /// # Errors
    /// If there is none, or it has ended.
    pub fn settle_refund(
        &self,
        out_refund_no: &str,
        status: RefundStatus,
    ) -> Result<Refund, SettleError> {
        let refund = {
            let mut world = self.sim.world();
            let refund = world
                .books
                .refunds
                .get(out_refund_no)
                .ok_or(SettleError::Unknown)?;
            let mends = refund.status == RefundStatus::Abnormal && status == RefundStatus::Success;
            let ends =
                refund.status == RefundStatus::Processing && status != RefundStatus::Processing;
            if !mends && !ends {
                return Err(SettleError::NotProcessing);
            }
            let (books, mut tools) = world.parts(&self.sim.clock);
            books.end_refund(out_refund_no, status, &mut tools);
            world
                .books
                .refunds
                .get(out_refund_no)
                .cloned()
                .ok_or(SettleError::Unknown)?
        };
        self.sim.touched();
        Ok(refund)
    }

    /// The merchant's staff send an `ABNORMAL` refund to the merchant's own account in the console.
    /// It is on its way again, and ends as a refund does that is asked for now.
    ///
    /// # Errors
    /// If there is none, or it is not `ABNORMAL`.
    pub fn send_refund_to_merchant(&self, out_refund_no: &str) -> Result<Refund, SettleError> {
        let refund = {
            let mut world = self.sim.world();
            let found = world.books.refunds.get(out_refund_no);
            let refund = found.ok_or(SettleError::Unknown)?;
            if refund.status != RefundStatus::Abnormal {
                return Err(SettleError::NotProcessing);
            }
            let outcome = world.books.next_refunds;
            let ends = refunding::end(&self.sim, outcome, self.sim.now_ms());
            world.books.refunds.change(out_refund_no, |refund| {
                refund.status = RefundStatus::Processing;
                refund.ends = ends;
                refund.redirected = Some(json!({"type": "MERCHANT_BANK_CARD"}));
            });
            let found = world.books.refunds.get(out_refund_no);
            found.cloned().ok_or(SettleError::Unknown)?
        };
        self.sim.touched();
        Ok(refund)
    }
}

/// A refund in the console as the books take it.
fn wanted(
    world: &mut MutableState,
    requested: &ConsoleRefund,
) -> Result<NewRefund, ConsoleRefundError> {
    let unknown = || ConsoleRefundError::Unknown(requested.order.clone());
    let number = world.books.find(&requested.order).map_err(|_| unknown())?;
    let order = world.books.orders.get(&number).ok_or_else(unknown)?;
    let payment = match &requested.transaction_id {
        Some(transaction_id) => order.payment_with(transaction_id),
        None => order.payment.as_ref(),
    };
    let transaction_id = payment.ok_or_else(unknown)?.transaction_id.clone();
    let total_fen = order.total_fen;
    let out_refund_no = requested
        .out_refund_no
        .clone()
        .unwrap_or_else(|| format!("CONSOLE-{}", world.ids.digits(16)));
    let is_number = schema::is_number(&out_refund_no, "_-|*@", 1, 64);
    if !is_number || world.books.refunds.get(&out_refund_no).is_some() {
        return Err(ConsoleRefundError::Number);
    }
    if requested.refund_fen < 1 {
        return Err(ConsoleRefundError::Amount);
    }
    Ok(NewRefund {
        out_refund_no,
        transaction_id,
        refund_fen: requested.refund_fen,
        total_fen,
        notify_url: requested.notify_url.clone(),
        request: json!(null),
        source: RefundSource::Console,
        outcome: world.books.next_refunds,
    })
}
