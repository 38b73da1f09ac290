"""Checks in template.yaml what a linter cannot know: numbers that belong together, and that each role may do little.

    <venv>/bin/python tests/sam/rules.py      (with the Python that the SAM CLI is installed in)

`rules_test.py` changes the template in thousands of ways and checks that a rule fails each time.
"""

import json
import logging
import os
import sys
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

import rules_alarms
import rules_beside
import rules_composites
import rules_dashboard
import rules_channels
import rules_events
import rules_everywhere
import rules_forwarding
import rules_parameters
import rules_queues
import rules_releases
import rules_roles
from reading import arn, as_list, is_kept, kebab, of_type, own_arn
from samcli.yamlhelper import yaml_parse

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")  # the translator asks boto3 for one when it is imported
from samtranslator.translator.transform import transform  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"

# The API: which function answers which route.
ROUTES = {
    "POST /v1/orders": "CreateOrder",
    "GET /v1/orders/{order_no}": "ManageOrder",
    "POST /v1/orders/{order_no}/close": "ManageOrder",
    "POST /v1/orders/{order_no}/refunds": "ManageOrder",
    "GET /v1/orders/{order_no}/refunds": "ManageOrder",
    "GET /v1/orders/{order_no}/refunds/{refund_no}": "ManageOrder",
    "POST /v1/orders/{order_no}/refunds/{refund_no}/abnormal": "ManageOrder",
    "POST /v1/orders/{order_no}/refunds/{refund_no}/retry": "ManageOrder",
    "POST /v1/orders/{order_no}/refunds/{refund_no}/release": "ManageOrder",
    "POST /v1/orders/{order_no}/refunds/{refund_no}/payer-paid": "ManageOrder",
    "GET /v1/orders/{order_no}/events": "ManageOrder",
    "POST /v1/orders/{order_no}/events/{version}/replay": "ManageOrder",
    "GET /v1/webhook": "ManageOrder",
    "POST /v1/webhook/resend": "ManageOrder",
    "POST /v1/callbacks/wechatpay": "ReceiveCallback",
    "GET /v1/reconciliations/{date}": "Console",
    "POST /v1/reconciliations/{date}": "Console",
    "GET /v1/reconciliations/{date}/differences": "Console",
    "GET /v1/reconciliations/{date}/differences.csv": "Console",
    "GET /v1/reconciliations/{date}/differences/{id}": "Console",
    "POST /v1/reconciliations/{date}/differences/{id}/decisions": "Console",
    "GET /console": "Console",
    "GET /console/{proxy+}": "Console",
    "POST /console/{proxy+}": "Console",
}

# The console takes no request without a token, and has no address without an issuer.
FOR_STAFF = {"AuthorizationType": "JWT", "AuthorizerId": {"Ref": "ConsoleAuthorizer"}}
AUTHORIZER = {
    "ApiId": {"Ref": "Api"},
    "Name": {"Fn::Sub": "${AWS::StackName}-console"},
    "AuthorizerType": "JWT",
    "IdentitySource": ["$request.header.Authorization"],
    "JwtConfiguration": {"Issuer": {"Ref": "ConsoleIssuer"}, "Audience": [{"Ref": "ConsoleAudience"}]},
}

# The routes that may call each function, as the end of an ARN.
CALLED_FOR = {
    "CreateOrder": ["POST/v1/orders"],
    "ManageOrder": ["GET/v1/orders/*", "POST/v1/orders/*", "GET/v1/webhook", "POST/v1/webhook/resend"],
    "ReceiveCallback": ["POST/v1/callbacks/wechatpay"],
    "Console": [
        "GET/v1/reconciliations/*",
        "POST/v1/reconciliations/*",
        "GET/console",
        "GET/console/*",
        "POST/console/*",
    ],
}

# Seconds; what is called through the API must end before API Gateway gives up, which is after 30.
TIMEOUTS_S = {
    "CreateOrder": 29,
    "ManageOrder": 29,
    "ReceiveCallback": 5,
    "ProcessPayment": 30,
    "Reconcile": 900,
    "SendWebhook": 30,
    "Console": 29,
    # Three channels at their limits of time (tests/it/time_limits.rs).
    "NotifyOperators": 60,
    "ForwardErrors": 60,
}

# WeChat Pay's limits a second: of refund queries, the lowest limit of its queries, and of refunds. Each sandbox gets a share.
LIMITS_PER_S = {"CallsPerSecond": 300, "RefundsPerSecond": 150}
LIMITED = {
    "WECHATPAY_CALLS_PER_S": {"Ref": "CallsPerSecond"},
    "WECHATPAY_REFUNDS_PER_S": {"Ref": "RefundsPerSecond"},
}
# Functions with reserved concurrency, which is also their limit. Functions that clients call are limited, so that a slow
# WeChat Pay cannot take runs from callbacks.
RESERVED = ["CreateOrder", "ManageOrder", "ReceiveCallback", "ProcessPayment", "ForwardErrors"]


