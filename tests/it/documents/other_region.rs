//! restore.md: what is done in another Region. The engine has no vaults, so the tables there are
//! made by hand.

use super::{CommandRun, answer};

const PAGE: &str = "restore.md";
/// The tables that are copied there.
const TABLES: &str = "orders notices reconciliation undelivered-events keys";

pub(super) fn takes_over(testbed: &mut CommandRun) {
    testbed.run(PAGE, "export OTHER_REGION=ap-southeast-1\ngrep -v", &[]);
    let parameters = testbed.shell.path("other-region.yaml");
    let parameters = std::fs::read_to_string(parameters).expect("the parameters there");
    assert!(parameters.contains("Mchid: "), "{parameters}");
    for name in ["SecretsKeyArn", "FieldsKeyArn", "SigningKeyArn"] {
        let begin = format!("\n{name}: \"arn:aws:kms:ap-southeast-1:");
        assert_eq!(parameters.matches(&begin).count(), 1, "{parameters}");
    }
    let policy = |region: &str| {
        let id = "\"$(output SecretsKeyId)\"";
        let asked =
            format!("aws kms get-key-policy --region {region} --key-id {id} --policy-name default");
        answer(&testbed.shell.run(&asked, "").expect("a policy"))["Policy"].clone()
    };
    assert_eq!(policy("ap-southeast-1"), policy(local::engine::REGION));

    // The engine's tables are of no Region, so the stack there has another name.
    let there = "KEPT=\"$STACK\"; export KEPT STACK=elsewhere";
    testbed.shell.run(there, "").expect("another stack");
    testbed.run(PAGE, "aws iam create-role", &[]);
    let make = format!(
        "for table in {TABLES}; do aws dynamodb create-table --table-name \"$STACK-$table\" --billing-mode PAY_PER_REQUEST \
         --attribute-definitions AttributeName=pk,AttributeType=S --key-schema AttributeName=pk,KeyType=HASH \
         --deletion-protection-enabled; done"
    );
    testbed.shell.run(&make, "").expect("tables");
    let each = format!("for table in {TABLES}; do\n  aws dynamodb update-table");
    testbed.run(PAGE, &each, &[]);
    testbed.shell.run(&make, "").expect("none was left");
    testbed.run(PAGE, "for table in undelivered-events keys; do", &[]);
    let gone = "export STACK=\"$KEPT\"; unset KEPT";
    testbed.shell.run(gone, "").expect("back");
}
