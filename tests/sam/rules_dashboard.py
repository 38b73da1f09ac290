"""The dashboard: its widgets show only what the code emits, or what AWS makes of our resources, by dimensions that exist."""

import json
import re

import rules_alarms
import rules_composites
from reading import of_type, text_of

OWN = "${AWS::StackName}"
NAME = {"Fn::Sub": "${AWS::StackName}-overview"}
MERCHANT = {"Mchid": "${Mchid}"}
# What AWS makes of a resource of ours: the namespace's metrics, and its dimensions, each a reference to a type.
OF_AWS = {
    "AWS/ApiGateway": ({"Count", "4xx", "5xx", "Latency", "IntegrationLatency"}, {"ApiId": "AWS::ApiGatewayV2::Api"}),
    "AWS/Lambda": (
        {"Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"},
        {"FunctionName": "AWS::Serverless::Function"},
    ),
    "AWS/SQS": (
        {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "NumberOfMessagesSent"},
        {"QueueName": "AWS::SQS::Queue"},
    ),
    "AWS/DynamoDB": (
        {"ReadThrottleEvents", "WriteThrottleEvents", "ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"},
        {"TableName": "AWS::DynamoDB::Table"},
    ),
    "AWS/EventBridge/Pipes": ({"ExecutionFailed", "Invocations"}, {"PipeName": "AWS::Pipes::Pipe"}),
    "AWS/Events": (
        {"FailedInvocations", "TriggeredRules"},
        {"EventBusName": "AWS::Events::EventBus", "RuleName": "AWS::Events::Rule"},
    ),
}
STATISTICS = {"Sum", "Maximum", "Minimum", "Average", "SampleCount", "p50", "p95", "p99"}
# Seconds, and columns.
PERIODS = {60, 300, 3600}
WIDTH = 24


def violations(_parameters, resources):
    found = dict(of_type(resources, "AWS::CloudWatch::Dashboard"))
    if len(found) != 1:
        yield "there is not one dashboard"
    for name, dashboard in found.items():
        if dashboard["Properties"].get("DashboardName") != NAME:
            yield f"{name} is not named after the stack"
        body = json.loads(text_of(dashboard["Properties"]["DashboardBody"]))
        if set(body) != {"start", "widgets"} or not re.fullmatch(r"-P\dD", body["start"]):
            yield f"{name} has a member that is not known here"
        yield from (f"{name}: {violation}" for widget in body["widgets"] for violation in of_widget(widget, resources))
        yield from overlaps(body["widgets"])
        yield from left_out(body["widgets"], resources)


def of_widget(widget, resources):
    properties = widget["properties"]
    if widget["type"] == "text":
        if not re.fullmatch(r"# (Money|Objectives: 99.95 % in 30 days|Paths|Limits)", properties["markdown"]):
            yield f"{properties['markdown']} is no heading"
        return
    if widget["type"] == "alarm":
        for arn in properties["alarms"]:
            if of_reference(arn, ".Arn", resources) not in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
                yield f"{arn} is no alarm"
        return
    if widget["type"] != "metric" or properties["region"] != "${AWS::Region}" or properties["view"] != "timeSeries":
        yield f"{properties.get('title')} is no widget of metrics of this Region"
    if properties["stat"] not in STATISTICS or properties["period"] not in PERIODS:
        yield f"{properties['title']} has another statistic or period than is known here"
    ids = set()
    for row in properties["metrics"]:
        options = row[-1] if isinstance(row[-1], dict) else {}
        ids.add(options.get("id"))
        if options.get("stat", "Sum") not in STATISTICS:
            yield f"{properties['title']} has another statistic than is known here"
        if "expression" not in options:
            yield from of_metric([part for part in row if not isinstance(part, dict)], resources)
    for row in properties["metrics"]:
        if isinstance(row[-1], dict):
            used = re.findall(r"[a-z]\w*", row[-1].get("expression", ""))
            yield from (f"{properties['title']} uses {one}, which is none of its metrics" for one in used if one not in ids)


def of_metric(row, resources):
    namespace, metric, *pairs = row
    dimensions = dict(zip(pairs[::2], pairs[1::2], strict=True))
    if namespace == OWN:
        if metric in rules_alarms.OF_LOGS:
            is_made = not dimensions
        else:
            is_made = rules_alarms.is_written(metric) and is_listed(metric, dimensions)
        if not is_made:
            yield f"no line or filter makes {metric} with {dimensions}"
        return
    metrics, kinds = OF_AWS.get(namespace, (set(), {}))
    if metric not in metrics or dimensions.keys() != kinds.keys():
        yield f"AWS makes no {namespace} {metric} with {sorted(dimensions)}"
    for name, kind in kinds.items():
        value = dimensions.get(name, "")
        rules = [text_of(rule["Properties"]["Name"]) for _, rule in of_type(resources, "AWS::Events::Rule")]
        suffix = ".QueueName" if kind == "AWS::SQS::Queue" else ""
        # `!Ref` of a rule is not its name.
        is_ours = value in rules if kind == "AWS::Events::Rule" else of_reference(value, suffix, resources) == kind
        if not is_ours:
            yield f"{value} is no {name} of this stack"


def is_listed(metric, dimensions):
    """Whether the functions store a metric under these dimensions, by their own table: each value is one of a closed list."""
    source = rules_alarms.LISTED.read_text()
    table = source.partition("pub const METRICS")[2].partition("\n];")[0]
    kind, sets = re.search(rf'^ {{4}}(\w+)\(\s*"{metric}"(.*?)\),$', table, re.MULTILINE | re.DOTALL).groups()
    if kind != "of_stack":
        if dimensions.get("Mchid") != MERCHANT["Mchid"]:
            return False
        dimensions = {name: value for name, value in dimensions.items() if name != "Mchid"}
    allowed = [{}]
    for names in re.findall(r"&\[(&[A-Z_]+(?:, &[A-Z_]+)*)\]", sets):
        by = {}
        for name in re.findall(r"[A-Z_]+", names):
            field, values = re.search(rf'const {name}: Dimension = in_field\(\s*"(\w+)",\s*&\[(.*?)\]', source, re.DOTALL).groups()
            by[field] = re.findall(r'"([\w-]+)"', values)
        allowed.append(by)
    return any(by.keys() == dimensions.keys() and all(dimensions[field] in by[field] for field in by) for by in allowed)


def of_reference(text, suffix, resources):
    """The type of what a `${Name}` or `${Name.Attribute}` refers to."""
    name = re.fullmatch(r"\$\{(\w+)" + re.escape(suffix) + r"\}", text)
    return resources.get(name[1], {}).get("Type") if name else None


def overlaps(widgets):
    taken = set()
    for widget in widgets:
        x, y = widget["x"], widget["y"]
        cells = {(x + column, y + row) for column in range(widget["width"]) for row in range(widget["height"])}
        if cells & taken or x + widget["width"] > WIDTH or not cells:
            yield f"a widget at {x}, {y} lies over another one or past the edge"
        taken |= cells


def left_out(widgets, resources):
    """Each alarm that calls somebody is on it, but for certificates, whose days are, and what is not in every stack."""
    shown = {arn for widget in widgets for arn in widget["properties"].get("alarms", [])}
    for name, resource in rules_composites.all_alarms(resources):
        calls = "AlarmActions" in resource["Properties"] and "Certificate" not in name and "Condition" not in resource
        if calls and f"${{{name}.Arn}}" not in shown:
            yield f"the dashboard does not show {name}"
