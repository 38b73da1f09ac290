//! Writing what the rules decided, on the version that was read: an order with the event that its
//! item embeds by one conditional write, or an order, its events, and the refund or parked payment
//! that moves with it by one transaction.

use aws_sdk_dynamodb::{
    operation::{transact_write_items::TransactWriteItemsError, update_item::UpdateItemError},
    types::{Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use payments::{
    model::{
        decision::PayerPaid,
        journal::{Event, Subject},
        money::Fen,
        next_check::NextCheck,
        order::{OrderState, Rejection},
        parked::{owed_notice_id, owed_what_to_do},
        refund::Refund,
    },
    rules::change::{OrderChange, ParkedPaymentChange, RefundChange},
};
use wechatpay::UnixSeconds;

use crate::{
    attributes::{Item, number, text},
    notices::money::ParkedMoneyRecord,
};

use super::{
    ApplyOutcome, OrderTable, TableError,
    embedded::Embedding,
    event_item::{self, DECISION},
    item,
    keys::{self, day_shard, due_shard},
    refund_day, refund_item, unavailable,
};

impl OrderTable {
    /// Writes a change, if the order still has the version that it was decided on and the items
    /// changed with it are unchanged.
    ///
    /// # Errors
    /// [`TableError`]; [`TableError::Conflict`] asks to read and decide again.
    pub async fn apply(&self, change: &OrderChange) -> Result<ApplyOutcome, TableError> {
        let order = &change.from;
        let pk = self.pk(&order.order_no);
        let update = self.order_update(&pk, change)?;
        if let Some(event) = change.embedded_event() {
            return self.update_alone(update, event).await;
        }
        let mut writes = vec![TransactWriteItem::builder().update(update).build()];
        let at = change
            .events
            .last()
            .map_or(UnixSeconds(0), |event| event.at);
        match &change.refund {
            Some(RefundChange::New(refund)) => {
                let put =
                    self.new_item(refund_item::write(refund, change.from.product, &pk, at))?;
                writes.push(TransactWriteItem::builder().put(put).build());
            }
            Some(RefundChange::Updated(from, to)) => {
                let update = self.refund_update(&pk, from, to, at)?;
                writes.push(TransactWriteItem::builder().update(update).build());
            }
            None => {}
        }
        if let Some(parked) = &change.parked_payment {
            let update = self.parked_update(&pk, parked)?;
            writes.push(TransactWriteItem::builder().update(update).build());
        }
        if let (Some(parked), Some(event)) = (&change.parked, change.events.last()) {
            let put = self.new_item(self.parked_item(parked, &event.cause, event.at))?;
            writes.push(TransactWriteItem::builder().put(put).build());
            if let Some(ledger) = &self.ledger {
                let update = ledger.keeping(&ParkedMoneyRecord {
                    notice_id: &parked.notice_id(),
                    order_no: &parked.order_no,
                    what_to_do: &parked.reason.to_string(),
                    now: event.at,
                })?;
                writes.push(TransactWriteItem::builder().update(update).build());
            }
        }
        if let Some(update) = self.owed_in_the_ledger(change, at)? {
            writes.push(TransactWriteItem::builder().update(update).build());
        }
        for event in &change.events {
            let amount = amount_of(&event.subject, change);
            let put = self.new_item(event_item::write(&pk, order, event, amount))?;
            writes.push(TransactWriteItem::builder().put(put).build());
        }
        self.transact(writes).await
    }

    /// Writes an order with the event that it embeds.
    async fn update_alone(
        &self,
        update: Update,
        event: &Event,
    ) -> Result<ApplyOutcome, TableError> {
        let sent = self
            .client
            .update_item()
            .table_name(update.table_name)
            .set_key(Some(update.key))
            .update_expression(update.update_expression)
            .set_condition_expression(update.condition_expression)
            .set_expression_attribute_names(update.expression_attribute_names)
            .set_expression_attribute_values(update.expression_attribute_values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(ApplyOutcome::Applied);
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(found)) => {
                let found = found.item().map(item::read).transpose()?;
                // The first answer was lost and the SDK asked again: this is what we wrote.
                Ok(match found.and_then(|found| found.latest_event) {
                    Some(latest) if latest == *event => ApplyOutcome::Applied,
                    Some(_) | None => ApplyOutcome::VersionMoved,
                })
            }
            Some(UpdateItemError::TransactionConflictException(_)) => Err(TableError::Conflict),
            Some(_) | None => Err(unavailable("write a change of an order alone", error)),
        }
    }

    /// The ledger writes of a change whose refund went to the merchant's own account, or whose
    /// payer was paid after that.
    fn owed_in_the_ledger(
        &self,
        change: &OrderChange,
        now: UnixSeconds,
    ) -> Result<Option<Update>, TableError> {
        let (Some(ledger), Some(refund)) = (&self.ledger, &change.refund) else {
            return Ok(None);
        };
        let (from, to) = match refund {
            // Made in WeChat Pay's console, and known only now that it is through.
            RefundChange::New(to) => (None, to),
            RefundChange::Updated(from, to) => (Some(from), to),
        };
        let Some(notice_id) = owed_notice_id(to) else {
            return Ok(None);
        };
        let money = ParkedMoneyRecord {
            notice_id: &notice_id,
            order_no: &to.order_no,
            what_to_do: owed_what_to_do(to),
            now,
        };
        Ok(match &to.payer_paid {
            Some(PayerPaid { decided, .. })
                if from.is_some_and(|from| from.payer_paid != to.payer_paid) =>
            {
                Some(ledger.dealt_with(&money, &decided.who, &decided.why)?)
            }
            Some(_) | None if to.needs_payer_statement() => Some(ledger.keeping(&money)?),
            Some(_) | None => None,
        })
    }

    async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<ApplyOutcome, TableError> {
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(writes))
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(ApplyOutcome::Applied);
        };
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                return Err(TableError::Conflict);
            }
            Some(_) | None => &[],
        };
        let has = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
        if has("ConditionalCheckFailed") {
            Ok(ApplyOutcome::VersionMoved)
        } else if has("TransactionConflict") {
            Err(TableError::Conflict)
        } else {
            Err(unavailable("write a change", error))
        }
    }

    fn new_item(&self, item: Item) -> Result<Put, TableError> {
        Ok(Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()?)
    }

    fn order_update(&self, pk: &str, change: &OrderChange) -> Result<Update, TableError> {
        let mut set = "SET #state = :to, version = :next".to_owned();
        let mut remove = removed_in(&change.to, change.from.latest_event.is_some());
        let mut update = Update::builder()
            .table_name(&self.table)
            .key("pk", text(pk))
            .key("sk", text(keys::ORDER_SK))
            .condition_expression("version = :version")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":version", number(change.from.version))
            .expression_attribute_values(":to", text(change.to.name()))
            .expression_attribute_values(":next", number(change.version()));
        if let OrderState::Rejected(why) = &change.to {
            set.push_str(", rejected_for = :rejected_for");
            update = update.expression_attribute_values(":rejected_for", text(why.name()));
            if let Rejection::Refused(Some(refusal)) = why {
                set.push_str(", refusal_code = :refusal_code, refusal_message = :refusal_message");
                update = update
                    .expression_attribute_values(":refusal_code", text(&refusal.code))
                    .expression_attribute_values(":refusal_message", text(&refusal.message));
            }
        }
        if let Some(payment) = change.to.payment() {
            set.push_str(", transaction_id = :transaction_id, paid_at = :paid_at, day_shard = :day_shard, day_id = :day_id");
            update = update
                .expression_attribute_values(
                    ":transaction_id",
                    text(payment.transaction_id.as_str()),
                )
                .expression_attribute_values(":paid_at", number(payment.paid_at.0))
                .expression_attribute_values(
                    ":day_shard",
                    text(day_shard(payment.paid_at, &change.from.order_no)),
                )
                .expression_attribute_values(":day_id", text(change.from.order_no.as_str()));
        }
        if change.refunds != change.from.refunds {
            set.push_str(", refund_committed_fen = :committed, refunded_fen = :refunded, refund_count = :count, next_refund_at = :next_refund_at");
            let tally = change.refunds;
            update = update
                .expression_attribute_values(":committed", number(tally.committed_fen))
                .expression_attribute_values(":refunded", number(tally.refunded_fen))
                .expression_attribute_values(":count", number(tally.count))
                .expression_attribute_values(":next_refund_at", number(tally.next_at.0));
        }
        if let Some(event) = change.embedded_event() {
            let embedding = Embedding::new(change.from.latest_event.as_ref(), event);
            set.push_str(&embedding.set);
            remove.extend(embedding.remove);
            for (name, attribute) in [("#from", "from"), ("#to", "to"), ("#at", "at")] {
                update = update.expression_attribute_names(name, attribute);
            }
            for (name, value) in embedding.values {
                update = update.expression_attribute_values(name, value);
            }
        } else if let (Some(latest), Some(_)) = (&change.from.latest_event, change.to.payment()) {
            // Nothing is embedded after a payment, so the stream needs no more what reading does
            // not: sums of refunds get its room, and the item stays under 1 KB.
            remove.push("subject_id");
            if latest.decision.is_none() {
                remove.push(DECISION);
            }
        }
        let (set, remove, update) = with_due(change.due(), set, &mut remove, update);
        Ok(update
            .update_expression(set_and_remove(set, remove))
            .build()?)
    }

    /// `at` is when the change happens.
    fn refund_update(
        &self,
        pk: &str,
        from: &Refund,
        to: &Refund,
        at: UnixSeconds,
    ) -> Result<Update, TableError> {
        let mut set = "SET #state = :to, slot_at = :slot_at".to_owned();
        let mut remove = Vec::new();
        let mut update = Update::builder()
            .table_name(&self.table)
            .key("pk", text(pk))
            .key("sk", text(keys::refund_sk(&from.refund_no)))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":from", text(from.state.name()))
            .expression_attribute_values(":to", text(to.state.name()))
            .expression_attribute_values(":slot_at", number(to.slot_at.0));
        // Some decisions do not change the state: of two concurrent ones the second must read the
        // first.
        let mut condition = "#state = :from".to_owned();
        for (name, value) in refund_item::decision_attributes(from) {
            match value {
                Some(value) => {
                    condition.push_str(&format!(" AND {name} = :from_{name}"));
                    update = update.expression_attribute_values(format!(":from_{name}"), value);
                }
                // Left behind without its redirection it means nothing, and this write removes it.
                None if name == "sent_again_at" && from.redirected.is_none() => {}
                None => condition.push_str(&format!(" AND attribute_not_exists({name})")),
            }
        }
        update = update.condition_expression(condition);
        for (name, value) in refund_item::state_attributes(to) {
            match value {
                Some(value) => {
                    set.push_str(&format!(", {name} = :{name}"));
                    update = update.expression_attribute_values(format!(":{name}"), value);
                }
                None => remove.push(name),
            }
        }
        if let Some(day_at) = refund_day::refund_day(Some(from), to, at) {
            for (name, value) in refund_day::refund_attributes(to, day_at) {
                set.push_str(&format!(", {name} = :{name}"));
                update = update.expression_attribute_values(format!(":{name}"), value);
            }
        }
        let (set, remove, update) = with_due(to.due, set, &mut remove, update);
        Ok(update
            .update_expression(set_and_remove(set, remove))
            .build()?)
    }

    fn parked_update(&self, pk: &str, change: &ParkedPaymentChange) -> Result<Update, TableError> {
        Ok(Update::builder()
            .table_name(&self.table)
            .key("pk", text(pk))
            .key("sk", text(keys::payment_sk(&change.transaction_id)))
            .update_expression("SET #state = :to")
            .condition_expression("#state = :from")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":from", text(change.from.name()))
            .expression_attribute_values(":to", text(change.to.name()))
            .build()?)
    }
}