def main():
    document = yaml_parse(TEMPLATE.read_text())
    broken = list(violations(document["Parameters"], document["Resources"]))
    broken.extend(rules_everywhere.partition(document))
    broken.extend(rules_everywhere.logging(document))
    broken.extend(rules_parameters.violations(document))
    broken.extend(rules_channels.conditions(document))
    broken.extend(rules_forwarding.conditions(document))
    broken.extend(rules_alarms.namespace(document))
    broken.extend(rules_releases.shared(document))
    broken.extend(rules_releases.translated(translated()))
    for name, violation in beside(document["Resources"]):
        broken.append(f"{name}: {violation}")
    for violation in broken:
        print(violation)
    if broken:
        sys.exit(f"template.yaml breaks {len(broken)} rules")
    print("template.yaml keeps the rules of tests/sam/rules.py")


def translated():
    """The resources of the template as AWS makes them of it."""
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    document = yaml_parse(TEMPLATE.read_text())
    for _, function in of_type(document["Resources"], "AWS::Serverless::Function"):
        function["Properties"]["CodeUri"] = {"Bucket": "deployments", "Key": "function.zip"}
    values = {name: parameter.get("Default", "given") for name, parameter in document["Parameters"].items()}
    return transform(document, values, None)["Resources"]


def beside(resources):
    """Violations in the other templates, by file name."""
    for name in rules_beside.TAGS:
        page = page_of(name)
        for violation in rules_beside.violations(name, yaml_parse((ROOT / name).read_text()), page, resources):
            yield name, violation


def page_of(name):
    """The page that explains a template's alarms; empty for a template without alarms."""
    page = rules_beside.PAGES.get(name)
    return (ROOT / page).read_text() if page else ""


def violations(parameters, resources):
    """Yields a sentence for each rule that is broken."""
    yield from rules_everywhere.tagged(resources, rules_everywhere.TAGS)
    resources = rules_everywhere.without_tags(resources)
    own = (throttling, domain, routes, permissions, concurrency, vpc, tables, evidence, keys, logs, schedule)
    others = (rules_roles, rules_queues, rules_events, rules_alarms, rules_composites, rules_dashboard, rules_releases, rules_channels)
    others = (*others, rules_forwarding)
    for rule in chain(own, (module.violations for module in others)):
        yield from rule(parameters, resources)


def throttling(_parameters, resources):
    stage = resources["ApiStage"]["Properties"]
    callback = resources["ReceiveCallbackRoute"]["Properties"]["RouteKey"]
    for name, settings in (
        ("Api", stage.get("DefaultRouteSettings")),
        ("Callback", stage.get("RouteSettings", {}).get(callback)),
    ):
        if settings != {f"Throttling{kind}Limit": {"Ref": f"{name}{kind}Limit"} for kind in ("Rate", "Burst")}:
            yield f"the stage does not throttle by {name}RateLimit and {name}BurstLimit where it should"


def domain(_parameters, resources):
    """A domain leads to the whole API over TLS 1.2 or later. API Gateway's own address is closed unless it is to stay."""
    if {key: value for key, value in resources["Api"]["Properties"].items() if key != "Description"} != {
        "Name": {"Ref": "AWS::StackName"},
        "ProtocolType": "HTTP",
        "DisableExecuteApiEndpoint": {"Fn::If": ["ClosesDefaultEndpoint", True, False]},
    }:
        yield "the API's own address stays open beside the domain, or it is another kind of API"
    secure = {
        "CertificateArn": {"Ref": "DomainCertificateArn"},
        "EndpointType": "REGIONAL",
        "SecurityPolicy": "TLS_1_2",
    }
    for name, expected in (
        ("ApiDomain", {
                "DomainName": {"Ref": "DomainName"},
                "DomainNameConfigurations": [secure],
                "MutualTlsAuthentication": {
                    "Fn::If": ["HasApiTruststore", {"TruststoreUri": {"Ref": "ApiTruststoreUri"}}, {"Ref": "AWS::NoValue"}]
                },
            }),
        (
            "ApiDomainMapping",
            {"ApiId": {"Ref": "Api"}, "DomainName": {"Ref": "ApiDomain"}, "Stage": {"Ref": "ApiStage"}},
        ),
    ):
        resource = resources[name]
        if resource.get("Condition") != "HasDomain" or resource["Properties"] != expected:
            yield f"{name} does not lead the domain to the API, or is there without one"


