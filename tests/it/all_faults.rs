//! The fault harness beside the other tests, which wait half of their time.

use std::process::Command;

/// It prints what it runs and what it found. The other tests' needs come first.
#[test]
fn no_fault_at_any_call_of_any_flow_moves_money_wrong() {
    let harness = Command::new("nice")
        .args(["-n", "19", env!("CARGO_BIN_EXE_faults")])
        .status();
    let harness = harness.expect("`nice`, which every Unix has");
    assert!(harness.success(), "its violations are above");
}
