//! The index by Beijing day: the booked events of a day, to be compared with that day's bills.
//!
//! | line | is in the index | by |
//! |---|---|---|
//! | payment | once it is booked | `paid_at` |
//! | parked payment | as long as it is kept | `paid_at` |
//! | refund | once WeChat Pay has accepted it, as far as is known | `day_at` |
//!
//! All of these are WeChat Pay's times. The exception is a refund first reported by a notice:
//! notices do not have the acceptance time, so it is indexed by its success time or else by our
//! clock, until an answer gives the acceptance time.
//!
//! The index contains the fields of a line, so that a day is read without reading its orders:
//! `order_no`, `transaction_id`, `amount_fen`, `state`, `paid_at`, `product`, `appid`, `refund_no`,
//! `out_refund_no`, `refund_id`, `day_at`. It lags behind the table, so every apparent difference
//! is confirmed by a consistent read.

use payments::model::{
    bill_date::BillDate,
    ids::{OrderNo, OutRefundNo, RefundId, RefundNo, TransactionId},
    next_check,
    order::Product,
    refund::{Refund, RefundState},
};
use wechatpay::UnixSeconds;

use super::{
    OrderTable, TableError,
    item::{self, Fields, Item},
    refund_item, text, unavailable,
};

/// Something that the books have on a day.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DayLine {
    /// An order's booked payment.
    Payment {
        /// The order.
        order_no: OrderNo,
        /// WeChat Pay's number of the payment.
        transaction_id: TransactionId,
        /// What was paid, in fen.
        amount_fen: i64,
        /// How it was paid.
        product: Product,
        /// The appid that it was paid to.
        appid: String,
        /// The order's state, by its name: it may have been refunded since.
        state: String,
        /// When it was paid.
        at: UnixSeconds,
    },
    /// A payment that is not its order's booked one, or whose order is not known.
    Parked {
        /// The order that it names.
        order_no: OrderNo,
        /// WeChat Pay's number of the payment.
        transaction_id: TransactionId,
        /// What was paid, in fen.
        amount_fen: i64,
        /// Its state, by its name.
        state: String,
        /// When it was paid.
        at: UnixSeconds,
    },
    /// A refund.
    Refund {
        /// The order.
        order_no: OrderNo,
        /// Its number under the order.
        refund_no: RefundNo,
        /// The number that WeChat Pay was given.
        out_refund_no: OutRefundNo,
        /// WeChat Pay's number of it, if it is known.
        refund_id: Option<RefundId>,
        /// The payment that it refunds.
        transaction_id: TransactionId,
        /// The refunded amount, in fen.
        amount_fen: i64,
        /// How its order was paid, as far as it is known.
        product: Option<Product>,
        /// Its state, by its name.
        state: String,
        /// When WeChat Pay accepted it, as far as is known.
        at: UnixSeconds,
    },
}

/// A piece of one part of a day.
#[derive(Clone, Debug, PartialEq)]
pub struct DayPage {
    /// What is there, in the order of the order numbers.
    pub lines: Vec<DayLine>,
    /// Where the next piece begins, if there may be one.
    pub next: Option<DayCursor>,
}

/// A place in one part of a day.
#[derive(Clone, Debug, PartialEq)]
pub struct DayCursor(Item);

impl OrderTable {
    /// What the books have on a day in one part of the index (0 to [`next_check::SHARDS`] less one), at
    /// most `most` lines at a time, from the beginning or from where a piece before ended.
    ///
    /// # Errors
    /// [`TableError`].
    pub async fn day(
        &self,
        date: BillDate,
        shard: u8,
        from: Option<DayCursor>,
        most: i32,
    ) -> Result<DayPage, TableError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .index_name("day")
            .key_condition_expression("day_shard = :shard")
            .expression_attribute_values(":shard", text(shard_key(date, shard)))
            .limit(most)
            .set_exclusive_start_key(from.map(|DayCursor(key)| key))
            .send()
            .await
            .map_err(|error| unavailable("list a day", error))?;
        let ours = self.pk_prefix();
        let lines = page
            .items()
            .iter()
            // The index holds the orders of every merchant that shares the table.
            .filter(|found| item::pk(found).is_some_and(|pk| pk.starts_with(&ours)))
            .map(line)
            .collect::<Result<_, _>>()?;
        Ok(DayPage {
            lines,
            next: page.last_evaluated_key.map(DayCursor),
        })
    }
}

