//! Spans that cannot go where they are to go.

use runtime::clock::Clock;
use serde_json::Value;
use wechatpay::UnixSeconds;

use crate::support::{Collector, Lines};

pub(super) async fn the_endpoint_is_none() -> Vec<Value> {
    let (clock, lines) = (Clock::manual(UnixSeconds(1_785_556_800)), Lines::default());
    let start = async {
        // A port beyond all ports.
        let at = "https://collector.example.com:70000/v1/traces";
        Collector::at(at.to_owned()).spans_of("create-order", &clock)
    };
    assert!(!lines.of(start).await.are_on(), "the function runs without");
    lines.take("ERROR")
}
