//! A decision of persons -> what they decided: the money goes back by the path of every refund, a
//! refund that does not get on is sent on, or an order whose record was lost is taken on again.

use std::time::Duration;

use adapters::{order_table::ReserveOutcome, queues::ReconcileWork, reconciliation::SaveOutcome};
use flows::{
    origin::Origin,
    problem::ErrorChain,
    process_refund::{DecisionOutcome, RedirectTarget, RefundRef, ReserveRefundOutcome},
    settle_payment::SettleOutcome,
};
use payments::{
    model::{
        bill_date::BillDate,
        decision,
        ids::{ClientId, OrderNo, RefundNo, TransactionId},
        order::Order,
        parked::ParkedState,
        refund::{Refund, RefundTerms},
    },
    news::trade::{self, TradeNotice, TradeOutcome},
    reconcile::{
        difference::{
            ApprovedAction, Difference, DifferenceState, RefundStage, RefundableMoney, Remedy,
            TrackedRefund,
        },
        unattributed::{order_for_unattributed_payment, order_from_lost_record},
    },
    rules::reserve_refund::{Approval, REFUNDS_MAX, RefundRequest},
};
use tracing::{info, warn};

use crate::{app::App, error::DayError, payment_facts, query, query_and_settle, track_refunds};

/// Executes approved actions. Differences that are not (or no longer) approved are left unchanged.
///
/// The refund's number is derived from the payment's, so only one refund is made, however often
/// this is started and wherever it crashes. There is another one only after WeChat Pay closed the
/// first.
///
/// # Errors
/// [`DayError`].
pub(crate) async fn approved(
    app: &App,
    date: BillDate,
    id: &str,
    origin: &Origin,
) -> Result<(), DayError> {
    let Some(difference) = app.reconciliations.difference(date, id).await? else {
        return Ok(());
    };
    match difference.state {
        DifferenceState::Approved => {}
        // The refund may have succeeded by now. The run of each minute checks it too.
        DifferenceState::OnItsWay => return track_refunds::one(app, &difference).await.map(drop),
        DifferenceState::Open
        | DifferenceState::Proposed
        | DifferenceState::Repaired
        | DifferenceState::Rejected
        | DifferenceState::Explained => {
            return Ok(());
        }
    }
    let applied = match payment_facts::numbers(&difference) {
        None => Err("our books cannot hold its numbers: refund it in WeChat Pay's console".into()),
        Some(numbers) => Box::pin(carried_out(app, &difference, &numbers, origin)).await?,
    };
    let now = app.clock.now();
    let done = match &applied {
        Ok(ActionDone::RefundUnderWay(refund)) => difference.told(refund, origin.cause.id(), now),
        Ok(ActionDone::Repaired(why)) => Some(difference.repaired(origin.cause.id(), why, now)),
        Ok(ActionDone::PayerPaid) => Some(difference.payer_paid(origin.cause.id(), now)),
        Err(why) => {
            warn!(%date, id, why, "what was approved could not be done: people decide anew");
            Some(difference.reopened(origin.cause.id(), why, now))
        }
    };
    let Some(done) = done else {
        return Ok(());
    };
    match app.reconciliations.save_difference(&done).await? {
        SaveOutcome::Saved => {
            info!(%date, id, state = done.state.name(), "what was approved is carried out as far as it can be");
            if done.state == DifferenceState::OnItsWay {
                look_soon(app, date, id, origin).await;
            }
        }
        // Another run carried it out too, and wrote first.
        SaveOutcome::VersionMoved => info!(%date, id, "what was approved was carried out already"),
    }
    Ok(())
}

/// Most refunds succeed within seconds: a person at the console need not wait for the next minute's
/// run.
async fn look_soon(app: &App, date: BillDate, id: &str, origin: &Origin) {
    const SOON_S: i64 = 15;
    let message = ReconcileWork::ApplyV1 {
        date,
        id: id.to_owned(),
    };
    let traceparent = origin.trace.traceparent();
    let sent = app.work.send_reconcile(&message, SOON_S, &traceparent);
    if let Err(error) = sent.await {
        info!(%date, id, error = %ErrorChain(&error), "the minute's run looks how the refund stands");
    }
}

