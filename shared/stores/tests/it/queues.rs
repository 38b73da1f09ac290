//! The messages in a queue after sending.

use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use stores::queues::Queue;

use testbed::engine_endpoint;

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test]
async fn a_kept_message_is_sent_again_byte_for_byte_and_says_that_it_was() {
    let sqs = Aws::new(&AwsSettings::local(engine_endpoint()), &Clock::system()).sqs();
    let made = sqs.create_queue().queue_name("redriven").send().await;
    let url = made.expect("a queue").queue_url.expect("its URL");
    let kept = r#"{"v":"callback.v1", "headers":{},"body":"{\"id\":\"茶\"}"}"#;
    Queue::new(sqs.clone(), &url)
        .redrive(kept, TRACEPARENT)
        .await
        .expect("sent");
    let received = sqs
        .receive_message()
        .queue_url(&url)
        .message_attribute_names("All")
        .send()
        .await
        .expect("an answer");
    let [message] = received.messages() else {
        panic!("one message, not {received:?}");
    };
    assert_eq!(message.body(), Some(kept));
    let attribute = |name: &str| {
        let attributes = message.message_attributes()?;
        attributes.get(name)?.string_value()
    };
    assert_eq!(attribute(Queue::REDRIVEN), Some("true"));
    assert_eq!(attribute("traceparent"), Some(TRACEPARENT));
}
