//! The commands of dead-letters.md and webhooks.md.

use super::{CommandRun, TEA, answer, command_run::text};

pub(super) fn run_commands(testbed: &mut CommandRun) {
    testbed.run("dead-letters.md", "for queue in", &[]);
    let dead = |queue: &str, body: &str| {
        let url = format!("--queue-url \"$(output {queue}DlqUrl)\"");
        format!("aws sqs send-message {url} --message-body '{body}'")
    };
    let request = dead(
        "PaymentRequests",
        r#"{"v":"issue.v1","order_no":"TEA-0001"}"#,
    );
    testbed.shell.run(&request, "").expect("a dead letter");
    let requests = [("payment-results", "payment-requests")];
    let printed = testbed.run("dead-letters.md", "cargo client redrive", &requests);
    assert!(printed.contains("\"issue.v1\": 1"), "{printed}");
    assert!(printed.contains("1 messages were moved back."), "{printed}");
    let unknown = dead("PaymentResults", "{}");
    testbed.shell.run(&unknown, "").expect("a dead letter");
    let receive = "aws sqs receive-message --queue-url \"$(output PaymentResultsDlqUrl)\"";
    let received = answer(&testbed.shell.run(receive, "").expect("a message"));
    let handle = received["Messages"][0]["ReceiptHandle"].as_str();
    let handle = format!("'{}'", handle.expect("a receipt"));
    testbed.run(
        "dead-letters.md",
        "aws sqs delete-message",
        &[("HANDLE", &handle)],
    );
    let printed = testbed.run("dead-letters.md", "aws pipes describe-pipe", &[]);
    assert_eq!(answer(&printed)["CurrentState"], "RUNNING");
    let stream = "aws dynamodbstreams describe-stream --stream-arn \"$(output OrdersStreamArn)\"";
    let stream = answer(&testbed.shell.run(stream, "").expect("a stream"));
    let shard = &stream["StreamDescription"]["Shards"][0];
    let from = text(&shard["SequenceNumberRange"]["StartingSequenceNumber"]);
    let from = format!("--sequence-number {from}");
    let printed = testbed.run(
        "dead-letters.md",
        "iterator=",
        &[
            ("SHARD", &text(&shard["ShardId"])),
            ("--sequence-number NUMBER", &from),
            TEA[0],
            ("VERSION", "3"),
        ],
    );
    assert!(
        printed.contains("HTTP 202") || printed.contains("HTTP 200"),
        "{printed}"
    );
    testbed.run("webhooks.md", "logs send-webhook", &[]);
    testbed.run("webhooks.md", "cargo client redrive webhooks", &[]);
    testbed.run("webhooks.md", "cargo client webhook", &[]);
    let resend = "cargo client resend --from TIME";
    testbed.run(
        "README.md",
        resend,
        &[("TIME", "2026-08-01T12:00:00+08:00")],
    );
    testbed.run(
        "webhooks.md",
        "cargo client events ORDER_NO",
        &[TEA[0], ("VERSION", "3")],
    );
    let rule = "arn:aws:events:us-east-1:000000000000:rule/wechatpay-orders/shop";
    testbed.run(
        "webhooks.md",
        "aws events start-replay",
        &[("ARN-OF-THE-CONSUMERS-RULE", rule)],
    );
}
