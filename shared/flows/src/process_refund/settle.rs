//! Settling news of a refund, however it came.

use payments::{
    model::{ids::RefundNo, journal::Cause, parked::RefundToPark},
    news::refund::RefundNews,
    rules::settle_refund::{self, RefundSettlement},
};
use stores::order_table::{ParkedStatus, TableError};
use tracing::error;
use wechatpay::RequestId;

use super::flow::{RefundError, RefundFlow};
use crate::{origin::Origin, settle_payment::SettleOutcome};

/// How the refund that news is about is found.
pub(super) enum RefundLookup<'a> {
    /// By our number: this is the answer to our query.
    Ours(&'a RefundNo),
    /// By WeChat Pay's number: this is its notice.
    Named,
}

impl RefundFlow {
    /// Settles WeChat Pay's notice about a refund, one of ours or one that was made in its console.
    ///
    /// # Errors
    /// [`RefundError`].
    pub async fn settle(
        &self,
        news: &RefundNews,
        origin: &Origin,
    ) -> Result<SettleOutcome, RefundError> {
        self.settle_found(news, &RefundLookup::Named, origin).await
    }

    /// Reads the order and the refund that the news is about, lets the rules decide, and writes
    /// their decision.
    pub(super) async fn settle_found(
        &self,
        news: &RefundNews,
        which: &RefundLookup<'_>,
        origin: &Origin,
    ) -> Result<SettleOutcome, RefundError> {
        let books = &self.books;
        let mut rounds = books.rounds();
        loop {
            rounds.begin().await?;
            let (order, found) = match which {
                RefundLookup::Ours(refund_no) => futures_util::try_join!(
                    books.orders.read(&news.order_no),
                    books.orders.refund(&news.order_no, refund_no)
                )?,
                RefundLookup::Named => futures_util::try_join!(
                    books.orders.read(&news.order_no),
                    books
                        .orders
                        .refund_known_as(&news.order_no, &news.out_refund_no)
                )?,
            };
            let context = books
                .context(origin)
                .with_request_id(news.request_id.as_ref());
            let settlement = match (&order, which, &found) {
                (Some(order), RefundLookup::Named, None) => {
                    // Made elsewhere. For a payment that is not the order's, its parked record
                    // decides.
                    let parked = match order.state.payment() {
                        Some(payment) if payment.transaction_id == news.transaction_id => None,
                        Some(_) | None => {
                            books
                                .orders
                                .parked_payment(&news.order_no, &news.transaction_id)
                                .await?
                        }
                    };
                    let facts = &books.facts;
                    match &parked {
                        Some(parked) => settle_refund::settle_parked_refund(
                            order, parked, facts, news, &context,
                        ),
                        None => settle_refund::settle_refund(order, None, facts, news, &context),
                    }
                }
                (Some(order), RefundLookup::Named | RefundLookup::Ours(_), Some(_)) => {
                    settle_refund::settle_refund(
                        order,
                        found.as_ref(),
                        &books.facts,
                        news,
                        &context,
                    )
                }
                // The query was about one refund, the answer is about one of another order.
                (Some(_), RefundLookup::Ours(_), None) | (None, _, _) => {
                    settle_refund::settle_unknown_refund(news)
                }
            };
            match settlement {
                RefundSettlement::AlreadyDone => return Ok(SettleOutcome::AlreadyDone),
                RefundSettlement::StillOpen => return Ok(SettleOutcome::StillOpen),
                RefundSettlement::PaymentNotBooked => return Err(RefundError::PaymentNotBooked),
                RefundSettlement::Park(parked) => {
                    // The refund may have been read just before a concurrent copy of this news
                    // booked it, and the order, which then has its money, just after.
                    if found.is_none() && self.is_known(news, which).await? {
                        continue;
                    }
                    self.park(&parked, news.request_id.as_ref(), &origin.cause)
                        .await?;
                    return Ok(SettleOutcome::Parked {
                        what_to_do: parked.reason.to_string(),
                        notice_id: parked.notice_id(),
                    });
                }
                RefundSettlement::Change(change) => {
                    if books.write(&change, origin).await? {
                        if found
                            .as_ref()
                            .is_some_and(|refund| news.contradicts(refund))
                        {
                            log_who_has_it(news);
                        }
                        return Ok(SettleOutcome::Changed);
                    }
                }
            }
        }
    }

    /// Whether the refund in this news is in the books.
    async fn is_known(
        &self,
        news: &RefundNews,
        which: &RefundLookup<'_>,
    ) -> Result<bool, TableError> {
        let orders = &self.books.orders;
        let found = match which {
            RefundLookup::Ours(refund_no) => orders.refund(&news.order_no, refund_no).await?,
            RefundLookup::Named => {
                orders
                    .refund_known_as(&news.order_no, &news.out_refund_no)
                    .await?
            }
        };
        Ok(found.is_some())
    }

    /// Parks a refund for an operator, and logs it each time until it is decided.
    async fn park(
        &self,
        parked: &RefundToPark,
        request_id: Option<&RequestId>,
        cause: &Cause,
    ) -> Result<(), TableError> {
        let now = self.books.clock.now();
        if self.books.orders.park_refund(parked, cause, now).await? == ParkedStatus::Waiting {
            error!(
                order_no = parked.order_no.as_str(),
                refund_id = parked.refund_id.as_str(),
                reason = parked.reason.name(),
                wechat_request_id = request_id.map(RequestId::as_str),
                what_to_do = %parked.reason,
                MoneyParked = 1,
                RefundsParked = 1,
                "refund parked for a person"
            );
        }
        Ok(())
    }
}

/// Logs that a payer has received money that is booked as owed to the payer. It must not be paid
/// again.
fn log_who_has_it(news: &RefundNews) {
    error!(
        order_no = news.order_no.as_str(),
        out_refund_no = news.out_refund_no.as_str(),
        refund_id = news.refund_id.as_str(),
        wechat_request_id = news.request_id.as_ref().map(RequestId::as_str),
        what_to_do = "do not pay the payer: check the refund in WeChat Pay's console, then record with POST .../payer-paid that WeChat Pay gave the money back",
        "a refund was sent to the merchant's account, and WeChat Pay says that the payer has it"
    );
}
