//! The commands that are not run here, with the reasons.

/// The command of infra/DEPLOY.md that deploys the record of who changes keys.
const AUDIT: &str = r#"aws cloudformation deploy --stack-name wechatpay-audit --template-file infra/audit.yaml --capabilities CAPABILITY_IAM \
  --parameter-overrides Stack="$STACK" Mchid="$WECHATPAY_MCHID" AlarmTopicArn=TOPIC_ARN \
    MerchantSigningKeyId="$(output MerchantSigningKeyId)" SecretsKeyId="$(output SecretsKeyId)" \
    FieldsKeyId="$(output FieldsKeyId)" StorageKeyId="$(output StorageKeyId)" \
    KeysTableName="$(output KeysTableName)" EvidenceBucketName="$(output EvidenceBucketName)""#;

/// The command of infra/DEPLOY.md that makes subnets with fixed addresses.
const NETWORK: &str = r#"aws cloudformation deploy --stack-name wechatpay-network --template-file infra/network.yaml \
  --parameter-overrides NatGateways=2 InterfaceEndpoints=false"#;

/// The commands of infra/DEPLOY.md for backups: the vault of the copies, and the plan.
const COPIES: &str = r#"aws cloudformation deploy --region "$OTHER_REGION" --stack-name wechatpay-backup --template-file infra/backup.yaml \
  --capabilities CAPABILITY_IAM --parameter-overrides Mchid="$WECHATPAY_MCHID" CopiesOnly=true"#;
const BACKUPS: &str = r#"aws cloudformation deploy --stack-name wechatpay-backup --template-file infra/backup.yaml --capabilities CAPABILITY_IAM \
  --parameter-overrides Stack="$STACK" Mchid="$WECHATPAY_MCHID" EvidenceBucketName="$(output EvidenceBucketName)" \
    RetentionDays=90 BackupCopyVaultArn=VAULT_ARN AlarmTopicArn=TOPIC_ARN"#;

/// The command that shows which backup failed, and why.
const BACKUP_FAILURES: &str = r#"aws logs filter-log-events --log-group-name /aws/events/wechatpay-backup --filter-pattern '{ $.detail.state != "COMPLETED" }' \
  --start-time "$(($(date +%s) * 1000 - 172800000))" --query 'events[].message' --output text"#;

/// The command of infra/DEPLOY.md that deploys CloudFront and WAF.
const EDGE: &str = r#"aws cloudformation deploy --region us-east-1 --stack-name wechatpay-edge --template-file infra/edge.yaml \
  --parameter-overrides DomainName=pay.example.com CertificateArn=CERTIFICATE_ARN_IN_US_EAST_1 \
    ApiTarget="$(output DomainTarget)" ClientCertificateArn=EDGE_CERTIFICATE_ARN RequestsPerMinute=15000 PriceClass=PriceClass_All"#;

/// The command that stops a release.
const STOP: &str = r#"application="$(aws cloudformation describe-stack-resource --stack-name "$STACK" \
  --logical-resource-id ServerlessDeploymentApplication --query StackResourceDetail.PhysicalResourceId --output text)"
for group in $(aws deploy list-deployment-groups --application-name "$application" --query 'deploymentGroups[]' --output text); do
  for deployment in $(aws deploy list-deployments --application-name "$application" --deployment-group-name "$group" \
      --include-only-statuses InProgress --query 'deployments[]' --output text); do
    aws deploy stop-deployment --deployment-id "$deployment" --auto-rollback-enabled
  done
done"#;

/// The command of infra/runbooks/restore.md that makes the Pipe again.
const PIPE: &str = r#"aws pipes describe-pipe --name "$STACK-order-events" --output json --query \
  '{Name:Name,Description:Description,RoleArn:RoleArn,Source:Source,SourceParameters:SourceParameters,Target:Target,TargetParameters:TargetParameters,Tags:Tags}' \
  > stopped/pipe.json
