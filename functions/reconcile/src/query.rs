//! Queries WeChat Pay about one payment or one refund of a difference. The result is its state, or
//! an answer that a repeat would not change. Without an answer the day's message is delivered
//! again.

use std::time::Duration;

use flows::query_order::{QueryError, QueryOutcome};
use payments::{
    model::ids::{OutRefundNo, TransactionId},
    news::{
        call_outcome::CallOutcome,
        refund::RefundNews,
        trade::{ReportedPayment, TradeNotice, TradeOutcome},
        unreadable::UnreadableNotice,
    },
};
use tracing::warn;
use wechat_client::api::CallReply;
use wechatpay::{
    RequestId,
    api::{ErrorCode, QueryRefund, Refusal, Repeat, Side},
    wire::Refund,
};

use crate::{app::App, error::DayError};

/// How long WeChat Pay may take for one answer.
const ASK_WITHIN: Duration = Duration::from_secs(6);

/// The answer, or for operators the reason why there is none.
pub(crate) type QueryResult<T> = Result<T, String>;

/// A payment as WeChat Pay reports it.
pub(crate) struct QueriedPayment {
    /// The same content as in a callback.
    pub(crate) notice: TradeNotice,
    /// Its product, in WeChat Pay's words.
    pub(crate) trade_type: Option<String>,
}

/// Asks about a payment by WeChat Pay's number. Nothing is settled.
///
/// # Errors
/// [`DayError`] when it did not answer.
pub(crate) async fn payment(
    app: &App,
    transaction_id: &TransactionId,
) -> Result<QueryResult<QueriedPayment>, DayError> {
    let asked = match app.query_flow.payment(transaction_id, ASK_WITHIN).await {
        Err(QueryError::Unreadable(unreadable)) => return Ok(Err(unread("payment", &unreadable))),
        asked => asked?,
    };
    let (transaction, request_id) = match asked {
        Ok(answer) => answer,
        Err(QueryOutcome::NotThere) => {
            return Ok(Err("WeChat Pay says that it has no such payment".into()));
        }
        Err(QueryOutcome::Refused(refusal)) => return refused(&refusal).map(Err),
        Err(QueryOutcome::Unknown(what)) => return Err(unanswered(&what)),
        Err(QueryOutcome::Settled(_)) => return Err(unanswered("settled")),
    };
    let trade_type = transaction.trade_type.clone();
    Ok(match TradeNotice::try_from(transaction) {
        Ok(notice) => Ok(QueriedPayment {
            notice: notice.with_request_id(request_id),
            trade_type,
        }),
        Err(unreadable) => Err(unread("payment", &unreadable)),
    })
}

/// A payment of which WeChat Pay says that it succeeded.
pub(crate) struct SucceededPayment {
    /// As in [`QueriedPayment`].
    pub(crate) notice: TradeNotice,
    /// What was paid.
    pub(crate) money: ReportedPayment,
    /// As in [`QueriedPayment`].
    pub(crate) trade_type: Option<String>,
}

/// Asks about a payment that is to be booked. Nothing is settled.
///
/// # Errors
/// [`DayError`] when it did not answer.
pub(crate) async fn paid(
    app: &App,
    transaction_id: &TransactionId,
) -> Result<QueryResult<SucceededPayment>, DayError> {
    let QueriedPayment { notice, trade_type } = match payment(app, transaction_id).await? {
        Ok(answer) => answer,
        Err(why) => return Ok(Err(why)),
    };
    let money = match &notice.outcome {
        TradeOutcome::Paid(money) => money.clone(),
        TradeOutcome::Unpaid | TradeOutcome::Closed => return Ok(Err(DID_NOT_SUCCEED.into())),
    };
    Ok(Ok(SucceededPayment {
        notice,
        money,
        trade_type,
    }))
}

/// The text about a payment that is not a success.
pub(crate) const DID_NOT_SUCCEED: &str = "WeChat Pay says of the payment that it did not succeed";

