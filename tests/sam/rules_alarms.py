"""Alarms on metrics: each thing that can break has one, and it watches a metric that exists. Who is notified: rules_composites.py."""

import re
from functools import cache
from pathlib import Path

from reading import of_type
from rules_composites import TEXTS_AND_ACTIONS, burn_alarms, math, money_alarm, query

ROOT = Path(__file__).resolve().parents[2]

ERROR_LINES = ({"Ref": "AWS::StackName"}, "ErrorLines")
THROTTLED = ({"Ref": "AWS::StackName"}, "CallbacksThrottled")
NEW_ERROR_LINES = ({"Ref": "AWS::StackName"}, "NewErrorLines")
# Metrics with an alarm of their own. Their ERROR lines do not count as new ones.
CALLS_BY_ITSELF = (
    "CallbacksUnverified",
    "MerchantRefusals",
    "AnswersUnverified",
    "WebhooksGivenUp",
    "MoneyParked",
    "OperatorsNotTold",
)
# The functions' embedded metrics: their namespace, where all are listed, and where a line may carry one.
METRICS = {"Ref": "AWS::StackName"}
LISTED = ROOT / "shared" / "runtime" / "src" / "telemetry" / "metrics.rs"
WRITTEN = [ROOT / "functions", ROOT / "shared"]
# Failures on our side, which a new version may cause. Refusals, parked money and receivers that are down have other causes.
ON_OUR_SIDE = (
    "request failed on our side",
    "unknown message",
    "message needs a person",
    "what is due needs a person",
    "callback not acknowledged",
    "events cannot be sent, for a cause on our side",
    "WeChat Pay's answer about an order cannot be read",
    "WeChat Pay's answer about a refund cannot be read",
)
# Its failures are those of the systems that it calls: they take no release back.
FAILS_WITH_OTHERS = {"ForwardErrors"}
# The longest time that CloudWatch evaluates, in seconds: with periods of less than an hour, and with longer ones.
EVALUATED_MAX_S = (86400, 7 * 86400)


def violations(_parameters, resources):
    yield from error_lines(resources)
    for metric in CALLS_BY_ITSELF:
        if not is_written(metric):
            yield f"no line carries {metric}, which ERROR lines are known by"
    yield from of_the_api(resources)
    for metric in listed():
        if not is_written(metric):
            yield f"{metric} is listed as a metric, and no line of the functions carries it"
    alarms = {name: resource["Properties"] for name, resource in of_type(resources, "AWS::CloudWatch::Alarm")}
    for name, watched in expected(resources).items():
        properties = alarms.pop(name, None)
        if properties is None:
            yield f"there is no {name}"
        elif {key: value for key, value in properties.items() if key not in TEXTS_AND_ACTIONS} != watched:
            yield f"{name} does not watch what it is named for"
    yield from (f"{name} is an alarm that these rules do not know" for name in alarms)
    for name, resource in of_type(resources, "AWS::CloudWatch::Alarm"):
        properties = resource["Properties"]
        for metric in own_metrics(properties):
            if not is_written(metric):
                yield f"{name} watches {metric}, which no line of the functions carries"
        if evaluated_s(properties) > EVALUATED_MAX_S[period_s(properties) >= 3600]:
            yield f"{name} evaluates a longer time than CloudWatch allows"


def namespace(document):
    """The functions write their metrics to the namespace of this stack's alarms, and no other stack's functions do."""
    shared = document["Globals"]["Function"]["Environment"]["Variables"]
    if shared.get("METRICS_NAMESPACE") != METRICS:
        yield "the functions write their metrics to a namespace that no alarm of this stack reads"
    for name, resource in of_type(document["Resources"], "AWS::Serverless::Function"):
        if "METRICS_NAMESPACE" in resource["Properties"].get("Environment", {}).get("Variables", {}):
            yield f"{name} has a namespace of its own for its metrics"


