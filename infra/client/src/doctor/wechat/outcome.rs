//! Findings that any call to WeChat Pay may end in.

use wechat_client::api::{Host, NotSent};
use wechatpay::api::Refusal;

use crate::chain;
use crate::doctor::finding::{Finding, KEYS_PAGE};
use crate::doctor::stack::Stack;

pub(super) fn not_sent(error: &NotSent) -> Finding {
    Finding::error(
        "request-not-signed",
        "No request to WeChat Pay could be signed.",
        chain(error),
        format!(
            "see that this role may use MerchantSigningKey, and that the key is the merchant's ({KEYS_PAGE})"
        ),
    )
}

pub(super) fn host_name(stack: &Stack, host: Host) -> &str {
    match host {
        Host::Main => stack.parameter("WechatpayBaseUrl"),
        Host::Backup => stack.parameter("WechatpayBackupUrl"),
    }
}

pub(super) fn refusal_text(refusal: &Refusal) -> String {
    let detail = refusal
        .detail
        .as_ref()
        .and_then(|detail| detail.field.as_deref());
    let field = detail.map(|field| format!(", field {field}"));
    format!(
        "HTTP {} {}: {}{}",
        refusal.status,
        refusal.raw_code,
        refusal.message,
        field.unwrap_or_default()
    )
}

/// No answer that counts: none at all, or one whose signature is not believed.
pub(super) fn unanswered(stack: &Stack, host: Host, why: &str) -> Finding {
    let name = host_name(stack, host);
    if why == "time-out" || why == "no answer" {
        return Finding::error(
            "wechat-host-silent",
            format!(
                "{name} does not answer from here. Functions ask the other host then; with both silent no order can be made."
            ),
            format!("{name}: {why}"),
            "see whether a firewall or proxy keeps calls in, and WeChat Pay's notices of maintenance; run this again",
        );
    }
    Finding::error(
        "answer-unverified",
        "No key here verifies WeChat Pay's answer, so it is not believed: neither are its callbacks.",
        format!("{name}: {why}"),
        format!(
            "register the public key or certificate that WeChat Pay's console shows ({KEYS_PAGE})"
        ),
    )
}
