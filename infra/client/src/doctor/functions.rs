//! The functions: ready, called as they were deployed last, fed by their queues, and with room in
//! the account's limit.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::aws_calls::{AwsCalls, CallError, LAMBDA};
use super::finding::{Finding, PUT_BACK};
use super::stack::{Resource, Stack};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    state_reason: Option<String>,
    #[serde(default)]
    last_update_status: Option<String>,
    #[serde(flatten)]
    settings: BTreeMap<String, Value>,
}

/// What a version keeps of the function when it is published, and what it does depends on.
const PUBLISHED: [&str; 11] = [
    "Architectures",
    "CodeSha256",
    "Environment",
    "Handler",
    "Layers",
    "LoggingConfig",
    "MemorySize",
    "Role",
    "Runtime",
    "Timeout",
    "VpcConfig",
];

/// What everybody calls, which leads to a version (`AutoPublishAlias` of the template).
const ALIAS: &str = "live";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Alias {
    function_version: String,
    #[serde(default)]
    routing_config: Option<Routing>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Routing {
    #[serde(default)]
    additional_version_weights: Option<BTreeMap<String, IgnoredAny>>,
}

impl Alias {
    /// The other version that gets a share of the calls.
    fn beside(&self) -> Option<&str> {
        let weights = self
            .routing_config
            .as_ref()?
            .additional_version_weights
            .as_ref()?;
        weights.keys().next().map(String::as_str)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Source {
    state: String,
    #[serde(default)]
    state_transition_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Concurrency {
    #[serde(default)]
    reserved_concurrent_executions: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Account {
    account_limit: Limit,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Limit {
    concurrent_executions: u64,
}

/// What AWS leaves to functions that reserve nothing.
const UNRESERVED: u64 = 100;

/// A function with a share of its own.
struct Share {
    function: &'static str,
    /// The parameter that says how much.
    parameter: &'static str,
    /// The template's own number.
    default: u64,
}

const SHARES: [Share; 5] = [
    Share {
        function: "CreateOrder",
        parameter: "CreateOrderConcurrency",
        default: 50,
    },
    Share {
        function: "ManageOrder",
        parameter: "ManageOrderConcurrency",
        default: 50,
    },
    Share {
        function: "ReceiveCallback",
        parameter: "ReceiveCallbackConcurrency",
        default: 20,
    },
    Share {
        function: "ProcessPayment",
        parameter: "ProcessPaymentConcurrency",
        default: 20,
    },
    Share {
        function: "ForwardErrors",
        parameter: "ForwardErrorsConcurrency",
        default: 5,
    },
];

/// The limit that the shares need, with what AWS leaves to functions that reserve nothing.
pub(crate) fn concurrency_needed<'a>(given: impl Fn(&str) -> Option<&'a str>) -> u64 {
    let forwards = given("LogForwarding").is_some_and(|lines| !["", "off"].contains(&lines));
    let made = SHARES
        .iter()
        .filter(|share| share.function != "ForwardErrors" || forwards);
    let shares = made.map(|share| {
        let number = given(share.parameter).and_then(|number| number.parse().ok());
        number.unwrap_or(share.default)
    });
    shares.fold(UNRESERVED, u64::saturating_add)
}

/// How many functions the account runs at once.
pub(crate) async fn account_limit(calls: &AwsCalls) -> Result<u64, CallError> {
    let path = "/2016-08-19/account-settings";
    let account: Account = calls.get(LAMBDA, "GetAccountSettings", path).await?;
    Ok(account.account_limit.concurrent_executions)
}

pub(crate) async fn findings(calls: &AwsCalls, stack: &Stack) -> Result<Vec<Finding>, CallError> {
    let mut findings = Vec::new();
    for function in stack.of_kind("AWS::Lambda::Function") {
        let name = &function.physical;
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let read = calls
            .get::<Configuration>(LAMBDA, "GetFunctionConfiguration", &path)
            .await;
        match read {
            Err(error) if error.is_missing() => findings.push(Finding::error(
                "function-gone",
                format!("{name} does not exist any more."),
                error.to_string(),
                PUT_BACK,
            )),
            read => {
                let read = read?;
                match of_function(name, &read) {
                    Some(finding) => findings.push(finding),
                    None => findings.extend(of_release(calls, name, &read).await?),
                }
            }
        }
    }
    for source in stack.of_kind("AWS::Lambda::EventSourceMapping") {
        let path = format!("/2015-03-31/event-source-mappings/{}", source.physical);
        let read = calls
            .get::<Source>(LAMBDA, "GetEventSourceMapping", &path)
            .await;
        let (state, reason, next_step) = match read {
            Err(error) if error.is_missing() => ("not there".to_owned(), None, PUT_BACK.to_owned()),
            read => {
                let (read, uuid) = (read?, &source.physical);
                let switch_on =
                    format!("`aws lambda update-event-source-mapping --enabled --uuid {uuid}`");
                (read.state, read.state_transition_reason, switch_on)
            }
        };
        if !matches!(
            state.as_str(),
            "Enabled" | "Enabling" | "Updating" | "Creating"
        ) {
            findings.push(Finding::error(
                "queue-not-read",
                format!(
                    "{}: nobody takes messages out of its queue.",
                    source.logical
                ),
                format!(
                    "it is {state} ({})",
                    reason.as_deref().unwrap_or("no reason")
                ),
                next_step,
            ));
        }
    }
    findings.extend(gradual_release_off(stack));
    let reserved = reserved(calls, stack).await?;
    let off: Vec<&str> = reserved
        .iter()
        .filter(|(_, reserved)| *reserved == Some(0))
        .map(|(function, _)| function.physical.as_str())
        .collect();
    if off.is_empty() {
        findings.extend(concurrency(calls, stack, &reserved).await?);
    } else {
        findings.push(switched_off(&off));
    }
    Ok(findings)
}

/// AWS keeps a parameter that a deployment does not name, so one urgent fix would turn it off for
/// all that come after.
fn gradual_release_off(stack: &Stack) -> Option<Finding> {
    (stack.parameter("GradualRelease") == "off").then(|| {
        Finding::warning(
            "gradual-release-off",
            "A new version gets all calls at once, and nothing takes it back when it fails.",
            "GradualRelease is off, and stays so in each deployment that does not name it",
            "write `GradualRelease: \"on\"` into the file of parameters, and deploy without `GradualRelease=off` behind it \
             (infra/DEPLOY.md, A new release)",
        )
    })
}

/// Each function with what is reserved for it.
async fn reserved<'a>(
    calls: &AwsCalls,
    stack: &'a Stack,
) -> Result<Vec<(&'a Resource, Option<u64>)>, CallError> {
    let mut reserved = Vec::new();
    for function in stack.of_kind("AWS::Lambda::Function") {
        let path = format!("/2019-09-30/functions/{}/concurrency", function.physical);
        match calls
            .get::<Concurrency>(LAMBDA, "GetFunctionConcurrency", &path)
            .await
        {
            // That is reported already.
            Err(error) if error.is_missing() => {}
            read => reserved.push((function, read?.reserved_concurrent_executions)),
        }
    }
    Ok(reserved)
}

fn switched_off(functions: &[&str]) -> Finding {
    let switch_on = |function: &&str| {
        format!("`aws lambda delete-function-concurrency --function-name {function}`")
    };
    let switch_on: Vec<String> = functions.iter().map(switch_on).collect();
    Finding::error(
        "function-switched-off",
        format!(
            "{} may run zero times at once: every call is refused.",
            functions.join(", ")
        ),
        "reserved concurrency 0",
        format!(
            "find out who set it and why (a restore does: infra/runbooks/restore.md), then {}; where the stack reserves shares \
             (ReserveConcurrency), {PUT_BACK}",
            switch_on.join(", ")
        ),
    )
}

fn of_function(name: &str, read: &Configuration) -> Option<Finding> {
    let state = read.state.as_deref().unwrap_or("Active");
    let update = read.last_update_status.as_deref().unwrap_or("Successful");
    // One that was not called for weeks is `Inactive`, and wakes with the next call.
    if matches!(state, "Active" | "Inactive") && update != "Failed" {
        return None;
    }
    Some(Finding::error(
        "function-not-ready",
        format!("{name} cannot run, or runs an older version than was deployed."),
        format!(
            "its state is {state} ({}), its last update {update}",
            read.state_reason.as_deref().unwrap_or("no reason")
        ),
        format!(
            "mend what the reason names, and deploy again under another Release; where that is a role or a key of the stack, \
             {PUT_BACK}"
        ),
    ))
}

/// Whether calls get what was deployed last.
async fn of_release(
    calls: &AwsCalls,
    name: &str,
    deployed: &Configuration,
) -> Result<Option<Finding>, CallError> {
    let path = format!("/2015-03-31/functions/{name}/aliases/{ALIAS}");
    let alias = match calls.get::<Alias>(LAMBDA, "GetAlias", &path).await {
        Err(error) if error.is_missing() => {
            return Ok(Some(Finding::error(
                "alias-gone",
                format!("{name} has no alias {ALIAS} any more: every call of it fails."),
                error.to_string(),
                PUT_BACK,
            )));
        }
        other => other?,
    };
    if let Some(other) = alias.beside() {
        return Ok(Some(Finding::warning(
            "release-under-way",
            format!("{name} runs in two versions: a release is under way."),
            format!("{ALIAS} leads to {} and {other}", alias.function_version),
            "look again in a quarter of an hour; what stays so was left by a release that somebody stopped: deploy again \
             under another Release",
        )));
    }
    let path = format!("/2015-03-31/functions/{name}/configuration?Qualifier={ALIAS}");
    let runs: Configuration = calls.get(LAMBDA, "GetFunctionConfiguration", &path).await?;
    let differs: Vec<&str> = PUBLISHED
        .into_iter()
        .filter(|setting| deployed.settings.get(*setting) != runs.settings.get(*setting))
        .collect();
    Ok((!differs.is_empty()).then(|| {
        Finding::warning(
            "not-released",
            format!("{name} does not run as it was deployed last."),
            format!(
                "{ALIAS} leads to version {}, which differs in {}",
                alias.function_version,
                differs.join(", ")
            ),
            format!(
                "deploy again under another Release; if somebody went back on purpose, deploy the release that runs; if nobody \
                 deployed, the function was changed by hand: {PUT_BACK}"
            ),
        )
    }))
}

async fn concurrency(
    calls: &AwsCalls,
    stack: &Stack,
    reserved: &[(&Resource, Option<u64>)],
) -> Result<Option<Finding>, CallError> {
    let limit = account_limit(calls).await?;
    let needed = concurrency_needed(|name| Some(stack.parameter(name)));
    if stack.parameter("ReserveConcurrency") != "true" {
        return Ok((limit < needed).then(|| {
            Finding::warning(
                "concurrency-limit-low",
                "The account runs few functions at once, and all of them share that: a burst of orders takes what callbacks need.",
                format!("the limit is {limit}; the shares of this stack need {needed}"),
                "have the limit `Concurrent executions` of Lambda raised (Service Quotas), then deploy with \
                 ReserveConcurrency=true",
            )
        }));
    }
    let without: Vec<&str> = reserved
        .iter()
        .filter(|(function, reserved)| {
            reserved.is_none()
                && SHARES
                    .iter()
                    .any(|share| share.function == function.logical)
        })
        .map(|(function, _)| function.physical.as_str())
        .collect();
    Ok((!without.is_empty()).then(|| {
        Finding::warning(
            "concurrency-not-reserved",
            "Functions have no share of their own any more, so that one can take what another needs.",
            without.join(", "),
            PUT_BACK,
        )
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPLATE: &str = include_str!("../../../../template.yaml");

    #[test]
    fn the_shares_are_the_template_s() {
        for share in SHARES {
            let Share {
                parameter, default, ..
            } = share;
            let said = format!("\n  {parameter}:\n    Type: Number\n    Default: {default}\n");
            assert!(TEMPLATE.contains(&said), "{said}");
        }
    }

    #[test]
    fn what_is_given_counts_in_place_of_the_template_s_number() {
        assert_eq!(concurrency_needed(|_| None), 240);
        let more = |name: &str| (name == "CreateOrderConcurrency").then_some("150");
        assert_eq!(concurrency_needed(more), 340);
        for (forwarding, needed) in [("off", 240), ("", 240), ("errors", 245), ("all", 245)] {
            let given = |name: &str| (name == "LogForwarding").then_some(forwarding);
            assert_eq!(concurrency_needed(given), needed, "{forwarding}");
        }
    }
}
