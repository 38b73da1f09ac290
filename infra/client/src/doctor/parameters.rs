//! A file of parameters before it is deployed: it is filled in, and what it names is there, in this
//! Region.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use super::alarms;
use super::aws_calls::{ACM, AwsCalls, CallError, EC2, IAM, KMS, STS};
use super::finding::Finding;
use super::stack::Stack;

/// What stands in the example and in no file that is deployed.
const OF_THE_EXAMPLE: [&str; 4] = [
    "1900000001",
    "wx0000000000000001",
    "pay.example.com",
    "123456789012",
];

/// How deep files may include others.
const DEPTH_MAX: u32 = 4;

/// Parameters as a file gives them, in the form of infra/parameters/example.yaml: a name and a text
/// on each line.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    given: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ParametersError {
    #[error("{}: {why}", path.display())]
    Unreadable { path: PathBuf, why: std::io::Error },
    #[error("{}, line {line}: a parameter is written as `Name: \"value\"`, not as `{text}`", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        text: String,
    },
    #[error("{}, line {line}: SAM hands a bare boolean or number on as another text: write the value of `{text}` in quotation marks", path.display())]
    Bare {
        path: PathBuf,
        line: usize,
        text: String,
    },
    #[error("{}, line {line}: `$include` names a file as `file://NAME`, not as `{text}`", path.display())]
    Include {
        path: PathBuf,
        line: usize,
        text: String,
    },
    #[error("{}: files include one another", path.display())]
    Circle { path: PathBuf },
}

impl Parameters {
    pub(crate) fn read(path: &Path) -> Result<Self, ParametersError> {
        let mut parameters = Self::default();
        parameters.add(path, DEPTH_MAX)?;
        Ok(parameters)
    }

    /// What the file gives; `None` for what it leaves to the template, or gives as nothing.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        let value = self.given.get(name)?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// What a deployment goes by: AWS keeps what a stack has and the file does not name.
    fn deployed<'a>(&'a self, name: &str, stack: Option<&'a Stack>) -> &'a str {
        match (self.given.get(name), stack) {
            (Some(value), _) => value,
            (None, Some(stack)) => stack.parameter(name),
            (None, None) => "",
        }
    }

    fn add(&mut self, path: &Path, depth: u32) -> Result<(), ParametersError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ParametersError::Circle {
                path: path.to_owned(),
            });
        };
        let text = std::fs::read_to_string(path).map_err(|why| ParametersError::Unreadable {
            path: path.to_owned(),
            why,
        })?;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') || line == "---" {
                continue;
            }
            let read = line.split_once(':').filter(|(name, _)| is_name(name));
            let read = read.and_then(|(name, rest)| Some((name, Value::read(rest)?)));
            let (path, text) = (path.to_owned(), line.to_owned());
            let line = at.saturating_add(1);
            let (name, value) = match read {
                Some((name, Value::Text(value))) => (name, value),
                Some((_, Value::Bare)) => return Err(ParametersError::Bare { path, line, text }),
                None => return Err(ParametersError::Line { path, line, text }),
            };
            if name != "$include" {
                self.given.insert(name.to_owned(), value);
                continue;
            }
            let Some(included) = value.strip_prefix("file://") else {
                return Err(ParametersError::Include { path, line, text });
            };
            // SAM looks for it in the folder of the file that names it, too.
            let folder = path.parent().unwrap_or(Path::new(""));
            self.add(&folder.join(included), depth)?;
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    text == "$include"
        || (!text.is_empty() && text.bytes().all(|letter| letter.is_ascii_alphanumeric()))
}

/// What stands after a parameter's name.
enum Value {
    Text(String),
    /// Not in quotation marks, and to YAML a boolean, a number, a time or nothing: SAM hands on
    /// `True` for `true`, and `12` for `012`.
    Bare,
}