# Metrics of the log groups' filters, in the same namespace.
OF_LOGS = {"ErrorLines", "NewErrorLines", "ReleaseErrorLines", "CallbacksThrottled", "ApiAnswers"}


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
            # Lambda tries again by itself, and what it gives up is in the queue.
            if name == "ForwardErrors":
                found[f"{name}{metric}Alarm"] |= within(300, 3, 3)
                # And what it could not put there is nowhere but in the log groups.
                found[f"{name}DeadLetterErrorsAlarm"] = above("AWS/Lambda", "DeadLetterErrors", function, 0)
        if name in FAILS_WITH_OTHERS:
            continue
        # By its number the new version alone. There is one while the alias leads to two.
        released = [
            *function,
            {"Name": "Resource", "Value": {"Fn::Sub": f"${{{name}}}:live"}},
            {"Name": "ExecutedVersion", "Value": {"Fn::GetAtt": [name, "Version.Version"]}},
        ]
        found[f"{name}ReleaseErrorsAlarm"] = above("AWS/Lambda", "Errors", released, 0) | within(60, 3, 2)
    released = [{"Name": "Release", "Value": {"Ref": "Release"}}]
    found["ReleaseErrorLinesAlarm"] = above(METRICS, "ReleaseErrorLines", released, 0) | within(60, 3, 2)
    # A sweep begins each minute.
    found["SweepMissingAlarm"] = none_of("SweepsFinished", period_s=60, periods=5)
    merchant = [{"Name": "Mchid", "Value": {"Ref": "Mchid"}}]
    found["SweepBehindAlarm"] = above(METRICS, "OldestOverdue", merchant, 90, "Maximum") | within(60, 5, 2)
    for name, limit, statistic, watched in (
        ("PrepaysPutOff", 0.5, "Average", within(60, 5, 3)),
        ("HostsAvoided", 1, "Maximum", within(60, 5, 2)),
        ("MerchantRefusals", 0, "Sum", within(60, 30, 1)),
        ("AnswersUnverified", 0, "Sum", within(60, 30, 1)),
        ("CallbacksUnverified", 0, "Sum", within(60, 30, 1)),
        # An event comes again after 5 s and 5 minutes, and twice within the hour.
        ("WebhooksNotTakenAgain", 0, "Sum", within(60, 60, 2)),
        ("WebhookReceiversGone", 0, "Sum", within(60, 60, 1)),
        ("DifferencesOpened", 0, "Sum", within(300, 1, 1)),
        # Shorter than a day, so that the next one's calls again.
        ("DaysFailed", 0, "Sum", within(300, 264, 1)),
        ("FundSidesFailed", 0, "Sum", within(300, 264, 1)),
        # A bill is asked for each half hour.
        ("BillsLate", 0, "Maximum", within(60, 45, 1)),
        # A current state: without new data it stays as it was.
        ("DaysMissing", 0, "Maximum", within(60, 2, 1) | {"TreatMissingData": "ignore"}),
        ("EarlierDaysMissing", 0, "Maximum", within(60, 2, 1) | {"TreatMissingData": "ignore"}),
        ("NoticesParked", 0, "Maximum", within(300, 1, 1) | {"TreatMissingData": "ignore"}),
        # One figure a day: between two of them nothing is better than it was.
        ("OpenDifferences", 0, "Maximum", within(300, 1, 1) | {"TreatMissingData": "ignore"}),
    ):
        found[OF_METRIC.get(name, f"{name}Alarm")] = above(METRICS, name, merchant, limit, statistic) | watched
    # Checked every five minutes. Without a certificate there is nothing to renew.
    for name in ("MerchantCertificate", "PlatformCertificate"):
        left = above(METRICS, f"{name}DaysLeft", merchant, 30, "Minimum") | within(300, 12, 1)
        found[f"{name}EndsAlarm"] = left | {"ComparisonOperator": "LessThanThreshold"}
    api = [{"Name": "ApiId", "Value": {"Ref": "Api"}}]
    found["ApiFailuresAlarm"] = above("AWS/ApiGateway", "5xx", api, 0) | within(60, 5, 2)
    found["CallbacksThrottledAlarm"] = above(*THROTTLED, None, 0) | within(60, 5, 1)
    pipe = [{"Name": "PipeName", "Value": {"Ref": "OrderEventsPipe"}}]
    found["OrderEventsPipeAlarm"] = above("AWS/EventBridge/Pipes", "ExecutionFailed", pipe, 0)
    rule = [
        {"Name": "EventBusName", "Value": {"Ref": "OrderEventsBus"}},
        {"Name": "RuleName", "Value": resources["WebhooksRule"]["Properties"]["Name"]},
    ]
    found["WebhooksRuleAlarm"] = above("AWS/Events", "FailedInvocations", rule, 0)
    found["WebhooksRuleGaveUpAlarm"] = above("AWS/Events", "InvocationsSentToDlq", rule, 0)
    found["MoneyParkedAlarm"] = some_of("parked", "MoneyParked", 1)
    # What no channel takes is tried again an hour after the end of an attempt at the latest. So it stays on meanwhile.
    found["NotificationsRefusedAlarm"] = some_of("refused", "OperatorsNotTold", 14)
    found["ErrorLinesAlarm"] = above(*ERROR_LINES, None, 0) | within(3600, 168, 1)
    found["NewErrorLinesAlarm"] = above(*NEW_ERROR_LINES, None, 0) | within(300, 1, 1)
    # The objectives' metrics and this one have no dimension.
    delay = above(METRICS, "SettlementDelay", None, 30) | within(300, 3, 2) | {"ExtendedStatistic": "p50"}
    found["SettlementLateAlarm"] = {key: value for key, value in delay.items() if key != "Statistic"}
    found.update(burn_alarms())
    found["MoneyUnexplainedAlarm"] = money_alarm()
    return found


