//! Each metric of the map is one that there is: of the functions' own by the closed table, of AWS
//! by the template's resources and AWS's documentation.

use std::collections::BTreeSet;

use runtime::telemetry::metrics::{METRICS, Owner};
use service_map::{
    edges::{BILLS, PREPAY, QUERIES, REFUNDS},
    metric::{Metric, Named, Namespace},
    question::Question,
};
use testbed::template;
use wechatpay::api::Interface;

fn text(value: &Named) -> Option<&'static str> {
    match value {
        Named::Text(text) => Some(text),
        Named::Mchid | Named::ApiId | Named::Own(_) => None,
    }
}

#[test]
fn each_of_our_metrics_is_in_the_closed_table_with_its_dimensions() {
    let question = Question::at(0);
    let ours = question.metrics().iter();
    let ours: Vec<&Metric> = ours.filter(|it| it.namespace == Namespace::Stack).collect();
    assert!(ours.len() > 100);
    for metric in ours {
        let known = METRICS.iter().find(|known| known.name == metric.name);
        let known = known.unwrap_or_else(|| panic!("there is no {metric:?}"));
        let (merchant, by): (Vec<_>, Vec<_>) = metric
            .dimensions
            .iter()
            .partition(|(_, value)| *value == Named::Mchid);
        match known.owner {
            Owner::Merchant => assert_eq!(merchant, [("Mchid", Named::Mchid)], "{metric:?}"),
            Owner::Stack => assert_eq!(merchant.len(), 0, "{metric:?}"),
        }
        let is_of = |set: &&[&runtime::telemetry::metrics::Dimension]| {
            set.len() == by.len()
                && by.iter().all(|(field, value)| {
                    let value = text(value).expect("a text");
                    set.iter()
                        .any(|one| one.field == *field && one.values.contains(&value))
                })
        };
        assert!(by.is_empty() || known.by.iter().any(is_of), "{metric:?}");
    }
}

/// Names of the template's resources of a kind, without the stack's.
fn names(kind: &str, property: &str) -> BTreeSet<String> {
    template::resources(kind)
        .filter_map(|(_, properties)| {
            let name = properties[property].as_str()?;
            Some(name.trim_start_matches("${AWS::StackName}-").to_owned())
        })
        .collect()
}

/// What AWS counts, of what the map asks for, with the dimensions that it has them by.
const OF_AWS: [(Namespace, &[&str], &[&str]); 8] = [
    (
        Namespace::Lambda,
        &["Invocations", "Errors", "Throttles", "Duration"],
        &["FunctionName"],
    ),
    (
        Namespace::ApiGateway,
        &["Count", "4xx", "5xx", "Latency"],
        &["ApiId"],
    ),
    (
        Namespace::Sqs,
        &[
            "NumberOfMessagesSent",
            "NumberOfMessagesReceived",
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesVisible",
        ],
        &["QueueName"],
    ),
    (
        Namespace::DynamoDb,
        &["SuccessfulRequestLatency"],
        &["TableName", "Operation"],
    ),
    (
        Namespace::DynamoDb,
        &["ReadThrottleEvents", "WriteThrottleEvents"],
        &["TableName"],
    ),
    (
        Namespace::Pipes,
        &[
            "Invocations",
            "ExecutionFailed",
            "ExecutionPartiallyFailed",
            "Duration",
        ],
        &["PipeName"],
    ),
    (
        Namespace::Events,
        &["MatchedEvents", "Invocations", "FailedInvocations"],
        &["EventBusName", "RuleName"],
    ),
    (Namespace::Stack, &[], &[]),
];

#[test]
fn each_metric_of_aws_is_of_a_resource_of_the_template() {
    for metric in Question::at(0).metrics() {
        if metric.namespace == Namespace::Stack {
            continue;
        }
        let fields: Vec<&str> = metric.dimensions.iter().map(|(field, _)| *field).collect();
        let is_known = OF_AWS.iter().any(|(namespace, all, by)| {
            *namespace == metric.namespace && all.contains(&metric.name) && *by == fields
        });
        assert!(is_known, "{metric:?}");
        for (field, value) in &metric.dimensions {
            let (kind, property) = match *field {
                "FunctionName" => ("AWS::Serverless::Function", "FunctionName"),
                "QueueName" => ("AWS::SQS::Queue", "QueueName"),
                "TableName" => ("AWS::DynamoDB::Table", "TableName"),
                "PipeName" => ("AWS::Pipes::Pipe", "Name"),
                "EventBusName" => ("AWS::Events::EventBus", "Name"),
                "RuleName" => ("AWS::Events::Rule", "Name"),
                "ApiId" => {
                    assert_eq!(*value, Named::ApiId);
                    continue;
                }
                "Operation" => continue,
                other => panic!("{other}"),
            };
            let Named::Own(name) = value else {
                panic!("{metric:?}")
            };
            assert!(names(kind, property).contains(*name), "{kind} {name}");
        }
    }
}

#[test]
fn each_interface_of_wechat_pay_is_in_one_group_of_the_map() {
    let grouped = [PREPAY, QUERIES, REFUNDS, BILLS].concat();
    let all: BTreeSet<&str> = Interface::ALL.into_iter().map(Interface::name).collect();
    assert_eq!(grouped.len(), all.len());
    assert_eq!(grouped.into_iter().collect::<BTreeSet<_>>(), all);
}