stream="$(aws dynamodb describe-table --table-name "$STACK-orders" --query Table.LatestStreamArn --output text)"
aws pipes delete-pipe --name "$STACK-order-events"
while aws pipes describe-pipe --name "$STACK-order-events" > /dev/null 2>&1; do sleep 5; done
aws pipes create-pipe --cli-input-json file://stopped/pipe.json --source "$stream" --desired-state RUNNING"#;

/// Those of it that work in another Region.
const DEPLOY_THERE: &str = r#"export OTHER_REGION=ap-southeast-1
export AWS_REGION="$OTHER_REGION" AWS_DEFAULT_REGION="$OTHER_REGION"
sam deploy --region "$OTHER_REGION" --stack-name "$STACK" --parameter-overrides file://other-region.yaml Release="$(date -u +%Y%m%d-%H%M)" GradualRelease=off"#;
const RESTORE_THERE: &str = r#"role="$(aws iam get-role --role-name "$STACK-restore" --query Role.Arn --output text)"
storage="$(aws kms describe-key --key-id "$(output StorageKeyId)" --query KeyMetadata.Arn --output text)"
for table in orders notices reconciliation undelivered-events keys; do
  copy="$(aws backup list-recovery-points-by-backup-vault --backup-vault-name wechatpay-backup --by-resource-type DynamoDB --output json \
    --query "reverse(sort_by(RecoveryPoints[?Status=='COMPLETED' && ends_with(ResourceArn, ':table/$STACK-$table')], &CreationDate))[0].RecoveryPointArn" |
    tr -d '"')"
  [ "${copy:-null}" != null ] || { echo "$table: no copy"; continue; }
  job="$(aws backup start-restore-job --recovery-point-arn "$copy" --iam-role-arn "$role" --resource-type DynamoDB \
    --metadata "targetTableName=$STACK-$table,encryptionType=KMS,kmsMasterKeyArn=$storage" --query RestoreJobId --output text)" || { echo "$table: not begun"; continue; }
  until state="$(aws backup describe-restore-job --restore-job-id "$job" --query Status --output text)" &&
    [ "$state" != PENDING ] && [ "$state" != RUNNING ]; do sleep 30; done
  echo "$table: $state"
done"#;

/// The command that shows why a first deployment failed.
const FAILED: &str = r#"aws cloudformation describe-stack-events --stack-name "$STACK" --output table \
  --query 'StackEvents[?ResourceStatus==`CREATE_FAILED`].[LogicalResourceId,ResourceStatusReason]'"#;

/// The command that switches AWS Backup on.
const REGIONS: &str = r#"export OTHER_REGION=ap-southeast-1
for region in "$AWS_REGION" "$OTHER_REGION"; do
  aws backup update-region-settings --region "$region" --resource-type-opt-in-preference DynamoDB=true,S3=true \
    --resource-type-management-preference DynamoDB=true
  aws backup describe-region-settings --region "$region"
done"#;

/// The command that shows where the copies of backups are.
const VAULT: &str = r#"aws cloudformation describe-stacks --region "$OTHER_REGION" --stack-name wechatpay-backup --output text \
  --query "Stacks[0].Outputs[?OutputKey=='VaultArn'].OutputValue""#;

/// The command of infra/runbooks/doctor.md that puts back what was changed by hand.
const PUT_BACK: &str = r#"aws cloudformation execute-change-set --stack-name "$STACK" --change-set-name "$CHANGE"
aws cloudformation wait stack-update-complete --stack-name "$STACK""#;

/// The command of infra/runbooks/restore.md that restores a table that was deleted.
const DELETED: &str = r#"for table in orders; do
  backup="$(aws dynamodb list-backups --table-name "$STACK-$table" --backup-type SYSTEM \
    --query 'sort_by(BackupSummaries, &BackupCreationDateTime)[-1].BackupArn' --output text)"
  aws dynamodb restore-table-from-backup --target-table-name "$STACK-$table" --backup-arn "$backup"
done"#;

