//! `preflight`: tools from a folder of the test's own, the account as the front shows it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::DoctorRun;
use super::front::Change;
use super::stage::{ACCOUNT_SETTINGS, STACK, Stage, stage};

/// Tools that say these versions; those without one are not there.
struct Tools {
    folder: PathBuf,
}

const SAID: [(&str, &str); 5] = [
    ("sam", "SAM CLI, version 1.170.0"),
    ("cargo-lambda", "cargo-lambda 1.9.2 (a9c5d8e 2026-11-02Z)"),
    ("zig", "0.17.1"),
    ("aws", "aws-cli/2.31.38 Python/3.13.7 Linux/6.8.0"),
    ("rustc", env!("CARGO_MANIFEST_DIR")),
];

impl Tools {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("doctor-tools-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let tools = Self { folder };
        for (tool, said) in SAID {
            tools.says(tool, said);
        }
        tools
    }

    fn says(&self, tool: &str, said: &str) {
        let path = self.folder.join(tool);
        std::fs::write(&path, format!("#!/bin/sh\necho '{said}'\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn remove(&self, tool: &str) {
        std::fs::remove_file(self.folder.join(tool)).unwrap();
    }

    /// Runs the program where only these tools are.
    fn run(&self, stage: &Stage, changes: &[Change], arguments: &[&str]) -> DoctorRun {
        let arguments = [&["preflight"], arguments].concat();
        let path = self.folder.to_str().unwrap();
        stage.examined_with(changes, 0, &arguments, &[("PATH", Some(path))])
    }
}

#[test]
fn an_account_and_tools_that_can_deploy_have_nothing_wrong() {
    let (stage, tools) = (stage(), Tools::new("well"));
    tools.run(&stage, &[], &[]).is_well();
    tools.run(&stage, &[], &["--stack", "coffee"]).is_well();
    // One that stands can be deployed over.
    tools.run(&stage, &[], &["--stack", STACK]).is_well();
}

#[test]
fn a_tool_that_is_missing_or_old_is_named() {
    let (stage, tools) = (stage(), Tools::new("tools"));
    for (tool, said) in SAID.iter().take(4) {
        tools.remove(tool);
        tools.run(&stage, &[], &[]).is_only("tool-missing");
        tools.says(tool, said);
    }
    for (tool, old) in [
        ("sam", "SAM CLI, version 1.99.0"),
        ("cargo-lambda", "cargo-lambda 1.8.6"),
        ("zig", "0.9.1"),
        ("aws", "aws-cli/1.45.11 Python/3.11.2 Linux/6.8.0"),
        ("aws", "aws-cli/2.31.37 Python/3.13.7 Linux/6.8.0"),
    ] {
        tools.says(tool, old);
        tools.run(&stage, &[], &[]).is_only("tool-old");
        let (_, said) = SAID.iter().find(|(name, _)| *name == tool).unwrap();
        tools.says(tool, said);
    }
    // zig may be a package of Python's.
    tools.remove("zig");
    tools.says("python3", "0.17.1");
    tools.run(&stage, &[], &[]).is_well();
    tools.says("rustc", "/no/such/folder");
    tools.run(&stage, &[], &[]).is_only("rust-target-missing");
}

#[test]
fn credentials_and_a_region_that_are_missing_or_refused_are_named() {
    let (stage, tools) = (stage(), Tools::new("credentials"));
    let path = tools.folder.to_str().unwrap();
    let without = |name: &str| {
        let variables = [("PATH", Some(path)), (name, None)];
        stage.examined_with(&[], 0, &["preflight"], &variables)
    };
    without("AWS_REGION").is_only("region-missing");
    without("AWS_ACCESS_KEY_ID").is_only("credentials-missing");
    let expired = Change::refuse(&["Action=GetCallerIdentity"], 403, "ExpiredToken");
    tools
        .run(&stage, &[expired], &[])
        .is_only("credentials-refused");
    // A wrong clock is what AWS refuses then, and not the credentials.
    let refused = Change::refuse(&["Action=GetCallerIdentity"], 403, "SignatureDoesNotMatch");
    let variables = [("PATH", Some(path))];
    let run = stage.examined_with(&[refused], 900, &["preflight"], &variables);
    run.is_only("clock-off");
}

#[test]
fn what_the_account_or_region_cannot_do_is_named() {
    let (stage, tools) = (stage(), Tools::new("account"));
    let limited = Change::answer(
        &ACCOUNT_SETTINGS,
        r#"{"AccountLimit":{"ConcurrentExecutions":10}}"#,
    );
    tools
        .run(&stage, &[limited], &[])
        .is_only("concurrency-limit-low");
    // By the shares of a file; it is an error where the file reserves them.
    let file = tools.folder.join("live.yaml");
    let file = file.to_str().unwrap();
    let of_240 = Change::answer(
        &ACCOUNT_SETTINGS,
        r#"{"AccountLimit":{"ConcurrentExecutions":240}}"#,
    );
    let many = "CreateOrderConcurrency: \"51\"\n";
    let reserves = "ReserveConcurrency: \"true\"\n";
    let both = format!("{many}{reserves}");
    for (text, severity) in [
        ("", None),
        (reserves, None),
        (many, Some("warning")),
        (both.as_str(), Some("error")),
    ] {
        std::fs::write(file, text).unwrap();
        let run = tools.run(
            &stage,
            std::slice::from_ref(&of_240),
            &["--parameters", file],
        );
        let Some(severity) = severity else {
            run.is_well();
            continue;
        };
        run.is_only("concurrency-limit-low");
        assert_eq!(run.report["worst"], severity, "{:#}", run.report);
    }
    let path = tools.folder.to_str().unwrap();
    let china = [("PATH", Some(path)), ("AWS_REGION", Some("cn-north-1"))];
    let run = stage.examined_with(&[], 0, &["preflight"], &china);
    run.is_only("architecture-not-in-region");
    let on_x86 = ["preflight", "--architecture", "x86_64"];
    stage.examined_with(&[], 0, &on_x86, &china).is_well();
    let denied = Change::refuse(&ACCOUNT_SETTINGS, 403, "AccessDeniedException");
    tools.run(&stage, &[denied], &[]).is_only("not-examined");
}

#[test]
fn what_an_earlier_stack_left_is_named() {
    let (stage, tools) = (stage(), Tools::new("left"));
    let wreck = Change::replace(
        &["Action=DescribeStacks"],
        "<StackStatus>CREATE_COMPLETE</StackStatus>",
        "<StackStatus>ROLLBACK_COMPLETE</StackStatus>",
    );
    tools
        .run(&stage, &[wreck], &["--stack", STACK])
        .is_only("stack-failed");
    stage.aws(
        "c('dynamodb').create_table(TableName='coffee-orders', BillingMode='PAY_PER_REQUEST', \
         AttributeDefinitions=[{'AttributeName': 'pk', 'AttributeType': 'S'}], \
         KeySchema=[{'AttributeName': 'pk', 'KeyType': 'HASH'}])",
    );
    let run = tools.run(&stage, &[], &["--stack", "coffee"]);
    run.is_only("name-taken");
    // What it names deletes the table.
    stage.follow(&run);
    tools.run(&stage, &[], &["--stack", "coffee"]).is_well();
    let evidence = |run: &DoctorRun| {
        let evidence = &run.report["findings"][0]["evidence"];
        evidence.as_str().unwrap().to_owned()
    };
    assert_eq!(evidence(&run), "table coffee-orders");
    // A dead-letter queue stays as well.
    stage.aws("c('sqs').create_queue(QueueName='coffee-webhooks-dlq')");
    let run = tools.run(&stage, &[], &["--stack", "coffee"]);
    run.is_only("name-taken");
    assert_eq!(evidence(&run), "queue coffee-webhooks-dlq");
    stage.follow(&run);
    tools.run(&stage, &[], &["--stack", "coffee"]).is_well();
    // A name whose first change set was never executed can be deployed under, if nothing else has
    // it.
    let reviewed = Change::replace(
        &["Action=DescribeStacks"],
        "<StackStatus>CREATE_COMPLETE</StackStatus>",
        "<StackStatus>REVIEW_IN_PROGRESS</StackStatus>",
    );
    let run = tools.run(&stage, &[reviewed], &["--stack", STACK]);
    assert_eq!(
        run.ids(),
        ["name-taken", "stack-never-made"],
        "{:#}",
        run.report
    );
    let of_tea = evidence(&run);
    assert_eq!(of_tea.matches("table tea-").count(), 5, "{of_tea}");
    assert_eq!(of_tea.matches("queue tea-").count(), 5, "{of_tea}");
}

/// Things of EC2, IAM, KMS and Certificate Manager that a file of parameters names, one on a line.
const NAMED: &str = "
import json
v = c('ec2').create_vpc(CidrBlock='10.9.0.0/16')['Vpc']['VpcId']
s = [c('ec2').create_subnet(VpcId=v, CidrBlock=b)['Subnet']['SubnetId'] for b in ['10.9.0.0/24', '10.9.1.0/24']]
print(','.join(s))
print(c('ec2').create_security_group(GroupName='tea', Description='tea', VpcId=v)['GroupId'])
print(c('acm').request_certificate(DomainName='pay.tea.example')['CertificateArn'])
print(c('kms').create_key(KeySpec='RSA_2048', KeyUsage='SIGN_VERIFY', Origin='EXTERNAL')['KeyMetadata']['Arn'])
trust = {'Version': '2012-10-17', 'Statement': [
    {'Effect': 'Allow', 'Principal': {'Service': 'lambda.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}
print(c('iam').create_role(RoleName='on-call', AssumeRolePolicyDocument=json.dumps(trust))['Role']['Arn'])
print(c('kms').create_key()['KeyMetadata']['Arn'])
k = c('kms').create_key()['KeyMetadata']['Arn']
c('kms').disable_key(KeyId=k)
print(k)
c('s3').create_bucket(Bucket='tea-edge')
for name, text in [('ca.pem', '-----BEGIN CERTIFICATE-----'), ('ca 2.pem', 'nothing')]:
    c('s3').put_object(Bucket='tea-edge', Key='mutual tls/' + name, Body=text.encode())
";

#[test]
fn what_a_file_of_parameters_names_has_to_be_there_and_in_this_region() {
    let (stage, tools) = (stage(), Tools::new("parameters"));
    let file = tools.folder.join("live.yaml");
    let file = file.to_str().unwrap();
    let run = |lines: &[String], changes: &[Change]| {
        let text = format!("Mchid: \"1600000000\"\n{}\n", lines.join("\n"));
        std::fs::write(file, text).unwrap();
        tools.run(&stage, changes, &["--parameters", file])
    };
    let made = stage.aws(NAMED);
    let [
        subnets,
        group,
        certificate,
        key,
        role,
        other_key,
        disabled_key,
    ] = made.lines().collect::<Vec<_>>().try_into().unwrap();
    let line = |name: &str, value: &str| format!("{name}: \"{value}\"");
    let domain = line("DomainName", "pay.tea.example");
    let topic = "arn:aws:sns:us-east-1:000000000000:alarms";
    let operators = "arn:aws:sns:us-east-1:000000000000:on-call";
    let subscribed = "c('sns').subscribe(TopicArn=t, Protocol='sqs', Endpoint='arn:aws:sqs:us-east-1:000000000000:tea-webhooks')";
    stage.aws(&format!("t = c('sns').create_topic(Name='on-call')['TopicArn']\n{subscribed}\nc('sns').create_topic(Name='nobody')"));
    let channels = |topic_of_alarms: &str, topic_of_operators: &str| {
        vec![
            line("OperatorChannels", "on"),
            line("AlarmTopicArn", topic_of_alarms),
            line("OperatorsTopicArn", topic_of_operators),
        ]
    };
    let whole = [
        domain.clone(),
        line("DomainCertificateArn", certificate),
        line("SigningKeyArn", key),
        line("OtherSigner", "sealed"),
        line("AlarmTopicArn", topic),
        line("OperatorChannels", "on"),
        line("OperatorsTopicArn", operators),
        line("OperatorRoleArn", role),
        line("VpcSubnetIds", subnets),
        line("VpcSecurityGroupIds", group),
        line("ApiTruststoreUri", "s3://tea-edge/mutual tls/ca.pem"),
    ];
    run(&whole, &[]).is_well();
    let truststore = |file: &str| {
        vec![
            domain.clone(),
            line("DomainCertificateArn", certificate),
            line("ApiTruststoreUri", file),
        ]
    };

    let elsewhere = certificate.replace("us-east-1", "eu-central-1");
    let other_account = role.replace("000000000000", "111111111111");
    for (id, lines) in [
        (
            "parameter-of-the-example",
            vec![line("Appids", "wx0000000000000001")],
        ),
        (
            "parameter-elsewhere",
            vec![domain.clone(), line("DomainCertificateArn", &elsewhere)],
        ),
        (
            "certificate-of-another-name",
            vec![
                line("DomainName", "tea.example"),
                line("DomainCertificateArn", certificate),
            ],
        ),
        (
            "truststore-without-certificate",
            truststore("s3://tea-edge/mutual tls/ca 2.pem"),
        ),
        ("signing-key-unfit", vec![line("SigningKeyArn", other_key)]),
        ("signing-key-unfit", vec![line("OtherSigner", other_key)]),
        (
            "sealing-key-unfit",
            vec![line("SecretsKeyArn", key), line("FieldsKeyArn", other_key)],
        ),
        (
            "sealing-key-unfit",
            vec![
                line("SecretsKeyArn", other_key),
                line("FieldsKeyArn", disabled_key),
            ],
        ),
        (
            "operator-role-of-another-account",
            vec![line("OperatorRoleArn", &other_account)],
        ),
        (
            "alarm-topic-gone",
            vec![line("AlarmTopicArn", &format!("{topic}-of-nobody"))],
        ),
        ("parameters-contradictory", channels(operators, operators)),
        (
            "parameter-elsewhere",
            channels(topic, &operators.replace("us-east-1", "eu-central-1")),
        ),
        (
            "parameter-elsewhere",
            channels(topic, &operators.replace("arn:aws:", "arn:aws-cn:")),
        ),
        (
            "operators-topic-without-subscriber",
            channels(topic, &operators.replace("on-call", "nobody")),
        ),
    ] {
        run(&lines, &[]).is_only(id);
    }
    let no_key = "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000";
    let no_certificate = "arn:aws:acm:us-east-1:000000000000:certificate/none";
    let nobody = "arn:aws:iam::000000000000:role/nobody";
    for lines in [
        vec![domain.clone(), line("DomainCertificateArn", no_certificate)],
        truststore("s3://tea-edge/ca.pem"),
        truststore("s3://tea-edge-of-nobody/ca.pem"),
        vec![line("SigningKeyArn", no_key)],
        vec![
            line("SecretsKeyArn", no_key),
            line("FieldsKeyArn", other_key),
        ],
        vec![
            line("SecretsKeyArn", other_key),
            line("FieldsKeyArn", no_key),
        ],
        vec![line("OperatorRoleArn", nobody)],
        channels(topic, &format!("{operators}-of-nobody")),
        vec![
            line("VpcSubnetIds", "subnet-00000000"),
            line("VpcSecurityGroupIds", group),
        ],
        vec![
            line("VpcSubnetIds", subnets),
            line("VpcSecurityGroupIds", "sg-00000000"),
        ],
    ] {
        run(&lines, &[]).is_only("parameter-names-nothing");
    }
    let waits = Change::replace(
        &["CertificateManager.DescribeCertificate"],
        r#""Status": "ISSUED""#,
        r#""Status": "PENDING_VALIDATION""#,
    );
    run(&whole, &[waits]).is_only("certificate-not-issued");
    let moved = Change::refuse(&["GET /tea-edge/"], 301, "PermanentRedirect");
    run(&whole, &[moved]).is_only("parameter-elsewhere");
    let denied = Change::refuse(&["Action=DescribeSubnets"], 403, "UnauthorizedOperation");
    run(&whole, &[denied]).is_only("not-examined");
}

#[test]
fn parameters_without_those_that_go_with_them_are_named() {
    let (stage, tools) = (stage(), Tools::new("together"));
    let file = tools.folder.join("live.yaml");
    let file = file.to_str().unwrap();
    let domain = "DomainName: \"pay.tea.example\"\n";
    for text in [domain, "ConsoleGroup: \"finance\"\n"] {
        std::fs::write(file, text).unwrap();
        let run = tools.run(&stage, &[], &["--parameters", file]);
        run.is_only("parameters-incomplete");
    }
    let on_loopback = "ConsoleIssuer: \"https://issuer.example\"\nConsoleAudience: \"console\"\n\
                       ConsoleGroup: \"finance\"\nConsoleOnLoopback: \"true\"\n";
    std::fs::write(file, on_loopback).unwrap();
    let run = tools.run(&stage, &[], &["--parameters", file]);
    run.is_only("parameters-contradictory");
    std::fs::write(file, "KeepDefaultEndpoint: \"true\"\n").unwrap();
    let run = tools.run(&stage, &[], &["--parameters", file]);
    run.is_only("parameters-incomplete");
    std::fs::write(file, "ConsoleGroup: \"finance\"\n").unwrap();
    // What the stack has already, a deployment keeps; a file may empty it.
    let of_stack = ["--parameters", file, "--stack", STACK];
    tools.run(&stage, &[], &of_stack).is_well();
    std::fs::write(file, "ConsoleGroup: \"\"\n").unwrap();
    let run = tools.run(&stage, &[], &of_stack);
    run.is_only("parameters-incomplete");
    std::fs::write(file, domain).unwrap();
    let run = tools.run(&stage, &[], &of_stack);
    run.is_only("parameters-incomplete");
}

#[test]
fn limits_of_a_file_that_do_not_go_together_are_named() {
    let (stage, tools) = (stage(), Tools::new("limits"));
    let file = tools.folder.join("live.yaml");
    let file = file.to_str().unwrap();
    let run = |text: &str, of_stack: &[&str]| {
        std::fs::write(file, text).unwrap();
        tools.run(&stage, &[], &[&["--parameters", file], of_stack].concat())
    };
    let reserves = "ReserveConcurrency: \"true\"\nProcessPaymentConcurrency: ";
    for (last_in, first_out) in [
        ("ClientRateLimit: \"100\"\n", "ClientRateLimit: \"101\"\n"),
        ("ApiRateLimit: \"200\"\n", "ApiRateLimit: \"199\"\n"),
        ("CallsPerSecond: \"50\"\n", "CallsPerSecond: \"51\"\n"),
        ("RefundsPerSecond: \"25\"\n", "RefundsPerSecond: \"26\"\n"),
        (
            &format!("{reserves}\"20\"\n"),
            &format!("{reserves}\"19\"\n"),
        ),
    ] {
        run(last_in, &[]).is_well();
        run(first_out, &[]).is_only("limits-inconsistent");
        // With what the stack has already.
        run(first_out, &["--stack", STACK]).is_only("limits-inconsistent");
    }
}

#[test]
fn a_file_of_parameters_says_for_which_processor_and_one_that_cannot_be_read_is_an_error() {
    let (stage, tools) = (stage(), Tools::new("processor"));
    let file = tools.folder.join("live.yaml");
    let file = file.to_str().unwrap();
    std::fs::write(file, "Architecture: \"x86_64\"\n").unwrap();
    let path = tools.folder.to_str().unwrap();
    let china = [("PATH", Some(path)), ("AWS_REGION", Some("cn-north-1"))];
    let arguments = ["preflight", "--parameters", file];
    stage.examined_with(&[], 0, &arguments, &china).is_well();
    // An option beside it changes no deployment.
    let option =
        |architecture: &'static str| ["--architecture", architecture, "--parameters", file];
    tools.run(&stage, &[], &option("x86_64")).is_well();
    let run = tools.run(&stage, &[], &option("arm64"));
    run.is_only("architecture-contradicted");
    std::fs::write(file, "LogLevel: \"info\"\n").unwrap();
    let run = tools.run(&stage, &[], &option("x86_64"));
    run.is_only("architecture-contradicted");
    std::fs::write(file, "Architecture x86_64\n").unwrap();
    let output = stage.plain(&arguments);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("live.yaml, line 1"), "{said}");
}
