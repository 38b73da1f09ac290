//! The template's `Rules`: parameters that only make sense together.

use super::file::Parameters;
use crate::doctor::finding::Finding;
use crate::doctor::stack::Stack;

/// What the template's rules say of a parameter.
#[derive(Clone, Copy, Debug)]
enum Is {
    Given(&'static str),
    /// It has this value, which is not its default.
    Set(&'static str, &'static str),
    /// Or not given: no such parameter is true by default.
    NotTrue(&'static str),
    /// It is not what the second one is.
    Differs(&'static str, &'static str),
}

/// The template's `Rules`: the rule, its condition, and what has to be so then.
const RULES: [(&str, Is, Is); 19] = [
    (
        "ConsoleIsComplete",
        Is::Given("ConsoleIssuer"),
        Is::Given("ConsoleAudience"),
    ),
    (
        "ConsoleIsComplete",
        Is::Given("ConsoleIssuer"),
        Is::Given("ConsoleGroup"),
    ),
    (
        "ConsoleIsComplete",
        Is::Given("ConsoleIssuer"),
        Is::NotTrue("ConsoleOnLoopback"),
    ),
    (
        "DomainIsComplete",
        Is::Given("DomainName"),
        Is::Given("DomainCertificateArn"),
    ),
    (
        "DomainIsComplete",
        Is::Given("DomainName"),
        Is::NotTrue("ConsoleOnLoopback"),
    ),
    (
        "DomainIsComplete",
        Is::Given("DomainName"),
        Is::NotTrue("WebhookAllowLoopback"),
    ),
    (
        "CertificateHasADomain",
        Is::Given("DomainCertificateArn"),
        Is::Given("DomainName"),
    ),
    (
        "VpcIsComplete",
        Is::Given("VpcSubnetIds"),
        Is::Given("VpcSecurityGroupIds"),
    ),
    (
        "VpcIsComplete",
        Is::Given("VpcSecurityGroupIds"),
        Is::Given("VpcSubnetIds"),
    ),
    (
        "TruststoreHasADomain",
        Is::Given("ApiTruststoreUri"),
        Is::Given("DomainName"),
    ),
    (
        "TruststoreHasADomain",
        Is::Given("ApiTruststoreUri"),
        Is::NotTrue("KeepDefaultEndpoint"),
    ),
    (
        "DefaultEndpointIsKeptBesideADomain",
        Is::Set("KeepDefaultEndpoint", "true"),
        Is::Given("DomainName"),
    ),
    (
        "ConsoleHasAnIssuer",
        Is::Given("ConsoleAudience"),
        Is::Given("ConsoleIssuer"),
    ),
    (
        "ConsoleHasAnIssuer",
        Is::Given("ConsoleGroup"),
        Is::Given("ConsoleIssuer"),
    ),
    (
        "BothKeysOfTheOtherRegion",
        Is::Given("SecretsKeyArn"),
        Is::Given("FieldsKeyArn"),
    ),
    (
        "BothKeysOfTheOtherRegion",
        Is::Given("FieldsKeyArn"),
        Is::Given("SecretsKeyArn"),
    ),
    (
        "ChannelsHaveATopic",
        Is::Set("OperatorChannels", "on"),
        Is::Given("AlarmTopicArn"),
    ),
    (
        "OperatorsTopicIsAnother",
        Is::Given("OperatorsTopicArn"),
        Is::Differs("OperatorsTopicArn", "AlarmTopicArn"),
    ),
    (
        "OperatorsTopicIsAnother",
        Is::Given("OperatorsTopicArn"),
        Is::Set("OperatorChannels", "on"),
    ),
];

impl Is {
    fn parameter(self) -> &'static str {
        match self {
            Self::Given(name) | Self::Set(name, _) | Self::NotTrue(name) => name,
            Self::Differs(_, other) => other,
        }
    }

    fn holds<'a>(self, value: impl Fn(&str) -> &'a str) -> bool {
        match self {
            Self::Given(name) => !value(name).is_empty(),
            Self::Set(name, wanted) => value(name) == wanted,
            Self::NotTrue(name) => value(name) != "true",
            Self::Differs(name, other) => value(name) != value(other),
        }
    }
}

