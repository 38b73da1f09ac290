//! The AWS side.

use std::path::Path;

use super::front::Change;
use super::receiver::Answers;
use super::stage::{ACCOUNT_SETTINGS, STACK, Stage, stage};
use super::wechat::certificate;
use crate::policies::actions;

/// Breaks something by an SDK call, expects the one finding, mends it by another.
#[track_caller]
fn breaks(stage: &Stage, id: &str, breaking: &str, mending: &str) {
    stage.aws(breaking);
    let told = stage.doctor();
    stage.aws(mending);
    told.is_only(id);
}

const PARAMETERS: &str = "Action=DescribeStacks";

#[test]
fn a_stack_as_it_stands_after_a_deployment_has_nothing_wrong() {
    let stage = stage();
    let told = stage.doctor();
    told.is_well();
    assert_eq!(told.report["worst"], serde_json::Value::Null);
    let by_hand = told.report["not_proved"].as_array().unwrap();
    assert!(by_hand.len() >= 7, "{by_hand:?}");
    for title in ["the stack", "KMS keys", "alarms", "WeChat Pay"] {
        let line = format!("examining {title} ...\n");
        assert!(told.progress.contains(&line), "{}", told.progress);
    }
}

#[test]
fn the_policy_for_it_has_the_calls_that_it_makes_and_no_other() {
    let stage = stage();
    let mut calls = stage.doctor().calls;
    // Where KMS signs, and where the account has no quota of its own.
    let by_kms = Change::replace(
        &[PARAMETERS],
        "<ParameterValue>sealed</ParameterValue>",
        "<ParameterValue>kms</ParameterValue>",
    );
    let default = Change::refuse(
        &["ServiceQuotasV20190624.GetServiceQuota"],
        400,
        "NoSuchResourceException",
    );
    let serial = &stage.wechat.details.merchant_serial;
    let own = stage.wechat.merchant_private_key();
    let file = certificate(&stage, "policy", serial, 300, own);
    let of_certificate = ["--merchant-certificate-file", &file];
    // The certificate is of another key than KMS has, which leaves out what is signed.
    for arguments in [&[][..], &of_certificate] {
        let told = stage.doctor_with(&[by_kms.clone(), default.clone()], arguments);
        calls.extend(told.calls);
    }
    calls.extend(
        stage
            .examined(&[], 0, &["keys", "status", "--stack", STACK])
            .calls,
    );
    assert_eq!(calls, actions("DoctorPolicy"));
}

#[test]
fn keys_that_cannot_be_used_or_are_not_rotated_are_found() {
    let stage = stage();
    let fields = stage.output("FieldsKeyId").to_owned();
    let storage = stage.output("StorageKeyId").to_owned();
    breaks(
        &stage,
        "kms-key-not-enabled",
        &format!("c('kms').disable_key(KeyId='{fields}')"),
        &format!("c('kms').enable_key(KeyId='{fields}')"),
    );
    breaks(
        &stage,
        "kms-key-being-deleted",
        &format!("c('kms').schedule_key_deletion(KeyId='{fields}', PendingWindowInDays=30)"),
        &format!(
            "c('kms').cancel_key_deletion(KeyId='{fields}'); c('kms').enable_key(KeyId='{fields}')"
        ),
    );
    breaks(
        &stage,
        "kms-rotation-off",
        &format!("c('kms').disable_key_rotation(KeyId='{storage}')"),
        &format!("c('kms').enable_key_rotation(KeyId='{storage}')"),
    );
    let gone = Change::refuse(
        &["TrentService.DescribeKey", &fields],
        400,
        "NotFoundException",
    );
    stage.doctor_where(&[gone]).is_only("kms-key-gone");
    // Beside a sealed signer the signing key may wait for its import.
    let signing = stage.output("MerchantSigningKeyId").to_owned();
    let waits = Change::replace(
        &["TrentService.DescribeKey", &signing],
        r#""KeyState": "Enabled""#,
        r#""KeyState": "PendingImport""#,
    );
    stage.doctor_where(std::slice::from_ref(&waits)).is_well();
    let by_kms = Change::replace(
        &[PARAMETERS],
        "<ParameterValue>sealed</ParameterValue>",
        "<ParameterValue>kms</ParameterValue>",
    );
    let told = stage.doctor_where(&[waits, by_kms]);
    told.is_only("merchant-key-not-imported");
    let left_out = told.report["left_out"].to_string();
    assert!(left_out.contains("WeChat Pay"), "{left_out}");
}

