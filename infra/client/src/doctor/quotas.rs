//! The account's quotas against what the parameters let through, and the parameters' limits against
//! one another. Lambda's concurrency is examined with the functions.

use serde::Deserialize;
use serde_json::json;

use super::aws_calls::{AwsCalls, CallError, QUOTAS};
use super::finding::{Examined, Finding};
use super::limits;
use super::stack::Stack;

/// A quota, by the codes of Service Quotas.
struct Quota {
    service: &'static str,
    code: &'static str,
    name: &'static str,
    /// What fails beyond it.
    fails: &'static str,
}

const RSA: Quota = Quota {
    service: "kms",
    code: "L-2AC98190",
    name: "Cryptographic operations (RSA) request rate",
    fails: "calls to WeChat Pay fail, since KMS signs none of them",
};
const RATE: Quota = Quota {
    service: "apigateway",
    code: "L-8A5B8E43",
    name: "Throttle rate",
    fails: "clients and callbacks are answered 429 by the account's own limit",
};
const BURST: Quota = Quota {
    service: "apigateway",
    code: "L-CDF5615A",
    name: "Throttle burst rate",
    fails: "clients and callbacks that come at once are answered 429 by the account's own limit",
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    quota: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Value {
    value: f64,
}

pub(crate) async fn examine(calls: &AwsCalls, stack: &Stack) -> Result<Examined, CallError> {
    let number = |parameter| {
        stack
            .parameter(parameter)
            .parse::<u32>()
            .unwrap_or_default()
    };
    let both = |one, other| number(one).saturating_add(number(other));
    let mut needed = vec![
        (RATE, both("ApiRateLimit", "CallbackRateLimit")),
        (BURST, both("ApiBurstLimit", "CallbackBurstLimit")),
    ];
    if stack.parameter("MerchantSigner") != "sealed" {
        // One signature for each new order, and for each call of what works through many.
        let background = number("CallsPerSecond")
            .saturating_mul(number("PaymentRequestsConcurrency").saturating_add(1));
        needed.push((RSA, number("ApiRateLimit").saturating_add(background)));
    }
    let mut examined = Examined::from(limits::findings(|name| stack.parameter(name)));
    for (quota, needed) in needed {
        match applied(calls, &quota).await {
            Ok(applied) if applied < f64::from(needed) => {
                examined.findings.push(low(&quota, applied, needed));
            }
            Ok(_) => {}
            // The local engine has no quotas.
            Err(error) if calls.is_on_this_machine() => {
                let (name, service) = (quota.name, quota.service);
                examined.not_proved.push(format!(
                    "The quota `{name}` of {service} is at least {needed} ({error})."
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(examined)
}

/// What holds in this account; the default where nobody asked for more.
async fn applied(calls: &AwsCalls, quota: &Quota) -> Result<f64, CallError> {
    let asked = json!({ "ServiceCode": quota.service, "QuotaCode": quota.code });
    let read = match calls.ask::<Read>(QUOTAS, "GetServiceQuota", &asked).await {
        Err(error) if error.code() == Some("NoSuchResourceException") => {
            let operation = "GetAWSDefaultServiceQuota";
            calls.ask::<Read>(QUOTAS, operation, &asked).await
        }
        read => read,
    };
    Ok(read?.quota.value)
}

fn low(quota: &Quota, applied: f64, needed: u32) -> Finding {
    Finding::warning(
        "quota-low",
        format!(
            "The parameters let more through than the account may do: {}.",
            quota.fails
        ),
        format!(
            "`{}` of {} is {applied} a second; the parameters need {needed}",
            quota.name, quota.service
        ),
        format!(
            "have it raised (Service Quotas, {}), or lower the limits in the parameters (infra/sizing.md)",
            quota.code
        ),
    )
}