/// The command of infra/DEPLOY.md that makes the topics of alarms.
const TOPICS: &str = r#"aws cloudformation deploy --stack-name wechatpay-alarms --template-file infra/alarm-topics.yaml --parameter-overrides Email=oncall@example.com
aws cloudformation describe-stacks --stack-name wechatpay-alarms --query 'Stacks[0].Outputs[].[OutputKey,OutputValue]' --output text"#;

/// The commands of infra/runbooks/channels.md that set channels up.
const CHANNELS: &str = r#"cargo client setup channel add --name ops --kind wecom --address-file robot.txt --page 1 --ticket 2
cargo client setup channel add --name ops-2 --kind dingtalk --address-file robot-2.txt --secret-file secret-2.txt --page 2 --ticket 1
cargo client setup channel add --name mail --kind sns --page 3
cargo client setup channel list
cargo client setup channel test --name ops
rm robot.txt robot-2.txt secret-2.txt"#;

/// The command that tests the whole way of an alarm.
const TEST_ALARM: &str = r#"aws cloudwatch set-alarm-state --alarm-name "$STACK-differences-opened" --state-value ALARM --state-reason "a test: nothing to do""#;

/// The commands that show who was not told of what.
const NOBODY_TOLD: &str = r#"aws cloudwatch describe-alarms --alarm-types MetricAlarm CompositeAlarm --alarm-name-prefix "$STACK-" --state-value ALARM --query '[MetricAlarms,CompositeAlarms][].AlarmName'
logs notify-operators '{ $.level = "ERROR" || $.level = "WARN" }'
cargo client setup channel list
cargo client setup channel test --name ops"#;

/// The command that shows what became of an alarm's actions.
const HISTORY: &str = r#"aws cloudwatch describe-alarm-history --alarm-name "$STACK-new-errors" --alarm-types CompositeAlarm --history-item-type Action --max-records 5"#;

/// The commands that tell people what nobody was told.
const REDRIVE_NOTIFICATIONS: &str = r#"cargo client redrive notifications --stack "$STACK" --dry-run
cargo client redrive notifications --stack "$STACK""#;

/// The commands of infra/runbooks/channels.md for planned work.
const SILENCE: &str = r#"aws cloudwatch disable-alarm-actions --alarm-names "$STACK-wechat-pay-failing"
aws cloudwatch enable-alarm-actions --alarm-names "$STACK-wechat-pay-failing""#;

/// The commands of infra/runbooks/logs.md for what lines are forwarded to.
const SINKS: &str = r#"cargo client setup log-sink add --kind sentry --dsn-file dsn.txt
cargo client setup log-sink add --kind loki --address https://loki.example.com --tenant shop --user 42 --password-file password.txt
cargo client setup log-sink list
cargo client setup log-sink test --kind sentry
rm dsn.txt password.txt"#;

/// The commands that show which lines were not taken, and why.
const NOT_TAKEN: &str = r#"aws sqs receive-message --queue-url "$(output ForwardErrorsDlqUrl)" --max-number-of-messages 10 --message-attribute-names All --query 'Messages[].MessageAttributes.ErrorMessage.StringValue'
logs forward-errors '{ $.level = "WARN" }'
cargo client setup log-sink test --kind sentry"#;

/// The commands that send them again.
const FORWARD_AGAIN: &str = r#"aws lambda invoke --function-name "$STACK-forward-errors" --qualifier live --invocation-type Event --payload fileb://event.json answer.json
aws sqs delete-message --queue-url "$(output ForwardErrorsDlqUrl)" --receipt-handle HANDLE"#;