#[test]
fn tables_that_lack_what_the_template_gives_them_are_found() {
    let stage = stage();
    let recovery = |is_on: &str| {
        format!(
            "c('dynamodb').update_continuous_backups(TableName='tea-orders', \
             PointInTimeRecoverySpecification={{'PointInTimeRecoveryEnabled': {is_on}}})"
        )
    };
    breaks(
        &stage,
        "point-in-time-recovery-off",
        &recovery("False"),
        &recovery("True"),
    );
    let expiry = |is_on: &str| {
        format!(
            "c('dynamodb').update_time_to_live(TableName='tea-notices', \
             TimeToLiveSpecification={{'Enabled': {is_on}, 'AttributeName': 'expires_at'}})"
        )
    };
    breaks(
        &stage,
        "time-to-live-off",
        &expiry("False"),
        &expiry("True"),
    );
    let protection = |is_on: &str| {
        format!(
            "c('dynamodb').update_table(TableName='tea-keys', DeletionProtectionEnabled={is_on})"
        )
    };
    breaks(
        &stage,
        "deletion-protection-off",
        &protection("False"),
        &protection("True"),
    );
    let encryption = |is_on: &str| {
        format!(
            "c('dynamodb').update_table(TableName='tea-guards', SSESpecification={{'Enabled': {is_on}, 'SSEType': 'KMS'}})"
        )
    };
    breaks(
        &stage,
        "table-not-encrypted",
        &encryption("False"),
        &encryption("True"),
    );

    let of = |table: &'static str| ["DynamoDB_20120810.DescribeTable", table];
    for (id, change) in [
        (
            "table-gone",
            Change::refuse(&of("tea-guards"), 400, "ResourceNotFoundException"),
        ),
        (
            "table-not-active",
            Change::replace(
                &of("tea-guards"),
                r#""TableStatus": "ACTIVE""#,
                r#""TableStatus": "INACCESSIBLE_ENCRYPTION_CREDENTIALS""#,
            ),
        ),
        (
            "index-not-active",
            Change::replace(
                &of("tea-orders"),
                r#""IndexName": "due""#,
                r#""IndexName": "due", "IndexStatus": "CREATING""#,
            ),
        ),
        (
            "index-not-active",
            Change::replace(
                &of("tea-notices"),
                r#""IndexName": "by_status""#,
                r#""IndexName": "other""#,
            ),
        ),
        (
            "stream-off",
            Change::replace(
                &of("tea-orders"),
                r#""StreamEnabled": true"#,
                r#""StreamEnabled": false"#,
            ),
        ),
    ] {
        stage.doctor_where(&[change]).is_only(id);
    }
}

#[test]
fn policies_of_keys_that_were_changed_are_found() {
    let stage = stage();
    for (key, breaking) in [
        ("SecretsKeyId", "p['Statement'].pop()"),
        (
            "FieldsKeyId",
            "p['Statement'].append({'Sid': 'More', 'Effect': 'Allow', 'Principal': {'AWS': 'arn:aws:iam::111111111111:root'}, \
             'Action': 'kms:Decrypt', 'Resource': '*'})",
        ),
        (
            "MerchantSigningKeyId",
            "p['Statement'][1]['Condition']['StringNotEquals']['kms:SigningAlgorithm'] = 'RSASSA_PSS_SHA_256'",
        ),
    ] {
        let id = stage.output(key).to_owned();
        let read = format!(
            "import json\nk = '{id}'\nt = c('kms').get_key_policy(KeyId=k, PolicyName='default')['Policy']\n"
        );
        let kept = stage.aws(&format!("{read}print(t)"));
        let put = "c('kms').put_key_policy(KeyId=k, PolicyName='default', Policy=";
        breaks(
            &stage,
            "kms-policy-changed",
            &format!("{read}p = json.loads(t)\n{breaking}\n{put}json.dumps(p))"),
            &format!("{read}{put}'''{}''')", kept.trim()),
        );
    }
}

