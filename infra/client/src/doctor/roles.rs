//! Whether the roles may do what their functions, the Pipe and the schedules live on. IAM is asked
//! what it would answer; nothing is called in their name. It goes by what the roles are given, and
//! by no policy of a key, a queue or a bucket: those are examined where these are.

mod needs;
mod on;

use futures_util::stream::{self, StreamExt};

use super::aws_calls::{AwsCalls, CallError, IAM};
use super::finding::{DEPLOY_OR_PUT_BACK, Finding, PUT_BACK};
use super::stack::{Resource, Stack};
use needs::NEEDS;
use on::{Context, On};

/// How many simulations wait for IAM at a time: the whole list one by one takes half a minute, and
/// IAM throttles who asks for all at once.
const AT_A_TIME: usize = 5;

pub(crate) async fn findings(calls: &AwsCalls, stack: &Stack) -> Result<Vec<Finding>, CallError> {
    let asked = NEEDS.iter().filter_map(|(role, actions, on)| {
        let role = stack.resource(role)?;
        let resource = on.arn(stack)?;
        Some(async move {
            let refused = refused(calls, stack, role, actions, &resource, *on).await;
            (role, resource, refused)
        })
    });
    let mut answers = stream::iter(asked).buffered(AT_A_TIME);
    let mut findings: Vec<Finding> = Vec::new();
    let mut gone = Vec::new();
    while let Some((role, resource, refused)) = answers.next().await {
        match refused {
            Err(error) if error.code() == Some("NoSuchEntity") => {
                if gone.contains(&&role.logical) {
                    continue;
                }
                gone.push(&role.logical);
                findings.push(Finding::error(
                    "role-gone",
                    format!("{} does not exist any more: whatever takes it on does nothing.", role.logical),
                    error.to_string(),
                    PUT_BACK,
                ));
            }
            read => findings.extend(read?.map(|(action, why)| {
                Finding::error(
                    "role-may-not",
                    format!("{} may not {action} on {resource}, which it cannot do without.", role.logical),
                    format!("SimulatePrincipalPolicy of {}: {why}", role.physical),
                    format!(
                        "{DEPLOY_OR_PUT_BACK}; if it stays, a permissions boundary or a policy of the organisation forbids it"
                    ),
                )
            })),
        }
    }
    Ok(findings)
}

/// The first of these actions that IAM would refuse, and what it says.
async fn refused(
    calls: &AwsCalls,
    stack: &Stack,
    role: &Resource,
    actions: &[&str],
    resource: &str,
    on: On,
) -> Result<Option<(String, String)>, CallError> {
    let principal = stack.arn("iam", &format!("role/{}", role.physical));
    let numbered: Vec<String> = (1..=actions.len())
        .map(|number| format!("ActionNames.member.{number}"))
        .collect();
    let mut fields = vec![
        ("PolicySourceArn", principal.as_str()),
        ("ResourceArns.member.1", resource),
    ];
    fields.extend(
        numbered
            .iter()
            .map(String::as_str)
            .zip(actions.iter().copied()),
    );
    let context = named(&on.context(stack));
    fields.extend(
        context
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    let simulated = calls.query(IAM, "SimulatePrincipalPolicy", &fields).await?;
    let mut results = simulated.members("EvaluationResults").iter();
    Ok(results.find_map(|result| {
        let decision = result.text_of("EvalDecision").unwrap_or("no decision");
        let action = result.text_of("EvalActionName").unwrap_or_default();
        (decision != "allowed").then(|| (action.to_owned(), decision.to_owned()))
    }))
}

/// What a simulation is told of a request, as fields of a form.
fn named(context: &[Context]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for ((key, kind, values), number) in context.iter().zip(1..) {
        let entry = format!("ContextEntries.member.{number}");
        fields.push((format!("{entry}.ContextKeyName"), (*key).to_owned()));
        fields.push((format!("{entry}.ContextKeyType"), (*kind).to_owned()));
        for (value, number) in values.iter().zip(1..) {
            let name = format!("{entry}.ContextKeyValues.member.{number}");
            fields.push((name, value.clone()));
        }
    }
    fields
}