def routes(_parameters, resources):
    api = {"Ref": "Api"}
    found = {}
    for name, resource in of_type(resources, "AWS::ApiGatewayV2::Route"):
        route = resource["Properties"]
        staff = ROUTES.get(route["RouteKey"]) == "Console"
        beside = {key: value for key, value in route.items() if key not in ("ApiId", "RouteKey", "Target")}
        if route["ApiId"] != api or beside != (FOR_STAFF if staff else {}):
            yield f"{name} is a route of another form"
        if resource.get("Condition") != ("HasConsole" if staff else None):
            yield f"{name} exists when it should not, or does not when it should"
        found[route["RouteKey"]] = route["Target"]["Fn::Sub"]
    if resources["ConsoleAuthorizer"]["Properties"] != AUTHORIZER:
        yield "the console accepts tokens of another issuer or audience"
    if found != {key: f"integrations/${{{function}Integration}}" for key, function in ROUTES.items()}:
        yield "the API's routes are not those of the contract, or lead to another function"
    for function in CALLED_FOR:
        name = kebab(function)
        lambda_arn = own_arn("lambda", "function:${AWS::StackName}-" + name + ":live")
        if resources[f"{function}Integration"]["Properties"] != {
            "ApiId": api,
            "IntegrationType": "AWS_PROXY",
            "PayloadFormatVersion": "2.0",
            "IntegrationUri": lambda_arn,
        }:
            yield f"the integration of {function} is not a call of its alias"
        callable_by = [each for each, permission in of_type(resources, "AWS::Lambda::Permission") if permits(permission, function)]
        if sorted(as_list(resources[f"{function}Integration"].get("DependsOn", []))) != sorted(callable_by):
            yield f"the API may call the alias of {function} before it is there, or before it may"
        if resources[function]["Properties"]["FunctionName"] != {"Fn::Sub": f"${{AWS::StackName}}-{name}"}:
            yield f"{function} has another name than its integration calls"


def permits(permission, function):
    return permission["Properties"]["FunctionName"] == {"Ref": f"{function}.Alias"}


def permissions(_parameters, resources):
    """Only the API may call each function, and only for its own routes; and CloudWatch Logs the one that forwards its lines."""
    execute = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*/"
    expected = [
        {
            "FunctionName": {"Ref": f"{function}.Alias"},
            "Action": "lambda:InvokeFunction",
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": {"Fn::Sub": execute + pattern},
        }
        for function, patterns in CALLED_FOR.items()
        for pattern in patterns
    ]
    expected.extend(rules_forwarding.permissions(resources))
    found = [resource["Properties"] for _, resource in of_type(resources, "AWS::Lambda::Permission")]
    if sorted(map(in_one_line, found)) != sorted(map(in_one_line, expected)):
        yield "another caller than the API may call a function, or the API may not call one"
    for key, function in ROUTES.items():
        path = key.replace(" ", "")
        callers = {name for name, patterns in CALLED_FOR.items() if any(fnmatchcase(path, each) for each in patterns)}
        if callers != {function}:
            yield f"the permissions for {key} are those of {sorted(callers)}"


def in_one_line(value):
    return json.dumps(value, sort_keys=True)


def concurrency(parameters, resources):
    for name, resource in of_type(resources, "AWS::Serverless::Function"):
        properties = resource["Properties"]
        if properties["Timeout"] != TIMEOUTS_S[name]:
            yield f"{name} may run for {properties['Timeout']} s, not {TIMEOUTS_S[name]}"
        reservation = {"Fn::If": ["ReservesConcurrency", {"Ref": f"{name}Concurrency"}, {"Ref": "AWS::NoValue"}]}
        if properties.get("ReservedConcurrentExecutions") != (reservation if name in RESERVED else None):
            yield f"{name} does not reserve {name}Concurrency, or should not reserve any"
    reserved, *sources = (
        parameters[f"{name}Concurrency"]["Default"] for name in ("ProcessPayment", "PaymentRequests", "PaymentResults")
    )
    if reserved < sum(sources):
        yield f"process-payment reserves {reserved} runs, its queues may ask for {sum(sources)}"
    at_once = parameters["PaymentRequestsConcurrency"]["Default"] + 1
    for name, most in LIMITS_PER_S.items():
        if parameters[name]["Default"] * at_once > most:
            yield f"{at_once} sandboxes may go beyond WeChat Pay's {most} a second with {name}"
    for name in ("ProcessPayment", "Reconcile"):
        if not LIMITED.items() <= resources[name]["Properties"]["Environment"]["Variables"].items():
            yield f"{name} does not get its share of WeChat Pay's limits"
    for name in ("CreateOrder", "ManageOrder"):
        if resources[name]["Properties"]["Environment"]["Variables"].get("CLIENT_REQUESTS_PER_S") != {"Ref": "ClientRateLimit"}:
            yield f"{name} does not hold its clients to ClientRateLimit"
    if parameters["ClientRateLimit"]["Default"] * 2 > parameters["ApiRateLimit"]["Default"]:
        yield "one client alone may use up a route of the API"
    if parameters["ReserveConcurrency"]["Default"] != "false":
        yield "a new account, which may reserve nothing, could not deploy the stack"
    if parameters["WebhookAllowLoopback"]["Default"] != "false":
        yield "webhooks may reach private addresses"
    if parameters["ConsoleOnLoopback"]["Default"] != "false":
        yield "the console is open to everybody"