fn line(found: &Item) -> Result<DayLine, TableError> {
    let fields = Fields { item: found };
    let order_no = fields.parsed("order_no", |text| OrderNo::parse(text).ok())?;
    let transaction_id = fields.parsed("transaction_id", |text| TransactionId::parse(text).ok())?;
    let amount_fen = fields.fen("amount_fen")?.get();
    let state = fields.text("state")?.to_owned();
    let sk = fields.text("sk")?;
    Ok(if sk == item::ORDER_SK {
        DayLine::Payment {
            order_no,
            transaction_id,
            amount_fen,
            product: fields.parsed("product", Product::named)?,
            appid: fields.text("appid")?.to_owned(),
            state,
            at: UnixSeconds(fields.number("paid_at")?),
        }
    } else if sk.starts_with(refund_item::SK_PREFIX) {
        DayLine::Refund {
            order_no,
            refund_no: fields.parsed("refund_no", |text| RefundNo::parse(text).ok())?,
            out_refund_no: fields.parsed("out_refund_no", |text| OutRefundNo::parse(text).ok())?,
            refund_id: fields.refund_id()?,
            transaction_id,
            amount_fen,
            // For the totals only; `None` in a refund of an earlier version.
            product: fields.text("product").ok().and_then(Product::named),
            state,
            at: UnixSeconds(fields.number("day_at")?),
        }
    } else if sk.starts_with(item::PAYMENT_SK_PREFIX) {
        DayLine::Parked {
            order_no,
            transaction_id,
            amount_fen,
            state,
            at: UnixSeconds(fields.number("paid_at")?),
        }
    } else {
        return Err(fields.damaged("sk"));
    })
}

/// The time under which a refund that becomes `to` is put into the index or moved in it; `None` if
/// its place does not change or it stays out. `at` is the time of the change by our clock.
pub(super) fn refund_day(
    from: Option<&Refund>,
    to: &Refund,
    at: UnixSeconds,
) -> Option<UnixSeconds> {
    if !to.is_accepted() {
        return None;
    }
    let was_there = from.is_some_and(Refund::is_accepted);
    match (to.accepted_at, from.and_then(|from| from.accepted_at)) {
        (Some(accepted_at), before) if !was_there || before.is_none() => Some(accepted_at),
        (None, _) if !was_there => Some(match &to.state {
            RefundState::Succeeded(succeeded_at) => *succeeded_at,
            RefundState::Reserved
            | RefundState::Processing
            | RefundState::Closed
            | RefundState::Refused(_)
            | RefundState::Abnormal => at,
        }),
        (Some(_) | None, _) => None,
    }
}

