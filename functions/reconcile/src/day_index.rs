//! Our side of a day: the index by Beijing day, read into the table that the bill is compared with.

use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, FuturesUnordered},
};
use matching::books::{BookLine, BookedRefund, DayBooks, Inserted, ParkedLine};
use payments::model::{
    bill_date::BillDate,
    ids::{OrderNo, RefundId, TransactionId},
    order::Product,
    parked::ParkedState,
};
use stores::order_table::{
    TableError,
    day_index::{DayCursor, DayLine, DayPage},
};
use tracing::warn;
use wechatpay::UnixSeconds;

use crate::{
    app::App,
    day_part::{DayPart, LINES},
    error::DayError,
};

/// Lines that are asked for at a time; DynamoDB gives 1 MB at most.
const PAGE: i32 = 5_000;

/// The outcome of reading a day's books.
pub(crate) enum Loaded {
    Books(Box<DayBooks>),
    /// More than one run holds.
    TooMany,
}

/// Room to begin with; a bigger day makes it grow.
const FIRST_ROOM: u64 = 4_096;

/// How many orders of parked money are read at once.
const SIDE_BY_SIDE: usize = 16;

/// The index of our books by Beijing day, for one day.
#[derive(Clone, Copy)]
pub(crate) struct DayIndex<'a> {
    app: &'a App,
    date: BillDate,
}

impl<'a> DayIndex<'a> {
    pub(crate) const fn new(app: &'a App, date: BillDate) -> Self {
        Self { app, date }
    }

    /// Reads the whole day, unless it is too big for one run.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn load_if_they_fit(self) -> Result<Loaded, DayError> {
        let books = self.read(DayPart::WHOLE, self.app.lines_max).await?;
        Ok(books.map_or(Loaded::TooMany, |books| Loaded::Books(Box::new(books))))
    }

    /// Reads one part of the day, whatever its size.
    ///
    /// # Errors
    /// [`DayError`].
    pub(crate) async fn load(self, part: DayPart) -> Result<DayBooks, DayError> {
        let books = self.read(part, u64::MAX).await?;
        books.ok_or_else(|| DayError::Passing("a part of the day has no end".into()))
    }

    async fn read(self, part: DayPart, at_most: u64) -> Result<Option<DayBooks>, DayError> {
        let mut books = DayBooks::with_capacity(
            usize::try_from(FIRST_ROOM.min(LINES)).unwrap_or(0),
            self.app.hash_key(),
        );
        let mut parked = Vec::new();
        // All parts of the index side by side, each a page at a time.
        let mut pages: FuturesUnordered<_> =
            part.shards().map(|shard| self.page(shard, None)).collect();
        while let Some(read) = pages.next().await {
            let (shard, page) = read?;
            let lines: Vec<BookLine<'_>> = page.lines.iter().filter_map(book_line).collect();
            books.insert_batch(&lines, shard, |_, inserted| note(inserted, shard));
            parked.extend(page.lines.iter().filter_map(parked_line));
            if books.lines() > at_most {
                return Ok(None);
            }
            if let Some(next) = page.next {
                pages.push(self.page(shard, Some(next)));
            }
        }
        let orders = &self.app.orders;
        let mut counted = stream::iter(parked)
            .map(|parked| async move {
                let order = orders.read(&parked.order_no).await?;
                let product = order.map(|order| order.product);
                Ok::<_, TableError>((parked, product))
            })
            .buffered(SIDE_BY_SIDE);
        while let Some((parked, product)) = counted.try_next().await? {
            books.count_parked(&ParkedLine {
                transaction_id: parked.transaction_id.as_str(),
                order_no: parked.order_no.as_str(),
                amount_fen: parked.amount_fen,
                at: parked.at,
                trade_type: product.map(Product::trade_type),
            });
        }
        Ok(Some(books))
    }

    /// One page of one part of the index.
    pub(crate) async fn page(
        self,
        shard: u8,
        from: Option<DayCursor>,
    ) -> Result<(u8, DayPage), TableError> {
        Ok((
            shard,
            self.app.orders.day(self.date, shard, from, PAGE).await?,
        ))
    }
}

/// Parked money: it came, so it counts, though the order is another payment's.
struct ParkedEntry {
    order_no: OrderNo,
    transaction_id: TransactionId,
    amount_fen: i64,
    at: UnixSeconds,
}

/// The parked money of a line. Money that proved to be the order's own payment is counted as that
/// payment.
fn parked_line(line: &DayLine) -> Option<ParkedEntry> {
    match line {
        DayLine::Parked {
            order_no,
            transaction_id,
            amount_fen,
            state,
            at,
        } if state != ParkedState::Booked.name() => Some(ParkedEntry {
            order_no: order_no.clone(),
            transaction_id: transaction_id.clone(),
            amount_fen: *amount_fen,
            at: *at,
        }),
        DayLine::Parked { .. } | DayLine::Payment { .. } | DayLine::Refund { .. } => None,
    }
}

/// Logs what is unusual about a line. Every bill row that names such a line is examined.
fn note(inserted: Inserted, shard: u8) {
    match inserted {
        Inserted::New | Inserted::Again => {}
        Inserted::Twice => warn!(shard, "two lines of the books have one number"),
        Inserted::TooLong => warn!(
            shard,
            "a number in the books is longer than any of WeChat Pay's"
        ),
    }
}

/// A line for the table of the day's books. Parked payments have none: each bill row that names one
/// is examined.
pub(crate) fn book_line(line: &DayLine) -> Option<BookLine<'_>> {
    match line {
        DayLine::Payment {
            order_no,
            transaction_id,
            amount_fen,
            product,
            appid,
            ..
        } => Some(BookLine::Payment {
            transaction_id: transaction_id.as_str(),
            order_no: order_no.as_str(),
            amount_fen: *amount_fen,
            appid,
            trade_type: product.trade_type(),
        }),
        DayLine::Parked { .. } => None,
        DayLine::Refund {
            order_no,
            out_refund_no,
            refund_id,
            transaction_id,
            amount_fen,
            product,
            state,
            ..
        } => Some(BookLine::Refund {
            out_refund_no: out_refund_no.as_str(),
            refund_id: refund_id.as_ref().map(RefundId::as_str),
            transaction_id: transaction_id.as_str(),
            order_no: order_no.as_str(),
            amount_fen: *amount_fen,
            state: BookedRefund::named(state)?,
            trade_type: product.map(Product::trade_type),
        }),
    }
}
