//! The messages in a queue after sending.

use runtime::clock::Clock;
use stores::queues::Queue;
use testbed::{AwsEngines, NOW, environment::RESULTS};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_kept_message_is_sent_again_byte_for_byte_and_says_that_it_was() {
    let engines = AwsEngines::new(Clock::manual(NOW));
    let kept = r#"{"v":"callback.v1", "headers":{},"body":"{\"id\":\"茶\"}"}"#;
    Queue::new(engines.aws().sqs(), RESULTS)
        .redrive(kept, TRACEPARENT)
        .await
        .expect("sent");
    let received = engines
        .queues()
        .receive(RESULTS, 10, false, engines.now_ms());
    let [message] = &received[..] else {
        panic!("one message, not {received:?}");
    };
    assert_eq!(message.body, kept);
    assert_eq!(message.attribute(Queue::REDRIVEN), Some("true"));
    assert_eq!(message.attribute("traceparent"), Some(TRACEPARENT));
}
