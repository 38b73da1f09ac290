//! The check index (`due`, sparse): orders and refunds whose state is not final, by when each is
//! checked next.

use payments::{
    model::{
        ids::{OrderNo, RefundNo},
        next_check::NextCheck,
        order::Order,
        refund::Refund,
    },
    rules::overdue_refund::Trouble,
};
use wechatpay::UnixSeconds;

use crate::attributes::{Item, number, text};

use super::{
    OrderTable, TableError, WriteOutcome,
    change::set_and_remove,
    keys::{self, due_shard},
    unavailable,
};

/// Something that is due.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckItem {
    Order(OrderNo),
    Refund(OrderNo, RefundNo),
}

impl CheckItem {
    /// The order that it is, or belongs to.
    pub fn order_no(&self) -> &OrderNo {
        match self {
            Self::Order(order_no) | Self::Refund(order_no, _) => order_no,
        }
    }
}

/// Something that is due, and since when.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DueCheck {
    pub item: CheckItem,
    /// Since when (Unix seconds).
    pub at: UnixSeconds,
}

/// A piece of the check index.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckPage {
    /// What is due as the index shows it, oldest first. The index lags: read each again before
    /// acting.
    pub items: Vec<DueCheck>,
    /// Where the next page of this part begins, if it holds more that is due.
    pub next: Option<CheckCursor>,
}

/// A place in one part of the check index.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckCursor(Item);