/// Asks about a refund by the number that WeChat Pay was given. Nothing is settled.
///
/// # Errors
/// [`DayError`] when it did not answer.
pub(crate) async fn refund(
    app: &App,
    out_refund_no: &OutRefundNo,
) -> Result<QueryResult<Box<RefundNews>>, DayError> {
    let query = QueryRefund {
        out_refund_no: out_refund_no.as_str().to_owned(),
    };
    let CallReply { answer, request_id } = app.wechat.call_either(&query, ASK_WITHIN).await?;
    match answer {
        CallOutcome::Done(answer) => Ok(read(answer, request_id)),
        CallOutcome::Refused(refusal) if refusal.code == ErrorCode::ResourceNotExists => {
            Ok(Err("WeChat Pay says that it has no such refund".into()))
        }
        CallOutcome::Refused(refusal) => refused(&refusal).map(Err),
        CallOutcome::Unreadable(unreadable) => {
            Ok(Err(unread("refund", &UnreadableNotice::Answer(unreadable))))
        }
        CallOutcome::Unknown(what) => Err(unanswered(&what)),
    }
}

fn read(answer: Refund, request_id: Option<RequestId>) -> QueryResult<Box<RefundNews>> {
    RefundNews::try_from(answer)
        .map(|news| Box::new(news.with_request_id(request_id)))
        .map_err(|unreadable| unread("refund", &unreadable))
}

/// The text about an answer that WeChat Pay signed but that cannot be booked. A repeat would not
/// change it, so it only affects this one difference and not the day.
fn unread(what: &str, unreadable: &UnreadableNotice) -> String {
    warn!(%unreadable, "WeChat Pay's answer about a {what} of the bill cannot be taken into our books");
    format!(
        "our books cannot hold it: WeChat Pay answered about the {what}, and not as our books can take it ({unreadable}); look it up in its console and settle it there, then explain the difference"
    )
}

/// Whether a refusal is temporary; if not, its result.
fn refused(refusal: &Refusal) -> Result<String, DayError> {
    let passes = match refusal.side() {
        // A block of the merchant says nothing about this payment or refund.
        Side::Merchant => true,
        // An error page without a code is from a proxy. An unknown code is an answer that a repeat
        // would not change: one payment must not block the day.
        Side::Unknown => refusal.raw_code.is_empty(),
        Side::Request | Side::Passing => {
            matches!(refusal.repeat(), Repeat::WithBackoff | Repeat::Later)
        }
    };
    if passes {
        return Err(DayError::Passing(
            format!("WeChat Pay gives no answer about a difference for now: {refusal}").into(),
        ));
    }
    Ok(format!(
        "WeChat Pay refuses the query ({}): check it in its console",
        refusal.raw_code
    ))
}

/// WeChat Pay gave no answer that counts: the day comes again.
fn unanswered(what: &str) -> DayError {
    DayError::Passing(
        format!("WeChat Pay did not answer a question about a difference ({what})").into(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_the_days_matter_only_where_it_passes_or_is_about_the_merchant() {
        for (status, body, passes) in [
            (403, r#"{"code":"REQUEST_BLOCKED"}"#, true),
            (401, r#"{"code":"SIGN_ERROR"}"#, true),
            (429, r#"{"code":"FREQUENCY_LIMITED"}"#, true),
            (500, r#"{"code":"SYSTEM_ERROR"}"#, true),
            (503, r#"{"code":"A_NEW_ONE"}"#, true),
            (403, "<html>", true),
            (400, r#"{"code":"PARAM_ERROR"}"#, false),
            (403, r#"{"code":"RULE_LIMIT"}"#, false),
            (404, r#"{"code":"NOT_FOUND"}"#, false),
            (404, r#"{"code":"A_NEW_ONE"}"#, false),
        ] {
            let refusal = Refusal::read(status, body.as_bytes());
            let result = refused(&refusal);
            assert_eq!(result.is_err(), passes, "{status} {body}");
            if let Err(error) = result {
                let source = format!("{:?}", std::error::Error::source(&error));
                assert!(!source.contains("did not answer"), "{source}");
            }
        }
    }
}