# The alarms that are not named as their metric is.
OF_METRIC = {
    "HostsAvoided": "WechatUnreachableAlarm",
    "MerchantRefusals": "MerchantRefusedAlarm",
    "WebhooksNotTakenAgain": "WebhookReceiverDownAlarm",
    "WebhookReceiversGone": "WebhookReceiverGoneAlarm",
    "BillsLate": "BillLateAlarm",
    "DaysMissing": "ReconciliationMissingAlarm",
    "EarlierDaysMissing": "EarlierDayMissingAlarm",
    "DaysFailed": "DayFailedAlarm",
    "FundSidesFailed": "FundSideFailedAlarm",
}


def within(period_s, periods, points):
    """In so many of the last periods."""
    return {"Period": period_s, "EvaluationPeriods": periods, "DatapointsToAlarm": points}


def none_of(metric, period_s, periods):
    """No data for so many periods. Without the zeros CloudWatch uses older points before it treats any as missing."""
    merchant = [{"Name": "Mchid", "Value": {"Ref": "Mchid"}}]
    watched = {"Namespace": METRICS, "MetricName": metric, "Dimensions": merchant}
    return {
        "Metrics": [
            {
                "Id": "finished",
                "ReturnData": False,
                "MetricStat": {"Metric": watched, "Stat": "Sum", "Period": period_s},
            },
            {"Id": "counted", "Expression": "FILL(finished, 0)", "ReturnData": True},
        ],
        "EvaluationPeriods": periods,
        "DatapointsToAlarm": periods,
        "ComparisonOperator": "LessThanThreshold",
        "Threshold": 1,
        "TreatMissingData": "breaching",
    }


def some_of(name, metric, periods):
    """Any in one of these five minutes. With the zeros the alarm ends then: without, CloudWatch uses older points."""
    merchant = [{"Name": "Mchid", "Value": {"Ref": "Mchid"}}]
    return {
        "Metrics": [query(name, metric, "Sum", 300, dimensions=merchant), math("counted", f"FILL({name}, 0)", True)],
        "EvaluationPeriods": periods,
        "DatapointsToAlarm": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 0,
        "TreatMissingData": "notBreaching",
    }


def own_metrics(properties):
    """The embedded metrics that an alarm watches."""
    stats = [query["MetricStat"]["Metric"] for query in properties.get("Metrics", []) if "MetricStat" in query]
    named = [each["MetricName"] for each in [properties, *stats] if each.get("Namespace") == METRICS]
    return [metric for metric in named if metric not in OF_LOGS]


@cache
def is_written(metric):
    """Whether a metric is listed, and some line of the functions carries it."""
    return metric in listed() and f" {metric} = " in sources()


