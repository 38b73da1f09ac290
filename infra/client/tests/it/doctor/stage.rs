//! The template deployed on the local engine, a merchant set up in it, and WeChat Pay. All tests
//! share one, one after the other: each puts back what it broke.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use local::engine::{self, ACCOUNT, Engine, REGION};
use runtime::aws::{Aws, AwsSettings};
use runtime::clock::Clock;
use runtime::kms::Kms;
use serde_json::{Value, json};
use stores::keys_table::{
    KeysTable, VerificationEntry, VerificationKind,
    change::{MerchantChange, SignerCertificate, Validity},
    write::{NewApiV3Key, NewMerchant},
};
use wechatpay::merchant_files::MerchantKey;
use wechatpay_simulator::{Config, Running, SigningMode, Simulator};

use super::DoctorRun;
use super::front::{Change, Front};
use super::receiver::{Answers, Keys, Receiver};

pub(crate) const STACK: &str = "tea";

const FUNCTIONS: [&str; 9] = [
    "create-order",
    "manage-order",
    "receive-callback",
    "process-payment",
    "reconcile",
    "send-webhook",
    "console",
    "notify-operators",
    "forward-errors",
];

/// What the engine's CloudFormation drops or has not: as a stack on AWS stands after a deployment.
const AS_ON_AWS: &str = "
topic = c('sns').create_topic(Name='alarms')['TopicArn']
c('sns').subscribe(TopicArn=topic, Protocol='sqs', Endpoint='arn:aws:sqs:us-east-1:000000000000:tea-webhooks')
for table in ['orders', 'guards', 'notices', 'reconciliation', 'undelivered-events', 'keys']:
    name = 'tea-' + table
    c('dynamodb').update_table(
        TableName=name, SSESpecification={'Enabled': True, 'SSEType': 'KMS', 'KMSMasterKeyId': storage_key})
    if table != 'guards':
        c('dynamodb').update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={'PointInTimeRecoveryEnabled': True})
";

/// A command of the AWS CLI by the SDK, whose model of the service the CLI has, too: a wrong or a
/// missing option fails. One that stands in `$( )` is run before it.
const COMMAND: &str = r"
import jmespath, re, shlex
from botocore import xform_name
def run(line, endpoint):
    inner = lambda found: str(run(found[1], endpoint))
    _, service, operation, *words = shlex.split(re.sub(r'\$\((aws [^)]*)\)', inner, line))
    options = {}
    for word in words:
        if word.startswith('--'):
            name = word[2:]
            options[name] = []
        else:
            options[name].append(word)
    region = options.pop('region', [session.region_name])[0]
    query = options.pop('query', ['@'])[0]
    options.pop('output', None)
    client = session.client(service, region_name=region, endpoint_url=endpoint)
    method = operation.replace('-', '_')
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[method])
    members = {xform_name(name, '-'): (name, shape.type_name) for name, shape in model.input_shape.members.items()}
    given = {}
    for option, values in options.items():
        is_off = option.startswith('no-') and option[3:] in members
        name, kind = members[option[3:] if is_off else option]
        given[name] = not is_off if kind == 'boolean' else values if kind == 'list' else values[0]
    return jmespath.search(query, getattr(client, method)(**given))
";

/// Where the stack was given this key in place of its `FieldsKey`.
pub(crate) fn with_fields_key(arn: &str) -> Change {
    with_parameter("FieldsKeyArn", arn)
}

/// Where the stack tells people on call by channels.
pub(crate) fn with_channels() -> Change {
    with_parameter("OperatorChannels", "on")
}

/// Where the stack has this value of a parameter in place of what it was deployed with.
pub(crate) fn with_parameter(name: &str, value: &str) -> Change {
    let head = format!("<ParameterKey>{name}</ParameterKey>");
    Change::replace(
        &["Action=DescribeStacks"],
        &head,
        &format!(
            "{head}<ParameterValue>{value}</ParameterValue></member><member><ParameterKey>Given{name}</ParameterKey>"
        ),
    )
}

