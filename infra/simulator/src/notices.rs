//! Notices that nothing in the books brings about: of profit sharing, of combined orders, of
//! refunds before their time, of kinds that the receiver may not know.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    books::{BookContext, Store},
    callbacks::{self, Callback, CallbackContent, NoticeFormat},
    clock,
    ids::Ids,
    order::{Order, trade_type},
    refund::RefundStatus,
};

/// A notice to be sent or signed by hand.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ManualNotice {
    /// `TRANSACTION.SUCCESS` for a receiver of profit sharing: it names an order's transaction, but
    /// is not a payment.
    ProfitSharing,
    /// `TRANSACTION.SUCCESS` of a combined order, one of whose sub-orders bears this order's
    /// number.
    Combined,
    /// A refund's notice for that final state, whatever the books say. `PROCESSING` is sent as
    /// `REFUND.SUCCESS`.
    Refund {
        /// The final state in it.
        status: RefundStatus,
    },
    /// Anything else.
    Other {
        /// `event_type` of the envelope.
        event_type: String,
        /// `original_type` of the resource; it is the associated data too.
        original_type: String,
        /// What is sealed.
        plaintext: Value,
    },
}

/// Makes a notice about an order, or about a refund by its number; `None` if there is none with
/// that number. It is not in an outbox yet. `patch` is a merge patch over the plaintext.
pub(crate) fn make(
    books: &Store,
    ids: &mut Ids,
    notice: &ManualNotice,
    about: &str,
    patch: Option<&Value>,
    now_ms: i64,
) -> Option<Callback> {
    let order = || books.orders.get(about);
    let refund = books.refunds.get(about);
    let ((event_type, original_type, summary), url, mut plaintext) = match notice {
        ManualNotice::ProfitSharing => (
            ("TRANSACTION.SUCCESS", "profitsharing", "分账动账通知"),
            order()?.notify_url.clone(),
            profit_sharing(order()?, ids, now_ms),
        ),
        ManualNotice::Combined => (
            ("TRANSACTION.SUCCESS", "transaction", "支付成功"),
            order()?.notify_url.clone(),
            combined(order()?, ids, now_ms),
        ),
        ManualNotice::Refund { status } => {
            let refund = refund?;
            let (order, payment) = books.orders.with_transaction(&refund.transaction_id)?;
            let (event_type, summary) = status
                .event()
                .or(RefundStatus::Success.event())
                .unwrap_or_default();
            (
                (event_type, "refund", summary),
                url_of_refund(refund.notify_url.as_ref(), order),
                refund.notice(order, payment, *status),
            )
        }
        ManualNotice::Other {
            event_type,
            original_type,
            plaintext,
        } => {
            let of_refund = || {
                let refund = refund?;
                let order = books.orders.get(&refund.out_trade_no)?;
                Some(url_of_refund(refund.notify_url.as_ref(), order))
            };
            let url = order()
                .map(|order| order.notify_url.clone())
                .or_else(of_refund)?;
            (
                (event_type.as_str(), original_type.as_str(), "通知"),
                url,
                plaintext.clone(),
            )
        }
    };
    if let Some(patch) = patch {
        callbacks::merge(&mut plaintext, patch);
    }
    let news = CallbackContent {
        about,
        event: (event_type, original_type, summary),
        url: &url,
        plaintext,
        format: NoticeFormat::V3,
    };
    Some(callbacks::new(ids, news, now_ms))
}

/// Makes it and lets it go out, with the faults that are drawn for it. Gives its id.
pub(crate) fn send(
    books: &mut Store,
    notice: &ManualNotice,
    about: &str,
    patch: Option<&Value>,
    tools: &mut BookContext<'_>,
) -> Option<String> {
    let now_ms = tools.clock.now_ms();
    let callback = make(books, tools.ids, notice, about, patch, now_ms)?;
    Some(books.post(callback, tools))
}

/// A refund without its own URL uses its order's URL.
fn url_of_refund(notify_url: Option<&String>, order: &Order) -> String {
    notify_url.unwrap_or(&order.notify_url).clone()
}

/// The transaction in a notice about the order: its payment's, or an unknown one.
fn transaction_id(order: &Order, ids: &mut Ids, now_ms: i64) -> String {
    let paid_as = order
        .payment
        .as_ref()
        .map(|payment| payment.transaction_id.clone());
    paid_as.unwrap_or_else(|| ids.transaction_id(now_ms))
}

fn profit_sharing(order: &Order, ids: &mut Ids, now_ms: i64) -> Value {
    json!({
        "mchid": order.mchid,
        "transaction_id": transaction_id(order, ids, now_ms),
        "order_id": ids.refund_id(now_ms),
        "out_order_no": format!("SHARE-{}", order.out_trade_no),
        "receiver": {
            "type": "MERCHANT_ID",
            "account": order.mchid,
            "amount": order.total_fen,
            "description": "simulated profit sharing",
        },
        "success_time": clock::rfc3339(now_ms),
    })
}

fn combined(order: &Order, ids: &mut Ids, now_ms: i64) -> Value {
    let sub_order = |out_trade_no: &str, transaction_id: String| {
        json!({
            "mchid": order.mchid,
            "trade_type": trade_type(order.product),
            "trade_state": "SUCCESS",
            "bank_type": "OTHERS",
            "attach": order.attach.as_deref().unwrap_or_default(),
            "success_time": clock::rfc3339(now_ms),
            "transaction_id": transaction_id,
            "out_trade_no": out_trade_no,
            "amount": {
                "total_amount": order.total_fen,
                "payer_amount": order.total_fen,
                "currency": "CNY",
                "payer_currency": "CNY",
            },
        })
    };
    let first = transaction_id(order, ids, now_ms);
    let other = format!("{}-B", order.out_trade_no);
    json!({
        "combine_appid": order.appid,
        "combine_mchid": order.mchid,
        "combine_out_trade_no": format!("COMBINED-{}", order.out_trade_no),
        "sub_orders": [
            sub_order(&order.out_trade_no, first),
            sub_order(&other, ids.transaction_id(now_ms)),
        ],
        "combine_payer_info": {"openid": order.openid.clone().unwrap_or_else(|| ids.openid())},
    })
}
