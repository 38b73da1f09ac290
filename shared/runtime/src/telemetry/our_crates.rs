//! Which crates are ours.

/// Our crates: only these may say more than `info`.
pub(super) const OURS: [&str; 20] = [
    "console",
    "create_order",
    "flows",
    "forward_errors",
    "log_sinks",
    "manage_order",
    "message_signatures",
    "notify_operators",
    "operator_channels",
    "payments",
    "process_payment",
    "receive_callback",
    "reconcile",
    "runtime",
    "send_webhook",
    "standard_webhooks",
    "stores",
    "webhook_client",
    "wechat_client",
    "wechatpay",
];

/// Whether one of our crates logs under this target, which begins with the crate's name.
pub(super) fn is_ours(target: &str) -> bool {
    let name = target.split_once("::").map_or(target, |(name, _)| name);
    OURS.contains(&name)
}
