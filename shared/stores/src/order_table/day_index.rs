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
    order::Product,
};
use wechatpay::UnixSeconds;

use crate::attributes::{Item, text};

use super::{
    OrderTable, TableError,
    fields::Fields,
    keys::{self, shard_key},
    unavailable,
};

/// Something that the books have on a day.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DayLine {
    /// An order's booked payment.
    Payment {
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
    Refund {
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
    /// What the books have on a day in one part of the index (0 to
    /// [`payments::model::next_check::SHARDS`] less one), at most `most` lines at a time, from the
    /// beginning or from where a piece before ended.
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
            .filter(|found| keys::pk(found).is_some_and(|pk| pk.starts_with(&ours)))
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
    Ok(if sk == keys::ORDER_SK {
        DayLine::Payment {
            order_no,
            transaction_id,
            amount_fen,
            product: fields.parsed("product", Product::named)?,
            appid: fields.text("appid")?.to_owned(),
            state,
            at: UnixSeconds(fields.number("paid_at")?),
        }
    } else if sk.starts_with(keys::REFUND_SK_PREFIX) {
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
    } else if sk.starts_with(keys::PAYMENT_SK_PREFIX) {
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
