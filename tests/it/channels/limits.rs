//! Bursts: robots' limits and penalties are never reached, and what comes together is told
//! together.

use std::time::Duration;

use operator_channels::Kind;

use super::robots::Robot;
use super::{ChannelBench, PAGE};

#[tokio::test]
async fn a_burst_of_alarms_is_told_in_few_messages_that_fit() {
    for kind in [Kind::Wecom, Kind::Dingtalk, Kind::Feishu] {
        let bench = ChannelBench::start().await;
        let robot = Robot::start(kind, &bench.clock).await;
        bench.set_up("ops", &robot, 1, None).await;
        for number in 0..60 {
            let name = format!("shop-支付-{number}-with-a-long-name-of-an-alarm");
            bench.alarm(&name, &PAGE.repeat(4));
        }
        bench.work_off_within(120).await;
        assert!(bench.is_empty(), "{kind:?}");
        let texts = robot.texts();
        assert_eq!(texts.len(), 6, "{kind:?}: ten alarms in a message");
        let told = texts.concat();
        for number in 0..60 {
            assert!(
                told.contains(&format!("shop-支付-{number}-")),
                "{kind:?} {number}"
            );
        }
        assert_eq!(robot.over_limit(), 0, "{kind:?}");
    }
}

#[tokio::test]
async fn alarms_one_by_one_never_reach_a_robots_limit_and_none_is_lost() {
    for kind in [Kind::Wecom, Kind::Dingtalk, Kind::Feishu] {
        let bench = ChannelBench::start().await;
        let robot = Robot::start(kind, &bench.clock).await;
        bench.set_up("ops", &robot, 1, None).await;
        for number in 0..50 {
            bench.alarm(&format!("shop-{number}."), PAGE);
            bench.work_off().await;
            bench.clock.advance(Duration::from_millis(150));
        }
        bench.work_off_within(300).await;
        assert!(bench.is_empty(), "{kind:?}");
        assert_eq!(robot.over_limit(), 0, "{kind:?}");
        let told = robot.texts().concat();
        for number in 0..50 {
            let name = format!("[ALARM] shop-{number}.");
            assert_eq!(told.matches(&name).count(), 1, "{kind:?} {number}");
        }
    }
}

#[tokio::test]
async fn a_full_channel_hands_over_to_the_next_one() {
    let bench = ChannelBench::start().await;
    let (first, second) = (
        Robot::start(Kind::Dingtalk, &bench.clock).await,
        Robot::start(Kind::Wecom, &bench.clock).await,
    );
    bench.set_up("first", &first, 1, None).await;
    bench.set_up("second", &second, 2, None).await;
    for number in 0..20 {
        bench.alarm(&format!("shop-{number}."), PAGE);
        assert_eq!(bench.work_off().await, Some(0));
    }
    assert_eq!((first.texts().len(), second.texts().len()), (18, 2));
    assert!(second.texts()[0].contains("it has had as many messages as it takes in a minute"));
    assert_eq!(first.over_limit(), 0);
}

#[tokio::test]
async fn a_robot_that_others_have_brought_over_its_limit_is_left_alone_until_it_takes_messages() {
    let bench = ChannelBench::start().await;
    let robot = Robot::start(Kind::Dingtalk, &bench.clock).await;
    bench.set_up("ops", &robot, 1, None).await;
    robot.others_send(20);
    bench.alarm("shop-webhooks-dlq", PAGE);
    assert_eq!(bench.work_off().await, Some(1));
    assert_eq!(robot.over_limit(), 1);
    // Each call more would prolong its penalty.
    bench.work_off_within(900).await;
    assert_eq!(robot.over_limit(), 1);
    assert_eq!(robot.texts().len(), 1);
    assert!(bench.is_empty());
}