impl OrderTable {
    /// What is due at `now` in one part of the index, oldest first, `most` at a time.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn due(
        &self,
        shard: u8,
        now: UnixSeconds,
        most: i32,
        from: Option<CheckCursor>,
    ) -> Result<CheckPage, TableError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("due")
            .key_condition_expression("due_shard = :shard AND due_at <= :now")
            .expression_attribute_values(":shard", text(due_shard(shard)))
            .expression_attribute_values(":now", number(now.0))
            .limit(most)
            .set_exclusive_start_key(from.map(|CheckCursor(key)| key))
            .send()
            .await
            .map_err(|error| unavailable("list what is due", error))?;
        let items = page
            .items()
            .iter()
            .filter_map(|found| due_key(found, &self.pk_prefix()))
            .collect();
        Ok(CheckPage {
            items,
            next: page.last_evaluated_key().cloned().map(CheckCursor),
        })
    }

    /// Claims a due order by moving its due time; `false` if another process was first.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn claim(&self, order: &Order, next: NextCheck) -> Result<bool, TableError> {
        self.move_due("claim a due order", order, next).await
    }

    /// Makes an order due sooner than its claim does; `false` if it, or its due time, has changed.
    /// `order` is the order as it is stored.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn check_order_sooner(
        &self,
        order: &Order,
        next: NextCheck,
    ) -> Result<bool, TableError> {
        self.move_due("check an order again soon", order, next)
            .await
    }

    /// A write to an order that changes its due time and nothing else, so it has no event: it holds
    /// if the order still is in that version and due then.
    async fn move_due(
        &self,
        operation: &'static str,
        order: &Order,
        next: NextCheck,
    ) -> Result<bool, TableError> {
        let Some(seen) = order.due else {
            return Ok(false);
        };
        let written = self
            .update(
                operation,
                &order.order_no,
                "SET due_shard = :due_shard, due_at = :due_at",
                "due_at = :seen AND version = :version",
                [
                    (":due_shard", text(due_shard(next.shard))),
                    (":due_at", number(next.at.0)),
                    (":seen", number(seen.at.0)),
                    (":version", number(order.version)),
                ],
            )
            .await?;
        Ok(matches!(written, WriteOutcome::Written(_)))
    }

    /// Claims a refund by counting the attempt and moving its due time; `false` if another process
    /// was first, or if it has changed.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn claim_refund(&self, refund: &Refund, next: NextCheck) -> Result<bool, TableError> {
        let tried = number(refund.tries.saturating_add(1));
        self.update_refund(
            "claim a due refund",
            refund,
            "SET tries = :tried, due_shard = :due_shard, due_at = :due_at",
            &[],
            next,
            [(":tried", tried)],
        )
        .await
    }

    /// Makes a refund due sooner than its claim does; `false` if it changed meanwhile. `refund` is
    /// the refund as it was claimed.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn check_refund_sooner(
        &self,
        refund: &Refund,
        next: NextCheck,
    ) -> Result<bool, TableError> {
        let operation = "check a refund again soon";
        let set = "SET due_shard = :due_shard, due_at = :due_at";
        self.update_refund(operation, refund, set, &[], next, [])
            .await
    }

    /// Records why a refund makes no progress (WeChat Pay's code), and its next check; `false` if
    /// it changed meanwhile. `refund` is the refund as it was claimed.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn hold_refund(
        &self,
        refund: &Refund,
        trouble: &str,
        next: NextCheck,
    ) -> Result<bool, TableError> {
        self.update_refund(
            "note what holds a refund up",
            refund,
            "SET trouble = :trouble, due_shard = :due_shard, due_at = :due_at",
            &["trouble_since"],
            next,
            [(":trouble", text(trouble))],
        )
        .await
    }

    /// Records the state of an abnormal refund that is being paid out again or came back again, and
    /// removes its destination: that was for an earlier attempt, or was never executed. `false` if
    /// it changed meanwhile. `refund` is the refund as it was claimed.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn forget_redirection(
        &self,
        refund: &Refund,
        trouble: &str,
        next: NextCheck,
    ) -> Result<bool, TableError> {
        self.update_refund(
            "note that a refund is on its way again, or not",
            refund,
            "SET trouble = :trouble, due_shard = :due_shard, due_at = :due_at",
            &[
                "trouble_since",
                "sent_to",
                "sent_by",
                "sent_why",
                "sent_at",
                "sent_again_at",
            ],
            next,
            [(":trouble", text(trouble))],
        )
        .await
    }

    /// Records that the redirect of an abnormal refund is about to be sent to WeChat Pay again, so
    /// that it is not undone before the call is over. `false` if it changed meanwhile, or was not
    /// redirected. `refund` is the refund as it was read.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn redirect_again(
        &self,
        refund: &Refund,
        again_at: UnixSeconds,
        next: NextCheck,
    ) -> Result<bool, TableError> {
        if refund.redirected.is_none() {
            return Ok(false);
        }
        self.update_refund(
            "note that a refund is sent on once more",
            refund,
            "SET sent_again_at = :sent_again_at, due_shard = :due_shard, due_at = :due_at",
            &[],
            next,
            [(":sent_again_at", number(again_at.0))],
        )
        .await
    }

    /// Records the cause of an unfinished refund and since when; `None` clears it. It stays due
    /// when it was. `false` when it moved on meanwhile. `refund` is the refund as it was claimed.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn note_trouble(
        &self,
        refund: &Refund,
        trouble: Option<&Trouble>,
        next: NextCheck,
    ) -> Result<bool, TableError> {
        let operation = "note why a refund has no end";
        let due = "SET due_shard = :due_shard, due_at = :due_at";
        match trouble {
            Some(Trouble { code, since }) => {
                let set = format!("{due}, trouble = :trouble, trouble_since = :since");
                let values = [(":trouble", text(code)), (":since", number(since.0))];
                self.update_refund(operation, refund, &set, &[], next, values)
                    .await
            }
            None => {
                let remove = ["trouble", "trouble_since"];
                self.update_refund(operation, refund, due, &remove, next, [])
                    .await
            }
        }
    }

    /// Puts a refund off that was claimed and not sent: the try does not count. `false` when it
    /// moved on meanwhile. `refund` is the refund as it was claimed.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn put_off_refund(
        &self,
        refund: &Refund,
        next: NextCheck,
    ) -> Result<bool, TableError> {
        let before = number(refund.tries.saturating_sub(1));
        self.update_refund(
            "put a refund off",
            refund,
            "SET tries = :before, due_shard = :due_shard, due_at = :due_at",
            &[],
            next,
            [(":before", before)],
        )
        .await
    }

    /// Takes a refund out of the index of what is due, since nothing is left to do about it.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn remove_refund_check(&self, refund: &Refund) -> Result<(), TableError> {
        let ended = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(&refund.order_no)))
            .key("sk", text(keys::refund_sk(&refund.refund_no)))
            .update_expression("REMOVE due_shard, due_at")
            .condition_expression("#state = :state AND tries = :tries")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", text(refund.state.name()))
            .expression_attribute_values(":tries", number(refund.tries))
            .send()
            .await;
        // One that moved on meanwhile has its own due time.
        super::conditional("end the checks of a refund", ended).map(|_| ())
    }

    /// A write to a refund that changes no state, so it has no event. It succeeds if the refund
    /// still has that state and attempt, and was not redirected since. A `sent_again_at` that was
    /// left behind without its redirection means nothing: it blocks no write, and goes with the
    /// next one.
    async fn update_refund(
        &self,
        operation: &'static str,
        refund: &Refund,
        set: &str,
        remove: &[&'static str],
        next: NextCheck,
        values: impl IntoIterator<Item = (&'static str, aws_sdk_dynamodb::types::AttributeValue)>,
    ) -> Result<bool, TableError> {
        let mut condition = "#state = :state AND tries = :tries".to_owned();
        let mut remove = remove.to_vec();
        let mut seen = Vec::new();
        match &refund.redirected {
            Some(sent) => {
                seen.push(("sent_at", ":seen_sent_at", Some(sent.at)));
                seen.push(("sent_again_at", ":seen_sent_again_at", sent.sent_again_at));
            }
            None => {
                seen.push(("sent_at", ":seen_sent_at", None));
                if !remove.contains(&"sent_again_at") {
                    remove.push("sent_again_at");
                }
            }
        }
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(self.pk(&refund.order_no)))
            .key("sk", text(keys::refund_sk(&refund.refund_no)))
            .update_expression(set_and_remove(set.to_owned(), &remove))
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":state", text(refund.state.name()))
            .expression_attribute_values(":tries", number(refund.tries))
            .expression_attribute_values(":due_shard", text(due_shard(next.shard)))
            .expression_attribute_values(":due_at", number(next.at.0));
        for (name, value, at) in seen {
            match at {
                Some(at) => {
                    condition.push_str(&format!(" AND {name} = {value}"));
                    update = update.expression_attribute_values(value, number(at.0));
                }
                None => condition.push_str(&format!(" AND attribute_not_exists({name})")),
            }
        }
        update = update.condition_expression(condition);
        for (name, value) in values {
            update = update.expression_attribute_values(name, value);
        }
        super::conditional(operation, update.send().await)
    }
}

/// What a hit in the check index is; `None` for another merchant's.
fn due_key(item: &Item, pk_prefix: &str) -> Option<DueCheck> {
    let number = item.get("pk")?.as_s().ok()?.strip_prefix(pk_prefix)?;
    let order_no = OrderNo::parse(number).ok()?;
    let sk = item.get("sk")?.as_s().ok()?;
    let at = item.get("due_at")?.as_n().ok()?.parse().ok()?;
    Some(DueCheck {
        item: match sk.strip_prefix(keys::REFUND_SK_PREFIX) {
            Some(refund_no) => CheckItem::Refund(order_no, RefundNo::parse(refund_no).ok()?),
            None => CheckItem::Order(order_no),
        },
        at: UnixSeconds(at),
    })
}