def vpc(_parameters, resources):
    """If there is a VPC, functions that call WeChat Pay are in it, and no others."""
    inside = {f"{kind}Ids": {"Fn::Split": [",", {"Ref": f"Vpc{kind}Ids"}]} for kind in ("Subnet", "SecurityGroup")}
    placed = {"Fn::If": ["HasVpc", inside, {"Ref": "AWS::NoValue"}]}
    for name, resource in of_type(resources, "AWS::Serverless::Function"):
        calls = "WECHATPAY_BASE_URL" in resource["Properties"]["Environment"]["Variables"]
        if resource["Properties"].get("VpcConfig") != (placed if calls else None):
            yield f"{name} is {'not ' if calls else ''}in the VPC"


def tables(_parameters, resources):
    for name, resource in of_type(resources, "AWS::DynamoDB::Table"):
        properties = resource["Properties"]
        if properties.get("SSESpecification") != {
            "SSEEnabled": True,
            "SSEType": "KMS",
            "KMSMasterKeyId": arn("StorageKey"),
        }:
            yield f"{name} is not encrypted with the storage key"
        if name in ("GuardsTable", "NoticesTable", "UndeliveredEventsTable"):
            if properties.get("TimeToLiveSpecification") != {"AttributeName": "expires_at", "Enabled": True}:
                yield f"what is over stays in {name}"
        if name == "GuardsTable":
            continue
        if not is_kept(resource):
            yield f"{name} would be lost with the stack"
        if properties.get("DeletionProtectionEnabled") != {"Ref": "DeletionProtection"}:
            yield f"{name} can be deleted whatever DeletionProtection says"
        if properties.get("PointInTimeRecoverySpecification") != {"PointInTimeRecoveryEnabled": True}:
            yield f"{name} cannot be brought back to an earlier moment"


def evidence(_parameters, resources):
    """Bills are kept when the stack is deleted, and only reconcile writes there."""
    resource = resources["EvidenceBucket"]
    properties = resource["Properties"]
    if not is_kept(resource):
        yield "the evidence would be lost with the stack"
    encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": arn("StorageKey")}
    if properties["BucketEncryption"]["ServerSideEncryptionConfiguration"] != [
        {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": encryption}
    ]:
        yield "the evidence is not encrypted with the storage key"
    shut = {"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"}
    if properties["PublicAccessBlockConfiguration"] != dict.fromkeys(shut, True):
        yield "the evidence can be made public"
    if properties["VersioningConfiguration"] != {"Status": "Enabled"}:
        yield "evidence can be written over"
    locked = {"Mode": "COMPLIANCE", "Days": {"Ref": "EvidenceLockDays"}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": locked}}
    if properties["ObjectLockConfiguration"] != {"Fn::If": ["LocksEvidence", lock, {"Ref": "AWS::NoValue"}]}:
        yield "EvidenceLockDays locks nothing"
    policy = resources["EvidenceBucketPolicy"]["Properties"]
    said = policy["PolicyDocument"]["Statement"]
    inside = {"Fn::Sub": "${EvidenceBucket.Arn}/*"}
    if [{key: value for key, value in each.items() if key != "Sid"} for each in said] != [
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [arn("EvidenceBucket"), inside],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": inside,
            "Condition": {"ArnNotEquals": {"aws:PrincipalArn": arn("ReconcileRole")}},
        },
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"],
            "Resource": inside,
        },
    ] or policy["Bucket"] != {"Ref": "EvidenceBucket"}:
        yield "another role than reconcile's may write evidence, or a role may delete it"


