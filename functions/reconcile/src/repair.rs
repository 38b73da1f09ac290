//! Automatic repairs of differences: WeChat Pay is queried, and its answer is settled the same way
//! as its callbacks. Payments that are not ours to keep are proposed for a refund; only persons
//! approve it.

use flows::{
    origin::Origin, process_refund::RefundError, settle_payment::SettleOutcome, trace::Trace,
};
use matching::books::BookedRefund;
use payments::{
    model::{
        ids::{OutRefundNo, RefundId, TransactionId},
        journal::Cause,
        refund::Refund,
    },
    reconcile::{
        difference::{
            Difference, DifferenceState, PaymentOrRefund, RefundableMoney, Remedy, TrackedRefund,
        },
        run::Run,
    },
};
use tracing::info;

use crate::{
    app::App,
    apply::Applier,
    differences::DifferenceStore,
    error::DayError,
    payment_facts::{
        GIVEN_BACK, is_booked, is_over, numbers, order_no, refund_of_second, was_refunded,
    },
    query,
    query_and_settle::settled,
    track_refunds,
};

/// Result of an attempt to repair.
enum RepairOutcome {
    /// Both sides agree now; the reason.
    Repaired(&'static str),
    /// The money should be returned; the reason.
    Propose(&'static str),
    /// A refund returns the money already, whatever made it.
    RefundUnderWay(Box<Refund>),
    /// Not repaired; the reason for the operator.
    NotRepaired(String),
    /// This kind has no automatic repair.
    NeedsOperator,
}

const OTHER_THAN_BILLED: &str =
    "WeChat Pay, asked about the refund, says something else than its bill: open a case with it";

/// Repairs what a run found.
pub(crate) struct Repairer<'a> {
    app: &'a App,
    run: &'a Run,
    origin: Origin,
}

impl<'a> Repairer<'a> {
    pub(crate) fn new(app: &'a App, run: &'a Run, trace: &Trace) -> Self {
        let origin = Origin::new(Cause::Reconciliation(run.id.clone()), trace);
        Self { app, run, origin }
    }

    /// Processes the findings. Returns all differences afterwards.
    pub(crate) async fn all(&self, found: Vec<Difference>) -> Result<Vec<Difference>, DayError> {
        let mut after = Vec::with_capacity(found.len());
        for difference in found {
            // If it waits for a refund, the refund's state is updated first.
            let difference = match track_refunds::one(self.app, &difference).await? {
                Some(updated) => updated,
                None => difference,
            };
            let stands = match difference.state {
                // Its refund makes no progress but still may: persons decide about that refund.
                // They also decide about money that went to the merchant, since the payer did not
                // receive it.
                DifferenceState::Open
                    if difference.is_tracked() || needs_payer_statement(&difference) =>
                {
                    difference
                }
                DifferenceState::Open => self.one(&difference).await?,
                DifferenceState::Approved => {
                    Applier::new(self.app, &self.origin)
                        .approved(difference.date, &difference.id)
                        .await?;
                    let read = self
                        .app
                        .reconciliations
                        .difference(difference.date, &difference.id)
                        .await?;
                    read.unwrap_or(difference)
                }
                DifferenceState::OnItsWay
                | DifferenceState::Proposed
                | DifferenceState::Repaired
                | DifferenceState::Rejected
                | DifferenceState::Explained => difference,
            };
            after.push(stands);
        }
        Ok(after)
    }

    async fn one(&self, difference: &Difference) -> Result<Difference, DayError> {
        let outcome = match difference.remedy() {
            Remedy::Operator => RepairOutcome::NeedsOperator,
            Remedy::Settle(PaymentOrRefund::Payment) => self.payment(difference).await?,
            Remedy::Settle(PaymentOrRefund::Refund) => self.refund(difference).await?,
            Remedy::Refund(whose) => self.money_of_others(difference, whose).await?,
        };
        let now = self.app.clock.now();
        let next = match outcome {
            RepairOutcome::NeedsOperator => return Ok(difference.clone()),
            RepairOutcome::Propose(_) if difference.refund_rejected => {
                return Ok(difference.clone());
            }
            RepairOutcome::Repaired(why) => difference.repaired(&self.run.id, why, now),
            RepairOutcome::Propose(why) => difference.proposed(&self.run.id, why, now),
            RepairOutcome::RefundUnderWay(refund) => {
                match difference.with_refund(&TrackedRefund::of(&refund), &self.run.id, now) {
                    Some(next) => next,
                    None => return Ok(difference.clone()),
                }
            }
            RepairOutcome::NotRepaired(why) => {
                // Only once, however often the day is run.
                if difference.history.iter().any(|step| step.why == why) {
                    return Ok(difference.clone());
                }
                difference.noted(&self.run.id, &why, now)
            }
        };
        info!(
            id = difference.id,
            order_no = difference.about.order_no,
            state = next.state.name(),
            "difference checked"
        );
        DifferenceStore::new(self.app, self.run)
            .written(difference, next)
            .await
    }

