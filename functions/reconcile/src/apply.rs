//! A decision of two persons -> the money goes back, by the path of every refund.

use adapters::{order_table::Reserved, reconciliation::Saved};
use flows::{refund::TakenOn, settle::Settled, trace::Trace};
use payments::{
    ids::{OrderNo, RefundNo, TransactionId},
    journal::{Because, Cause},
    notice::{Outcome, TradeNotice},
    reconcile::{
        adopt::adopt,
        difference::{Money, Remedy, State},
        run::BillDate,
    },
    refund::{ParkedState, REFUNDS_MAX, RefundState, RefundTerms, WantedRefund},
};
use tracing::{info, warn};

use crate::{ask, desk::Desk, error::DayError, repair};

/// Carries an approved proposal out. Whatever is not approved, or not any more, is left as it is.
///
/// The refund's number follows from the payment's, so however often this is begun and wherever it dies, one refund is made; only
/// after WeChat Pay closed one is there another.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn approved(
    desk: &Desk,
    date: BillDate,
    id: &str,
    cause: &Cause,
    trace: &Trace,
) -> Result<(), DayError> {
    let Some(difference) = desk.reconciliations.difference(date, id).await? else {
        return Ok(());
    };
    if difference.state != State::Approved {
        return Ok(());
    }
    let applied = match (repair::numbers(&difference), difference.kind.remedy()) {
        (None, _) => {
            Err("our books cannot hold its numbers: refund it in WeChat Pay's console".into())
        }
        (Some((order_no, transaction_id)), Remedy::Refund(Money::Second)) => {
            second_payment(desk, &order_no, &transaction_id, cause, trace).await?
        }
        (Some((_, transaction_id)), Remedy::Refund(Money::Nobodys)) => {
            nobodys_money(desk, &transaction_id, cause, trace).await?
        }
        (Some(_), Remedy::Settle(_) | Remedy::Person) => {
            Err("no money goes back for this kind of difference".into())
        }
    };
    let now = desk.clock.now();
    let done = match &applied {
        Ok(why) => difference.repaired(cause.id(), why, now),
        Err(why) => {
            warn!(%date, id, why, "an approved refund could not be made: people decide anew");
            difference.reopened(cause.id(), why, now)
        }
    };
    match desk.reconciliations.save_difference(&done).await? {
        Saved::Yes => {
            info!(%date, id, state = done.state.name(), "approved refund was carried out as far as it can be");
        }
        // Another run carried it out too, and wrote first.
        Saved::Stale => info!(%date, id, "approved refund was carried out already"),
    }
    Ok(())
}

/// Why the money is on its way, or why it cannot be.
type Applied = Result<String, String>;

/// A second payment of an order: it is parked, and given back whole.
async fn second_payment(
    desk: &Desk,
    order_no: &OrderNo,
    transaction_id: &TransactionId,
    cause: &Cause,
    trace: &Trace,
) -> Result<Applied, DayError> {
    let mut parked = desk.orders.parked_payment(order_no, transaction_id).await?;
    if parked.is_none() {
        // Its news was lost, and no run was allowed to ask for it.
        match repair::settled(desk, transaction_id, cause, trace).await? {
            Err(why) => return Ok(Err(why)),
            Ok(_) => parked = desk.orders.parked_payment(order_no, transaction_id).await?,
        }
    }
    let order = desk.orders.read(order_no).await?;
    let (Some(order), Some(parked)) = (order, parked) else {
        return Ok(Err(
            "our books have no such second payment: refund it in WeChat Pay's console".into(),
        ));
    };
    match parked.state {
        ParkedState::Parked => {}
        ParkedState::Refunding | ParkedState::Refunded => {
            return Ok(Ok("the second payment is on its way back already".into()));
        }
        ParkedState::Booked => {
            return Ok(Err("it is the order's own payment by now".into()));
        }
    }
    for nth in 1..=REFUNDS_MAX {
        let refund_no = RefundNo::of_second_payment(transaction_id, nth);
        let wanted = WantedRefund {
            refund_no: refund_no.clone(),
            terms: RefundTerms {
                amount: parked.amount,
                reason: None,
                transaction_id: Some(transaction_id.clone()),
            },
        };
        let taken = desk
            .refunding
            .take_on(&order.client_id, order_no, &wanted, cause, trace.id())
            .await?;
        let known = match taken {
            TakenOn::New(refund) | TakenOn::Known(refund) => refund,
            TakenOn::OtherTerms | TakenOn::NoOrder | TakenOn::Refused(_) => {
                return Ok(Err(format!(
                    "the refund was not taken on ({taken:?}): look the payment up in WeChat Pay's console"
                )));
            }
        };
        match known.state {
            // A person set its money free, most likely since the payer was paid another way.
            RefundState::Closed if known.decided.is_some() => {
                return Ok(Err(released(&refund_no)));
            }
            // It failed for good and its money is free again: another try is another refund (section 6.3).
            RefundState::Closed => {}
            RefundState::Refused(code) => {
                return Ok(Err(format!(
                    "WeChat Pay refused refund {refund_no} ({code}): POST .../retry or .../release for it, then decide anew"
                )));
            }
            RefundState::Reserved
            | RefundState::Processing
            | RefundState::Succeeded(_)
            | RefundState::Abnormal => {
                return Ok(Ok(format!(
                    "refund {refund_no} gives the second payment back"
                )));
            }
        }
    }
    Ok(Err(
        "as many refunds of it failed as WeChat Pay takes: pay the money back by other means"
            .into(),
    ))
}