impl Value {
    /// With quotation marks or without, and maybe a comment after it.
    fn read(rest: &str) -> Option<Self> {
        let text = rest.trim_start();
        // Without a blank it is no value to YAML.
        if text.len() == rest.len() && !text.is_empty() {
            return None;
        }
        let is_comment =
            |after: &str| after.trim().is_empty() || after.trim_start().starts_with('#');
        for mark in ['"', '\''] {
            if let Some(inside) = text.strip_prefix(mark) {
                let (value, after) = inside.split_once(mark)?;
                let is_plain = !value.contains('\\');
                return (is_plain && is_comment(after)).then(|| Self::Text(value.to_owned()));
            }
        }
        let bare = text.split(" #").next().unwrap_or_default().trim();
        if bare.starts_with(['[', '{', '&', '*', '!', '|', '>', '%', '@', '`', '#']) {
            return None;
        }
        let is_word = ["true", "false", "null", "~"]
            .iter()
            .any(|word| bare.eq_ignore_ascii_case(word));
        let is_like_a_number = bare.starts_with(|letter: char| {
            letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.')
        });
        Some(if is_word || is_like_a_number {
            Self::Bare
        } else {
            Self::Text(bare.to_owned())
        })
    }
}

/// What the template's `Rules` refuse: the rule, a parameter, and another that goes with it.
const GO_TOGETHER: [(&str, &str, &str); 11] = [
    ("ConsoleIsComplete", "ConsoleIssuer", "ConsoleAudience"),
    ("ConsoleIsComplete", "ConsoleIssuer", "ConsoleGroup"),
    ("DomainIsComplete", "DomainName", "DomainCertificateArn"),
    (
        "CertificateHasADomain",
        "DomainCertificateArn",
        "DomainName",
    ),
    ("VpcIsComplete", "VpcSubnetIds", "VpcSecurityGroupIds"),
    ("VpcIsComplete", "VpcSecurityGroupIds", "VpcSubnetIds"),
    ("TruststoreHasADomain", "ApiTruststoreUri", "DomainName"),
    ("ConsoleHasAnIssuer", "ConsoleAudience", "ConsoleIssuer"),
    ("ConsoleHasAnIssuer", "ConsoleGroup", "ConsoleIssuer"),
    ("BothKeysOfTheOtherRegion", "SecretsKeyArn", "FieldsKeyArn"),
    ("BothKeysOfTheOtherRegion", "FieldsKeyArn", "SecretsKeyArn"),
];

/// Parameters without those that go with them. `stack` is the one that the file is deployed over.
pub(crate) fn incomplete(parameters: &Parameters, stack: Option<&Stack>) -> Vec<Finding> {
    let is_empty = |name: &str| parameters.deployed(name, stack).is_empty();
    let lacking = GO_TOGETHER
        .iter()
        .filter(|(_, given, other)| !is_empty(given) && is_empty(other));
    let finding = |(rule, given, other): &(&str, &str, &str)| {
        Finding::error(
            "parameters-incomplete",
            format!("{given} is given without {other}, and the template refuses that."),
            format!("the template's rule {rule}"),
            format!("give {other}, too, or write `{given}: \"\"`"),
        )
    };
    lacking.map(finding).collect()
}

/// A parameter that names something in the account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reference {
    Certificate,
    SigningKey,
    OtherSigner,
    SecretsKey,
    FieldsKey,
    AlarmTopic,
    OperatorRole,
    Subnets,
    SecurityGroups,
}

const REFERENCES: [Reference; 9] = [
    Reference::Certificate,
    Reference::SigningKey,
    Reference::OtherSigner,
    Reference::SecretsKey,
    Reference::FieldsKey,
    Reference::AlarmTopic,
    Reference::OperatorRole,
    Reference::Subnets,
    Reference::SecurityGroups,
];

