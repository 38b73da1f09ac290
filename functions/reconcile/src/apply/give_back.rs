//! Money that two persons decided to give back.

use flows::{
    origin::{Origin, record_event},
    process_refund::{RefundBy, ReserveRefundOutcome},
    settle_payment::SettleOutcome,
};
use payments::{
    model::{
        ids::{ClientId, OrderNo, RefundNo, TransactionId},
        order::Order,
        parked::ParkedState,
        permissions::AmountLimits,
        refund::RefundTerms,
    },
    reconcile::{difference::RefundStage, unattributed::order_for_unattributed_payment},
    rules::reserve_refund::{Approval, REFUNDS_MAX, RefundRequest},
};
use stores::order_table::ReserveOutcome;

use super::outcome::{ActionDone, ActionResult};
use crate::{
    app::App,
    error::DayError,
    payment_facts,
    query::{self, SucceededPayment},
    query_and_settle::settled,
};

const A_CLIENTS_BY_NOW: &str =
    "the order is a client's by now, and its payment is settled into it: run the day again";

/// Gives one payment back.
pub(super) struct GiveBack<'a> {
    pub(super) app: &'a App,
    pub(super) order_no: &'a OrderNo,
    pub(super) transaction_id: &'a TransactionId,
    pub(super) origin: &'a Origin,
}

impl GiveBack<'_> {
    /// A second payment of an order: it is parked, and refunded whole.
    pub(super) async fn second_payment(&self) -> Result<ActionResult, DayError> {
        let mut parked = self
            .app
            .orders
            .parked_payment(self.order_no, self.transaction_id)
            .await?;
        if parked.is_none() {
            // Its news was lost, and no run was allowed to ask for it.
            match settled(self.app, self.transaction_id, self.origin).await? {
                Err(why) => return Ok(Err(why)),
                Ok(_) => {
                    parked = self
                        .app
                        .orders
                        .parked_payment(self.order_no, self.transaction_id)
                        .await?;
                }
            }
        }
        let order = self.app.orders.read(self.order_no).await?;
        let (Some(order), Some(parked)) = (order, parked) else {
            return Ok(Err(
                "our books have no such second payment: refund it in WeChat Pay's console".into(),
            ));
        };
        match parked.state {
            ParkedState::Parked => {}
            ParkedState::Refunding | ParkedState::Refunded | ParkedState::WithMerchant => {
                let refund =
                    payment_facts::refund_of_second(self.app, self.order_no, self.transaction_id)
                        .await?;
                return Ok(match refund {
                    Some(refund) => ActionDone::by(&refund),
                    None => Err("it was given back, and our books do not say how".into()),
                });
            }
            ParkedState::Booked => {
                return Ok(Err("it is the order's own payment by now".into()));
            }
            ParkedState::Released => {}
        }
        let earlier = self.app.orders.refunds(self.order_no).await?;
        if let Some(why) = payment_facts::why_released(&earlier, self.transaction_id) {
            return Ok(Err(why));
        }
        let terms = RefundTerms {
            amount: parked.amount,
            reason: None,
            transaction_id: Some(self.transaction_id.clone()),
        };
        let number = |nth| RefundNo::of_second_payment(self.transaction_id, nth);
        self.given_back(&order, &terms, number).await
    }

    /// A payment for an order that is not ours: the order is created as closed, and the payment
    /// settled into it is a late payment, which is refunded automatically.
    pub(super) async fn unattributed_money(&self) -> Result<ActionResult, DayError> {
        let SucceededPayment {
            notice,
            money,
            trade_type,
        } = match query::paid(self.app, self.transaction_id).await? {
            Ok(paid) => paid,
            Err(why) => return Ok(Err(why)),
        };
        let number = |nth| RefundNo::of_late_money_again(self.transaction_id, nth);
        // WeChat Pay reports this from the first refund on, also for ours.
        if money.refunded
            && self
                .app
                .orders
                .refund(self.order_no, &number(1))
                .await?
                .is_none()
        {
            return Ok(Err(payment_facts::GIVEN_BACK.into()));
        }
        let context = self.origin.change_context(self.app.clock.now_ms());
        let (order, event) =
            order_for_unattributed_payment(&notice, &money, trade_type.as_deref(), &context);
        let is_settled = match self.app.orders.reserve(&order, &event).await? {
            ReserveOutcome::New => {
                record_event(&order.order_no, &event, None, self.origin);
                false
            }
            // It is ours from an earlier attempt, or the order was created meanwhile: settling
            // decides what that means, unless it was finished.
            ReserveOutcome::Taken(order) => {
                is_unattributed(&order) && order.state.payment().is_some()
            }
        };
        if !is_settled {
            match self.app.settling.settle(&notice, self.origin).await? {
                SettleOutcome::Changed | SettleOutcome::AlreadyDone => {}
                SettleOutcome::StillOpen => return Ok(Err(query::DID_NOT_SUCCEED.into())),
                SettleOutcome::Parked { what_to_do, .. } => return Ok(Err(what_to_do)),
            }
        }
        let order = self.app.orders.read(&notice.order_no).await?;
        let Some(order) = order.filter(is_unattributed) else {
            return Ok(Err(A_CLIENTS_BY_NOW.into()));
        };
        // The first refund was made by settling. If that failed for good, operators have decided
        // again.
        let terms = RefundTerms {
            amount: order.amount,
            reason: None,
            transaction_id: None,
        };
        self.given_back(&order, &terms, number).await
    }

    /// One refund after the other under the numbers that follow from a payment's, until one does
    /// not fail for good.
    async fn given_back(
        &self,
        order: &Order,
        terms: &RefundTerms,
        number: impl Fn(u32) -> RefundNo,
    ) -> Result<ActionResult, DayError> {
        for nth in 1..=REFUNDS_MAX {
            let wanted = RefundRequest {
                refund_no: number(nth),
                terms: terms.clone(),
                approval: Approval::TwoPersons,
            };
            let by = RefundBy {
                client: &order.client_id,
                limits: &AmountLimits::default(),
            };
            let taken = self
                .app
                .refund_flow
                .reserve(by, &order.order_no, &wanted, self.origin)
                .await?;
            let known = match taken {
                ReserveRefundOutcome::Reserved(refund)
                | ReserveRefundOutcome::AlreadyReserved(refund) => refund,
                ReserveRefundOutcome::Rejected(refused) => {
                    return Ok(Err(format!(
                        "the refund was not taken on ({refused}): look the payment up in WeChat Pay's console"
                    )));
                }
                ReserveRefundOutcome::AboveLimit(above) => {
                    return Ok(Err(format!(
                        "the refund was not taken on ({above}): look the payment up in WeChat Pay's console"
                    )));
                }
                ReserveRefundOutcome::OrderNotFound | ReserveRefundOutcome::NumberReused => {
                    return Ok(Err(format!(
                        "the refund was not taken on, since {} is in use: look the payment up in WeChat Pay's console",
                        wanted.refund_no
                    )));
                }
            };
            // It failed for good and its money is free again: another try is another refund
            // (shared/wechatpay/PROTOCOL.md, 6.3).
            if RefundStage::from(&*known) != RefundStage::Closed {
                return Ok(ActionDone::by(&known));
            }
        }
        Ok(Err(
            "as many refunds of it failed as WeChat Pay takes: pay the money back by other means"
                .into(),
        ))
    }
}

fn is_unattributed(order: &Order) -> bool {
    order.client_id.as_str() == ClientId::UNATTRIBUTED
}