#[test]
fn roles_that_may_not_do_what_they_live_on_are_found() {
    let stage = stage();
    for (role, action) in [
        ("ReceiveCallbackRole", "sqs:"),
        ("CreateOrderRole", "dynamodb:Put"),
        ("ReconcileRole", "dynamodb:Query"),
        ("OrderEventsPipeRole", "dynamodb:GetRecords"),
        ("OrderEventsPipeRole", "events:"),
        ("SweepScheduleRole", "lambda:"),
    ] {
        let read = format!(
            "import json\ni = c('iam')\n\
             r = [r['RoleName'] for r in i.list_roles(MaxItems=1000)['Roles'] if '{role}' in r['RoleName']][0]\n\
             y = i.list_role_policies(RoleName=r)['PolicyNames'][0]\n\
             d = i.get_role_policy(RoleName=r, PolicyName=y)['PolicyDocument']\n"
        );
        let kept = stage.aws(&format!("{read}print(json.dumps(d))"));
        let put = "i.put_role_policy(RoleName=r, PolicyName=y, PolicyDocument=";
        breaks(
            &stage,
            "role-may-not",
            &format!("{read}{put}json.dumps(d).replace('{action}', 'none:'))"),
            &format!("{read}{put}'''{}''')", kept.trim()),
        );
    }
    let gone = Change::refuse(
        &["Action=SimulatePrincipalPolicy", "SendWebhookRole"],
        404,
        "NoSuchEntity",
    );
    stage.doctor_where(&[gone]).is_only("role-gone");
    let denied = Change::refuse(&["Action=SimulatePrincipalPolicy"], 403, "AccessDenied");
    stage.doctor_where(&[denied]).is_only("not-examined");
}

