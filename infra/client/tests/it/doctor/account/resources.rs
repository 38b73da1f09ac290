//! Keys, tables, policies and queues of a stack that are not as the template has them.

use super::{PARAMETERS, breaks, breaks_and_is_mended_as_it_says};
use crate::doctor::front::Change;
use crate::doctor::stage::{stage, where_roles_may, with_fields_key, with_parameter};

#[test]
fn keys_that_cannot_be_used_or_are_not_rotated_are_found() {
    let stage = stage();
    let fields = stage.output("FieldsKeyId").to_owned();
    let storage = stage.output("StorageKeyId").to_owned();
    breaks_and_is_mended_as_it_says(
        &stage,
        "kms-key-not-enabled",
        &format!("c('kms').disable_key(KeyId='{fields}')"),
        &format!("c('kms').enable_key(KeyId='{fields}')"),
    );
    breaks_and_is_mended_as_it_says(
        &stage,
        "kms-key-being-deleted",
        &format!("c('kms').schedule_key_deletion(KeyId='{fields}', PendingWindowInDays=30)"),
        &format!(
            "c('kms').cancel_key_deletion(KeyId='{fields}'); c('kms').enable_key(KeyId='{fields}')"
        ),
    );
    breaks_and_is_mended_as_it_says(
        &stage,
        "kms-rotation-off",
        &format!("c('kms').disable_key_rotation(KeyId='{storage}')"),
        &format!("c('kms').enable_key_rotation(KeyId='{storage}')"),
    );
    let after_its_replicas = Change::replace(
        &["TrentService.DescribeKey", &fields],
        r#""KeyState": "Enabled""#,
        r#""KeyState": "PendingReplicaDeletion""#,
    );
    stage
        .doctor_where(&[after_its_replicas])
        .is_only("kms-key-being-deleted");
    let gone = Change::refuse(
        &["TrentService.DescribeKey", &fields],
        400,
        "NotFoundException",
    );
    let run = stage.doctor_where(&[gone]);
    run.is_only("kms-key-gone");
    let next_step = run.report["findings"][0]["next_step"].as_str().unwrap();
    let page = "infra/runbooks/keys.md, A KMS key that is gone";
    assert!(next_step.contains(page), "{next_step}");
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
    let may_sign = where_roles_may("kms:Sign");
    let run = stage.doctor_where(&[waits, by_kms.clone(), may_sign.clone()]);
    run.is_only("merchant-key-not-imported");
    let left_out = run.report["left_out"].to_string();
    assert!(left_out.contains("WeChat Pay"), "{left_out}");
    // Where another key was given to sign, that one counts, and the stack's own one does not.
    stage.aws(&format!("c('kms').disable_key(KeyId='{signing}')"));
    let arn = "arn:aws:kms:us-east-1:000000000000:key/given";
    let given = Change::replace(
        &[PARAMETERS],
        "<ParameterKey>SigningKeyArn</ParameterKey><ParameterValue>",
        &format!("<ParameterKey>SigningKeyArn</ParameterKey><ParameterValue>{arn}"),
    );
    let waits = Change::answer(
        &["TrentService.DescribeKey", arn],
        r#"{"KeyMetadata":{"KeyState":"PendingImport","KeySpec":"RSA_2048","Origin":"EXTERNAL"}}"#,
    );
    let run = stage.doctor_where(&[waits, by_kms, given, may_sign]);
    run.is_only("merchant-key-not-imported");
    let evidence = run.report["findings"][0]["evidence"].to_string();
    assert!(evidence.contains(arn), "{evidence}");
    stage.aws(&format!("c('kms').enable_key(KeyId='{signing}')"));
}

#[test]
fn a_second_signer_that_cannot_be_used_is_found() {
    let stage = stage();
    let make = "print(c('kms').create_key(KeySpec='RSA_2048', KeyUsage='SIGN_VERIFY')['KeyMetadata']['Arn'], end='')";
    let other = stage.aws(make);
    let may_sign = where_roles_may("kms:Sign");
    let beside = [with_parameter("OtherSigner", &other), may_sign.clone()];
    // One that can be used has a policy of its owner's. It has no certificate here yet.
    let unused = "other-signer-unused";
    stage.doctor_where(&beside).is_only(unused);
    stage.aws(&format!("c('kms').disable_key(KeyId='{other}')"));
    let run = stage.doctor_where(&beside);
    run.is_only("kms-key-not-enabled");
    let evidence = run.report["findings"][0]["evidence"].to_string();
    assert!(evidence.contains(&other), "{evidence}");
    stage.follow(&run);
    stage.doctor_where(&beside).is_only(unused);
    let none = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000";
    stage
        .doctor_where(&[with_parameter("OtherSigner", none), may_sign.clone()])
        .is_only("kms-key-gone");
    // The stack's own key, after the one before it went over to a sealed one or to one of the
    // merchant's.
    let own = stage.own_key("MerchantSigningKeyId");
    let disabled = format!("c('kms').disable_key(KeyId='{own}')");
    let enabled = format!("c('kms').enable_key(KeyId='{own}')");
    stage.aws(&disabled);
    let after_own = [with_parameter("OtherSigner", &own), may_sign];
    let sealed = stage.doctor_where(&after_own);
    let mut given = after_own.to_vec();
    given.push(with_parameter("SigningKeyArn", &other));
    let given = stage.doctor_where(&given);
    stage.aws(&enabled);
    sealed.is_only("kms-key-not-enabled");
    given.is_only("kms-key-not-enabled");
    stage.doctor_where(&after_own).is_well();
}