/// The commands that are not run here, and why.
pub(super) const NOT_RUN: [(&str, &str); 62] = [
    ("cargo local", "this test's stack is started by it"),
    ("cargo local --once", "`one_command` runs it"),
    (
        "cargo local --help",
        "it prints words; its parser has tests",
    ),
    (
        "cargo test --workspace --locked",
        "it runs this test; `.ci/run` looks for it in the README",
    ),
    (
        "cargo faults",
        "a shorter run is part of the tests: tests/faults",
    ),
    (
        "cargo faults --with-previous",
        "it builds the release before; `.ci/weekly` runs it",
    ),
    (
        "cargo known-bugs",
        "it builds a copy of the workspace; `.ci/run` runs it",
    ),
    (
        "cargo measure callback | coldstart | warm | reconcile",
        "a release build and minutes of measuring; infra/measure has tests",
    ),
    (
        "cargo measure availability",
        "infra/measure/tests has a day of seconds",
    ),
    ("cargo lambda watch", "names a command of it"),
    (
        "cargo client create --product native --amount-fen 100 --description \"Pot of tea\" --order-no TEA-0004 \
         --settings .aws-sam/client.json",
        "tests/sam/prove.py creates an order by it",
    ),
    (
        "SAM_BUILD_MODE=debug sam build --parameter-overrides Architecture=x86_64",
        "`.ci/run` runs it",
    ),
    (
        "target/ci/sam/bin/python infra/local/sam_local.py",
        "tests/sam/prove.py runs it",
    ),
    (
        "sam local invoke CreateOrder --event tests/fixtures/events/create-order.json",
        "tests/sam/prove.py runs it for each function",
    ),
    (
        "sam local start-api",
        "tests/sam/prove.py calls every route of it",
    ),
    (
        "cargo lambda watch --invoke-address 127.0.0.1 --env-file .aws-sam/local.env",
        "it stays, and builds; tests/sam/prove.py runs it without that, and flows::sandbox has a test of what it does unlike Lambda",
    ),
    (
        "cargo lambda invoke process-payment --invoke-address 127.0.0.1 --data-file tests/fixtures/events/process-payment.json",
        "tests/sam/prove.py runs it for this function and others",
    ),
    ("bash .ci/tools target/ci", "`.ci/run` runs it"),
    (
        "export PATH=\"$PWD/target/ci/sam/bin:$PATH\"",
        "it finds what the command before installs",
    ),
    (
        "rustup target add aarch64-unknown-linux-gnu",
        "it downloads; infra/client/tests/it/doctor/preflight.rs has what says that it is missing",
    ),
    (
        "aws service-quotas request-service-quota-increase --service-code lambda --quota-code L-B99A9384 --desired-value 1000",
        "the engine has no Service Quotas",
    ),
    (
        "sam build --parameter-overrides file://live.yaml",
        "`.ci/run` runs `sam build`; tests/sam/rules_test.py reads the files of parameters as SAM does",
    ),
    (
        "sam deploy --stack-name \"$STACK\" --parameter-overrides file://live.yaml Release=\"$(date -u +%Y%m%d-%H%M)\"",
        "it needs an account; this test's stack is deployed from the same template",
    ),
    (
        "sam deploy --stack-name \"$STACK\" --parameter-overrides file://live.yaml Release=\"$(date -u +%Y%m%d-%H%M)\" \
         GradualRelease=off",
        "it needs an account; tests/sam/rules_test.py knows the parameter",
    ),
    (
        FAILED,
        "the local engine's deployer takes no failed deployment back",
    ),
    (
        "aws cloudformation delete-stack --stack-name \"$STACK\" && aws cloudformation wait stack-delete-complete --stack-name \"$STACK\"",
        "the other commands need the stack",
    ),
    (
        "aws cloudformation deploy --region us-east-1 --stack-name wechatpay-budget --template-file infra/budget.yaml \
         --parameter-overrides Amount=500 Email=finance@example.com",
        "the engine has no budgets; tests/sam/rules_test.py holds its parameters to the template's",
    ),
    (STOP, "the engine has no CodeDeploy"),
    (
        PIPE,
        "the engine does not show a Pipe's parameters, which its creation needs",
    ),
    (
        DEPLOY_THERE,
        "it needs an account; infra/local/engine_test.py deploys a stack that is given another Region's keys",
    ),
    (RESTORE_THERE, "the engine has no vaults"),
    (
        "aws backup describe-restore-job --restore-job-id JOB",
        "the engine has no vaults",
    ),
    (
        AUDIT,
        "the engine has no trails; tests/sam/rules_test.py holds its parameters to the template's",
    ),
    (
        NETWORK,
        "the engine has no NAT gateways; tests/sam/rules_test.py holds its parameters to the template's",
    ),
    (
        COPIES,
        "the engine has no vaults; tests/sam/rules_test.py holds its parameters to the template's",
    ),
    (
        BACKUPS,
        "the engine has no vaults; tests/sam/rules_test.py holds its parameters to the template's",
    ),
    (
        "cargo client keys import --only-material --signing-key-id REPLICA --merchant-key-file apiclient_key.pem --merchant-certificate-file apiclient_cert.pem",
        "the engine's replica of a key has its material; infra/client/tests/it/keys.rs runs it",
    ),
    (REGIONS, "the engine changes no settings of AWS Backup"),
    (VAULT, "the engine has no vaults"),
    (BACKUP_FAILURES, "the engine has no backups"),
    (
        PUT_BACK,
        "the engine's change sets look at no drift; the one that the page makes is made and looked at",
    ),
    (
        DELETED,
        "the engine makes no backup of a table that is deleted",
    ),
    (
        "aws acm import-certificate --region us-east-1 --certificate fileb://edge.pem --private-key fileb://edge.key --certificate-chain \
         fileb://edge-ca.pem",
        "the engine has no Certificate Manager; the files are made and verified",
    ),
    (
        EDGE,
        "the engine has no CloudFront; tests/sam/rules_test.py holds its parameters to the template's",
    ),
    ("aws sso login", "names a command, which opens a browser"),
    (
        "aws sso login --profile NAME",
        "it opens a browser; infra/client/tests/it/credentials.rs has what `cargo client` makes of its session",
    ),
    ("aws login", "names a command"),
    (
        "eval \"$(aws configure export-credentials --profile operator --format env)\"",
        "version 2 of the CLI alone has it, and it prints a person's credentials",
    ),
    (
        TOPICS,
        "the engine has no policies of topics; tests/sam/rules_test.py holds them to the rules",
    ),
    (
        CHANNELS,
        "they need robots; infra/client/tests/it/channels.rs runs them",
    ),
    (
        SINKS,
        "they need sinks; infra/client/tests/it/log_sinks.rs runs them",
    ),
    (
        NOT_TAKEN,
        "the local stack forwards no lines; tests/it/forwarder stages what they find",
    ),
    (
        FORWARD_AGAIN,
        "the local stack forwards no lines; tests/it/forwarder sends such events again",
    ),
    (
        "cargo local deploy LogForwarding=errors",
        "it needs a sink; infra/local/engine_test.py tells a running stack to forward errors",
    ),
    (TEST_ALARM, "the local stack tells nobody"),
    (
        NOBODY_TOLD,
        "the local stack is made without channels; tests/it/channels.rs stages what they find",
    ),
    (HISTORY, "the engine keeps no history of actions"),
    (
        "cargo client map --stack NAME",
        "the engine makes no metrics of log lines; tests/it/service_map.rs has the same question and answer",
    ),
    (
        REDRIVE_NOTIFICATIONS,
        "the local stack is made without channels; infra/client/tests/it/redrive.rs has the command",
    ),
    (
        SILENCE,
        "infra/client/tests/it/doctor switches actions off and on",
    ),
    (
        "cargo client setup channel remove --name ops",
        "infra/client/tests/it/channels.rs runs it",
    ),
    ("cargo client", "names the program"),
];

#[test]
fn each_command_that_is_not_run_here_is_printed() {
    let printed = super::printed::all();
    let is_printed = |text: &str| printed.iter().any(|one| one.text == text);
    let stale = NOT_RUN.iter().filter(|(text, _why)| !is_printed(text));
    let stale: Vec<_> = stale.collect();
    assert!(
        stale.is_empty(),
        "no page prints these any more: {stale:#?}"
    );
}