/// How far it came.
enum ActionDone {
    /// This refund gives the money back, or does not get on.
    RefundUnderWay(TrackedRefund),
    /// Both sides agree now; the reason.
    Repaired(String),
    /// The order's journal records that the payer was paid by other means.
    PayerPaid,
}

/// The result, or why it is impossible.
type ActionResult = Result<ActionDone, String>;

impl ActionDone {
    fn by(refund: &Refund) -> ActionResult {
        Ok(Self::RefundUnderWay(TrackedRefund::of(refund)))
    }
}

async fn carried_out(
    app: &App,
    difference: &Difference,
    (order_no, transaction_id): &(OrderNo, TransactionId),
    origin: &Origin,
) -> Result<ActionResult, DayError> {
    match (&difference.wanted, difference.kind.remedy()) {
        (ApprovedAction::Refund, Remedy::Refund(RefundableMoney::SecondPayment)) => {
            second_payment(app, order_no, transaction_id, origin).await
        }
        (ApprovedAction::Refund, Remedy::Refund(RefundableMoney::Unattributed)) => {
            nobodys_money(app, order_no, transaction_id, origin).await
        }
        (ApprovedAction::Refund, Remedy::Settle(_) | Remedy::Operator) => {
            Ok(Err("no money goes back for this kind of difference".into()))
        }
        (ApprovedAction::TakeOn { client_id }, _) => {
            paid_again(app, transaction_id, client_id, origin).await
        }
        (
            ApprovedAction::Retry
            | ApprovedAction::Release
            | ApprovedAction::Redirect
            | ApprovedAction::PayerPaid,
            _,
        ) => sent_on(app, difference, order_no, origin).await,
        (ApprovedAction::Explain, _) => {
            Ok(Err("an explanation has nothing to be carried out".into()))
        }
    }
}