/// Where IAM lets every role do this. Roles are given what the parameters say at a deployment, and
/// this stack was deployed with other ones than a test may show.
pub(crate) fn where_roles_may(action: &str) -> Change {
    let asked = action.replace(':', "%3A");
    Change::answer(
        &["Action=SimulatePrincipalPolicy", &asked],
        &format!(
            "<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult><EvaluationResults><member>\
             <EvalActionName>{action}</EvalActionName><EvalDecision>allowed</EvalDecision>\
             </member></EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        ),
    )
}

/// Where the stack forwards log lines.
pub(crate) fn with_forwarding() -> Change {
    with_parameter("LogForwarding", "errors")
}

/// An account that AWS has raised the limit of. The engine's follows the machine's memory.
pub(crate) const ACCOUNT_SETTINGS: [&str; 1] = ["/2016-08-19/account-settings"];

pub(crate) struct Stage {
    engine: Engine,
    pub(crate) front: Front,
    pub(crate) receiver: Receiver,
    pub(crate) wechat: Running,
    outputs: Value,
}

/// The one stage, for as long as the guard lives.
pub(crate) fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    let stage = STAGE.get_or_init(|| Mutex::new(Stage::set_up()));
    // Another test's failure does not make this one fail: what it broke is put back first.
    let stage = stage.lock().unwrap_or_else(PoisonError::into_inner);
    stage.receiver.answer_as(Answers::default());
    stage.wechat.admin().clear_faults(None);
    stage.store(&Stored::right(&stage));
    stage
}

/// What the merchant's record of the keys table is written with.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) public_key: (String, String),
    pub(crate) apiv3_key: String,
    pub(crate) serial: String,
    /// A PEM.
    pub(crate) private_key: String,
    /// When the merchant's certificate ends; `None` where only its number is registered.
    pub(crate) ends_in_days: Option<i64>,
}

impl Stored {
    pub(crate) fn right(stage: &Stage) -> Self {
        let details = &stage.wechat.details;
        Self {
            public_key: stage
                .wechat
                .admin()
                .newest_key(SigningMode::PublicKey)
                .unwrap(),
            apiv3_key: details.apiv3_key.clone(),
            serial: details.merchant_serial.clone(),
            private_key: stage.wechat.merchant_private_key().unwrap().to_owned(),
            ends_in_days: Some(300),
        }
    }
}