@cache
def listed():
    """All metrics that a line may carry."""
    table = LISTED.read_text().partition("pub const METRICS")[2].partition("\n];")[0]
    return re.findall(r'^ {4}\w+\(\s*"([A-Z]\w+)"', table, re.MULTILINE)


@cache
def sources():
    """What the functions and their crates are made of, but for the list itself."""
    paths = (path for folder in WRITTEN for path in sorted(folder.rglob("*.rs")) if path != LISTED)
    return "\n".join(path.read_text() for path in paths)


def period_s(properties):
    stats = [query["MetricStat"] for query in properties.get("Metrics", []) if "MetricStat" in query]
    return max(each["Period"] for each in [properties, *stats] if "Period" in each)


def evaluated_s(properties):
    return period_s(properties) * properties["EvaluationPeriods"]


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


# What filters count in the API's log: by the filter's name the pattern, the metric, its value, and its dimension.
CALLBACK = '($.route = "POST /v1/callbacks/wechatpay")'
BY_THE_API = {
    "CallbacksThrottled": (f'{CALLBACK} && ($.status = "429")', THROTTLED[1], "1", None),
    # CloudWatch takes for a dimension what the pattern has matched.
    "ApiAnswers": ('($.route = "*") && ($.status = "*")', "ApiAnswers", "1", "status"),
}


def of_the_api(resources):
    """What the API's own log counts, which names route and status (as texts) and what the gateway itself says. `error.messageString`
    would bring quotation marks of its own, and the line be no JSON."""
    logged = resources["ApiStage"]["Properties"]["AccessLogSettings"]
    for field in ('"route":"$context.routeKey"', '"status":"$context.status"', '"error":"$context.error.message"'):
        if field not in logged["Format"]:
            yield f"the API's log has no {field}"
    for name, (pattern, metric, value, dimension) in BY_THE_API.items():
        counted = {"MetricNamespace": METRICS, "MetricName": metric, "MetricValue": value}
        if dimension:
            counted["Dimensions"] = [{"Key": dimension, "Value": f"$.{dimension}"}]
        if resources.get(name, {}).get("Properties") != {
            "LogGroupName": {"Ref": "ApiLogs"},
            "FilterPattern": f"{{ {pattern} }}",
            "MetricTransformations": [counted],
        }:
            yield f"{name} does not count what it is named for"


def error_lines(resources):
    """Each function's ERROR lines count (shared/runtime/src/telemetry.rs writes the field `level`), and once more those that
    have no alarm of their own. Lines that do not match count as zero, so that an alarm ends with its period."""
    new = " && ".join(['($.level = "ERROR")', *(f"($.{metric} NOT EXISTS)" for metric in CALLS_BY_ITSELF)])
    for name, _ in of_type(resources, "AWS::Serverless::Function"):
        for (namespace, metric), pattern in ((ERROR_LINES, '$.level = "ERROR"'), (NEW_ERROR_LINES, new)):
            counted = resources.get(f"{name}{metric}", {}).get("Properties")
            if counted != {
                "LogGroupName": {"Ref": f"{name}Logs"},
                "FilterPattern": f"{{ {pattern} }}",
                "MetricTransformations": [
                    {"MetricNamespace": namespace, "MetricName": metric, "MetricValue": "1", "DefaultValue": 0}
                ],
            }:
                yield f"what {name} logs at ERROR is not counted as {metric}"
        ours = " || ".join(f'($.message = "{message}")' for message in ON_OUR_SIDE)
        counted = resources.get(f"{name}ReleaseErrorLines", {}).get("Properties")
        if counted != {
            "LogGroupName": {"Ref": f"{name}Logs"},
            # CloudWatch takes for a dimension what the pattern has matched.
            "FilterPattern": f'{{ ($.release = "*") && ($.level = "ERROR") && ({ours}) }}',
            "MetricTransformations": [
                {
                    "MetricNamespace": METRICS,
                    "MetricName": "ReleaseErrorLines",
                    "MetricValue": "1",
                    "Dimensions": [{"Key": "Release", "Value": "$.release"}],
                }
            ],
        }:
            yield f"what {name} logs of our side is not counted by its release"
