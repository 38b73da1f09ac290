//! Restores an order whose record was lost.

use flows::{
    origin::{Origin, record_event},
    settle_payment::SettleOutcome,
};
use payments::{
    model::ids::{ClientId, TransactionId},
    reconcile::unattributed::order_from_lost_record,
};
use stores::order_table::ReserveOutcome;
use tracing::info;

use super::outcome::{ActionDone, ActionResult};
use crate::{
    app::App,
    error::DayError,
    query::{self, SucceededPayment},
};

/// An order of this client whose record was lost: it is written as `closing`, and its payment is
/// settled into it. Nothing is overwritten: if the number has an order by now, settling decides
/// what that means.
pub(super) async fn restore_order(
    app: &App,
    transaction_id: &TransactionId,
    client_id: &ClientId,
    origin: &Origin,
) -> Result<ActionResult, DayError> {
    let SucceededPayment {
        notice,
        money,
        trade_type,
    } = match query::paid(app, transaction_id).await? {
        Ok(paid) => paid,
        Err(why) => return Ok(Err(why)),
    };
    if notice.mchid != app.mchid || money.currency != "CNY" {
        return Ok(Err(
            "the payment is of another merchant or in another currency: our books cannot hold it"
                .into(),
        ));
    }
    let context = origin.change_context(app.clock.now_ms());
    let (order, event) = order_from_lost_record(
        &notice,
        &money,
        trade_type.as_deref(),
        client_id.clone(),
        &context,
    );
    match app.orders.reserve(&order, &event).await? {
        ReserveOutcome::New => {
            record_event(&notice.order_no, &event, None, origin);
            info!(
                order_no = notice.order_no.as_str(),
                "an order whose record was lost is restored"
            );
        }
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
            "the order is restored as paid, for client {}",
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
