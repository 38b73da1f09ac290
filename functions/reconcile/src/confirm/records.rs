//! The records of a candidate, read consistently, and what they say about it.

use matching::bill_line::{BillLine, LineKind};
use payments::{
    model::{
        bill_date::BillDate,
        ids::{OrderNo, OutRefundNo, TransactionId},
    },
    reconcile::{
        carried::{CarriedKind, TradeIdentity},
        classify::{
            FoundRecord, classify_absent_parked, classify_absent_payment, classify_absent_refund,
        },
        difference::{DifferenceKind, SideView},
    },
};
use stores::order_table::day_index::DayLine;

use super::trades::{product_of, trade_of};
use crate::{app::App, error::DayError, query};

/// A trade of our books that the bill has not.
pub(super) struct AbsentTrade {
    pub(super) trade: TradeIdentity,
    /// The product that it is counted under.
    pub(super) product: &'static str,
    /// Its kind of difference, and our side.
    pub(super) classified: (DifferenceKind, SideView),
}

/// Reads records for a day.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    app: &'a App,
    date: BillDate,
}

impl<'a> Records<'a> {
    pub(super) const fn new(app: &'a App, date: BillDate) -> Self {
        Self { app, date }
    }

    /// The records under a row's numbers, by consistent read. A number in a form that our orders
    /// cannot have has no record.
    pub(super) async fn of_row(self, row: &BillLine) -> Result<FoundRecord, DayError> {
        let Ok(order_no) = OrderNo::parse(&row.order_no) else {
            return Ok(FoundRecord::default());
        };
        let order = self.app.orders.read(&order_no).await?;
        let mut read = FoundRecord {
            order,
            ..FoundRecord::default()
        };
        match row.kind {
            LineKind::Payment | LineKind::Revoked => {
                if let Ok(transaction_id) = TransactionId::parse(&row.transaction_id) {
                    read.parked = self
                        .app
                        .orders
                        .parked_payment(&order_no, &transaction_id)
                        .await?;
                }
            }
            LineKind::Refund => {
                if let Ok(out_refund_no) = OutRefundNo::parse(&row.out_refund_no) {
                    read.refund = self
                        .app
                        .orders
                        .refund_known_as(&order_no, &out_refund_no)
                        .await?;
                }
            }
        }
        Ok(read)
    }

    /// The trade that is absent from the bill, if it is: with its product, its kind of difference,
    /// and our side.
    pub(super) async fn absent_line(self, line: &DayLine) -> Result<Option<AbsentTrade>, DayError> {
        let Some((trade, _)) = trade_of(line) else {
            return Ok(None);
        };
        let classified = match line {
            DayLine::Payment {
                order_no,
                transaction_id,
                ..
            } => {
                let order = self.app.orders.read(order_no).await?;
                classify_absent_payment(order.as_ref(), transaction_id.as_str())
            }
            DayLine::Refund {
                order_no,
                refund_no,
                out_refund_no,
                ..
            } => {
                let refund = self.app.orders.refund(order_no, refund_no).await?;
                let classified = classify_absent_refund(refund.as_ref(), self.date);
                let is_dated = refund.is_some_and(|refund| refund.accepted_at.is_some());
                if classified.is_some() && !is_dated && self.is_of_other_day(out_refund_no).await? {
                    return Ok(None);
                }
                classified
            }
            DayLine::Parked { .. } => None,
        };
        Ok(classified.map(|classified| AbsentTrade {
            trade,
            product: product_of(line),
            classified,
        }))
    }

    /// Whether WeChat Pay accepted a refund on another day than in our books: the acceptance time
    /// may be unknown here, and the notice only has the arrival time.
    async fn is_of_other_day(self, out_refund_no: &OutRefundNo) -> Result<bool, DayError> {
        let answer = query::refund(self.app, out_refund_no).await?;
        let accepted_at = answer.ok().and_then(|news| news.accepted_at);
        Ok(accepted_at.is_some_and(|at| BillDate::of(at) != self.date))
    }

    /// What a carried trade is, if this day's bill lacks it too.
    pub(super) async fn still_absent(
        self,
        trade: &TradeIdentity,
    ) -> Result<Option<(DifferenceKind, SideView)>, DayError> {
        let Ok(order_no) = OrderNo::parse(&trade.order_no) else {
            return Ok(None);
        };
        match trade.kind {
            CarriedKind::Payment => {
                let order = self.app.orders.read(&order_no).await?;
                let transaction_id = trade.transaction_id.as_deref().unwrap_or_default();
                match classify_absent_payment(order.as_ref(), transaction_id) {
                    Some(classified) => Ok(Some(classified)),
                    None => self.parked_payment(&trade.order_no, transaction_id).await,
                }
            }
            CarriedKind::Refund => {
                let number = trade.out_refund_no.as_deref().unwrap_or_default();
                let Ok(out_refund_no) = OutRefundNo::parse(number) else {
                    return Ok(None);
                };
                let refund = self
                    .app
                    .orders
                    .refund_known_as(&order_no, &out_refund_no)
                    .await?;
                Ok(classify_absent_refund(
                    refund.as_ref(),
                    BillDate::of(trade.at),
                ))
            }
        }
    }

    /// What a parked payment under these numbers is, if no bill row names it, by consistent read.
    pub(super) async fn parked_payment(
        self,
        order_no: &str,
        transaction_id: &str,
    ) -> Result<Option<(DifferenceKind, SideView)>, DayError> {
        let numbers = (
            OrderNo::parse(order_no),
            TransactionId::parse(transaction_id),
        );
        let (Ok(order_no), Ok(transaction_id)) = numbers else {
            return Ok(None);
        };
        let parked = self
            .app
            .orders
            .parked_payment(&order_no, &transaction_id)
            .await?;
        Ok(classify_absent_parked(parked.as_ref()))
    }
}
