//! The fault harness beside the other tests, which wait half of their time.

use std::process::Command;

/// It says itself what it plays and what it found. Whatever the other tests need goes first.
#[test]
fn no_fault_at_any_call_of_any_flow_moves_money_wrong() {
    let harness = Command::new("nice")
        .args(["-n", "19", env!("CARGO_BIN_EXE_faults")])
        .status();
    let harness = harness.expect("`nice`, which every Unix has");
    assert!(harness.success(), "its violations are told above");
}