#[test]
fn quotas_below_what_the_parameters_let_through_are_found() {
    let stage = stage();
    let asked = |code: &'static str| ["ServiceQuotasV20190624.GetServiceQuota", code];
    let is = |code: &'static str, value: &str| {
        Change::answer(&asked(code), &format!(r#"{{"Quota":{{"Value":{value}}}}}"#))
    };
    let all = |rate: &str, burst: &str| [is("L-8A5B8E43", rate), is("L-CDF5615A", burst)];
    stage.doctor_where(&all("10000.0", "5000.0")).is_well();
    stage
        .doctor_where(&all("699.0", "5000.0"))
        .is_only("quota-low");
    stage
        .doctor_where(&all("10000.0", "1399.0"))
        .is_only("quota-low");
    // Where nobody asked for more the account has no value of its own.
    let by_default = [
        Change::refuse(&asked("L-8A5B8E43"), 400, "NoSuchResourceException"),
        Change::answer(
            &["GetAWSDefaultServiceQuota", "L-8A5B8E43"],
            r#"{"Quota":{"Value":500.0}}"#,
        ),
        is("L-CDF5615A", "5000.0"),
    ];
    stage.doctor_where(&by_default).is_only("quota-low");
    // KMS is asked for nothing where a sealed key signs.
    let by_kms = Change::replace(
        &[PARAMETERS],
        "<ParameterValue>sealed</ParameterValue>",
        "<ParameterValue>kms</ParameterValue>",
    );
    let [rate, burst] = all("10000.0", "5000.0");
    let told = stage.doctor_where(&[by_kms, rate, burst, is("L-2AC98190", "499.0")]);
    // The key in KMS is not the one that WeChat Pay knows.
    assert_eq!(
        told.ids(),
        ["signature-refused", "quota-low"],
        "{:#}",
        told.report
    );
}

#[test]
fn queues_with_dead_letters_or_an_open_door_are_found() {
    let stage = stage();
    let dead = "u = c('sqs').get_queue_url(QueueName='tea-payment-results-dlq')['QueueUrl']\n";
    breaks(
        &stage,
        "dead-letters",
        &format!("{dead}c('sqs').send_message(QueueUrl=u, MessageBody='lost')"),
        &format!("{dead}c('sqs').purge_queue(QueueUrl=u)"),
    );
    let queue = "u = c('sqs').get_queue_url(QueueName='tea-payment-requests')['QueueUrl']\n\
                 a = c('sqs').get_queue_attributes(QueueUrl=u, AttributeNames=['All'])['Attributes']\n";
    for (id, attribute) in [
        ("queue-without-dead-letters", "RedrivePolicy"),
        ("queue-policy-open", "Policy"),
        ("queue-not-encrypted", "KmsMasterKeyId"),
    ] {
        let kept = stage.aws(&format!("{queue}print(a['{attribute}'])"));
        breaks(
            &stage,
            id,
            &format!(
                "{queue}c('sqs').set_queue_attributes(QueueUrl=u, Attributes={{'{attribute}': ''}})"
            ),
            &format!(
                "{queue}c('sqs').set_queue_attributes(QueueUrl=u, Attributes={{'{attribute}': '''{}'''}})",
                kept.trim()
            ),
        );
    }
    let gone = Change::refuse(
        &["AmazonSQS.GetQueueAttributes", "tea-webhooks\""],
        400,
        "QueueDoesNotExist",
    );
    stage.doctor_where(&[gone]).is_only("queue-gone");
    let queue = "u = c('sqs').get_queue_url(QueueName='tea-reconcile-work')['QueueUrl']\n\
                 a = c('sqs').get_queue_attributes(QueueUrl=u, AttributeNames=['All'])['Attributes']\n";
    let kept = stage.aws(&format!("{queue}print(a['Policy'])"));
    let senders = "[s for s in p['Statement'] if s['Action'] == 'sqs:SendMessage'][0]['Condition']['ArnNotEquals']";
    // Somebody beside the template's senders, and one of the template's that is missing.
    for (id, change) in [
        (
            "queue-policy-open",
            "['aws:PrincipalArn'].append('arn:aws:iam::000000000000:role/somebody')",
        ),
        ("queue-policy-shut", "['aws:PrincipalArn'].pop(0)"),
    ] {
        breaks(
            &stage,
            id,
            &format!(
                "{queue}import json\np = json.loads(a['Policy'])\n{senders}{change}\n\
                 c('sqs').set_queue_attributes(QueueUrl=u, Attributes={{'Policy': json.dumps(p)}})"
            ),
            &format!(
                "{queue}c('sqs').set_queue_attributes(QueueUrl=u, Attributes={{'Policy': '''{}'''}})",
                kept.trim()
            ),
        );
    }
    // A policy that still keeps strangers out, but no longer asks for TLS.
    let without_tls = Change::replace(
        &["AmazonSQS.GetQueueAttributes", "tea-webhooks\""],
        "aws:SecureTransport",
        "aws:SomethingElse",
    );
    stage
        .doctor_where(&[without_tls])
        .is_only("queue-policy-open");
}

#[test]
fn functions_that_do_not_run_or_have_no_room_are_found() {
    let stage = stage();
    let source = |is_on: &str| {
        format!(
            "l = c('lambda')\n\
             u = l.list_event_source_mappings(FunctionName='tea-send-webhook')['EventSourceMappings'][0]['UUID']\n\
             l.update_event_source_mapping(UUID=u, Enabled={is_on})"
        )
    };
    breaks(&stage, "queue-not-read", &source("False"), &source("True"));

    let configuration = ["/functions/tea-console/configuration"];
    let gone = Change::refuse(&configuration, 404, "ResourceNotFoundException");
    stage.doctor_where(&[gone]).is_only("function-gone");
    let failed = Change::replace(
        &configuration,
        r#""State": "Active""#,
        r#""State": "Failed""#,
    );
    stage.doctor_where(&[failed]).is_only("function-not-ready");
    // One that nobody called for weeks is asleep, and no finding.
    let asleep = Change::replace(
        &configuration,
        r#""State": "Active""#,
        r#""State": "Inactive""#,
    );
    stage.doctor_where(&[asleep]).is_well();

    // A parameter that was deployed under the name of the release before, and a release that goes
    // on.
    let of_console = ["/functions/tea-console/configuration?Qualifier=live"];
    let stale = Change::replace(
        &of_console,
        r#""LOG_LEVEL": "info""#,
        r#""LOG_LEVEL": "warn""#,
    );
    stage.doctor_where(&[stale]).is_only("not-released");
    let alias = ["/functions/tea-console/aliases/live"];
    let gone = Change::refuse(&alias, 404, "ResourceNotFoundException");
    stage.doctor_where(&[gone]).is_only("alias-gone");
    let two = r#"{"FunctionVersion":"7","RoutingConfig":{"AdditionalVersionWeights":{"8":0.1}}}"#;
    let two = Change::answer(&alias, two);
    stage.doctor_where(&[two]).is_only("release-under-way");

    let limited = Change::answer(
        &ACCOUNT_SETTINGS,
        r#"{"AccountLimit":{"ConcurrentExecutions":10}}"#,
    );
    stage
        .doctor_where(&[limited])
        .is_only("concurrency-limit-low");
    let reserves = Change::replace(
        &[PARAMETERS],
        "<ParameterKey>ReserveConcurrency</ParameterKey><ParameterValue>false<",
        "<ParameterKey>ReserveConcurrency</ParameterKey><ParameterValue>true<",
    );
    stage
        .doctor_where(std::slice::from_ref(&reserves))
        .is_only("concurrency-not-reserved");
    let share = |function: &str| format!("/functions/tea-{function}/concurrency");
    let has = |function: &str, count: u32| {
        let body = format!(r#"{{"ReservedConcurrentExecutions":{count}}}"#);
        Change::answer(&[&share(function)], &body)
    };
    let shares = |last: u32| {
        [
            reserves.clone(),
            has("create-order", 50),
            has("manage-order", 50),
            has("receive-callback", 20),
            has("process-payment", last),
        ]
    };
    stage.doctor_where(&shares(20)).is_well();
    stage
        .doctor_where(&shares(0))
        .is_only("function-switched-off");
    // Also where nothing is reserved.
    breaks(
        &stage,
        "function-switched-off",
        "c('lambda').put_function_concurrency(FunctionName='tea-console', ReservedConcurrentExecutions=0)",
        "c('lambda').delete_function_concurrency(FunctionName='tea-console')",
    );
}

#[test]
fn schedules_pipe_and_rule_that_stand_still_are_found() {
    let stage = stage();
    let schedule = |state: &str| {
        format!(
            "s = c('scheduler').get_schedule(Name='tea-sweep')\n\
             k = {{n: s[n] for n in ['Name', 'ScheduleExpression', 'FlexibleTimeWindow', 'Target']}}\n\
             c('scheduler').update_schedule(State='{state}', **k)"
        )
    };
    breaks(
        &stage,
        "schedule-off",
        &schedule("DISABLED"),
        &schedule("ENABLED"),
    );
    breaks(
        &stage,
        "pipe-stopped",
        "c('pipes').stop_pipe(Name='tea-order-events')",
        "c('pipes').start_pipe(Name='tea-order-events')",
    );
    breaks(
        &stage,
        "rule-off",
        "c('events').disable_rule(Name='tea-webhooks', EventBusName='tea-orders')",
        "c('events').enable_rule(Name='tea-webhooks', EventBusName='tea-orders')",
    );
    let old = Change::replace(
        &["/v1/pipes/tea-order-events"],
        "/stream/",
        "/stream/of-before-",
    );
    stage
        .doctor_where(&[old])
        .is_only("pipe-reads-another-stream");
    for (id, asked) in [
        ("schedule-off", "/schedules/tea-daily"),
        ("pipe-stopped", "/v1/pipes/tea-order-events"),
        ("rule-off", "AWSEvents.DescribeRule"),
    ] {
        let gone = Change::refuse(&[asked], 404, "ResourceNotFoundException");
        stage.doctor_where(&[gone]).is_only(id);
    }
}

#[test]
fn alarms_that_are_on_or_gone_or_tell_nobody_are_found() {
    let stage = stage();
    breaks(
        &stage,
        "alarm-on",
        "c('cloudwatch').set_alarm_state(AlarmName='tea-sweep-behind', StateValue='ALARM', StateReason='test')",
        "c('cloudwatch').set_alarm_state(AlarmName='tea-sweep-behind', StateValue='OK', StateReason='test')",
    );
    breaks(
        &stage,
        "alarm-tells-nobody",
        "c('cloudwatch').disable_alarm_actions(AlarmNames=['tea-sweep-behind'])",
        "c('cloudwatch').enable_alarm_actions(AlarmNames=['tea-sweep-behind'])",
    );
    let all = "names = [a['AlarmName'] for a in c('cloudwatch').describe_alarms(MaxRecords=100)['MetricAlarms']]\n";
    breaks(
        &stage,
        "alarms-tell-nobody",
        &format!("{all}c('cloudwatch').disable_alarm_actions(AlarmNames=names)"),
        &format!("{all}c('cloudwatch').enable_alarm_actions(AlarmNames=names)"),
    );
    let subscribe = "c('sns').subscribe(TopicArn=t, Protocol='sqs', Endpoint='arn:aws:sqs:us-east-1:000000000000:tea-webhooks')";
    let topic = "t = 'arn:aws:sns:us-east-1:000000000000:alarms'\n";
    breaks(
        &stage,
        "alarm-topic-without-subscriber",
        &format!(
            "{topic}for s in c('sns').list_subscriptions_by_topic(TopicArn=t)['Subscriptions']:\n    \
             c('sns').unsubscribe(SubscriptionArn=s['SubscriptionArn'])"
        ),
        &format!("{topic}{subscribe}"),
    );
    breaks(
        &stage,
        "alarm-topic-gone",
        &format!("{topic}c('sns').delete_topic(TopicArn=t)"),
        &format!("{topic}c('sns').create_topic(Name='alarms'); {subscribe}"),
    );
    let gone = Change::replace(
        &["GraniteServiceVersion20100801.DescribeAlarms"],
        r#""AlarmName": "tea-sweep-behind""#,
        r#""AlarmName": "tea-other""#,
    );
    stage.doctor_where(&[gone]).is_only("alarms-missing");
}

#[test]
fn an_address_that_leads_elsewhere_and_a_console_without_a_lock_are_found() {
    let stage = stage();
    let answering = |answers: Answers| {
        stage.receiver.answer_as(answers);
        let told = stage.doctor();
        stage.receiver.answer_as(Answers::default());
        told
    };
    // Some web server, not the API.
    answering(Answers {
        no_route: 200,
        ..Answers::default()
    })
    .is_only("notify-url-unreachable");
    for (console, is_open) in [
        ((200, ""), true),
        ((302, "/console/2026-11-29"), true),
        ((302, "https://sign-in.example/"), false),
        ((403, ""), false),
        ((404, ""), false),
    ] {
        let told = answering(Answers {
            console,
            ..Answers::default()
        });
        if is_open {
            told.is_only("console-open");
        } else {
            told.is_well();
        }
    }
    // Who may come in is let in.
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console-token");
    std::fs::write(&file, "of-a-member\n").unwrap();
    let by_token = ["--console-token-file", file.to_str().unwrap()];
    stage.doctor_with(&[], &by_token).is_well();
    for status in [401, 403, 404] {
        stage.receiver.answer_as(Answers {
            console_with_token: status,
            ..Answers::default()
        });
        let told = stage.doctor_with(&[], &by_token);
        stage.receiver.answer_as(Answers::default());
        told.is_only("console-shut");
    }
    // Nothing listens there.
    let nowhere = Change::replace(&[PARAMETERS], &stage.receiver.base, "http://127.0.0.1:9");
    stage
        .doctor_where(&[nowhere])
        .is_only("notify-url-unreachable");
}

#[test]
fn a_clock_that_is_off_is_found_before_anything_fails_of_it() {
    let stage = stage();
    for (ahead_s, severity) in [
        (60, "warning"),
        (-60, "warning"),
        (400, "error"),
        (-400, "error"),
    ] {
        let told = stage.doctor_ahead_of(ahead_s);
        told.is_only("clock-off");
        let finding = &told.report["findings"][0];
        assert_eq!(finding["severity"], severity, "{ahead_s}");
        let way = if ahead_s > 0 { "ahead" } else { "behind" };
        assert!(
            finding["evidence"].as_str().unwrap().contains(way),
            "{finding}"
        );
    }
    stage.doctor_ahead_of(10).is_well();
    // AWS refuses what is signed by it, and tells its time all the same.
    let refused = Change::refuse(&[PARAMETERS], 403, "SignatureDoesNotMatch");
    let told = stage.examined(&[refused], 400, &["doctor", "--stack", STACK]);
    told.is_only("clock-off");
}

#[test]
fn a_stack_that_is_not_there_or_not_whole_is_found() {
    let stage = stage();
    let told = stage.examined(&[], 0, &["doctor", "--stack", "coffee"]);
    told.is_only("stack-missing");
    let left_out = told.report["left_out"].as_array().unwrap().len();
    assert_eq!(left_out, 11, "{:#}", told.report);
    let in_state = |state: &str| {
        Change::replace(
            &[PARAMETERS],
            "<StackStatus>CREATE_COMPLETE</StackStatus>",
            &format!("<StackStatus>{state}</StackStatus>"),
        )
    };
    for (state, id) in [
        ("UPDATE_ROLLBACK_COMPLETE", "stack-rolled-back"),
        ("UPDATE_IN_PROGRESS", "stack-in-change"),
        ("ROLLBACK_COMPLETE", "stack-failed"),
        ("UPDATE_ROLLBACK_FAILED", "stack-failed"),
        ("DELETE_IN_PROGRESS", "stack-failed"),
    ] {
        stage.doctor_where(&[in_state(state)]).is_only(id);
    }
    // What to do next is what the page on deployments prints.
    let page = include_str!("../../../../DEPLOY.md");
    let mut lines = page.lines();
    let delete = lines.find(|line| line.starts_with("aws cloudformation delete-stack"));
    let delete = delete.unwrap().replace("\"$STACK\"", STACK);
    for (state, command) in [
        ("ROLLBACK_COMPLETE", delete.as_str()),
        ("DELETE_FAILED", delete.as_str()),
        (
            "DELETE_IN_PROGRESS",
            "aws cloudformation wait stack-delete-complete --stack-name tea",
        ),
        (
            "UPDATE_ROLLBACK_FAILED",
            "aws cloudformation continue-update-rollback --stack-name tea",
        ),
    ] {
        let told = stage.doctor_where(&[in_state(state)]);
        let next_step = told.report["findings"][0]["next_step"].as_str().unwrap();
        assert!(next_step.contains(command), "{state}: {next_step}");
    }
    stage.doctor_where(&[in_state("UPDATE_COMPLETE")]).is_well();
    let other = Change::replace(
        &[PARAMETERS],
        "<OutputKey>NoticesTableName</OutputKey>",
        "<OutputKey>Other</OutputKey>",
    );
    stage
        .doctor_where(&[other])
        .is_only("stack-outputs-missing");
}

#[test]
fn a_check_that_is_not_permitted_says_so_and_the_others_are_made() {
    let stage = stage();
    let denied = |asked: &str| Change::refuse(&[asked], 400, "AccessDeniedException");
    for asked in [
        "GraniteServiceVersion20100801.DescribeAlarms",
        "TrentService.GetKeyRotationStatus",
        "DynamoDB_20120810.DescribeContinuousBackups",
        "/schedules/tea-sweep",
        PARAMETERS,
    ] {
        let told = stage.doctor_where(&[denied(asked)]);
        told.is_only("not-examined");
        let finding = &told.report["findings"][0];
        assert!(
            finding["evidence"]
                .as_str()
                .unwrap()
                .contains("AccessDenied"),
            "{finding}"
        );
        assert!(
            finding["next_step"]
                .as_str()
                .unwrap()
                .contains("permission"),
            "{finding}"
        );
    }
}

#[test]
fn a_person_reads_the_same_as_a_program() {
    let stage = stage();
    stage.receiver.answer_as(Answers {
        console: (200, ""),
        ..Answers::default()
    });
    let output = stage.plain(&["doctor", "--stack", STACK]);
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("stack tea in us-east-1: errors: 1, warnings: "),
        "{text}"
    );
    assert!(
        text.contains("\nERROR console-open\n  Anyone who knows"),
        "{text}"
    );
    assert!(text.contains("  next: deploy with ConsoleIssuer"), "{text}");
    assert!(
        text.contains("Not proved here; tick it by hand:\n  [ ] "),
        "{text}"
    );
}
