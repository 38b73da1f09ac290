//! `cargo measure availability` on the running bundle, with a day of seconds.

use std::process::Command;

use serde_json::Value;

/// Orders of 24 seconds at 90 a minute.
const ORDERS: u64 = 36;

#[test]
fn a_day_of_seconds_loses_no_callback_and_shows_what_the_second_host_is_worth() {
    let number = |figures: &Value, pointer: &str| {
        let number = figures.pointer(pointer).and_then(Value::as_u64);
        number.unwrap_or_else(|| panic!("no {pointer} in {figures:#}"))
    };
    let measured = Command::new(env!("CARGO_BIN_EXE_measure"))
        .args(["availability", "--seconds", "24"])
        .args(["--orders-per-minute", "90"])
        // What is in work then comes again after three minutes.
        .args(["--without", "engine-restarts", "--json"])
        .output()
        .expect("the measure");
    let said = String::from_utf8_lossy(&measured.stderr).into_owned();
    assert!(measured.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&measured.stdout).expect("JSON");
    let (with, without) = (&report["figures"]["with"], &report["figures"]["without"]);
    for figures in [with, without] {
        assert_eq!(number(figures, "/payments"), ORDERS, "{figures:#}");
        assert_eq!(number(figures, "/lost_callbacks"), 0);
        // Each order and each callback was an event of its objective, and most were good.
        for objective in ["orders", "callbacks"] {
            let of = number(figures, &format!("/{objective}/of"));
            let good = number(figures, &format!("/{objective}/good"));
            assert!(of >= ORDERS && good <= of && good * 2 > of, "{figures:#}");
        }
        let brought = figures["brought_by"].as_object().expect("an object");
        let brought: u64 = brought.values().filter_map(Value::as_u64).sum();
        assert!(brought >= ORDERS, "{figures:#}");
        for percentiles in ["payable_ms", "settlement_s"] {
            let percentile = |name: &str| number(figures, &format!("/{percentiles}/{name}"));
            assert!(percentile("p50") <= percentile("p99"), "{figures:#}");
        }
    }
    // The main host is dead, and the backup answers: who does not ask it has no value to give.
    let dead = "/value_at_once_during/main-host-refuses";
    let at_once = |figures: &Value| number(figures, &format!("{dead}/good"));
    assert_eq!(
        number(with, &format!("{dead}/of")),
        number(without, &format!("{dead}/of"))
    );
    assert!(at_once(with) > at_once(without), "{report:#}");
    assert!(number(with, "/requests/backup") > 0, "{with:#}");
    assert_eq!(number(without, "/requests/backup"), 0, "{without:#}");
    assert_eq!(number(without, "/host_state_changes"), 0, "{without:#}");
}
