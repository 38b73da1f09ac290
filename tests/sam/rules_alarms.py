"""Alarms: each thing that can break has one, it watches the right metric, and names a page for on-call that exists."""

import re
from pathlib import Path

from reading import of_type

RUNBOOKS = Path(__file__).resolve().parents[2] / "infra" / "runbooks"

ACTION = {"Fn::If": ["HasAlarmTopic", [{"Ref": "AlarmTopicArn"}], {"Ref": "AWS::NoValue"}]}
ERROR_LINES = ({"Ref": "AWS::StackName"}, "ErrorLines")
# The namespace of the functions' embedded metrics (shared/adapters/src/metrics.rs).
METRICS = "WechatPayOnLambda"


def violations(_parameters, resources):
    yield from error_lines(resources)
    alarms = {name: resource["Properties"] for name, resource in of_type(resources, "AWS::CloudWatch::Alarm")}
    for name, watched in expected(resources).items():
        properties = alarms.pop(name, None)
        if properties is None:
            yield f"there is no {name}"
        elif {key: value for key, value in properties.items() if key not in TOLD} != watched:
            yield f"{name} does not watch what it is named for"
    yield from (f"{name} is an alarm that these rules do not know" for name in alarms)
    for name, resource in of_type(resources, "AWS::CloudWatch::Alarm"):
        properties = resource["Properties"]
        if properties.get("AlarmActions") != ACTION or properties.get("OKActions") != ACTION:
            yield f"{name} tells nobody"
        page = re.search(r"\(infra/runbooks/([a-z-]+\.md)\)$", properties.get("AlarmDescription", ""))
        if not page or not (RUNBOOKS / page[1]).is_file():
            yield f"{name} names no page of infra/runbooks"
        if "${AWS::StackName}-" not in str(properties.get("AlarmName")):
            yield f"{name} is not named after the stack"


# What an alarm says and whom it tells, which is checked for itself.
TOLD = {"AlarmName", "AlarmDescription", "AlarmActions", "OKActions"}


def expected(resources):
    """What each alarm watches, by its logical id."""
    found = {}
    for name, _ in of_type(resources, "AWS::SQS::Queue"):
        queue = [{"Name": "QueueName", "Value": {"Fn::GetAtt": [name, "QueueName"]}}]
        if name.endswith("Dlq"):
            metric = ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
            found[f"{name}Alarm"] = above(*metric, queue, 0, "Maximum", period_s=60)
        else:
            # The second retry of a webhook is due after 5 minutes, that of a bill after an hour; then SQS leaves it out.
            minutes = {"WebhooksQueue": (15, 5), "ReconcileWorkQueue": (180, 3)}.get(name, (5, 3))
            metric = ("AWS/SQS", "ApproximateAgeOfOldestMessage")
            limit = above(*metric, queue, 60 * minutes[0], "Maximum", period_s=60, periods=minutes[1])
            found[f"{name.removesuffix('Queue')}AgeAlarm"] = limit
    for name, _ in of_type(resources, "AWS::Serverless::Function"):
        function = [{"Name": "FunctionName", "Value": {"Ref": name}}]
        for metric in ("Errors", "Throttles"):
            found[f"{name}{metric}Alarm"] = above("AWS/Lambda", metric, function, 0)
    sweep = [{"Name": "FunctionName", "Value": {"Ref": "Reconcile"}}]
    found["SweepMissingAlarm"] = above("AWS/Lambda", "Invocations", sweep, 1) | {
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "breaching",
    }
    merchant = [{"Name": "Mchid", "Value": {"Ref": "Mchid"}}]
    found["SweepBehindAlarm"] = above(METRICS, "OldestOverdue", merchant, 900, "Maximum")
    # One figure a day: between two of them nothing is better than it was.
    found["OpenDifferencesAlarm"] = above(METRICS, "OpenDifferences", merchant, 0, "Maximum") | {
        "TreatMissingData": "ignore",
    }
    # A preview reconciles nothing, unless the daily run itself only looks.
    days = {"Fn::If": ["DailyRunRepairs", "DaysReconciled", "DaysPreviewed"]}
    found["ReconciliationMissingAlarm"] = above(METRICS, days, merchant, 1, period_s=86400) | {
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "breaching",
    }
    pipe = [{"Name": "PipeName", "Value": {"Ref": "OrderEventsPipe"}}]
    found["OrderEventsPipeAlarm"] = above("AWS/EventBridge/Pipes", "ExecutionFailed", pipe, 0)
    rule = [
        {"Name": "EventBusName", "Value": {"Ref": "OrderEventsBus"}},
        {"Name": "RuleName", "Value": resources["WebhooksRule"]["Properties"]["Name"]},
    ]
    found["WebhooksRuleAlarm"] = above("AWS/Events", "FailedInvocations", rule, 0)
    found["ErrorLinesAlarm"] = above(*ERROR_LINES, None, 0)
    return found


def above(namespace, metric, dimensions, threshold, statistic="Sum", period_s=300, periods=1):
    return {
        "Namespace": namespace,
        "MetricName": metric,
        **({"Dimensions": dimensions} if dimensions else {}),
        "Statistic": statistic,
        "Period": period_s,
        "EvaluationPeriods": periods,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": threshold,
        "TreatMissingData": "notBreaching",
    }


def error_lines(resources):
    """Each function's ERROR lines count (shared/adapters/src/telemetry.rs writes the field `level`)."""
    namespace, metric = ERROR_LINES
    for name, _ in of_type(resources, "AWS::Serverless::Function"):
        counted = resources.get(f"{name}ErrorLines", {}).get("Properties")
        if counted != {
            "LogGroupName": {"Ref": f"{name}Logs"},
            "FilterPattern": '{ $.level = "ERROR" }',
            "MetricTransformations": [{"MetricNamespace": namespace, "MetricName": metric, "MetricValue": "1"}],
        }:
            yield f"what {name} logs at ERROR is not counted"
