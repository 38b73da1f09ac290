//! Nothing readable of a payer's, and no key, leaves the tables.

use testbed::APIV3_KEY;

use super::Findings;
use crate::engine::{deployment::Deployment, logs};

/// Words that the test requests contain in place of personal data.
pub(crate) const DESCRIPTION: &str = "Tea for somebody whom nobody may know";
pub(crate) const OPENID: &str = "oPayerWhomNobodyMayKnow";

/// Queues and logs hold no plaintext of a callback, no openid, no description, no prepay value and
/// no key.
pub(super) fn nothing_readable_left_the_tables(deployment: &Deployment, found: &mut Findings) {
    let mut secrets = vec![
        (DESCRIPTION.to_owned(), "a description"),
        (OPENID.to_owned(), "an openid"),
        (APIV3_KEY.to_owned(), "the APIv3 key"),
        ("PRIVATE KEY".to_owned(), "a private key"),
        (
            "WECHATPAY2-SHA256-RSA2048 mchid".to_owned(),
            "an Authorization",
        ),
        ("\"trade_state\"".to_owned(), "a callback's plaintext"),
        ("\"refund_status\"".to_owned(), "a callback's plaintext"),
    ];
    for view in deployment.wechat().orders() {
        secrets.push((view.order.prepay.value, "a prepay value"));
        secrets.extend(
            view.order
                .payment
                .map(|payment| (payment.openid, "a payer's openid")),
        );
    }
    let log = logs::read();
    let queues = deployment.cloud.queues();
    let places = queues
        .taken()
        .into_iter()
        .chain([("the log", log.as_str())]);
    for (place, content) in places {
        for (secret, what) in &secrets {
            if content.contains(secret.as_str()) {
                let line = content
                    .lines()
                    .find(|line| line.contains(secret.as_str()))
                    .unwrap_or_default();
                found.add(
                    "nothing readable leaves the tables",
                    format!("{what} in {place}: {line}"),
                );
            }
        }
    }
}