/// What people are told of a refund that one of them released.
pub(crate) fn released(refund_no: &RefundNo) -> String {
    format!(
        "a person released refund {refund_no}, so the payer was paid another way, or will be: explain the difference with that"
    )
}

/// Why a second payment is not to be given back by us any more, if it is not: a person released a refund of it, or somebody gave it
/// back in part in WeChat Pay's console.
pub(crate) async fn is_over(
    desk: &Desk,
    notice: &TradeNotice,
    transaction_id: &TransactionId,
) -> Result<Option<String>, DayError> {
    for nth in 1..=REFUNDS_MAX {
        let refund_no = RefundNo::of_second_payment(transaction_id, nth);
        let Some(refund) = desk.orders.refund(&notice.order_no, &refund_no).await? else {
            // WeChat Pay says so of every payment that a refund was ever asked for, of one that failed too.
            let elsewhere = nth == 1 && was_refunded(notice);
            return Ok(elsewhere.then(|| repair::GIVEN_BACK.to_owned()));
        };
        if refund.decided.is_some() && refund.state == RefundState::Closed {
            return Ok(Some(released(&refund_no)));
        }
    }
    Ok(None)
}

/// Whether WeChat Pay says of a payment that some of it was given back.
pub(crate) fn was_refunded(notice: &TradeNotice) -> bool {
    match &notice.outcome {
        Outcome::Paid(money) => money.refunded,
        Outcome::Unpaid | Outcome::Closed => false,
    }
}

/// Money for an order that nobody here made: the order is taken on as a closed one, and its money settled into it is late money,
/// which goes back by itself.
async fn nobodys_money(
    desk: &Desk,
    transaction_id: &TransactionId,
    cause: &Cause,
    trace: &Trace,
) -> Result<Applied, DayError> {
    let ask::Payment { notice, trade_type } = match ask::payment(desk, transaction_id).await? {
        Ok(told) => told,
        Err(why) => return Ok(Err(why)),
    };
    let Outcome::Paid(money) = &notice.outcome else {
        return Ok(Err(
            "WeChat Pay says of the payment that it did not succeed".into(),
        ));
    };
    let refund_no = RefundNo::of_late_money(transaction_id);
    if money.refunded {
        let ours = desk.orders.refund(&notice.order_no, &refund_no).await?;
        return Ok(match ours {
            // By an earlier try of this very approval.
            Some(_) => Ok(format!("refund {refund_no} gives the money back")),
            None => Err(repair::GIVEN_BACK.into()),
        });
    }
    let because = Because {
        cause: cause.clone(),
        trace: trace.id().to_owned(),
        at: desk.clock.now(),
    };
    let (order, event) = adopt(&notice, money, trade_type.as_deref(), &because);
    match desk.orders.reserve(&order, &event).await? {
        // Whether it is ours from an earlier try or somebody made the order meanwhile: settling says what that means.
        Reserved::New | Reserved::Taken(_) => {}
    }
    let settled = desk.settling.settle(&notice, cause, trace.id()).await?;
    Ok(match settled {
        Settled::Changed | Settled::AlreadyDone => {
            Ok(format!("refund {refund_no} gives the money back"))
        }
        Settled::StillOpen => Err("WeChat Pay says of the payment that it did not succeed".into()),
        Settled::Parked { what_to_do } => Err(what_to_do),
    })
}
