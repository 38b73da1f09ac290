//! The commands of reconciliation.md and restore.md.

use super::{CommandRun, TEA, answer, command_run::text};

/// The day that `cargo local` reconciled.
pub(super) fn reconciled_day(testbed: &mut CommandRun, day: &str, mchid: &str) {
    let of_day = [("2026-08-01", day)];
    let printed = testbed.run("reconciliation.md", "export WECHATPAY_MCHID", &of_day);
    let run = printed
        .rfind("\n}")
        .map(|end| &printed[..end + 2])
        .expect("a record");
    let run = answer(run);
    assert_eq!(run["state"], "done");
    assert!(printed.contains("duplicate_payment"), "{printed}");
    let printed = testbed.run("reconciliation.md", "DAY=", &[("2026-08-01", day)]);
    assert!(printed.contains("MessageId"), "{printed}");
    let sha1 = text(&run["bills"]["trade"]["sha1"]);
    let printed = testbed.run("reconciliation.md", "aws s3 cp", &[("<sha1>", &sha1)]);
    assert!(printed.starts_with(&sha1), "{printed}");
    testbed.run("reconciliation.md", "logs reconcile", &[]);
    let printed = testbed.run("reconciliation.md", "output Mchid", &[]);
    assert!(printed.contains(mchid), "{printed}");
}

/// The whole of restore.md on the stack as it stands.
pub(super) fn restore(testbed: &mut CommandRun, day: &str, mchid: &str) {
    testbed.run("restore.md", "mkdir -p stopped", &[]);
    testbed.run("restore.md", "export MOMENT", &[]);
    let printed = testbed.run("restore.md", "aws dynamodb query", &TEA);
    assert!(printed.contains("#TEA-0001\""), "{printed}");
    for begin in ["backup=", "aws dynamodb wait"] {
        let each = "for table in orders notices reconciliation; do\n  ";
        testbed.run("restore.md", &format!("{each}{begin}"), &[]);
    }
    testbed.run("restore.md", "for id in", &[]);
    let days = ("2026-08-01 2026-08-02", day);
    testbed.run("restore.md", "for day in", &[days]);
    testbed.run("restore.md", "for function in", &[]);
    let record = format!(
        "aws dynamodb get-item --table-name \"$STACK-reconciliation\" --output text --query Item.body.S \
         --key '{{\"pk\":{{\"S\":\"day#{mchid}#{day}\"}},\"sk\":{{\"S\":\"run\"}}}}'"
    );
    testbed.await_output(&record, &format!("restore-{day}-"));
    testbed.await_output(&record, "\"done\"");
    let printed = testbed.shell.run("cargo client get TEA-0001", "");
    assert_eq!(answer(&printed.expect("the order"))["refunded_fen"], 40);
    let again = "for table in orders notices reconciliation; do aws dynamodb delete-table";
    testbed.run("restore.md", again, &[]);
}