def keys(parameters, resources):
    for name, resource in of_type(resources, "AWS::KMS::Key"):
        if not is_kept(resource):
            yield f"{name} would be lost with the stack"
        # Those that open what another Region sealed are given to a stack there.
        given = {"SecretsKey": "MakesSecretsKey", "FieldsKey": "MakesFieldsKey"}
        if resource.get("Condition") != given.get(name):
            yield f"{name} is made beside one that was given, or not made at all"
        if resource["Properties"].get("MultiRegion") != {"Fn::If": ["KeysAreMultiRegion", True, False]}:
            yield f"{name} cannot be replicated into a second Region, or a stack made before it could be cannot be updated"
    if parameters["MultiRegionKeys"]["Default"] != "true":
        yield "a new stack's keys could never be replicated into a second Region"
    # Apart from the account, the key policies allow only services that store data for it.
    said = resources["StorageKey"]["Properties"]["KeyPolicy"]["Statement"]
    events = [each for each in said if each["Principal"] == {"Service": "events.amazonaws.com"}]
    own_account = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    bus = own_arn("events", "event-bus/${AWS::StackName}-orders")
    of_the_bus = {"StringEquals": {"kms:EncryptionContext:aws:events:event-bus:arn": bus}}
    if [(each["Effect"], each["Action"], each.get("Condition")) for each in events] != [
        ("Allow", ["kms:Decrypt", "kms:GenerateDataKey"], own_account),
        ("Allow", ["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncrypt*"], of_the_bus),
        ("Allow", "kms:DescribeKey", None),
    ]:
        yield "bus, archive or rule cannot encrypt, or EventBridge may do more with the key than that"


def logs(_parameters, resources):
    for name, resource in of_type(resources, "AWS::Logs::LogGroup"):
        if resource["Properties"].get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            yield f"{name} is not deleted after LogRetentionDays"
        if resource["Properties"].get("KmsKeyId") != arn("StorageKey"):
            yield f"{name} is not encrypted with the storage key"
    for name, resource in of_type(resources, "AWS::Serverless::Function"):
        # Lambda would create any other group itself: never deleted, and not encrypted with our key.
        if resource["Properties"].get("LoggingConfig") != {"LogGroup": {"Ref": f"{name}Logs"}}:
            yield f"{name} does not write to {name}Logs"


def schedule(_parameters, resources):
    once = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    if resources["SweepSchedule"]["Properties"]["Target"]["RetryPolicy"] != once:
        yield "the schedule would repeat a sweep that failed"
    if resources["SweepSchedule"]["Properties"]["Target"]["Arn"] != {"Ref": "Reconcile.Alias"}:
        yield "the schedule sweeps by another function"
    if resources["Reconcile"]["Properties"]["EventInvokeConfig"] != once:
        yield "Lambda would repeat a sweep that failed"
    daily = resources["DailySchedule"]["Properties"]
    if daily["ScheduleExpressionTimezone"] != "Asia/Shanghai":
        yield "the day is reconciled in another time zone than Beijing's"
    if daily["Target"]["Arn"] != arn("ReconcileWorkQueue"):
        yield "the daily schedule does not lead to the queue"
    if daily["Target"].get("DeadLetterConfig") != {"Arn": arn("ReconcileWorkDlq")}:
        yield "no one is notified of a day that could not be started"
    certificates = resources["CertificatesSchedule"]["Properties"]
    if certificates["ScheduleExpression"] != "rate(5 minutes)" or certificates["Target"] != {
        "Arn": {"Ref": "Reconcile.Alias"},
        "RoleArn": arn("SweepScheduleRole"),
        "Input": '{"task":"certificates"}',
        "RetryPolicy": once,
    }:
        yield "WeChat Pay's certificates are not checked in time"
    if "<aws.scheduler.scheduled-time>" not in daily["Target"]["Input"]:
        yield "a daily message that is moved back would reconcile another day"
    for name in ("Reconcile", "Console"):
        repairs = resources[name]["Properties"]["Environment"]["Variables"].get("RECONCILE_REPAIRS")
        if repairs != {"Ref": "ReconcileRepairs"}:
            yield f"{name} does not know whether the daily run repairs or only reports"
    for name, scheduled in of_type(resources, "AWS::Scheduler::Schedule"):
        # Drift detection compares what the template states, and no defaults.
        if scheduled["Properties"].get("State") != "ENABLED":
            yield f"CloudFormation would not detect that {name} is switched off"
    reconcile_at = resources["Console"]["Properties"]["Environment"]["Variables"].get("RECONCILE_AT")
    if reconcile_at != {"Ref": "ReconcileAt"} or reconcile_at != daily["ScheduleExpression"]:
        yield "the console does not know when the daily run is due"


if __name__ == "__main__":
    main()
