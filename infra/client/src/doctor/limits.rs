//! Limits that only make sense together: CloudFormation can neither divide nor compare numbers, so
//! the template's rules cannot hold them.

use super::finding::Finding;

/// What the template gives these parameters by default (a test reads it there).
const DEFAULTS: [(&str, u64); 7] = [
    ("ApiRateLimit", 200),
    ("ClientRateLimit", 100),
    ("ProcessPaymentConcurrency", 20),
    ("PaymentRequestsConcurrency", 5),
    ("PaymentResultsConcurrency", 15),
    ("CallsPerSecond", 50),
    ("RefundsPerSecond", 25),
];

/// What WeChat Pay takes of one merchant in a second.
const CALLS_MAX: u64 = 300;
const REFUNDS_MAX: u64 = 150;

/// The limits of a deployment, by what its parameters are. `value` gives nothing for a parameter
/// that the template's default holds for.
pub(crate) fn findings<'a>(value: impl Fn(&str) -> &'a str) -> Vec<Finding> {
    let number = |name: &str| {
        let by_default = DEFAULTS.iter().find(|(known, _)| *known == name);
        let by_default = by_default.map_or(0, |(_, number)| *number);
        value(name).parse::<u64>().unwrap_or(by_default)
    };
    let mut findings = Vec::new();
    let (client, api) = (number("ClientRateLimit"), number("ApiRateLimit"));
    if client.saturating_mul(2) > api {
        findings.push(inconsistent(
            "One client alone can use up a route of the API, and the others are answered 429.",
            format!("ClientRateLimit is {client}, more than half of ApiRateLimit ({api})"),
            "lower ClientRateLimit, or raise ApiRateLimit within the account's quota",
        ));
    }
    // Each batch of payment requests runs in a sandbox of its own, and the sweep in one more.
    let requests = number("PaymentRequestsConcurrency");
    let sandboxes = requests.saturating_add(1);
    for (name, most, what) in [
        ("CallsPerSecond", CALLS_MAX, "calls"),
        ("RefundsPerSecond", REFUNDS_MAX, "refunds"),
    ] {
        let each = number(name);
        let all = each.saturating_mul(sandboxes);
        if all > most {
            findings.push(inconsistent(
                format!("WeChat Pay refuses {what} beyond {most} a second, and the sandboxes together may send more."),
                format!(
                    "{name} ({each}) times PaymentRequestsConcurrency plus one ({sandboxes}) is {all}"
                ),
                format!("lower {name} or PaymentRequestsConcurrency"),
            ));
        }
    }
    let (reserved, results) = (
        number("ProcessPaymentConcurrency"),
        number("PaymentResultsConcurrency"),
    );
    // Without a reservation it limits nothing.
    let queues = requests.saturating_add(results);
    if value("ReserveConcurrency") == "true" && queues > reserved {
        findings.push(inconsistent(
            "The queues of process-payment ask for more runs than it has: messages that are refused count as tried, and \
             may end as dead letters.",
            format!(
                "ProcessPaymentConcurrency is {reserved}, PaymentRequestsConcurrency and PaymentResultsConcurrency are {queues} \
                 together"
            ),
            "raise ProcessPaymentConcurrency, or lower the other two",
        ));
    }
    findings
}

fn inconsistent(
    cause: impl Into<String>,
    evidence: impl Into<String>,
    next_step: impl Into<String>,
) -> Finding {
    let next_step = next_step.into();
    Finding::warning(
        "limits-inconsistent",
        cause,
        evidence,
        format!("{next_step}, in the file of parameters, and deploy it (infra/sizing.md)"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../../../template.yaml");

    #[test]
    fn the_defaults_are_the_template_s() {
        for (parameter, default) in DEFAULTS {
            let said = format!("\n  {parameter}:\n    Type: Number\n    Default: {default}\n");
            assert!(TEMPLATE.contains(&said), "{said}");
        }
        for most in ["it is 300 at most", "it is 150 at most"] {
            assert!(TEMPLATE.contains(most), "{most}");
        }
    }

    /// What is found where these parameters are given, as evidence.
    fn found(given: &[(&str, &'static str)]) -> Vec<String> {
        let value = |name: &str| {
            let given = given.iter().find(|(known, _)| *known == name);
            given.map_or("", |(_, value)| *value)
        };
        let findings = findings(value).into_iter();
        findings.map(|found| found.evidence).collect()
    }

    #[test]
    fn each_limit_is_in_up_to_its_last_number_and_out_beyond_it() {
        let reserves = ("ReserveConcurrency", "true");
        for (last_in, first_out, named) in [
            (
                vec![("ClientRateLimit", "100"), ("ApiRateLimit", "200")],
                vec![("ClientRateLimit", "100"), ("ApiRateLimit", "199")],
                "ClientRateLimit",
            ),
            (
                vec![("ClientRateLimit", "250"), ("ApiRateLimit", "501")],
                vec![("ClientRateLimit", "251"), ("ApiRateLimit", "501")],
                "ClientRateLimit",
            ),
            (
                vec![
                    ("CallsPerSecond", "100"),
                    ("PaymentRequestsConcurrency", "2"),
                ],
                vec![
                    ("CallsPerSecond", "101"),
                    ("PaymentRequestsConcurrency", "2"),
                ],
                "CallsPerSecond",
            ),
            (
                vec![("RefundsPerSecond", "25"), ("CallsPerSecond", "42")],
                vec![("RefundsPerSecond", "26"), ("CallsPerSecond", "42")],
                "RefundsPerSecond",
            ),
            (
                vec![reserves, ("PaymentResultsConcurrency", "15")],
                vec![reserves, ("PaymentResultsConcurrency", "16")],
                "ProcessPaymentConcurrency",
            ),
            (
                vec![reserves, ("ProcessPaymentConcurrency", "20")],
                vec![reserves, ("ProcessPaymentConcurrency", "19")],
                "ProcessPaymentConcurrency",
            ),
        ] {
            assert_eq!(found(&last_in), [""; 0], "{last_in:?}");
            let out = found(&first_out);
            assert_eq!(out.len(), 1, "{first_out:?}: {out:?}");
            assert!(out.iter().all(|text| text.contains(named)), "{out:?}");
        }
        assert_eq!(found(&[]), [""; 0]);
        // One more sandbox is too much for both.
        assert_eq!(found(&[("PaymentRequestsConcurrency", "6")]).len(), 2);
        // A share that is not reserved binds nothing.
        assert_eq!(found(&[("ProcessPaymentConcurrency", "4")]), [""; 0]);
    }
}