impl Stage {
    fn set_up() -> Self {
        let wechat = Simulator::start(Config::for_tests()).unwrap();
        let receiver = Receiver::start();
        let engine = engine::start(engine::Options::default()).unwrap();
        let details = &wechat.details;
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "x86_64"
        };
        let binaries: Value = FUNCTIONS.iter().map(|name| (*name, "/bin/true")).collect();
        let order = json!({
            "template": Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml"),
            "stack": STACK,
            "endpoint": engine.endpoint(),
            "region": REGION,
            "parameters": {
                "Mchid": details.mchid,
                "Appids": details.appids.join(","),
                "Architecture": architecture,
                "MerchantSigner": "sealed",
                "NotifyUrl": format!("{}/v1/callbacks/wechatpay", receiver.base),
                "WechatpayBaseUrl": details.base_url,
                "WechatpayBackupUrl": details.base_url,
                "AlarmTopicArn": "arn:aws:sns:us-east-1:000000000000:alarms",
                "ConsoleIssuer": "https://issuer.example",
                "ConsoleAudience": "console",
                "ConsoleGroup": "finance",
            },
            "binaries": binaries,
        });
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../local/deploy.py");
        let printed = python(&engine, deploy.to_str().unwrap(), &order.to_string());
        let deployed: Value = serde_json::from_str(&printed).unwrap();
        let front = Front::start(format!("127.0.0.1:{}", engine.port()));
        let stage = Self {
            engine,
            front,
            receiver,
            wechat,
            outputs: deployed["outputs"].clone(),
        };
        let storage_key = stage.own_key("StorageKeyId");
        stage.aws(&format!("storage_key = '{storage_key}'\n{AS_ON_AWS}"));
        stage
    }

    /// Runs Python in which `c` gives an SDK client of the engine, by its service.
    pub(crate) fn aws(&self, script: &str) -> String {
        let endpoint = self.engine.endpoint();
        let whole = format!(
            "import boto3\n\
             session = boto3.Session(aws_access_key_id='test', aws_secret_access_key='test', region_name='{REGION}')\n\
             c = lambda service: session.client(service, endpoint_url='{endpoint}')\n\
             {script}"
        );
        python(&self.engine, "-", &whole)
    }

    /// Runs the commands that the findings' next steps name, as they stand.
    #[track_caller]
    pub(crate) fn follow(&self, run: &DoctorRun) {
        let endpoint = self.engine.endpoint();
        for finding in run.report["findings"].as_array().unwrap() {
            let next_step = finding["next_step"].as_str().unwrap();
            let spans = next_step.split('`').skip(1).step_by(2);
            let commands: Vec<&str> = spans.filter(|span| span.starts_with("aws ")).collect();
            assert!(!commands.is_empty(), "{next_step}");
            for command in commands {
                self.aws(&format!("{COMMAND}run({command:?}, '{endpoint}')"));
            }
        }
    }

    /// The ARN of one of the stack's keys, by the output that has its id.
    pub(crate) fn own_key(&self, output: &str) -> String {
        let id = self.output(output);
        format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{id}")
    }

    /// The same without AWS.
    pub(crate) fn python(&self, script: &str) -> String {
        python(&self.engine, "-", script)
    }

    pub(crate) fn output(&self, name: &str) -> &str {
        self.outputs[name].as_str().unwrap()
    }

    /// Writes the merchant's record, in place of what is there.
    pub(crate) fn store(&self, stored: &Stored) {
        let (id, pem) = stored.public_key.clone();
        let verification = [VerificationEntry {
            id: id.clone(),
            kind: VerificationKind::PublicKey,
            pem,
        }];
        let private_key = MerchantKey::read(stored.private_key.as_bytes()).unwrap();
        let merchant = NewMerchant {
            verification: &verification,
            response_serial: &id,
            apiv3: &[NewApiV3Key {
                version: 1,
                bytes: stored.apiv3_key.as_bytes(),
            }],
            signer_serial: &stored.serial,
            signer_kms_key_id: Some(self.output("MerchantSigningKeyId")),
            signer_pkcs8: Some(private_key.pkcs8_der()),
        };
        let now = Clock::system().now();
        let validity = stored.ends_in_days.map(|days| Validity {
            from: now,
            // So that as many days are left for the whole of a test.
            until: now.plus_s(days * 86_400 + 3600),
        });
        let certified = MerchantChange {
            signer_certificate: Some(SignerCertificate {
                signs: None,
                serial_no: &stored.serial,
                validity,
            }),
            ..MerchantChange::default()
        };
        let keys = self.keys();
        let write = || {
            block_on(async {
                keys.put_merchant(&merchant).await.unwrap();
                keys.change_merchant(&certified).await.unwrap();
            });
        };
        // A thread that drives a runtime, as some tests' own does, drives no other.
        std::thread::scope(|threads| threads.spawn(write).join().unwrap());
        let right = Stored::right(self);
        self.receiver.opens_with(Keys {
            engine: self.engine.endpoint(),
            table: self.output("NoticesTableName").to_owned(),
            mchid: self.wechat.details.mchid.clone(),
            apiv3_key: right.apiv3_key,
            public_key: right.public_key,
        });
    }

    pub(crate) fn keys(&self) -> KeysTable {
        let clock = Clock::system();
        let aws = Aws::new(&AwsSettings::local(self.engine.endpoint()), &clock);
        KeysTable::new(
            aws.dynamodb(),
            self.output("KeysTableName"),
            &self.wechat.details.mchid,
            Kms::new(aws.kms()),
            self.output("SecretsKeyId"),
            clock,
        )
    }

    /// Runs the doctor.
    pub(crate) fn doctor(&self) -> DoctorRun {
        self.doctor_with(&[], &[])
    }

    /// The same where AWS answers otherwise.
    #[track_caller]
    pub(crate) fn doctor_where(&self, changes: &[Change]) -> DoctorRun {
        self.doctor_with(changes, &[])
    }

    #[track_caller]
    pub(crate) fn doctor_with(&self, changes: &[Change], arguments: &[&str]) -> DoctorRun {
        self.examined(
            changes,
            0,
            &[&["doctor", "--stack", STACK], arguments].concat(),
        )
    }

    /// Where AWS's clock is so much ahead of ours.
    pub(crate) fn doctor_ahead_of(&self, ahead_s: i64) -> DoctorRun {
        self.examined(&[], -ahead_s, &["doctor", "--stack", STACK])
    }

    #[track_caller]
    pub(crate) fn examined(
        &self,
        changes: &[Change],
        ahead_s: i64,
        arguments: &[&str],
    ) -> DoctorRun {
        self.examined_with(changes, ahead_s, arguments, &[])
    }

    /// The same with these variables, or without.
    #[track_caller]
    pub(crate) fn examined_with(
        &self,
        changes: &[Change],
        ahead_s: i64,
        arguments: &[&str],
        variables: &[(&str, Option<&str>)],
    ) -> DoctorRun {
        let limit = Change::answer(
            &ACCOUNT_SETTINGS,
            r#"{"AccountLimit":{"ConcurrentExecutions":1000}}"#,
        );
        // If no function is examined, this is not requested.
        let all: Vec<Change> = changes.iter().cloned().chain([limit]).collect();
        self.front.set(&all, ahead_s);
        let mut command = self.command(arguments);
        for (name, value) in variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.arg("--json").output().unwrap();
        let calls = self.front.calls();
        self.front.end_but_the_last();
        DoctorRun::read(&output, calls)
    }

    /// Runs another of the program's commands.
    pub(crate) fn plain(&self, arguments: &[&str]) -> std::process::Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs `setup` for the merchant.
    #[track_caller]
    pub(crate) fn setup(&self, arguments: &[&str]) {
        let deployment = [
            "--mchid",
            &self.wechat.details.mchid,
            "--keys-table",
            self.output("KeysTableName"),
            "--secrets-key-id",
            self.output("SecretsKeyId"),
        ];
        let output = self.plain(&[&["setup"], arguments, &deployment].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    }

    /// Changes the merchant's record by an update expression, whatever it says.
    pub(crate) fn change_record(&self, expression: &str, values: &str) {
        let mchid = &self.wechat.details.mchid;
        let values = if values.is_empty() {
            String::new()
        } else {
            format!(", ExpressionAttributeValues={values}")
        };
        self.aws(&format!(
            "c('dynamodb').update_item(TableName='tea-keys', Key={{'pk': {{'S': 'merchant#{mchid}'}}}}, \
             UpdateExpression='{expression}'{values})"
        ));
    }

    /// Runs another of the program's commands where AWS answers otherwise.
    #[track_caller]
    pub(crate) fn plain_where(
        &self,
        changes: &[Change],
        arguments: &[&str],
    ) -> std::process::Output {
        self.front.set(changes, 0);
        let output = self.plain(arguments);
        self.front.end();
        output
    }

    /// Clients of the engine, past the front.
    pub(crate) fn clients(&self) -> Aws {
        Aws::new(
            &AwsSettings::local(self.engine.endpoint()),
            &Clock::system(),
        )
    }

    /// The program, which reaches the engine through the front.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_client"));
        command
            .args(arguments)
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_ENDPOINT_URL", &self.front.endpoint)
            .env_remove("STACK");
        command
    }
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn python(engine: &Engine, file: &str, input: &str) -> String {
    let mut child = Command::new(engine.python())
        .args(["-B", file])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{input}\n{said}");
    String::from_utf8(output.stdout).unwrap()
}
