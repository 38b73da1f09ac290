//! The commands of README.md for a payment by hand, and those that read an order.

use serde_json::{Value, json};

use super::{CommandRun, TEA, answer, command_run::has_curl};

pub(super) fn run_commands(testbed: &mut CommandRun, admin: &impl Fn(&str, Value)) {
    let first = "cargo client create --product native --amount-fen 100 --description \"Pot of tea\" --order-no TEA-0001";
    testbed.run("README.md", first, &[]);
    admin("pay", json!({ "order": "TEA-0001" }));
    testbed.await_output("cargo client get TEA-0001", "\"state\": \"paid\"");
    testbed.run("README.md", "cargo client get TEA-0001", &[]);
    let printed = testbed.run("README.md", "cargo client refund TEA-0001", &[]);
    assert!(printed.contains("\"state\": \"closed\""), "{printed}");
    // `cargo client trace` is among them.
    for expected in [
        "create-order",
        "payment-results",
        "awaiting_payment -> paid",
    ] {
        assert!(printed.contains(expected), "{expected} is not in {printed}");
    }
    let curl = testbed.run("README.md", "cargo client sign POST", &[]);
    if has_curl() {
        let printed = testbed.shell.run(&curl, "").expect("curl");
        assert!(printed.contains("HTTP/1.1 201"), "{printed}");
    }
    let printed = testbed.run("notices.md", "cargo client get ORDER_NO", &TEA);
    assert_eq!(answer(&printed)["order_no"], "TEA-0001");
    let printed = testbed.run("notices.md", "cargo client events ORDER_NO", &TEA);
    assert!(printed.contains("\"version\": 3"), "{printed}");
}
