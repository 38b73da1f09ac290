//! The function dies, or an answer is lost, at any call: people are told all the same, and twice
//! only where the channel's own answer did not arrive or could not be written down.

use std::time::Duration;

use operator_channels::Kind;
use testbed::{Fault, Match};

use super::robots::{Robot, State};
use super::{ChannelBench, PAGE};

#[tokio::test]
async fn whatever_call_fails_or_is_the_last_people_are_told() {
    for fault in [
        Fault::DieBefore,
        Fault::DieAfter,
        Fault::LostAnswer,
        Fault::ServiceFault,
        Fault::Throttled,
    ] {
        for nth in 0.. {
            let bench = ChannelBench::start().await;
            let robot = Robot::start(Kind::Wecom, &bench.clock).await;
            bench.set_up("ops", &robot, 1, None).await;
            bench.wire.forget();
            bench.wire.break_after(Match::any(), nth, 1, fault);
            bench.alarm("shop-webhooks-dlq", PAGE);
            bench.work_off().await;
            let calls = bench.wire.calls();
            let struck = calls.get(nth).map(|call| call.operation.clone());
            bench.wire.mend();
            bench.work_off_within(1_000).await;
            let told = robot.texts().len();
            let Some(struck) = struck else {
                assert!(nth > 4, "{calls:?}");
                assert_eq!(told, 1);
                break;
            };
            // The record of what was told is the only write after the channel's answer, save
            // hiding messages.
            let is_after_the_answer = struck == "UpdateItem";
            let most = if is_after_the_answer { 2 } else { 1 };
            assert!(
                (1..=most).contains(&told),
                "{told} after {fault:?} at {nth} {struck}"
            );
            assert!(bench.is_empty(), "{fault:?} at {nth} {struck}");
        }
    }
}

#[tokio::test]
async fn a_channel_whose_answer_is_lost_is_followed_by_the_next_one() {
    let bench = ChannelBench::start().await;
    let (first, second) = (
        Robot::start(Kind::Wecom, &bench.clock).await,
        Robot::start(Kind::Feishu, &bench.clock).await,
    );
    bench.set_up("first", &first, 1, None).await;
    bench.set_up("second", &second, 2, None).await;
    first.turns(State::LosesAnswers);
    bench.alarm("shop-webhooks-dlq", PAGE);
    assert_eq!(bench.work_off().await, Some(0));
    assert_eq!((first.texts().len(), second.texts().len()), (1, 1));
}

#[tokio::test]
async fn of_two_invocations_with_the_same_alarm_one_tells_it() {
    let bench = ChannelBench::start().await;
    let robot = Robot::start(Kind::Wecom, &bench.clock).await;
    bench.set_up("ops", &robot, 1, None).await;
    bench.alarm("shop-webhooks-dlq", PAGE);
    // The first dies with its claim; SQS shows another copy meanwhile.
    bench.wire.break_next(
        Match::operation(testbed::Service::DynamoDb, "UpdateItem"),
        Fault::DieBefore,
    );
    assert_eq!(bench.work_off().await, None);
    bench.wire.mend();
    assert_eq!(robot.texts().len(), 1);
    bench.alarm("shop-webhooks-dlq", PAGE);
    assert_eq!(bench.work_off().await, Some(1), "another invocation has it");
    assert_eq!(robot.texts().len(), 1);
    // Nobody wrote down that it was told, so it is told once more when the lease is over.
    bench.clock.advance(Duration::from_secs(77));
    assert_eq!(bench.work_off().await, Some(0));
    bench.work_off_within(400).await;
    assert_eq!(robot.texts().len(), 2);
    assert!(bench.is_empty());
}