/// The attributes that put a refund into the index.
pub(super) fn refund_attributes(
    refund: &Refund,
    day_at: UnixSeconds,
) -> [(&'static str, aws_sdk_dynamodb::types::AttributeValue); 3] {
    let (order_no, refund_no) = (&refund.order_no, &refund.refund_no);
    [
        ("day_at", super::number(day_at.0)),
        ("day_shard", text(day_shard(day_at, order_no))),
        ("day_id", text(format!("{order_no}#{refund_no}"))),
    ]
}

/// The part of the index for something that happened to an order: the Beijing day of WeChat Pay's
/// own time, never of our clock where its own is known.
pub(super) fn day_shard(at: UnixSeconds, order_no: &OrderNo) -> String {
    shard_key(BillDate::of(at), next_check::shard_of(order_no))
}

fn shard_key(date: BillDate, shard: u8) -> String {
    format!("{date}#{shard}")
}

#[cfg(test)]
mod tests {
    use payments::model::{
        decision::DecidedBy,
        fingerprint::Fingerprint,
        ids::{OutRefundNo, RefundNo, TransactionId},
        money::Fen,
        refund::PaymentKind,
    };

    use super::*;

    const AT: UnixSeconds = UnixSeconds(1_785_556_900);
    const SUCCEEDED: UnixSeconds = UnixSeconds(1_785_556_850);
    const ACCEPTED: UnixSeconds = UnixSeconds(1_785_556_799);

    fn refund(state: RefundState, accepted_at: Option<UnixSeconds>) -> Refund {
        let order_no = OrderNo::parse("ORDER-1").expect("a number");
        let refund_no = RefundNo::parse("R1").expect("a number");
        Refund {
            out_refund_no: OutRefundNo::of(&order_no, &refund_no),
            order_no,
            refund_no,
            transaction_id: TransactionId::parse("4200001").expect("a number"),
            of: PaymentKind::Booked,
            amount: Fen::new(40).expect("fen"),
            total: Fen::new(100).expect("fen"),
            reason: None,
            notify_url: String::new(),
            fingerprint: Fingerprint([0; 32]),
            state,
            refund_id: None,
            trouble: None,
            trouble_since: None,
            overdue_since: None,
            decided: None,
            redirected: None,
            payer_paid: None,
            accepted_at,
            created_at: AT,
            slot_at: AT,
            tries: 1,
            due: None,
        }
    }

    #[test]
    fn a_refund_enters_the_index_when_wechat_pay_has_accepted_it_and_moves_once_when_it_is_told_when()
     {
        let succeeded = || RefundState::Succeeded(SUCCEEDED);
        let refused = || RefundState::Refused("NO_AUTH".to_owned());
        let told = Some(ACCEPTED);
        for (from, to, day) in [
            (
                (RefundState::Reserved, None),
                (RefundState::Processing, told),
                told,
            ),
            (
                (RefundState::Reserved, None),
                (RefundState::Processing, None),
                Some(AT),
            ),
            (
                (RefundState::Reserved, None),
                (succeeded(), None),
                Some(SUCCEEDED),
            ),
            ((RefundState::Reserved, None), (succeeded(), told), told),
            (
                (RefundState::Reserved, None),
                (RefundState::Closed, None),
                Some(AT),
            ),
            ((RefundState::Reserved, None), (refused(), None), None),
            ((refused(), None), (RefundState::Reserved, None), None),
            ((refused(), None), (RefundState::Abnormal, None), Some(AT)),
            ((RefundState::Abnormal, None), (succeeded(), told), told),
            ((RefundState::Abnormal, None), (succeeded(), None), None),
            ((RefundState::Processing, told), (succeeded(), told), None),
            (
                (RefundState::Processing, told),
                (RefundState::Closed, told),
                None,
            ),
        ] {
            let (from, to) = (refund(from.0, from.1), refund(to.0, to.1));
            assert_eq!(
                refund_day(Some(&from), &to, AT),
                day,
                "{} to {}",
                from.state.name(),
                to.state.name()
            );
        }
    }

    #[test]
    fn a_refund_that_a_person_gave_up_was_never_accepted() {
        let released = Refund {
            decided: Some(DecidedBy {
                who: "li".to_owned(),
                why: "paid in cash".to_owned(),
            }),
            ..refund(RefundState::Closed, None)
        };
        let refused = refund(RefundState::Refused("NO_AUTH".to_owned()), None);
        assert_eq!(refund_day(Some(&refused), &released, AT), None);
    }

    #[test]
    fn a_refund_that_was_made_elsewhere_is_there_from_the_beginning() {
        let processing = refund(RefundState::Processing, Some(ACCEPTED));
        assert_eq!(refund_day(None, &processing, AT), Some(ACCEPTED));
        let reserved = refund(RefundState::Reserved, None);
        assert_eq!(refund_day(None, &reserved, AT), None);
    }

    #[test]
    fn a_day_is_beijings_and_an_order_is_always_in_the_same_part() {
        let order_no = OrderNo::parse("ORDER-1").expect("a number");
        let shard = next_check::shard_of(&order_no);
        assert_eq!(
            day_shard(UnixSeconds(1_785_513_599), &order_no),
            format!("2026-07-31#{shard}")
        );
        assert_eq!(
            day_shard(UnixSeconds(1_785_513_600), &order_no),
            format!("2026-08-01#{shard}")
        );
    }
}
