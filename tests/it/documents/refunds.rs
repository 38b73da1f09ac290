//! The commands of notices.md and refunds.md.

use serde_json::{Value, json};

use super::{
    CommandRun,
    command_run::{pay, pay_wrongly},
};

/// The replacements of a refund `r1`.
const fn one(order_no: &str) -> [(&str, &str); 2] {
    [("ORDER_NO", order_no), ("REFUND_NO", "r1")]
}

/// Money of another amount, which is parked.
pub(super) fn parked_money(
    testbed: &mut CommandRun,
    simulator: &str,
    admin: &impl Fn(&str, Value),
) {
    pay_wrongly(testbed, admin, "DOC-WRONG");
    let notice = testbed.await_notice(simulator, "DOC-WRONG");
    let named = ("NOTICE_ID", notice.as_str());
    let printed = testbed.run("notices.md", "export WECHATPAY_MCHID", &[named]);
    assert!(printed.contains("amount differs"), "{printed}");
    testbed.run("notices.md", "export PAYMENT_RESULTS_QUEUE_URL", &[named]);
    let payment = format!("--transaction-id {}", notice.trim_start_matches("payment#"));
    testbed.run(
        "refunds.md",
        "cargo client refund ORDER_NO --amount-fen N",
        &[
            ("ORDER_NO", "DOC-WRONG"),
            ("--amount-fen N", "--amount-fen 77"),
            ("--transaction-id ID", &payment),
        ],
    );
    pay_wrongly(testbed, admin, "DOC-DECIDED");
    let decided = testbed.await_notice(simulator, "DOC-DECIDED");
    let decided = [("NOTICE_ID", decided.as_str())];
    let printed = testbed.run("notices.md", "cargo client notices decide", &decided);
    assert!(printed.contains("Lin Wei decided"), "{printed}");
}

/// Refunds that are abnormal or refused, and what an operator does about them.
pub(super) fn unfinished_refunds(testbed: &mut CommandRun, admin: &impl Fn(&str, Value)) {
    for (outcome, orders) in [
        ("abnormal", ["DOC-MERCHANT", "DOC-CARD"]),
        ("refused", ["DOC-RETRY", "DOC-RELEASE"]),
    ] {
        admin("refunds/outcome", json!({ "outcome": outcome }));
        for order_no in orders {
            pay(testbed, admin, order_no);
            let refund = format!("cargo client refund {order_no} --amount-fen 40 --refund-no r1");
            testbed.shell.run(&refund, "").expect("a refund");
        }
        for order_no in orders {
            testbed.await_refund(order_no, outcome);
        }
    }
    admin("refunds/outcome", json!({ "outcome": "success" }));
    let printed = testbed.run(
        "refunds.md",
        "cargo client refunds ORDER_NO",
        &one("DOC-RETRY"),
    );
    assert!(printed.contains("what_to_do"), "{printed}");
    testbed.run(
        "refunds.md",
        "cargo client refund-abnormal ORDER_NO REFUND_NO --to merchant",
        &one("DOC-MERCHANT"),
    );
    let card = r#"{"bank_type": "ICBC_DEBIT", "bank_account": "6222020000000000000", "real_name": "张三"}"#;
    testbed.run_with("refunds.md", "umask 077", &one("DOC-CARD"), card);
    assert!(
        !testbed.shell.path("card.json").exists(),
        "the card is deleted"
    );
    testbed.run("refunds.md", "cargo client refund-retry", &one("DOC-RETRY"));
    testbed.run(
        "refunds.md",
        "cargo client refund-release",
        &one("DOC-RELEASE"),
    );
    testbed.await_refund("DOC-RELEASE", "closed");
    // WeChat Pay has taken it.
    testbed.await_output("cargo client refund-status DOC-RETRY r1", "\"refund_id\"");
}

/// Money that went to the merchant: WeChat Pay has reported that, and a person records how the
/// payer was paid.
pub(super) fn payer_paid(testbed: &mut CommandRun) {
    let status = "cargo client refund-status DOC-MERCHANT r1";
    testbed.await_output(status, "\"payer_owed\": true");
    let paid = "cargo client refund-payer-paid";
    testbed.run("refunds.md", paid, &one("DOC-MERCHANT"));
}
