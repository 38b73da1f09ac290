//! Carries out what people decided: money is refunded as by any other refund, a stuck refund is
//! redirected, or an order whose record was lost is restored.

mod give_back;
mod outcome;
mod restore_order;
mod send_on;

use flows::{origin::Origin, problem::ErrorChain};
use payments::{
    model::{
        bill_date::BillDate,
        ids::{OrderNo, TransactionId},
    },
    reconcile::difference::{ApprovedAction, Difference, DifferenceState, RefundableMoney, Remedy},
};
use stores::{queues::ReconcileWork, reconciliation::SaveOutcome};
use tracing::{error, info};

use crate::{app::App, error::DayError, payment_facts, track_refunds};
use give_back::GiveBack;
use outcome::{ActionDone, ActionResult};
use restore_order::restore_order;
use send_on::send_on;

/// Carries out what persons decided.
pub(crate) struct Applier<'a> {
    app: &'a App,
    origin: &'a Origin,
}

impl<'a> Applier<'a> {
    pub(crate) const fn new(app: &'a App, origin: &'a Origin) -> Self {
        Self { app, origin }
    }

    /// Executes approved actions. Differences that are not (or no longer) approved are left
    /// unchanged.
    ///
    /// The refund's number is derived from the payment's, so only one refund is made, however often
    /// this is started and wherever it crashes. There is another one only after WeChat Pay closed
    /// the first.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn approved(&self, date: BillDate, id: &str) -> Result<(), DayError> {
        let Some(difference) = self.app.reconciliations.difference(date, id).await? else {
            return Ok(());
        };
        match difference.state {
            DifferenceState::Approved => {}
            // The refund may have succeeded by now. The run of each minute checks it too.
            DifferenceState::OnItsWay => {
                return track_refunds::one(self.app, &difference).await.map(drop);
            }
            DifferenceState::Open
            | DifferenceState::Proposed
            | DifferenceState::Repaired
            | DifferenceState::Rejected
            | DifferenceState::Explained => {
                return Ok(());
            }
        }
        let applied = match payment_facts::numbers(&difference) {
            None => {
                Err("our books cannot hold its numbers: refund it in WeChat Pay's console".into())
            }
            Some(numbers) => Box::pin(self.carried_out(&difference, &numbers)).await?,
        };
        let now = self.app.clock.now();
        let done = match &applied {
            Ok(ActionDone::RefundUnderWay(refund)) => {
                difference.with_refund(refund, self.origin.cause.id(), now)
            }
            Ok(ActionDone::Repaired(why)) => {
                Some(difference.repaired(self.origin.cause.id(), why, now))
            }
            Ok(ActionDone::PayerPaid) => Some(difference.payer_paid(self.origin.cause.id(), now)),
            Err(why) => Some(difference.reopened(self.origin.cause.id(), why, now)),
        };
        let Some(done) = done else {
            return Ok(());
        };
        match self.app.reconciliations.save_difference(&done).await? {
            SaveOutcome::Saved => {
                info!(%date, id, state = done.state.name(), "what was approved is carried out as far as it can be");
                if done.state == DifferenceState::OnItsWay {
                    self.check_soon(date, id).await;
                }
                // Two persons think that it is being done.
                match &applied {
                    Ok(_) => track_refunds::log_change(&done),
                    Err(why) => error!(
                        %date,
                        id,
                        reason = %why,
                        what_to_do = "tell finance staff to decide again in the console: the difference is open again",
                        DifferencesOpened = 1,
                        "what was approved could not be done"
                    ),
                }
            }
            // Another run carried it out too, and wrote first.
            SaveOutcome::VersionMoved => {
                info!(%date, id, "what was approved was carried out already");
            }
        }
        Ok(())
    }

    /// Most refunds succeed within seconds: a person at the console need not wait for the next
    /// minute's run.
    async fn check_soon(&self, date: BillDate, id: &str) {
        const SOON_S: i64 = 15;
        let message = ReconcileWork::ApplyV1 {
            date,
            id: id.to_owned(),
        };
        let trace = self.origin.trace.headers();
        let sent = self.app.work.send_reconcile(&message, SOON_S, trace);
        if let Err(error) = sent.await {
            info!(%date, id, error = %ErrorChain(&error), "the minute's run checks the refund's state");
        }
    }

    async fn carried_out(
        &self,
        difference: &Difference,
        (order_no, transaction_id): &(OrderNo, TransactionId),
    ) -> Result<ActionResult, DayError> {
        let Self { app, origin } = *self;
        let give_back = GiveBack {
            app,
            order_no,
            transaction_id,
            origin,
        };
        match (&difference.wanted, difference.kind.remedy()) {
            (ApprovedAction::Refund, Remedy::Refund(RefundableMoney::SecondPayment)) => {
                give_back.second_payment().await
            }
            (ApprovedAction::Refund, Remedy::Refund(RefundableMoney::Unattributed)) => {
                give_back.unattributed_money().await
            }
            (ApprovedAction::Refund, Remedy::Settle(_) | Remedy::Operator) => {
                Ok(Err("no money goes back for this kind of difference".into()))
            }
            (ApprovedAction::RestoreOrder { client_id }, _) => {
                restore_order(app, transaction_id, client_id, origin).await
            }
            (
                ApprovedAction::Retry
                | ApprovedAction::Release
                | ApprovedAction::Redirect
                | ApprovedAction::PayerPaid,
                _,
            ) => Box::pin(send_on(app, difference, order_no, origin)).await,
            (ApprovedAction::Explain, _) => {
                Ok(Err("an explanation has nothing to be carried out".into()))
            }
        }
    }
}