#[test]
fn a_key_that_the_stack_was_given_is_mended_in_kms_and_by_no_deployment() {
    let stage = stage();
    let make = "print(c('kms').create_key(MultiRegion=True)['KeyMetadata']['Arn'], end='')";
    let given = [
        with_fields_key(&stage.aws(make)),
        where_roles_may("kms:GenerateDataKey"),
    ];
    let run = stage.doctor_where(&given);
    // Its policy is KMS's own default.
    let ids = ["kms-policy-changed", "kms-rotation-off"];
    assert_eq!(run.ids(), ids, "{:#}", run.report);
    for finding in run.report["findings"].as_array().unwrap() {
        let next_step = finding["next_step"].as_str().unwrap();
        assert!(!next_step.contains("deploy"), "{next_step}");
        assert!(!next_step.contains("Put back"), "{next_step}");
    }
    stage.follow(&run);
    stage.doctor_where(&given).is_well();
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
    // As it was deployed, or by hand.
    let unprotected = Change::replace(
        &["DynamoDB_20120810.DescribeTable", "tea-keys"],
        r#""DeletionProtectionEnabled": true"#,
        r#""DeletionProtectionEnabled": false"#,
    );
    let first = Change::replace(
        &[PARAMETERS],
        "<ParameterKey>DeletionProtection</ParameterKey><ParameterValue>true<",
        "<ParameterKey>DeletionProtection</ParameterKey><ParameterValue>false<",
    );
    for (changes, next_step) in [
        (
            vec![unprotected.clone(), first],
            "deploy again with DeletionProtection=true",
        ),
        (
            vec![unprotected],
            "aws dynamodb update-table --table-name tea-keys --deletion-protection-enabled",
        ),
    ] {
        let run = stage.doctor_where(&changes);
        run.is_only("deletion-protection-off");
        let advice = run.report["findings"][0]["next_step"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(advice.starts_with(next_step), "{advice}");
    }
    let encryption = |specification: &str| {
        format!(
            "c('dynamodb').update_table(TableName='tea-guards', SSESpecification={{'SSEType': 'KMS', {specification}}})"
        )
    };
    let storage_key = stage.own_key("StorageKeyId");
    let under = |key: &str| encryption(&format!("'Enabled': True, 'KMSMasterKeyId': '{key}'"));
    // Not at all, under AWS's own key, and under another key of the stack.
    for specification in [
        encryption("'Enabled': False"),
        encryption("'Enabled': True"),
        under(&stage.own_key("FieldsKeyId")),
    ] {
        breaks(
            &stage,
            "table-not-encrypted",
            &specification,
            &under(&storage_key),
        );
    }

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
    // One that holds orders is restored before anything makes it anew and empty.
    let gone = Change::refuse(&of("tea-orders"), 400, "ResourceNotFoundException");
    let run = stage.doctor_where(&[gone]);
    let findings = run.report["findings"].as_array().unwrap();
    let found = findings.iter().find(|found| found["id"] == "table-gone");
    let next_step = found.unwrap()["next_step"].as_str().unwrap();
    assert!(
        next_step.contains("infra/runbooks/restore.md, A table is gone"),
        "{:#}",
        run.report
    );
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
    let under = |key: &str| {
        format!(
            "{queue}c('sqs').set_queue_attributes(QueueUrl=u, Attributes={{'KmsMasterKeyId': '{key}'}})"
        )
    };
    let (storage_key, fields_key) = (stage.own_key("StorageKeyId"), stage.own_key("FieldsKeyId"));
    for key in [
        "alias/aws/sqs",
        "arn:aws:kms:us-east-1:000000000000:alias/aws/sqs",
        &fields_key,
    ] {
        breaks(
            &stage,
            "queue-under-another-key",
            &under(key),
            &under(&storage_key),
        );
    }
    // By its id it is the same key.
    stage.aws(&under(stage.output("StorageKeyId")));
    let by_id = stage.doctor();
    stage.aws(&under(&storage_key));
    by_id.is_well();
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