impl Reference {
    fn parameter(self) -> &'static str {
        match self {
            Self::Certificate => "DomainCertificateArn",
            Self::SigningKey => "SigningKeyArn",
            Self::OtherSigner => "OtherSigner",
            Self::SecretsKey => "SecretsKeyArn",
            Self::FieldsKey => "FieldsKeyArn",
            Self::AlarmTopic => "AlarmTopicArn",
            Self::OperatorRole => "OperatorRoleArn",
            Self::Subnets => "VpcSubnetIds",
            Self::SecurityGroups => "VpcSecurityGroupIds",
        }
    }

    /// Where an ARN has to be of: a partition, and a Region where there is one.
    fn place(self, region: &str) -> Option<(&'static str, &str)> {
        let partition = if region.starts_with("cn-") {
            "aws-cn"
        } else if region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        };
        match self {
            Self::Certificate
            | Self::SigningKey
            | Self::OtherSigner
            | Self::SecretsKey
            | Self::FieldsKey
            | Self::AlarmTopic => Some((partition, region)),
            Self::OperatorRole => Some((partition, "")),
            Self::Subnets | Self::SecurityGroups => None,
        }
    }
}

/// What is wrong with a file's parameters, as far as one can see without deploying them.
pub(crate) async fn findings(calls: &AwsCalls, parameters: &Parameters) -> Vec<Finding> {
    let mut findings: Vec<Finding> = of_the_example(parameters).into_iter().collect();
    if !findings.is_empty() {
        return findings;
    }
    for reference in REFERENCES {
        let name = reference.parameter();
        // A sealed key is in the keys table of the stack.
        let Some(value) = parameters.given(name).filter(|value| *value != "sealed") else {
            continue;
        };
        if let Some(finding) = elsewhere(reference, value, calls.region()) {
            findings.push(finding);
            continue;
        }
        match looked_at(calls, reference, value, parameters).await {
            Ok(found) => findings.extend(found),
            Err(error) if error.is_missing() || error.code() == Some("NoSuchEntity") => {
                findings.push(Finding::error(
                    "parameter-names-nothing",
                    format!("{name} names something that does not exist here."),
                    error.to_string(),
                    "look whether account and region are right, and what it is called there (infra/DEPLOY.md)",
                ));
            }
            Err(error) => findings.push(Finding::warning(
                "not-examined",
                format!("What {name} names could not be examined."),
                error.to_string(),
                "see the credentials' permissions, and run this again",
            )),
        }
    }
    findings
}

fn of_the_example(parameters: &Parameters) -> Option<Finding> {
    let is_example = |value: &str| OF_THE_EXAMPLE.iter().any(|text| value.contains(text));
    let of_it: Vec<&str> = parameters
        .given
        .iter()
        .filter(|(_, value)| is_example(value))
        .map(|(name, _)| name.as_str())
        .collect();
    (!of_it.is_empty()).then(|| {
        Finding::error(
            "parameter-of-the-example",
            "The file of parameters is not filled in.",
            format!("{} as in infra/parameters/example.yaml", of_it.join(", ")),
            "write the merchant's own values, and leave out what you do not have",
        )
    })
}

/// An ARN of another partition or Region than the deployment's.
fn elsewhere(reference: Reference, value: &str, region: &str) -> Option<Finding> {
    let (partition, region) = reference.place(region)?;
    let part = |at| value.split(':').nth(at).unwrap_or_default();
    ((part(1), part(3)) != (partition, region)).then(|| {
        Finding::error(
            "parameter-elsewhere",
            format!(
                "{} is of another region than the stack.",
                reference.parameter()
            ),
            format!("{value}; the deployment is in {partition} {region}"),
            "name one of the stack's own region; or deploy there (AWS_REGION)",
        )
    })
}

