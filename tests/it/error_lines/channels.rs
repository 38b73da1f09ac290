//! Alarms that nobody is told of.

use std::time::Duration;

use serde_json::Value;

use crate::channels::ChannelBench;
use crate::support::Lines;

pub(super) async fn no_channel_takes_an_alarm() -> Vec<Value> {
    let (bench, lines) = (ChannelBench::start().await, Lines::default());
    let description = "Webhooks were given up (infra/runbooks/webhooks.md)";
    bench.alarm("shop-webhooks-dlq", description);
    bench.send("not of a topic");
    assert_eq!(lines.of(bench.work_off()).await, Some(2));
    bench.clock.advance(Duration::from_secs(6));
    assert_eq!(lines.of(bench.work_off()).await, Some(2));
    let lines = lines.take("ERROR");
    let told = lines
        .iter()
        .find(|line| line["message"] == "people on call were not told")
        .expect("its line");
    assert_eq!(told["alarms"], "shop-webhooks-dlq");
    let reason = told["reason"].as_str().expect("a text");
    assert!(reason.contains("no channel is set up"), "{reason}");
    lines
}
