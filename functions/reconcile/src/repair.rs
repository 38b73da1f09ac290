//! What is done about differences without a person: WeChat Pay is asked, and what it says is settled by the path that its
//! callbacks take. Money that nobody here may keep is proposed for a refund; only persons let it go.

use std::time::Duration;

use adapters::reconciliation::Saved;
use flows::{ask::Asked, settle::Settled, trace::Trace};
use payments::{
    ids::{OrderNo, OutRefundNo, TransactionId},
    journal::Cause,
    notice::TradeNotice,
    order::Order,
    reconcile::{
        books::BookedRefund,
        difference::{Difference, Money, Question, Remedy, State},
    },
};
use tracing::{info, warn};

use crate::{apply, desk::Desk, error::DayError};

/// How long WeChat Pay may take for one answer.
const ASK_WITHIN: Duration = Duration::from_secs(6);

/// Works through what was found. All as they stand then.
pub(crate) async fn all(
    desk: &Desk,
    found: Vec<Difference>,
    run_id: &str,
    cause: &Cause,
    trace: &Trace,
) -> Result<Vec<Difference>, DayError> {
    let mut after = Vec::with_capacity(found.len());
    for difference in found {
        let stands = match difference.state {
            State::Open => one(desk, &difference, run_id, cause, trace).await?,
            State::Approved => {
                apply::approved(desk, difference.date, &difference.id, cause, trace).await?;
                let read = desk
                    .reconciliations
                    .difference(difference.date, &difference.id)
                    .await?;
                read.unwrap_or(difference)
            }
            State::Proposed | State::Repaired | State::Rejected | State::Explained => difference,
        };
        after.push(stands);
    }
    Ok(after)
}

/// Whether a difference is on its way to an end that the bills do not show.
pub(crate) fn is_under_way(difference: &Difference) -> bool {
    difference.state == State::Approved
}