async fn looked_at(
    calls: &AwsCalls,
    reference: Reference,
    value: &str,
    parameters: &Parameters,
) -> Result<Option<Finding>, CallError> {
    match reference {
        Reference::Certificate => certificate(calls, value, parameters).await,
        Reference::SigningKey | Reference::OtherSigner => signing_key(calls, value).await,
        Reference::SecretsKey | Reference::FieldsKey => sealing_key(calls, value).await,
        Reference::AlarmTopic => alarms::topic_without_subscriber(calls, value).await,
        Reference::OperatorRole => operator_role(calls, value).await,
        Reference::Subnets => by_ids(calls, "DescribeSubnets", "SubnetId", value).await,
        Reference::SecurityGroups => {
            by_ids(calls, "DescribeSecurityGroups", "GroupId", value).await
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribedCertificate {
    certificate: Certificate,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Certificate {
    status: String,
    #[serde(default)]
    domain_name: String,
    #[serde(default)]
    subject_alternative_names: Vec<String>,
}

impl Certificate {
    fn is_for(&self, domain: &str) -> bool {
        let any = domain.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let is_it = |name: &String| name == domain || Some(name) == any.as_ref();
        is_it(&self.domain_name) || self.subject_alternative_names.iter().any(is_it)
    }
}

async fn certificate(
    calls: &AwsCalls,
    arn: &str,
    parameters: &Parameters,
) -> Result<Option<Finding>, CallError> {
    let asked = json!({ "CertificateArn": arn });
    let described: DescribedCertificate = calls.ask(ACM, "DescribeCertificate", &asked).await?;
    let certificate = described.certificate;
    if certificate.status != "ISSUED" {
        return Ok(Some(Finding::error(
            "certificate-not-issued",
            "The domain's certificate is not issued, and a deployment with it fails.",
            format!("{arn} is {}", certificate.status),
            "write the record into the domain's DNS that Certificate Manager asks for, and wait (infra/DEPLOY.md, A domain)",
        )));
    }
    let domain = parameters.given("DomainName").unwrap_or_default();
    Ok((!certificate.is_for(domain)).then(|| {
        Finding::error(
            "certificate-of-another-name",
            "The domain's certificate is for another name, and a deployment with it fails.",
            format!("DomainName is `{domain}`; the certificate is for {}", certificate.domain_name),
            "give DomainName the certificate's name, or ask for another certificate (infra/DEPLOY.md, A domain)",
        )
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribedKey {
    key_metadata: Key,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Key {
    key_state: String,
    #[serde(default)]
    key_spec: String,
    #[serde(default)]
    key_usage: String,
}

async fn described_key(calls: &AwsCalls, arn: &str) -> Result<Key, CallError> {
    let asked = json!({ "KeyId": arn });
    let described: DescribedKey = calls.ask(KMS, "DescribeKey", &asked).await?;
    Ok(described.key_metadata)
}

async fn signing_key(calls: &AwsCalls, arn: &str) -> Result<Option<Finding>, CallError> {
    let key = described_key(calls, arn).await?;
    let is_fit = key.key_spec == "RSA_2048"
        && key.key_usage == "SIGN_VERIFY"
        && matches!(key.key_state.as_str(), "Enabled" | "PendingImport");
    Ok((!is_fit).then(|| {
        Finding::error(
            "signing-key-unfit",
            "The KMS key that is to sign cannot sign for WeChat Pay.",
            format!("{arn} is {} {} {}", key.key_spec, key.key_usage, key.key_state),
            "name a key of the kind RSA_2048 and SIGN_VERIFY that is enabled (infra/runbooks/keys.md, A KMS key of your own)",
        )
    }))
}

async fn sealing_key(calls: &AwsCalls, arn: &str) -> Result<Option<Finding>, CallError> {
    let key = described_key(calls, arn).await?;
    let is_fit = key.key_spec == "SYMMETRIC_DEFAULT" && key.key_state == "Enabled";
    Ok((!is_fit).then(|| {
        Finding::error(
            "sealing-key-unfit",
            "The KMS key that secrets or fields are to be sealed under cannot seal.",
            format!("{arn} is {} {}", key.key_spec, key.key_state),
            "name the replica of the other Region's key, which is SYMMETRIC_DEFAULT, and let it be enabled \
             (infra/runbooks/restore.md, In another Region)",
        )
    }))
}

async fn operator_role(calls: &AwsCalls, arn: &str) -> Result<Option<Finding>, CallError> {
    let own = calls.query(STS, "GetCallerIdentity", &[]).await?;
    let own = own.text_of("Account").unwrap_or_default();
    let of = arn.split(':').nth(4).unwrap_or_default();
    if of != own {
        return Ok(Some(Finding::error(
            "operator-role-of-another-account",
            "The operator's role is of another account, and the queues let in roles of their own account alone.",
            format!("{arn}; the deployment is in {own}"),
            "make the role in the stack's account (infra/DEPLOY.md, Staff, alarms, on-call)",
        )));
    }
    let name = arn.rsplit('/').next().unwrap_or_default();
    calls.query(IAM, "GetRole", &[("RoleName", name)]).await?;
    Ok(None)
}

/// Things of EC2: it refuses the call where one of them does not exist.
async fn by_ids(
    calls: &AwsCalls,
    action: &str,
    field: &str,
    ids: &str,
) -> Result<Option<Finding>, CallError> {
    let numbered: Vec<(String, &str)> = ids
        .split(',')
        .zip(1_u32..)
        .map(|(id, number)| (format!("{field}.{number}"), id))
        .collect();
    let fields: Vec<(&str, &str)> = numbered
        .iter()
        .map(|(name, id)| (name.as_str(), *id))
        .collect();
    calls.query(EC2, action, &fields).await?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../parameters/example.yaml");
    const TEMPLATE: &str = include_str!("../../../../template.yaml");

    fn read(text: &str) -> Result<Parameters, ParametersError> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("parameters-{}-{number}.yaml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let read = Parameters::read(&path);
        std::fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn a_file_in_the_form_of_the_example_is_read_and_the_example_is_known_by_its_values() {
        let example = read(EXAMPLE).unwrap();
        assert_eq!(example.given("DeletionProtection"), Some("false"));
        assert!(of_the_example(&example).is_some());
        for text in OF_THE_EXAMPLE {
            assert!(EXAMPLE.contains(text), "{text}");
        }
        let of_china = concat!(env!("CARGO_MANIFEST_DIR"), "/../parameters/aws-cn.yaml");
        let china = read(&format!(
            "$include: file://{of_china}\nMchid: '1600000000' # ours\nLogLevel: warn\n"
        ));
        let china = china.unwrap();
        assert_eq!(china.given("Architecture"), Some("x86_64"));
        assert_eq!(china.given("Mchid"), Some("1600000000"));
        assert_eq!(china.given("LogLevel"), Some("warn"));
        assert_eq!(
            read("DomainName: \"\"\n").unwrap().given("DomainName"),
            None
        );
    }

    #[test]
    fn a_line_that_is_no_parameter_is_refused_with_its_number() {
        for line in [
            "Mchid",
            "Mchid: \"1",
            "Mchid: \"1\" 2",
            "Appids: [a, b]",
            "  Mchid: \"1\"",
            "Mchid:\"1\"",
        ] {
            let refused = read(&format!("# first\n{line}\n")).unwrap_err().to_string();
            assert!(refused.contains(", line 2: "), "{refused}");
        }
        let missing = Parameters::read(Path::new("/no/such/file.yaml"));
        assert!(matches!(missing, Err(ParametersError::Unreadable { .. })));
    }

    #[test]
    fn what_sam_hands_on_as_another_text_is_refused() {
        for bare in [
            "true",
            "False",
            "null",
            "~",
            "012",
            "1900000001",
            "1.50",
            ".5",
            "-1",
            "+1",
            "1e3",
            "2026-11-30T10:00:00Z",
        ] {
            let refused = read(&format!("Mchid: {bare}\n")).unwrap_err();
            assert!(matches!(refused, ParametersError::Bare { .. }), "{refused}");
            let said = refused.to_string();
            assert!(said.contains("in quotation marks"), "{said}");
            let quoted = read(&format!("Mchid: \"{bare}\"\n")).unwrap();
            assert_eq!(quoted.given("Mchid"), Some(bare));
        }
        for text in ["on", "off", "arm64", "wx0123", "subnet-01,subnet-02"] {
            let bare = read(&format!("Mchid: {text} # ours\n")).unwrap();
            assert_eq!(bare.given("Mchid"), Some(text));
        }
        assert_eq!(read("Mchid:\n").unwrap().given("Mchid"), None);
    }

    #[test]
    fn a_file_is_included_by_file_and_from_the_folder_of_the_one_that_names_it() {
        let name = format!("parameters-{}-included", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let inner = folder.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        let write = |path: PathBuf, text: &str| std::fs::write(path, text).unwrap();
        let live = folder.join("live.yaml");
        write(live.clone(), "$include: file://inner/first.yaml\n");
        write(
            inner.join("first.yaml"),
            "$include: \"file://second.yaml\"\nLogLevel: warn\n",
        );
        write(inner.join("second.yaml"), "Mchid: \"1\"\n");
        let parameters = Parameters::read(&live).unwrap();
        assert_eq!(parameters.given("Mchid"), Some("1"));
        assert_eq!(parameters.given("LogLevel"), Some("warn"));
        write(live.clone(), "\n$include: inner/first.yaml\n");
        let refused = Parameters::read(&live).unwrap_err();
        assert!(matches!(refused, ParametersError::Include { line: 2, .. }));
        write(live.clone(), "$include: file://live.yaml\n");
        let refused = Parameters::read(&live).unwrap_err();
        assert!(matches!(refused, ParametersError::Circle { .. }));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_goes_together_is_what_the_template_s_rules_say() {
        let (_, rules) = TEMPLATE.split_once("\nRules:\n").unwrap();
        let (rules, _) = rules.split_once("\nConditions:\n").unwrap();
        let head = |line: &str| {
            let name = line.strip_prefix("  ")?.strip_suffix(':')?;
            (!name.starts_with(' ')).then(|| name.to_owned())
        };
        // Its condition is what a parameter is set to, and not that it is set.
        let others = ["DefaultEndpointIsKeptBesideADomain"];
        for rule in rules.lines().filter_map(head) {
            let is_known = GO_TOGETHER.iter().any(|(known, ..)| *known == rule);
            assert_ne!(is_known, others.contains(&rule.as_str()), "{rule}");
        }
        for (rule, given, other) in GO_TOGETHER {
            let (_, text) = rules.split_once(&format!("  {rule}:\n")).unwrap();
            let (condition, assertions) = text.split_once("    Assertions:\n").unwrap();
            let set = |name: &str| format!("!Not [!Equals [!Ref {name}, \"\"]]");
            assert!(condition.contains(&set(given)), "{rule}: {given}");
            let assertions = assertions.split("RuleCondition:").next().unwrap();
            assert!(assertions.contains(&set(other)), "{rule}: {other}");
        }
    }

    #[test]
    fn what_is_looked_at_are_parameters_of_the_template() {
        for reference in REFERENCES {
            let head = format!("\n  {}:\n    Type: String\n", reference.parameter());
            assert!(TEMPLATE.contains(&head), "{head}");
        }
    }

    #[test]
    fn an_arn_of_another_partition_or_region_is_elsewhere() {
        let topic = |place: &str| format!("arn:{place}:123456789012:alarms");
        let is_elsewhere = |place: &str, region: &str| {
            elsewhere(Reference::AlarmTopic, &topic(place), region).is_some()
        };
        assert!(!is_elsewhere("aws:sns:ap-east-1", "ap-east-1"));
        assert!(is_elsewhere("aws:sns:us-east-1", "ap-east-1"));
        assert!(is_elsewhere("aws:sns:cn-north-1", "cn-north-1"));
        assert!(!is_elsewhere("aws-cn:sns:cn-north-1", "cn-north-1"));
        let role = "arn:aws:iam::123456789012:role/on-call";
        assert!(elsewhere(Reference::OperatorRole, role, "ap-east-1").is_none());
        assert!(elsewhere(Reference::OperatorRole, role, "cn-north-1").is_some());
    }

    #[test]
    fn a_certificate_is_for_its_names_and_for_one_part_in_place_of_an_asterisk() {
        let certificate = Certificate {
            status: "ISSUED".to_owned(),
            domain_name: "example.com".to_owned(),
            subject_alternative_names: vec!["*.example.com".to_owned()],
        };
        assert!(certificate.is_for("example.com") && certificate.is_for("pay.example.com"));
        assert!(!certificate.is_for("a.pay.example.com") && !certificate.is_for("example.org"));
    }
}