    /// Paid there, unpaid here.
    async fn payment(&self, difference: &Difference) -> Result<RepairOutcome, DayError> {
        let Some((order_no, transaction_id)) = numbers(difference) else {
            return Ok(RepairOutcome::NeedsOperator);
        };
        Ok(
            match settled(self.app, &transaction_id, &self.origin).await? {
                Err(why) => RepairOutcome::NotRepaired(why),
                Ok(SettleOutcome::Changed | SettleOutcome::AlreadyDone) => {
                    let order = self.app.orders.read(&order_no).await?;
                    if order.is_some_and(|order| is_booked(&order, &transaction_id)) {
                        RepairOutcome::Repaired("WeChat Pay confirms the payment: it is booked")
                    } else {
                        RepairOutcome::NotRepaired(
                            "WeChat Pay reports another order's payment than the bill".into(),
                        )
                    }
                }
                Ok(SettleOutcome::StillOpen) => {
                    RepairOutcome::NotRepaired(query::DID_NOT_SUCCEED.into())
                }
                Ok(SettleOutcome::Parked { what_to_do, .. }) => {
                    RepairOutcome::NotRepaired(what_to_do)
                }
            },
        )
    }

    /// A refund that our books lack, or have in an earlier state: queried, and settled like its
    /// notice.
    async fn refund(&self, difference: &Difference) -> Result<RepairOutcome, DayError> {
        let number = difference.about.out_refund_no.as_deref();
        let Some(out_refund_no) = number.and_then(|number| OutRefundNo::parse(number).ok()) else {
            return Ok(RepairOutcome::NeedsOperator);
        };
        let news = match query::refund(self.app, &out_refund_no).await? {
            Ok(news) => news,
            Err(why) => return Ok(RepairOutcome::NotRepaired(why)),
        };
        match self.app.refund_flow.settle(&news, &self.origin).await {
            Ok(SettleOutcome::Changed | SettleOutcome::AlreadyDone | SettleOutcome::StillOpen) => {}
            Ok(SettleOutcome::Parked { what_to_do, .. }) => {
                return Ok(RepairOutcome::NotRepaired(what_to_do));
            }
            Err(RefundError::PaymentNotBooked) => {
                return Ok(RepairOutcome::NotRepaired(
                "the payment that it gives back is not booked here: check that one first, then run the day again"
                    .into(),
            ));
            }
            Err(error) => return Err(error.into()),
        }
        let refund = match order_no(difference) {
            Some(order_no) => {
                self.app
                    .orders
                    .refund_known_as(&order_no, &out_refund_no)
                    .await?
            }
            None => None,
        };
        let is_as_billed = refund.is_some_and(|refund| is_as_billed(&refund, difference));
        Ok(if is_as_billed {
            RepairOutcome::Repaired("WeChat Pay confirms the refund: it is booked")
        } else {
            RepairOutcome::NotRepaired(OTHER_THAN_BILLED.into())
        })
    }

    /// Money that is not ours to keep. WeChat Pay is asked about this very payment first: the
    /// bill's word alone moves nothing.
    async fn money_of_others(
        &self,
        difference: &Difference,
        whose: RefundableMoney,
    ) -> Result<RepairOutcome, DayError> {
        let number = difference.about.transaction_id.as_deref();
        let Some(transaction_id) = number.and_then(|id| TransactionId::parse(id).ok()) else {
            return Ok(RepairOutcome::NeedsOperator);
        };
        let notice = match query::payment(self.app, &transaction_id).await? {
            Ok(answer) => answer.notice,
            Err(why) => return Ok(RepairOutcome::NotRepaired(why)),
        };
        // Why two persons need not be asked, where they need not.
        let over = match whose {
            RefundableMoney::Unattributed => was_refunded(&notice).then(|| GIVEN_BACK.to_owned()),
            RefundableMoney::SecondPayment => is_over(self.app, &notice, &transaction_id).await?,
        };
        if let Some(why) = over {
            return Ok(RepairOutcome::NotRepaired(why));
        }
        if let (RefundableMoney::SecondPayment, Some(order_no)) = (whose, order_no(difference))
            && let Some(refund) = refund_of_second(self.app, &order_no, &transaction_id).await?
        {
            return Ok(RepairOutcome::RefundUnderWay(Box::new(refund)));
        }
        // Parked as by a callback, so that it can be refunded.
        let settled = self.app.settling.settle(&notice, &self.origin).await?;
        Ok(match settled {
            SettleOutcome::Parked { .. } => RepairOutcome::Propose(match whose {
                RefundableMoney::SecondPayment => {
                    "WeChat Pay confirms the second payment: to be given back"
                }
                RefundableMoney::Unattributed => {
                    "WeChat Pay confirms the money, and nobody here made the order: to be given back"
                }
            }),
            SettleOutcome::Changed | SettleOutcome::AlreadyDone => {
                RepairOutcome::Repaired("WeChat Pay confirms the payment: it is booked")
            }
            SettleOutcome::StillOpen => RepairOutcome::NotRepaired(query::DID_NOT_SUCCEED.into()),
        })
    }
}

/// Whether a refund sent its money to the merchant's own account, and it is not recorded yet what
/// the payer has.
fn needs_payer_statement(difference: &Difference) -> bool {
    let refund = difference.refund.as_ref();
    refund.is_some_and(TrackedRefund::needs_payer_statement)
}

/// Whether our books have a refund as the bill has it.
fn is_as_billed(refund: &Refund, difference: &Difference) -> bool {
    let about = &difference.about;
    let Some(there) = &difference.there else {
        return false;
    };
    let refund_id = refund.refund_id.as_ref().map(RefundId::as_str);
    refund_id == about.refund_id.as_deref()
        && Some(refund.transaction_id.as_str()) == about.transaction_id.as_deref()
        && Some(refund.amount.get()) == there.amount_fen
        && BookedRefund::from(&refund.state).can_follow(there.state.as_deref().unwrap_or_default())
}
