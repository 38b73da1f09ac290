//! Alarms that nobody is told of.

use std::time::Duration;

use operator_channels::Kind;

use super::{MINUTE, Watch};
use crate::channels::{ChannelBench, Robot, State};

#[tokio::test]
async fn alarms_that_no_channel_takes_are_an_alarm_of_their_own_until_one_does() {
    let bench = ChannelBench::start().await;
    let mut watch = Watch::by(&bench.clock);
    let robot = Robot::start(Kind::Wecom, &bench.clock).await;
    bench.set_up("ops", &robot, 1, None).await;
    robot.turns(State::Status(503));
    bench.alarm(
        "shop-dead-letters",
        "Given up (infra/runbooks/dead-letters.md)",
    );
    watch.of(bench.work_off()).await;
    bench.clock.advance(MINUTE);
    assert!(
        !watch.not_quiet().contains("notifications-refused"),
        "the first failure may pass"
    );
    // SQS leaves out of the queue's age what it delivered three times, so that no figure of its own
    // shows what comes now.
    // At the end an hour passes between two attempts.
    for minutes in [10, 10, 20, 40, 61, 61] {
        watch.of(bench.work_off()).await;
        bench.clock.advance(MINUTE * minutes);
        watch.goes_on("notifications-refused");
    }
    watch.says("people on call were not told", "channels.md");
    assert!(!watch.not_quiet().contains("new-error-lines"), "one call");
    robot.turns(State::Well);
    assert_eq!(watch.of(bench.work_off()).await, Some(0));
    bench.clock.advance(Duration::from_secs(4_500));
    watch.goes_off("notifications-refused");
}
