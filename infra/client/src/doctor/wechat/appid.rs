//! Whether orders can be made with an appid.

use payments::news::call_outcome::CallOutcome;
use wechat_client::api::Host;
use wechatpay::UnixSeconds;
use wechatpay::api::{
    Close, ErrorCode, PrepayAmount, PrepayBody, PrepayCall, PrepayProduct, Refusal,
};
use wechatpay::time::format_rfc3339_beijing;

use super::merchant::{CALL_LIMIT, Merchant};
use super::outcome::{not_sent, refusal_text, unanswered};
use crate::doctor::finding::Finding;

/// The orders that prove the appids are never paid; they are closed at once, and expire by
/// themselves where a close is lost. WeChat Pay accepts no less than a minute.
const PROOF_ENDS_S: i64 = 300;

impl Merchant<'_> {
    /// Whether an order may be made with this appid. The order is of one fen, is shown to no payer,
    /// and is closed at once.
    pub(super) async fn appid(&self, appid: &str, host: Host) -> Option<Finding> {
        let order_no = format!(
            "doctor{}",
            self.random.nonce().get(..26).unwrap_or_default()
        );
        let expires = UnixSeconds(self.clock.now().0.saturating_add(PROOF_ENDS_S));
        let body = PrepayBody {
            appid: appid.to_owned(),
            mchid: self.api.mchid().to_owned(),
            description: "doctor".to_owned(),
            out_trade_no: order_no.clone(),
            time_expire: Some(format_rfc3339_beijing(expires)),
            notify_url: self.stack.output("NotifyUrl").to_owned(),
            amount: PrepayAmount {
                total: 1,
                currency: None,
            },
            ..PrepayBody::default()
        };
        let prepay = PrepayCall::new(PrepayProduct::Native, &body);
        let outcome = match self.api.call(&prepay, host, CALL_LIMIT).await {
            Ok(reply) => reply.answer,
            Err(error) => return Some(not_sent(&error)),
        };
        let close = Close {
            mchid: self.api.mchid().to_owned(),
            out_trade_no: order_no,
        };
        // One that is not closed runs out in minutes.
        drop(self.api.call(&close, host, CALL_LIMIT).await);
        match outcome {
            CallOutcome::Done(_) | CallOutcome::Unreadable(_) => None,
            CallOutcome::Refused(refusal) => Some(order_refused(appid, &refusal)),
            CallOutcome::Unknown(why) => Some(unanswered(self.stack, host, &why)),
        }
    }
}

/// Why no order can be made with an appid.
fn order_refused(appid: &str, refusal: &Refusal) -> Finding {
    if refusal.code == ErrorCode::AppidMchidNotMatch {
        return Finding::error(
            "appid-not-bound",
            format!(
                "No order can be made with {appid}: WeChat Pay does not know it as this merchant's."
            ),
            refusal_text(refusal),
            "bind it to the merchant number in WeChat Pay's console (AppID accounts), or correct the parameter Appids",
        );
    }
    if refusal.code == ErrorCode::NoAuth {
        return Finding::warning(
            "native-not-open",
            format!(
                "Whether {appid} is bound is not proved: the merchant may not make Native orders, which prove it."
            ),
            refusal_text(refusal),
            "apply for Native payment in WeChat Pay's console if you want it; else make one order of your product with this appid",
        );
    }
    Finding::error(
        "order-refused",
        format!("WeChat Pay refuses an order with {appid}."),
        refusal_text(refusal),
        refusal
            .what_to_do()
            .unwrap_or("look the code up in WeChat Pay's manual"),
    )
}