/// A second payment of an order: it is parked, and refunded whole.
async fn second_payment(
    app: &App,
    order_no: &OrderNo,
    transaction_id: &TransactionId,
    origin: &Origin,
) -> Result<ActionResult, DayError> {
    let mut parked = app.orders.parked_payment(order_no, transaction_id).await?;
    if parked.is_none() {
        // Its news was lost, and no run was allowed to ask for it.
        match query_and_settle::settled(app, transaction_id, origin).await? {
            Err(why) => return Ok(Err(why)),
            Ok(_) => parked = app.orders.parked_payment(order_no, transaction_id).await?,
        }
    }
    let order = app.orders.read(order_no).await?;
    let (Some(order), Some(parked)) = (order, parked) else {
        return Ok(Err(
            "our books have no such second payment: refund it in WeChat Pay's console".into(),
        ));
    };
    match parked.state {
        ParkedState::Parked => {}
        ParkedState::Refunding | ParkedState::Refunded | ParkedState::WithMerchant => {
            let refund = payment_facts::refund_of_second(app, order_no, transaction_id).await?;
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
    let earlier = app.orders.refunds(order_no).await?;
    if let Some(why) = payment_facts::why_released(&earlier, transaction_id) {
        return Ok(Err(why));
    }
    let terms = RefundTerms {
        amount: parked.amount,
        reason: None,
        transaction_id: Some(transaction_id.clone()),
    };
    let number = |nth| RefundNo::of_second_payment(transaction_id, nth);
    given_back(app, &order, &terms, number, origin).await
}

/// One refund after the other under the numbers that follow from a payment's, until one does not
/// fail for good.
async fn given_back(
    app: &App,
    order: &Order,
    terms: &RefundTerms,
    number: impl Fn(u32) -> RefundNo,
    origin: &Origin,
) -> Result<ActionResult, DayError> {
    for nth in 1..=REFUNDS_MAX {
        let wanted = RefundRequest {
            refund_no: number(nth),
            terms: terms.clone(),
            approval: Approval::TwoPersons,
        };
        let taken = app
            .refunding
            .reserve(&order.client_id, &order.order_no, &wanted, origin)
            .await?;
        let known = match taken {
            ReserveRefundOutcome::Reserved(refund)
            | ReserveRefundOutcome::AlreadyReserved(refund) => refund,
            ReserveRefundOutcome::Rejected(refused) => {
                return Ok(Err(format!(
                    "the refund was not taken on ({refused}): look the payment up in WeChat Pay's console"
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

/// A refund without progress is handled as a person decided.
async fn sent_on(
    app: &App,
    difference: &Difference,
    order_no: &OrderNo,
    origin: &Origin,
) -> Result<ActionResult, DayError> {
    let order = app.orders.read(order_no).await?;
    let (Some(order), Some(followed)) = (order, &difference.refund) else {
        return Ok(Err(NO_SUCH_REFUND.into()));
    };
    let of = RefundRef {
        client: &order.client_id,
        order_no,
        refund_no: &followed.refund_no,
        by: Approval::TwoPersons,
    };
    let refunding = &app.refunding;
    let (who, why) = difference.decided_by();
    let by = decision::DecidedBy { who, why };
    let decided = match &difference.wanted {
        ApprovedAction::Retry => refunding.retry(&of, Some(&by), origin).await?,
        ApprovedAction::Release => refunding.release(&of, &by, ACT_WITHIN, origin).await?,
        ApprovedAction::Redirect => {
            let to = RedirectTarget::Merchant;
            refunding
                .redirect(&of, &to, &by, ACT_WITHIN, origin)
                .await?
        }
        ApprovedAction::PayerPaid => {
            return Ok(match refunding.payer_paid(&of, &by, origin).await? {
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
        ApprovedAction::Refund | ApprovedAction::TakeOn { .. } | ApprovedAction::Explain => {
            return Ok(Err("nothing of the kind was decided about a refund".into()));
        }
    };
    // Who sent it to the merchant may have been an earlier version, which wrote it down here only.
    let stands = |refund: &Refund, to_merchant: bool| {
        let now = TrackedRefund::of(refund);
        ActionDone::RefundUnderWay(TrackedRefund {
            to_merchant: now.to_merchant || to_merchant || followed.to_merchant,
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
                ActionDone::RefundUnderWay(followed) => {
                    Ok(ActionDone::RefundUnderWay(TrackedRefund {
                        stage: RefundStage::Moving,
                        ..followed
                    }))
                }
                done @ (ActionDone::Repaired(_) | ActionDone::PayerPaid) => Ok(done),
            }
        }
        DecisionOutcome::Refused(refusal) => Err(format!(
            "WeChat Pay does not take that ({}): look the refund up in its console",
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

/// A payment of which WeChat Pay says that it succeeded.
struct QueriedPayments {
    notice: TradeNotice,
    money: trade::ReportedPayment,
    trade_type: Option<String>,
}

/// Queries a payment that is to be booked.
async fn paid(
    app: &App,
    transaction_id: &TransactionId,
) -> Result<query::QueryResult<QueriedPayments>, DayError> {
    let query::QueriedPayment { notice, trade_type } =
        match query::payment(app, transaction_id).await? {
            Ok(told) => told,
            Err(why) => return Ok(Err(why)),
        };
    let money = match &notice.outcome {
        TradeOutcome::Paid(money) => money.clone(),
        TradeOutcome::Unpaid | TradeOutcome::Closed => return Ok(Err(DID_NOT_SUCCEED.into())),
    };
    Ok(Ok(QueriedPayments {
        notice,
        money,
        trade_type,
    }))
}

/// A payment for an order that is not ours: the order is created as closed, and the payment settled
/// into it is a late payment, which is refunded automatically.
async fn nobodys_money(
    app: &App,
    order_no: &OrderNo,
    transaction_id: &TransactionId,
    origin: &Origin,
) -> Result<ActionResult, DayError> {
    let QueriedPayments {
        notice,
        money,
        trade_type,
    } = match paid(app, transaction_id).await? {
        Ok(paid) => paid,
        Err(why) => return Ok(Err(why)),
    };
    let number = |nth| RefundNo::of_late_money_again(transaction_id, nth);
    // WeChat Pay reports this from the first refund on, also for ours.
    if money.refunded && app.orders.refund(order_no, &number(1)).await?.is_none() {
        return Ok(Err(payment_facts::GIVEN_BACK.into()));
    }
    let context = origin.change_context(app.clock.now());
    let (order, event) =
        order_for_unattributed_payment(&notice, &money, trade_type.as_deref(), &context);
    let is_settled = match app.orders.reserve(&order, &event).await? {
        ReserveOutcome::New => false,
        // It is ours from an earlier attempt, or the order was created meanwhile: settling decides
        // what that means, unless it was finished.
        ReserveOutcome::Taken(order) => is_nobodys(&order) && order.state.payment().is_some(),
    };
    if !is_settled {
        match app.settling.settle(&notice, origin).await? {
            SettleOutcome::Changed | SettleOutcome::AlreadyDone => {}
            SettleOutcome::StillOpen => return Ok(Err(DID_NOT_SUCCEED.into())),
            SettleOutcome::Parked { what_to_do, .. } => return Ok(Err(what_to_do)),
        }
    }
    let order = app.orders.read(&notice.order_no).await?;
    let Some(order) = order.filter(is_nobodys) else {
        return Ok(Err(
            "the order is a client's by now, and its payment is settled into it: run the day again"
                .into(),
        ));
    };
    // The first refund was made by settling. If that failed for good, operators have decided again.
    let terms = RefundTerms {
        amount: order.amount,
        reason: None,
        transaction_id: None,
    };
    given_back(app, &order, &terms, number, origin).await
}

/// The text about a payment that is not a success.
const DID_NOT_SUCCEED: &str = "WeChat Pay says of the payment that it did not succeed";

fn is_nobodys(order: &Order) -> bool {
    order.client_id.as_str() == ClientId::UNATTRIBUTED
}

/// An order of this client whose record was lost: it is written as `closing`, and its payment is
/// settled into it. Nothing is overwritten: if the number has an order by now, settling decides
/// what that means.
async fn paid_again(
    app: &App,
    transaction_id: &TransactionId,
    client_id: &ClientId,
    origin: &Origin,
) -> Result<ActionResult, DayError> {
    let QueriedPayments {
        notice,
        money,
        trade_type,
    } = match paid(app, transaction_id).await? {
        Ok(paid) => paid,
        Err(why) => return Ok(Err(why)),
    };
    if notice.mchid != app.mchid || money.currency != "CNY" {
        return Ok(Err(
            "the payment is of another merchant or in another currency: our books cannot hold it"
                .into(),
        ));
    }
    let context = origin.change_context(app.clock.now());
    let (order, event) = order_from_lost_record(
        &notice,
        &money,
        trade_type.as_deref(),
        client_id.clone(),
        &context,
    );
    match app.orders.reserve(&order, &event).await? {
        ReserveOutcome::New => info!(
            order_no = notice.order_no.as_str(),
            "an order whose record was lost is taken on again"
        ),
        ReserveOutcome::Taken(_) => {}
    }
    // WeChat Pay says `REFUND` if it was refunded in part before the record was lost. It is parked
    // with that reason: running the day of that refund again books it.
    let settled = app.settling.settle(&notice, origin).await?;
    let order = app.orders.read(&notice.order_no).await?;
    let is_booked = order.is_some_and(|order| {
        order.client_id == *client_id
            && order
                .state
                .payment()
                .is_some_and(|payment| payment.transaction_id == *transaction_id)
    });
    Ok(if is_booked {
        Ok(ActionDone::Repaired(format!(
            "the order is taken on again as paid, for client {}",
            client_id.as_str()
        )))
    } else {
        Err(match settled {
            SettleOutcome::Parked { what_to_do, .. } => what_to_do,
            SettleOutcome::Changed | SettleOutcome::AlreadyDone | SettleOutcome::StillOpen => {
                "the number has another order by now: compare both sides".into()
            }
        })
    })
}