/// The attributes that an order does not have in this state. A prepay value belongs to the state
/// that a payer can pay in; the request body and the lease belong to those in which WeChat Pay may
/// be asked for a value. A call under the lease may still be under way while the order closes.
fn removed_in(state: &OrderState, embeds_events: bool) -> Vec<&'static str> {
    let removed: &[&'static str] = match state {
        OrderState::AwaitingPayment(_) => &[],
        OrderState::Reserved => &["prepay"],
        // An item of an earlier version stays readable for the release that made it.
        OrderState::Closing if embeds_events => &["prepay", "sealed_body"],
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closed
        | OrderState::Rejected(_)
        | OrderState::PaidAfterClose(_)
            if embeds_events =>
        {
            &[
                "prepay",
                "sealed_body",
                "attempt_id",
                "attempt_until",
                "attempt_count",
            ]
        }
        OrderState::Paid(_)
        | OrderState::PartiallyRefunded(_)
        | OrderState::Refunded(_)
        | OrderState::Closing
        | OrderState::Closed
        | OrderState::Rejected(_)
        | OrderState::PaidAfterClose(_) => &["prepay"],
    };
    removed.to_vec()
}

/// The money that an event is about.
fn amount_of(subject: &Subject, change: &OrderChange) -> Fen {
    match (subject, &change.refund) {
        (
            Subject::Refund(_),
            Some(RefundChange::New(refund) | RefundChange::Updated(_, refund)),
        ) => refund.amount,
        // A payment that is refunded whole.
        (
            Subject::Payment(_),
            Some(RefundChange::New(refund) | RefundChange::Updated(_, refund)),
        ) if change.parked_payment.is_some() => refund.amount,
        (Subject::Payment(_), _) => change
            .parked
            .as_ref()
            .map_or(change.from.amount, |parked| parked.amount),
        (Subject::Refund(_) | Subject::Order, _) => change.from.amount,
    }
}

type TransactItems<'a> = (
    String,
    &'a mut Vec<&'static str>,
    aws_sdk_dynamodb::types::builders::UpdateBuilder,
);

/// Sets the place in the check index, or takes it away.
fn with_due<'a>(
    due: Option<NextCheck>,
    mut set: String,
    remove: &'a mut Vec<&'static str>,
    update: aws_sdk_dynamodb::types::builders::UpdateBuilder,
) -> TransactItems<'a> {
    let Some(due) = due else {
        remove.extend(["due_shard", "due_at"]);
        return (set, remove, update);
    };
    set.push_str(", due_shard = :due_shard, due_at = :due_at");
    let update = update
        .expression_attribute_values(":due_shard", text(due_shard(due.shard)))
        .expression_attribute_values(":due_at", number(due.at.0));
    (set, remove, update)
}

pub(super) fn set_and_remove(set: String, remove: &[&str]) -> String {
    if remove.is_empty() {
        set
    } else {
        format!("{set} REMOVE {}", remove.join(", "))
    }
}