/// Parameters that the template's rules refuse together. `stack` is the one that the file is
/// deployed over.
pub(crate) fn refused(parameters: &Parameters, stack: Option<&Stack>) -> Vec<Finding> {
    let holds = |is: Is| is.holds(|name| parameters.deployed(name, stack));
    let broken = RULES
        .iter()
        .filter(|(_, condition, wanted)| holds(*condition) && !holds(*wanted));
    let finding = |(rule, condition, wanted): &(&str, Is, Is)| {
        let evidence = format!("the template's rule {rule}");
        let (name, other) = (condition.parameter(), wanted.parameter());
        let leave = format!("leave {name} as it is by default");
        match wanted {
            Is::Given(_) => Finding::error(
                "parameters-incomplete",
                format!("{name} is given without {other}, and the template refuses that."),
                evidence,
                format!("give {other}, too, or {leave}"),
            ),
            Is::Set(_, value) => Finding::error(
                "parameters-incomplete",
                format!("{name} is given without {other}, and the template refuses that."),
                evidence,
                format!("write `{other}: \"{value}\"`, too, or {leave}"),
            ),
            Is::NotTrue(_) => Finding::error(
                "parameters-contradictory",
                format!("{name} is given and {other} is true, and the template refuses that."),
                evidence,
                format!("write `{other}: \"false\"`, or {leave}"),
            ),
            Is::Differs(..) => Finding::error(
                "parameters-contradictory",
                format!("{name} is the same as {other}, and the template refuses that."),
                evidence,
                format!("give another {name}, or {leave}"),
            ),
        }
    };
    broken.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TEMPLATE: &str = include_str!("../../../../../template.yaml");

    #[test]
    fn what_goes_together_is_what_the_template_s_rules_say() {
        let (_, rules) = TEMPLATE.split_once("\nRules:\n").unwrap();
        let (rules, _) = rules.split_once("\nConditions:\n").unwrap();
        let head = |line: &str| {
            let name = line.strip_prefix("  ")?.strip_suffix(':')?;
            (!name.starts_with(' ')).then(|| name.to_owned())
        };
        let mut known = 0;
        for rule in rules.lines().filter_map(head) {
            let (_, text) = rules.split_once(&format!("  {rule}:\n")).unwrap();
            let (condition, assertions) = text.split_once("    Assertions:\n").unwrap();
            let assertions = assertions.split("RuleCondition:").next().unwrap();
            let own = RULES.iter().filter(|(name, ..)| *name == rule);
            let own: Vec<_> = own.collect();
            assert!(!own.is_empty(), "{rule}");
            for (_, given, wanted) in &own {
                assert!(condition.contains(&written(*given)), "{rule}: {given:?}");
                assert!(assertions.contains(&written(*wanted)), "{rule}: {wanted:?}");
            }
            // Each comparison of an assertion is one of these.
            let compared = assertions.matches("!Equals").count();
            let wanted: BTreeSet<String> = own.iter().map(|(.., it)| written(*it)).collect();
            assert_eq!(compared, wanted.len(), "{rule}");
            known += own.len();
        }
        assert_eq!(known, RULES.len());
    }

    /// A comparison as the template writes it.
    fn written(is: Is) -> String {
        match is {
            Is::Given(name) => format!("!Not [!Equals [!Ref {name}, \"\"]]"),
            Is::Set(name, value) => format!("!Equals [!Ref {name}, \"{value}\"]"),
            Is::NotTrue(name) => format!("!Equals [!Ref {name}, \"false\"]"),
            Is::Differs(name, other) => format!("!Not [!Equals [!Ref {name}, !Ref {other}]]"),
        }
    }
}
