"""The optional part that forwards log lines: all of it is there with LogForwarding, and nothing of it without."""

from reading import arn, kebab, of_type, own_arn

OPTIONAL = "ForwardErrors"
WITH = {"NotifyOperators": "ForwardsLogsOfChannels"}
CONDITIONS = {
    "ForwardsLogs": {"Fn::Not": [{"Fn::Equals": [{"Ref": "LogForwarding"}, "off"]}]},
    "ForwardsAllLines": {"Fn::Equals": [{"Ref": "LogForwarding"}, "all"]},
    "ForwardsLogsOfChannels": {"Fn::And": [{"Condition": "ForwardsLogs"}, {"Condition": "HasChannels"}]},
}
# What forward-errors reports (`log_sinks::Line::report`; tests/it/forwarder.rs compares both).
ERRORS = (
    '{ ($.level = "ERROR") || (($.target = "lambda_runtime*") && ($.level = "WARN")) || '
    '((($.type = "platform.report") || (($.type = "platform.initReport") && ($.record.phase = "init"))) && '
    '(($.record.status = "timeout") || ($.record.status = "failure") || '
    '(($.record.errorType = "Runtime.*") && ($.record.errorType != "Runtime.Unknown")))) }'
)
ALIAS = {"Ref": f"{OPTIONAL}.Alias"}


def of(function):
    """The filter of a function's log group, by its logical id, and the permission that it needs."""
    name = f"{OPTIONAL}Of{function}"
    return name, f"{name}Permission"


def subscribed(resources):
    """All functions but the one that forwards: each of its own lines would bring it another."""
    return [name for name, _ in of_type(resources, "AWS::Serverless::Function") if name != OPTIONAL]


def permissions(resources):
    """Who may call the function: CloudWatch Logs, of this account, with lines of these groups."""
    for function in subscribed(resources):
        group = own_arn("logs", f"log-group:/aws/lambda/${{AWS::StackName}}-{kebab(function)}:*")
        yield {
            "FunctionName": ALIAS,
            "Action": "lambda:InvokeFunction",
            "Principal": "logs.amazonaws.com",
            "SourceArn": group,
            "SourceAccount": {"Ref": "AWS::AccountId"},
        }


def violations(_parameters, resources):
    functions = subscribed(resources)
    conditions = {name: WITH.get(function, "ForwardsLogs") for function in functions for name in of(function)}
    for name, resource in resources.items():
        expected = conditions.get(name, "ForwardsLogs") if name.startswith(OPTIONAL) else None
        condition = resource.get("Condition")
        # Other resources have conditions of other parts.
        if condition != expected and (expected or condition in CONDITIONS):
            yield f"{name} exists when it should not, or does not when it should"
    found = dict(of_type(resources, "AWS::Logs::SubscriptionFilter"))
    if found.keys() != {of(function)[0] for function in functions}:
        yield "another log group is forwarded than those of all other functions"
    for function in functions:
        name, permission = of(function)
        resource = found.get(name, {})
        if resource.get("Properties") != {
            "FilterName": {"Fn::Sub": "${AWS::StackName}-forward-errors"},
            "LogGroupName": {"Ref": f"{function}Logs"},
            "FilterPattern": {"Fn::If": ["ForwardsAllLines", "", ERRORS]},
            "DestinationArn": ALIAS,
        }:
            yield f"{name} forwards other lines than LogForwarding asks for, or to another function"
        if resource.get("DependsOn") != permission:
            yield f"{name} is made before CloudWatch Logs may call the function, which refuses it then"
    function = resources[OPTIONAL]["Properties"]
    if function.get("DeadLetterQueue") != {"Type": "SQS", "TargetArn": arn("ForwardErrorsDlq")}:
        yield "what forward-errors fails at three times is lost"
    if function["Environment"]["Variables"] != {
        "FORWARD_ERRORS_DLQ_URL": {"Ref": "ForwardErrorsDlq"},
        "WEBHOOK_ALLOW_LOOPBACK": {"Ref": "WebhookAllowLoopback"},
    }:
        yield "forward-errors puts lines away elsewhere, or sinks may be at private addresses"


def conditions(document):
    """What the conditions are made of."""
    for name, expected in CONDITIONS.items():
        if document["Conditions"].get(name) != expected:
            yield f"LogForwarding turns {name} on or off where it should not"
    parameter = document["Parameters"]["LogForwarding"]
    if (parameter["Default"], parameter["AllowedValues"]) != ("off", ["off", "errors", "all"]):
        yield "an optional part is made without being asked for"
    if document["Outputs"]["ForwardErrorsDlqUrl"].get("Condition") != "ForwardsLogs":
        yield "the output ForwardErrorsDlqUrl names what is not there"
