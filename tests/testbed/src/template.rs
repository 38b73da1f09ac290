//! `template.yaml` as it is: tables, queues and the rest of what is deployed, for tests that hold
//! to it.

#![expect(
    clippy::expect_used,
    reason = "a test of what the template does not have has nothing to test"
)]

use std::sync::LazyLock;

use serde_json::Value;

/// How a queue hands out its messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueLimits {
    /// How often a message is received before it goes to the dead-letter queue.
    pub max_receive_count: u32,
    /// How long a message that was received is not seen by others unless it is deleted, in seconds.
    pub visibility_s: i64,
}

/// The template, without CloudFormation's tags: of `!Ref Mchid` stays `Mchid`.
///
/// # Panics
/// When it is no YAML.
pub fn template() -> &'static Value {
    static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
        let text = include_str!("../../../template.yaml");
        // `N` is a type of an attribute, and not YAML 1.1's word for false.
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_str_with_options(&without_tags(text), options).expect("YAML")
    });
    &TEMPLATE
}

/// The properties of one resource, by its name in the template.
///
/// # Panics
/// When there is no such resource.
pub fn resource(logical: &str) -> &'static Value {
    let resource = template().get("Resources").and_then(|all| all.get(logical));
    resource
        .and_then(|resource| resource.get("Properties"))
        .expect("the resource")
}

/// Names and properties of the resources of one type, such as `AWS::DynamoDB::Table`.
pub fn resources(of_type: &str) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let all = template().get("Resources").and_then(Value::as_object);
    all.into_iter()
        .flatten()
        .filter_map(move |(name, resource)| {
            let is_one = resource.get("Type").and_then(Value::as_str) == Some(of_type);
            is_one.then_some((name.as_str(), resource.get("Properties")?))
        })
}

/// The limits of the queue of this name, which is without the stack's; `None` if there is no such
/// queue, or SQS itself fills it with what another one gives up.
pub fn queue_limits(name: &str) -> Option<QueueLimits> {
    resources("AWS::SQS::Queue").find_map(|(_, queue)| {
        if within_stack(queue.get("QueueName")?.as_str()?) != name {
            return None;
        }
        // No queue leads there: who sends to it is a function, Lambda, or the Pipe.
        let allowed = queue.pointer("/RedriveAllowPolicy/redrivePermission");
        if allowed.and_then(Value::as_str) == Some("denyAll") {
            return Some(QueueLimits {
                max_receive_count: u32::MAX,
                visibility_s: 30,
            });
        }
        let count = queue.pointer("/RedrivePolicy/maxReceiveCount")?.as_u64()?;
        Some(QueueLimits {
            max_receive_count: count.try_into().ok()?,
            visibility_s: queue.get("VisibilityTimeout")?.as_i64()?,
        })
    })
}

/// A name without the stack's, which it begins with.
pub(crate) fn within_stack(name: &str) -> &str {
    name.strip_prefix("${AWS::StackName}-").unwrap_or(name)
}

/// What stands behind CloudFormation's tags, without them.
fn without_tags(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('!') {
        plain.push_str(before);
        let follows = after.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric());
        let is_tag = before.ends_with([' ', '[']) && follows.len() < after.len();
        if is_tag {
            rest = follows;
        } else {
            plain.push('!');
            rest = after;
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{NOTIFICATIONS, REQUESTS, RESULTS, WEBHOOKS, WORK};

    #[test]
    fn tags_go_and_what_they_are_of_stays() {
        assert_eq!(
            without_tags("A: !Ref B\nC: [!GetAtt D.Arn, 'no! tag']\n"),
            "A:  B\nC: [ D.Arn, 'no! tag']\n"
        );
    }

    #[test]
    fn each_attribute_of_a_table_has_a_type_of_dynamodb() {
        let tables = resources("AWS::DynamoDB::Table");
        let attributes = tables
            .filter_map(|(_, table)| table.get("AttributeDefinitions")?.as_array())
            .flatten();
        let types: Vec<_> = attributes
            .map(|attribute| attribute.get("AttributeType").and_then(Value::as_str))
            .collect();
        assert!(types.contains(&Some("N")) && types.contains(&Some("S")));
        assert!(!types.contains(&None));
    }

    #[test]
    fn each_queue_with_a_dead_letter_queue_has_limits_and_an_address() {
        let with_dead_letters = resources("AWS::SQS::Queue")
            .filter(|(_, queue)| queue.get("RedrivePolicy").is_some())
            .count();
        let urls = [REQUESTS, RESULTS, WEBHOOKS, WORK, NOTIFICATIONS];
        assert_eq!(urls.len(), with_dead_letters);
        for url in urls {
            let (_, name) = url.rsplit_once('/').expect("a path");
            assert!(queue_limits(name).is_some(), "{name}");
        }
        assert_eq!(queue_limits("payment-requests-dlq"), None);
    }
}
