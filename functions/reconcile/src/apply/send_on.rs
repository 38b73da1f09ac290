//! Decisions about a stuck refund.

use std::time::Duration;

use flows::{
    origin::Origin,
    process_refund::{DecisionOutcome, RedirectTarget, RefundRef},
};
use payments::{
    model::{decision, ids::OrderNo, refund::Refund},
    reconcile::difference::{ApprovedAction, Difference, RefundStage, TrackedRefund},
    rules::reserve_refund::Approval,
};

use super::outcome::{ActionDone, ActionResult};
use crate::{app::App, error::DayError};

/// A refund without progress is handled as a person decided.
pub(super) async fn send_on(
    app: &App,
    difference: &Difference,
    order_no: &OrderNo,
    origin: &Origin,
) -> Result<ActionResult, DayError> {
    let order = app.orders.read(order_no).await?;
    let (Some(order), Some(tracked)) = (order, &difference.refund) else {
        return Ok(Err(NO_SUCH_REFUND.into()));
    };
    let of = RefundRef {
        client: &order.client_id,
        order_no,
        refund_no: &tracked.refund_no,
        by: Approval::TwoPersons,
    };
    let refund_flow = &app.refund_flow;
    let (who, why) = difference.decided_by();
    let by = decision::DecidedBy { who, why };
    let decided = match &difference.wanted {
        ApprovedAction::Retry => refund_flow.retry(&of, Some(&by), origin).await?,
        ApprovedAction::Release => refund_flow.release(&of, &by, ACT_WITHIN, origin).await?,
        ApprovedAction::Redirect => {
            let to = RedirectTarget::Merchant;
            refund_flow
                .redirect(&of, &to, &by, ACT_WITHIN, origin)
                .await?
        }
        ApprovedAction::PayerPaid => {
            return Ok(match refund_flow.payer_paid(&of, &by, origin).await? {
                // `NotNow`: an earlier version redirected it without recording that in our
                // books.
                DecisionOutcome::Done(_) | DecisionOutcome::WrongState(_) => {
                    Ok(ActionDone::PayerPaid)
                }
                DecisionOutcome::RefundNotFound => Err(NO_SUCH_REFUND.into()),
                DecisionOutcome::InProgress(_)
                | DecisionOutcome::NeedsTwoPersons
                | DecisionOutcome::Refused(_)
                | DecisionOutcome::Unknown => {
                    Err("nothing of the kind can be said of the refund".into())
                }
            });
        }
        ApprovedAction::Refund | ApprovedAction::RestoreOrder { .. } | ApprovedAction::Explain => {
            return Ok(Err("nothing of the kind was decided about a refund".into()));
        }
    };
    let stands = |refund: &Refund, to_merchant: bool| {
        let now = TrackedRefund::of(refund);
        ActionDone::RefundUnderWay(TrackedRefund {
            to_merchant: now.to_merchant || to_merchant,
            ..now
        })
    };
    Ok(match decided {
        // `NotNow`: the refund made progress by itself, or failed for good.
        DecisionOutcome::Done(refund) | DecisionOutcome::WrongState(refund) => {
            Ok(stands(&refund, false))
        }
        // It was redirected in WeChat Pay's console, and WeChat Pay reports the destination only
        // after the money has arrived: operators must check it.
        DecisionOutcome::InProgress(refund) => {
            let unknown = refund.redirected.is_none();
            match stands(&refund, unknown) {
                ActionDone::RefundUnderWay(tracked) => {
                    Ok(ActionDone::RefundUnderWay(TrackedRefund {
                        stage: RefundStage::Moving,
                        ..tracked
                    }))
                }
                done @ (ActionDone::Repaired(_) | ActionDone::PayerPaid) => Ok(done),
            }
        }
        DecisionOutcome::Refused(refusal) => Err(format!(
            "WeChat Pay does not accept that ({}): check the refund in its console",
            refusal.raw_code
        )),
        DecisionOutcome::Unknown => {
            return Err(DayError::Passing(
                "WeChat Pay did not say whether it took the decision about a refund".into(),
            ));
        }
        DecisionOutcome::RefundNotFound | DecisionOutcome::NeedsTwoPersons => {
            Err(NO_SUCH_REFUND.into())
        }
    })
}

const NO_SUCH_REFUND: &str = "our books have no such refund: look it up in WeChat Pay's console";

/// How long WeChat Pay may take for one decision about a refund.
const ACT_WITHIN: Duration = Duration::from_secs(8);
