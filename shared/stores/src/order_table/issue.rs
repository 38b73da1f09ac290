//! The lease of the process that calls WeChat Pay for an order, and the prepay value that it gets.

use aws_sdk_dynamodb::types::AttributeValue;
use payments::{
    model::order::{IssueLease, Order, OrderState},
    rules::issue_order::IssuedPrepay,
};
use wechatpay::UnixSeconds;

use crate::attributes::{number, text};

use super::{
    OrderTable, TableError, WriteOutcome, change::set_and_remove, embedded::Embedding, item,
    keys::due_shard,
};

impl OrderTable {
    /// Takes the right to call WeChat Pay for an order, if its lease still is the one in `order`
    /// and is over at `now`.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn take_issue_lease(
        &self,
        order: &Order,
        id: &str,
        now: UnixSeconds,
    ) -> Result<WriteOutcome, TableError> {
        let lease = IssueLease {
            count: order.issue_lease.count.saturating_add(1),
            ..IssueLease::first(id.to_owned(), now)
        };
        // On the very lease that was seen: one that was taken or ended since then may have brought
        // a live value, which another call to WeChat Pay would kill in its holder's hands.
        let condition = "#state IN (:reserved, :awaiting) AND (attempt_id = :id OR \
             (attempt_id = :seen_id AND attempt_until = :seen_until AND attempt_until <= :now))";
        self.update(
            "take the attempt",
            &order.order_no,
            "SET attempt_id = :id, attempt_until = :until, attempt_count = :count",
            condition,
            [
                (":id", text(&lease.id)),
                (":until", number(lease.until.0)),
                (":seen_id", text(&order.issue_lease.id)),
                (":seen_until", number(order.issue_lease.until.0)),
                (":count", number(lease.count)),
                (":now", number(now.0)),
                (":reserved", text("reserved")),
                (":awaiting", text("awaiting_payment")),
            ],
        )
        .await
    }

    /// Stores a prepay value under the lease that got it, and ends the lease.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn store_prepay(
        &self,
        order: &Order,
        issued: &IssuedPrepay,
    ) -> Result<WriteOutcome, TableError> {
        let prepay = &issued.prepay;
        let mut values = vec![
            (":attempt", text(&order.issue_lease.id)),
            (":from", text(order.state.name())),
            (":version", number(order.version)),
            (":awaiting", text("awaiting_payment")),
            (":prepay", text(item::prepay_text(prepay))),
            (":free", number(0)),
            (":issued", AttributeValue::Bool(true)),
        ];
        let mut set =
            "SET #state = :awaiting, prepay = :prepay, issued = :issued, attempt_until = :free"
                .to_owned();
        let mut remove = Vec::new();
        if let Some(due) = issued.next_check {
            set.push_str(", due_shard = :due_shard, due_at = :due_at");
            values.push((":due_shard", text(due_shard(due.shard))));
            values.push((":due_at", number(due.at.0)));
        }
        // An item of an earlier version stays readable for the release that made it.
        if issued.is_last && order.latest_event.is_some() {
            remove.push("sealed_body");
        }
        // Renewing a value changes no state and has no event.
        if let Some(event) = &issued.event {
            let embedding = Embedding::new(order.latest_event.as_ref(), event);
            set.push_str(", version = :next");
            set.push_str(&embedding.set);
            values.push((":next", number(event.version)));
            values.extend(embedding.values);
            remove.extend(embedding.remove);
        }
        let condition = "attempt_id = :attempt AND #state = :from AND version = :version";
        let written = self
            .update(
                "store the prepay value",
                &order.order_no,
                &set_and_remove(set, &remove),
                condition,
                values,
            )
            .await?;
        Ok(match written {
            // The first answer was lost and the SDK asked again: what is found is what we wrote.
            WriteOutcome::Superseded(found)
                if found.state == OrderState::AwaitingPayment(prepay.clone()) =>
            {
                WriteOutcome::Written(found)
            }
            WriteOutcome::Superseded(found) => WriteOutcome::Superseded(found),
            WriteOutcome::Written(order) => WriteOutcome::Written(order),
        })
    }
}