/// What came of trying.
enum Outcome {
    /// Both sides agree now, and this is why.
    Repaired(&'static str),
    /// The money is to go back, and this is why.
    Propose(&'static str),
    /// It needs a person, and this is why.
    Stays(String),
    /// Nothing is done about this kind by itself.
    ForAPerson,
}

async fn one(
    desk: &Desk,
    difference: &Difference,
    run_id: &str,
    cause: &Cause,
    trace: &Trace,
) -> Result<Difference, DayError> {
    let outcome = match difference.kind.remedy() {
        Remedy::Person => Outcome::ForAPerson,
        Remedy::Settle(Question::Payment) => payment(desk, difference, cause, trace).await?,
        Remedy::Settle(Question::Refund) => refund(desk, difference, cause, trace).await?,
        Remedy::Refund(whose) => money_of_others(desk, difference, whose, cause, trace).await?,
    };
    let now = desk.clock.now();
    let next = match outcome {
        Outcome::ForAPerson => return Ok(difference.clone()),
        Outcome::Repaired(why) => difference.repaired(run_id, why, now),
        Outcome::Propose(why) => difference.proposed(run_id, why, now),
        Outcome::Stays(why) => {
            // Once is enough, however often the day is run.
            if difference.history.iter().any(|step| step.why == why) {
                return Ok(difference.clone());
            }
            difference.noted(run_id, &why, now)
        }
    };
    info!(
        id = difference.id,
        order_no = difference.about.order_no,
        state = next.state.name(),
        "difference looked at"
    );
    written(desk, difference, next).await
}

/// Writes a step; where somebody was faster, what they wrote stands.
async fn written(
    desk: &Desk,
    before: &Difference,
    next: Difference,
) -> Result<Difference, DayError> {
    match desk.reconciliations.save_difference(&next).await? {
        Saved::Yes => Ok(next),
        Saved::Stale => {
            let read = desk
                .reconciliations
                .difference(before.date, &before.id)
                .await?;
            Ok(read.unwrap_or_else(|| before.clone()))
        }
    }
}

/// Paid there, unpaid here: asked and settled as a callback would be.
async fn payment(
    desk: &Desk,
    difference: &Difference,
    cause: &Cause,
    trace: &Trace,
) -> Result<Outcome, DayError> {
    let Some(order_no) = order_no(difference) else {
        return Ok(Outcome::ForAPerson);
    };
    let asked = desk
        .asking
        .ask(&order_no, ASK_WITHIN, cause, trace.id())
        .await?;
    Ok(match asked {
        Asked::Settled(Settled::Changed | Settled::AlreadyDone) => {
            let order = desk.orders.read(&order_no).await?;
            if order.is_some_and(|order| is_booked(&order, difference)) {
                Outcome::Repaired("WeChat Pay confirms the payment: it is booked")
            } else {
                Outcome::Stays(
                    "WeChat Pay tells of another payment of this order than the bill".into(),
                )
            }
        }
        Asked::Settled(Settled::StillOpen) => {
            Outcome::Stays("WeChat Pay says of the order that it is unpaid".into())
        }
        Asked::Settled(Settled::Parked { what_to_do }) => Outcome::Stays(what_to_do),
        Asked::NotThere => Outcome::Stays("WeChat Pay says that it has no such order".into()),
        Asked::Refused(refusal) => return Err(unanswered(&refusal.raw_code)),
        Asked::Unknown(what) => return Err(unanswered(&what)),
    })
}

/// A refund that our books lack, or have in an earlier state: asked and settled as its notice would be.
async fn refund(
    desk: &Desk,
    difference: &Difference,
    cause: &Cause,
    trace: &Trace,
) -> Result<Outcome, DayError> {
    let number = difference
        .about
        .out_refund_no
        .as_deref()
        .unwrap_or_default();
    let Ok(out_refund_no) = OutRefundNo::parse(number) else {
        return Ok(Outcome::ForAPerson);
    };
    let learnt = desk
        .refunding
        .learn(&out_refund_no, ASK_WITHIN, cause, trace.id())
        .await?;
    match learnt {
        Some(Settled::Changed | Settled::AlreadyDone | Settled::StillOpen) => {}
        Some(Settled::Parked { what_to_do }) => return Ok(Outcome::Stays(what_to_do)),
        None => return Err(unanswered(number)),
    }
    let refund = match order_no(difference) {
        Some(order_no) => {
            desk.orders
                .refund_known_as(&order_no, &out_refund_no)
                .await?
        }
        None => None,
    };
    let in_bill = difference
        .there
        .as_ref()
        .and_then(|there| there.state.as_deref());
    let follows = refund.is_some_and(|refund| {
        BookedRefund::from(&refund.state).can_follow(in_bill.unwrap_or_default())
    });
    Ok(if follows {
        Outcome::Repaired("WeChat Pay confirms the refund: it is booked")
    } else {
        Outcome::Stays(
            "WeChat Pay, asked about the refund, says something else than its bill: open a case with it"
                .into(),
        )
    })
}

/// Money that is not ours to keep. WeChat Pay is asked about this very payment first: the bill's word alone moves nothing.
async fn money_of_others(
    desk: &Desk,
    difference: &Difference,
    whose: Money,
    cause: &Cause,
    trace: &Trace,
) -> Result<Outcome, DayError> {
    let number = difference.about.transaction_id.as_deref();
    let Some(transaction_id) = number.and_then(|id| TransactionId::parse(id).ok()) else {
        return Ok(Outcome::ForAPerson);
    };
    let told = desk.asking.payment(&transaction_id, ASK_WITHIN).await?;
    let transaction = match told {
        Ok(transaction) => transaction,
        Err(Asked::NotThere) => {
            return Ok(Outcome::Stays(
                "WeChat Pay says that it has no such payment".into(),
            ));
        }
        Err(Asked::Refused(refusal)) => return Err(unanswered(&refusal.raw_code)),
        Err(Asked::Unknown(what)) => return Err(unanswered(&what)),
        Err(Asked::Settled(_)) => return Ok(Outcome::ForAPerson),
    };
    let notice = match TradeNotice::try_from(transaction) {
        Ok(notice) => notice,
        Err(unreadable) => {
            warn!(%unreadable, "a payment of the bill cannot be taken into our books");
            return Ok(Outcome::Stays(format!(
                "our books cannot hold it ({unreadable}): refund it in WeChat Pay's console"
            )));
        }
    };
    // Kept for a person, as a callback would have: so it can be given back.
    let settled = desk.settling.settle(&notice, cause, trace.id()).await?;
    Ok(match settled {
        Settled::Parked { .. } => Outcome::Propose(match whose {
            Money::Second => "WeChat Pay confirms the second payment: to be given back",
            Money::Nobodys => {
                "WeChat Pay confirms the money, and nobody here made the order: to be given back"
            }
        }),
        Settled::Changed | Settled::AlreadyDone => {
            Outcome::Repaired("WeChat Pay confirms the payment: it is booked")
        }
        Settled::StillOpen => {
            Outcome::Stays("WeChat Pay says of the payment that it did not succeed".into())
        }
    })
}

fn is_booked(order: &Order, difference: &Difference) -> bool {
    let booked = order.state.payment();
    booked.map(|payment| payment.transaction_id.as_str())
        == difference.about.transaction_id.as_deref()
}

fn order_no(difference: &Difference) -> Option<OrderNo> {
    OrderNo::parse(difference.about.order_no.as_deref()?).ok()
}

/// WeChat Pay gave no answer that counts: the day comes again.
pub(crate) fn unanswered(what: &str) -> DayError {
    DayError::Passing(
        format!("WeChat Pay did not answer a question about a difference ({what})").into(),
    )
}
