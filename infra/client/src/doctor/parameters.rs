//! A file of parameters before it is deployed: it is filled in, and what it names is there, in this
//! Region.

mod file;
mod rules;

use serde::Deserialize;
use serde_json::json;

use super::alarms;
use super::aws_calls::{ACM, AwsCalls, CallError, EC2, IAM, STS};
use super::finding::Finding;
use super::keys;

pub(crate) use file::Parameters;
pub(crate) use rules::refused;

/// What stands in the example and in no file that is deployed.
const OF_THE_EXAMPLE: [&str; 4] = [
    "1900000001",
    "wx0000000000000001",
    "pay.example.com",
    "123456789012",
];

/// What S3 answers in one Region about a bucket of another.
const OTHER_REGION: [&str; 3] = [
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
];

/// A parameter that names something in the account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reference {
    Certificate,
    SigningKey,
    OtherSigner,
    SecretsKey,
    FieldsKey,
    AlarmTopic,
    OperatorsTopic,
    OperatorRole,
    Subnets,
    SecurityGroups,
    Truststore,
}

const REFERENCES: [Reference; 11] = [
    Reference::Certificate,
    Reference::SigningKey,
    Reference::OtherSigner,
    Reference::SecretsKey,
    Reference::FieldsKey,
    Reference::AlarmTopic,
    Reference::OperatorsTopic,
    Reference::OperatorRole,
    Reference::Subnets,
    Reference::SecurityGroups,
    Reference::Truststore,
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
            Self::OperatorsTopic => "OperatorsTopicArn",
            Self::OperatorRole => "OperatorRoleArn",
            Self::Subnets => "VpcSubnetIds",
            Self::SecurityGroups => "VpcSecurityGroupIds",
            Self::Truststore => "ApiTruststoreUri",
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
            | Self::AlarmTopic
            | Self::OperatorsTopic => Some((partition, region)),
            Self::OperatorRole => Some((partition, "")),
            Self::Subnets | Self::SecurityGroups | Self::Truststore => None,
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
            Err(error) if error.is_missing() => {
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
        Reference::OperatorsTopic => alarms::operators_topic(calls, value).await,
        Reference::OperatorRole => operator_role(calls, value).await,
        Reference::Subnets => by_ids(calls, "DescribeSubnets", "SubnetId", value).await,
        Reference::SecurityGroups => {
            by_ids(calls, "DescribeSecurityGroups", "GroupId", value).await
        }
        Reference::Truststore => truststore(calls, value).await,
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

async fn signing_key(calls: &AwsCalls, arn: &str) -> Result<Option<Finding>, CallError> {
    let key = keys::described(calls, arn).await?;
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
    let key = keys::described(calls, arn).await?;
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

/// The file that API Gateway reads with the deployment's own permissions.
async fn truststore(calls: &AwsCalls, uri: &str) -> Result<Option<Finding>, CallError> {
    let (bucket, key) = uri
        .strip_prefix("s3://")
        .and_then(|path| path.split_once('/'))
        .unwrap_or_default();
    let file = match calls.object(bucket, key).await {
        Ok(file) => file,
        Err(error)
            if error
                .code()
                .is_some_and(|code| OTHER_REGION.contains(&code)) =>
        {
            return Ok(Some(Finding::error(
                "parameter-elsewhere",
                "ApiTruststoreUri is in a bucket of another region than the stack.",
                format!("{uri}; {error}"),
                "put the file into a bucket of the stack's region (infra/DEPLOY.md, CloudFront and WAF before it)",
            )));
        }
        Err(error) => return Err(error),
    };
    let has_certificate = String::from_utf8_lossy(&file).contains("-----BEGIN CERTIFICATE-----");
    Ok((!has_certificate).then(|| {
        Finding::error(
            "truststore-without-certificate",
            "The file by which API Gateway knows CloudFront has no certificate, and a deployment with it fails.",
            format!("{uri} has no `-----BEGIN CERTIFICATE-----`"),
            "put the CA's certificate there as PEM (infra/DEPLOY.md, CloudFront and WAF before it)",
        )
    }))
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
    use super::file::tests::read;
    use super::*;

    const EXAMPLE: &str = include_str!("../../../parameters/example.yaml");
    const TEMPLATE: &str = include_str!("../../../../template.yaml");

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
    fn what_is_looked_at_are_parameters_of_the_template() {
        for reference in REFERENCES {
            let head = format!("\n  {}:\n    Type: String\n", reference.parameter());
            assert!(TEMPLATE.contains(&head), "{head}");
        }
    }

    /// Whether a value of this parameter names something in the account, by an ARN, ids or an
    /// address in S3.
    fn names_something(parameter: &str, says: &str) -> bool {
        let by_name = ["Arn", "Arns", "Id", "Ids", "Uri", "Uris"];
        let pattern = says.lines().find(|line| line.contains("AllowedPattern:"));
        let by_pattern = ["arn:", "s3://", "subnet-", "sg-"];
        by_name.iter().any(|end| parameter.ends_with(end))
            || pattern.is_some_and(|pattern| by_pattern.iter().any(|begin| pattern.contains(begin)))
    }

    #[test]
    fn every_parameter_that_names_something_in_the_account_is_looked_at() {
        let (_, parameters) = TEMPLATE.split_once("\nParameters:\n").unwrap();
        let (parameters, _) = parameters.split_once("\nRules:\n").unwrap();
        let mut named = Vec::new();
        for line in parameters.lines() {
            let head = line
                .strip_prefix("  ")
                .and_then(|line| line.strip_suffix(':'));
            let Some(parameter) = head.filter(|head| !head.starts_with(' ')) else {
                continue;
            };
            let (_, says) = parameters.split_once(&format!("  {parameter}:\n")).unwrap();
            let inside = |line: &&str| line.is_empty() || line.starts_with("    ");
            let says: Vec<&str> = says.lines().take_while(inside).collect();
            if names_something(parameter, &says.join("\n")) {
                named.push(parameter);
            }
        }
        named.sort_unstable();
        let mut looked_at = REFERENCES.map(Reference::parameter);
        looked_at.sort_unstable();
        assert_eq!(named, looked_at);
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
