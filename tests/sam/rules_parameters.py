"""Parameters that go together: which sets of them `Rules:` of the template lets through, and what some of them lead to. When a
day may be reconciled.

CloudFormation's own functions are few there (and, or, not, equals, contains), so they are worked out here as it does.
"""

import re
from itertools import product

# Each set is written as what differs from the defaults; whether a stack may be made with it.
CONSOLE = {"ConsoleIssuer": "https://id.example", "ConsoleAudience": "app", "ConsoleGroup": "finance"}
DOMAIN = {
    "DomainName": "pay.example.com",
    "DomainCertificateArn": "arn:aws-cn:acm:cn-north-1:123456789012:certificate/1",
}
VPC = {"VpcSubnetIds": "subnet-0123456789abcdef0,subnet-0123456789abcdef1", "VpcSecurityGroupIds": "sg-0123456789abcdef0"}
# Of the keys of another Region, for tables that come from there.
REPLICAS = {
    "SecretsKeyArn": "arn:aws:kms:ap-southeast-1:123456789012:key/mrk-1",
    "FieldsKeyArn": "arn:aws:kms:ap-southeast-1:123456789012:key/mrk-2",
}
CHANNELS = {"OperatorChannels": "on", "AlarmTopicArn": "arn:aws-cn:sns:cn-north-1:123456789012:alarms"}
OPERATORS = {"OperatorsTopicArn": "arn:aws-cn:sns:cn-north-1:123456789012:operators"}
SETS = [
    ({}, True),
    (CONSOLE, True),
    ({"ConsoleOnLoopback": "true"}, True),
    (CONSOLE | {"ConsoleOnLoopback": "true"}, False),
    ({"MerchantSigner": "sealed"}, True),
    ({"MerchantSigningKeyOrigin": "EXTERNAL"}, True),
    ({"OtherSigner": "sealed"}, True),
    # The sealed key signs while the KMS key waits for its material, and where it must not sign any more. Its origin is fixed.
    ({"MerchantSigner": "sealed", "MerchantSigningKeyOrigin": "EXTERNAL"}, True),
    (DOMAIN, True),
    (DOMAIN | {"KeepDefaultEndpoint": "true"}, True),
    (DOMAIN | {"NotifyUrl": "https://edge.example/v1/callbacks/wechatpay"}, True),
    (DOMAIN | CONSOLE, True),
    (DOMAIN | {"ConsoleOnLoopback": "true"}, False),
    (DOMAIN | {"WebhookAllowLoopback": "true"}, False),
    (DOMAIN | {"ApiTruststoreUri": "s3://bucket/edge.pem"}, True),
    ({"ApiTruststoreUri": "s3://bucket/edge.pem"}, False),
    (DOMAIN | {"ApiTruststoreUri": "s3://bucket/edge.pem", "KeepDefaultEndpoint": "true"}, False),
    ({"DomainName": DOMAIN["DomainName"]}, False),
    ({"DomainCertificateArn": DOMAIN["DomainCertificateArn"]}, False),
    ({"KeepDefaultEndpoint": "true"}, False),
    (REPLICAS, True),
    (REPLICAS | {"SigningKeyArn": "arn:aws:kms:ap-southeast-1:123456789012:key/mrk-3"}, True),
    ({"SecretsKeyArn": REPLICAS["SecretsKeyArn"]}, False),
    ({"FieldsKeyArn": REPLICAS["FieldsKeyArn"]}, False),
    (VPC, True),
    ({"VpcSubnetIds": VPC["VpcSubnetIds"]}, False),
    (CHANNELS, True),
    ({"AlarmTopicArn": CHANNELS["AlarmTopicArn"]}, True),
    ({"OperatorChannels": "on"}, False),
    (CHANNELS | OPERATORS, True),
    (CHANNELS | {"OperatorsTopicArn": CHANNELS["AlarmTopicArn"]}, False),
    (OPERATORS, False),
    ({"VpcSecurityGroupIds": VPC["VpcSecurityGroupIds"]}, False),
]
# Of the console's three, all or none.
for chosen in product([False, True], repeat=len(CONSOLE)):
    names = [name for name, is_chosen in zip(CONSOLE, chosen) if is_chosen]
    SETS.append(({name: CONSOLE[name] for name in names}, len(names) in (0, len(CONSOLE))))

DEFAULT_ENDPOINT = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}"
CALLBACKS = "/v1/callbacks/wechatpay"
# By what differs from the defaults: the API's address, where callbacks go, whether the address beside the domain is shut.
ADDRESSES = [
    ({}, DEFAULT_ENDPOINT, DEFAULT_ENDPOINT + CALLBACKS, False),
    (DOMAIN, "https://${DomainName}", "https://${DomainName}" + CALLBACKS, True),
    (DOMAIN | {"KeepDefaultEndpoint": "true"}, "https://${DomainName}", "https://${DomainName}" + CALLBACKS, False),
    ({"NotifyUrl": "given"}, DEFAULT_ENDPOINT, {"Ref": "NotifyUrl"}, False),
    (DOMAIN | {"NotifyUrl": "given"}, "https://${DomainName}", {"Ref": "NotifyUrl"}, True),
]

# What a parameter takes, and what it refuses.
VALUES = {
    "DomainName": (
        ["", "pay.example.com", "a-b.example.com.cn", "x1.cn"],
        ["https://pay.example.com", "pay.example.com/", "Pay.example.com", "localhost", "pay..com", "-pay.example.com", "a.b c.com"],
    ),
    "DomainCertificateArn": (
        ["", "arn:aws:acm:ap-east-1:123456789012:certificate/a-1", DOMAIN["DomainCertificateArn"]],
        ["arn:aws:iam::123456789012:server-certificate/a", "certificate/a"],
    ),
    "VpcSubnetIds": (
        ["", VPC["VpcSubnetIds"], "subnet-01234567,subnet-89abcdef,subnet-00000000"],
        ["subnet-01234567", "subnet-01234567, subnet-89abcdef", "vpc-01234567,vpc-89abcdef"],
    ),
    "VpcSecurityGroupIds": (["", "sg-01234567", ",".join(["sg-01234567"] * 5)], ["default", ",".join(["sg-01234567"] * 6)]),
    "ApiTruststoreUri": (
        ["", "s3://edge-123456789012/edge.pem"],
        ["edge.pem", "https://bucket/edge.pem", "s3://bucket/", "s3://Bucket/edge.pem"],
    ),
    "SigningKeyArn": (["", "arn:aws-cn:kms:cn-north-1:123456789012:key/mrk-1"], ["mrk-1", "alias/a"]),
    **{name: (["", arn], ["mrk-1", "alias/a"]) for name, arn in REPLICAS.items()},
    "OtherSigner": (["", "sealed", "arn:aws:kms:ap-east-1:123456789012:key/mrk-1"], ["kms", "mrk-1", "alias/a"]),
    "OperatorRoleArn": (["", "arn:aws-cn:iam::123456789012:role/on-call"], ["on-call"]),
    "AlarmTopicArn": (["", "arn:aws-cn:sns:cn-north-1:123456789012:alarms"], ["alarms"]),
    "OperatorsTopicArn": (["", "arn:aws-cn:sns:cn-north-1:123456789012:operators"], ["operators"]),
    # What `shared/runtime/src/otlp/endpoint.rs` takes, and CloudWatch by its own word, since a permission goes with it.
    "OtlpEndpoint": (
        ["", "cloudwatch", "https://collector.example.com/v1/traces", "https://otel:4318/a", "http://10.0.0.7:4318/v1/traces",
         "http://192.168.255.1/v1", "https://203.0.113.7:65535/v1/traces", "http://127.0.0.1:4318/v1/traces",
         "https://otlp-gateway-prod-eu-west-0.grafana.net/otlp/v1/traces"],
        [
            "https://xray.ap-east-1.amazonaws.com/v1/traces",
            "https://collector.example.com",
            "https://collector.example.com/",
            "https://key@collector.example.com/v1/traces",
            "https://collector.example.com/v1/traces?key=1",
            "http://collector.example.com/v1/traces",
            "http://172.15.0.1/v1/traces",
            "http://10.0.0/v1/traces",
            "http://127.1/v1",
            "http://10.0.0.256/v1/traces",
            "https://10.0.0.256/v1/traces",
            "https://c.example.com:70000/v1/traces",
            "https://c.example.com:4318x/v1",
            "https://XRAY.eu-west-1.amazonaws.com/v1/traces",
            "https://collector.example.com/v1/..",
            "https://collector.example.com/%2e",
            "https://collector.example.com//",
            "https://0x7f000001/v1/traces",
            "https://2130706433/v1/traces",
            "collector.example.com/v1/traces",
        ],
    ),
}
# By what differs from the defaults: where functions send their spans.
SPANS = [
    ({}, {"Ref": "OtlpEndpoint"}),
    ({"OtlpEndpoint": "cloudwatch"}, "https://xray.${AWS::Region}.${AWS::URLSuffix}/v1/traces"),
    ({"OtlpEndpoint": "https://collector.example.com/v1/traces"}, {"Ref": "OtlpEndpoint"}),
]

# By what differs from the defaults: whether the other key in KMS may sign, and whether the sealed one may.
OTHER_KEY = {"OtherSigner": "arn:aws:kms:ap-east-1:123456789012:key/mrk-1"}
MAY_SIGN = [
    ({}, False, False),
    ({"MerchantSigner": "sealed"}, False, True),
    ({"OtherSigner": "sealed"}, False, True),
    (OTHER_KEY, True, False),
    (OTHER_KEY | {"MerchantSigner": "sealed"}, True, True),
]

# A new account may run so many functions at once, and AWS refuses a reservation that leaves less than this unreserved.
UNRESERVED = 100
RESERVED = ["CreateOrder", "ManageOrder", "ReceiveCallback", "ProcessPayment", "ForwardErrors"]

# The alarm `reconciliation-missing` checks at 13:00 in Beijing, so no day may begin later. Whether each value is allowed.
RECONCILE_AT = [(f"cron(30 {hour} * * ? *)", hour <= 12) for hour in range(24)] + [
    ("cron(0 00 * * ? *)", True),
    ("cron(5 09 * * ? *)", True),
    ("cron(0,30 12 * * ? *)", True),
    ("cron(30 * * * ? *)", False),
    ("cron(30 10-14 * * ? *)", False),
    ("cron(30 10,14 * * ? *)", False),
    ("cron(30 1/6 * * ? *)", False),
    ("cron(30 024 * * ? *)", False),
    ("cron(30 10 * * ?)", False),
    ("rate(1 day)", False),
]


def violations(document):
    """Yields a sentence for each set of values that is wrongly accepted or refused."""
    defaults = {name: str(parameter.get("Default", "given")) for name, parameter in document["Parameters"].items()}
    for differs, is_fine in SETS:
        refused = list(refusals(document.get("Rules", {}), defaults | differs))
        if is_fine and refused:
            yield f"with {differs} no stack can be made: {refused}"
        if not is_fine and not refused:
            yield f"with {differs} a stack is made"
    yield from addresses(document, defaults)
    yield from new_account(document, defaults)
    yield from spans(document, defaults)
    # By default the functions are in no VPC.
    for differs in ({}, VPC):
        placed = document["Resources"]["Reconcile"]["Properties"].get("VpcConfig")
        if (choice(placed, document["Conditions"], defaults | differs) == {"Ref": "AWS::NoValue"}) != (differs == {}):
            yield f"with {differs} the functions are {'' if differs == {} else 'not '}in a VPC"
    # The output names the key that functions sign with.
    for given, key in (("", {"Ref": "MerchantSigningKey"}), ("given", {"Ref": "SigningKeyArn"})):
        named = document["Outputs"]["MerchantSigningKeyId"]["Value"]
        if choice(named, document["Conditions"], defaults | {"SigningKeyArn": given}) != key:
            yield f"with SigningKeyArn {given} the output names another key than functions sign with"
    # What is given opens what was sealed elsewhere, so functions use that and make none.
    for key in ("SecretsKey", "FieldsKey"):
        for given in ("", REPLICAS[f"{key}Arn"]):
            told = document["Outputs"][f"{key}Id"]["Value"]
            expected = {"Ref": f"{key}Arn"} if given else {"Ref": key}
            if choice(told, document["Conditions"], defaults | {f"{key}Arn": given}) != expected:
                yield f"with {key}Arn {given} functions seal under another key than the output names"
    for differs, by_other, by_sealed in MAY_SIGN:
        for condition, expected in (("HasOtherKey", by_other), ("SealedKeyMaySign", by_sealed)):
            if met(condition, document["Conditions"], defaults | differs) != expected:
                yield f"with {differs} {condition} is not {expected}"
    for name, (taken, refused) in VALUES.items():
        pattern = document["Parameters"][name]["AllowedPattern"]
        for value in taken + refused:
            if bool(re.fullmatch(pattern, value)) != (value in taken):
                yield f"{name} {value} is {'refused' if value in taken else 'taken'}"
    for name, rule in document.get("Rules", {}).items():
        for assertion in rule["Assertions"]:
            if len(assertion.get("AssertDescription", "")) < 40:
                yield f"{name} does not say what to do"
    reconcile_at = document["Parameters"]["ReconcileAt"]
    for value, is_fine in [*RECONCILE_AT, (reconcile_at["Default"], True)]:
        # CloudFormation holds the whole value against the pattern.
        if bool(re.fullmatch(reconcile_at["AllowedPattern"], value)) != is_fine:
            yield f"ReconcileAt {value} is {'refused' if is_fine else 'taken'}"


def addresses(document, defaults):
    conditions = document["Conditions"]
    outputs = document["Outputs"]
    shared = document["Globals"]["Function"]["Environment"]["Variables"]
    closes = document["Resources"]["Api"]["Properties"].get("DisableExecuteApiEndpoint")
    for differs, api, notify, is_closed in ADDRESSES:
        chosen = lambda value, values=defaults | differs: choice(value, conditions, values)
        if chosen(outputs["ApiUrl"]["Value"]) != api:
            yield f"with {differs} the output names another address of the API"
        if chosen(shared["NOTIFY_URL"]) != notify or chosen(outputs["NotifyUrl"]["Value"]) != notify:
            yield f"with {differs} WeChat Pay gets another callback address"
        if chosen(closes) != is_closed:
            yield f"with {differs} the address that API Gateway gives is {'open' if is_closed else 'shut'}"


def spans(document, defaults):
    if defaults["OtlpEndpoint"]:
        yield "by default functions record spans"
    sent_to = document["Globals"]["Function"]["Environment"]["Variables"].get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    for differs, expected in SPANS:
        if choice(sent_to, document["Conditions"], defaults | differs) != expected:
            yield f"with {differs} spans go elsewhere than to {expected}"
        to_cloudwatch = differs == {"OtlpEndpoint": "cloudwatch"}
        if met("SpansGoToCloudwatch", document["Conditions"], defaults | differs) != to_cloudwatch:
            yield f"with {differs} roles may {'not ' if to_cloudwatch else ''}send spans to CloudWatch"


def new_account(document, defaults):
    """With the defaults nothing is reserved, so an account with a limit of ten deploys the stack."""
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            reserved = resource["Properties"].get("ReservedConcurrentExecutions", {"Ref": "AWS::NoValue"})
            if choice(reserved, document["Conditions"], defaults) != {"Ref": "AWS::NoValue"}:
                yield f"a new account, which may reserve nothing, cannot deploy {name}"
            if "ProvisionedConcurrencyConfig" in resource["Properties"]:
                yield f"{name} has sandboxes held ready, which count as reserved"
    least = sum(document["Parameters"][f"{name}Concurrency"]["Default"] for name in RESERVED) + UNRESERVED
    if f"to {least} or more" not in document["Parameters"]["ReserveConcurrency"]["Description"]:
        yield f"ReserveConcurrency does not say that the account's limit must be {least}"


def choice(value, conditions, values):
    """What a value comes to with these parameters: of each `!If` one side, of a `!Sub` its text."""
    match value:
        case {"Fn::If": [condition, yes, no]}:
            return choice(yes if met(condition, conditions, values) else no, conditions, values)
        case {"Fn::Sub": sub}:
            return sub
        case _:
            return value


def met(condition, conditions, values):
    """Whether a condition of the template holds."""

    def resolved(expression):
        match expression:
            case {"Condition": name}:
                return met(name, conditions, values)
            case dict() if expression.keys() & {"Fn::Not", "Fn::And", "Fn::Or"}:
                return {key: [resolved(inner) for inner in each] for key, each in expression.items()}
            case _:
                return expression

    return holds(resolved(conditions[condition]), values)


def refusals(rules, values):
    for rule in rules.values():
        if holds(rule.get("RuleCondition", True), values):
            for assertion in rule["Assertions"]:
                if not holds(assertion["Assert"], values):
                    yield assertion["AssertDescription"]


def holds(expression, values):
    match expression:
        case bool():
            return expression
        case {"Fn::Not": [inner]}:
            return not holds(inner, values)
        case {"Fn::And": each}:
            return all([holds(inner, values) for inner in each])
        case {"Fn::Or": each}:
            return any([holds(inner, values) for inner in each])
        case {"Fn::Equals": [one, other]}:
            return text(one, values) == text(other, values)
        case _:
            raise ValueError(f"no function of a rule: {expression}")


def text(value, values):
    return values[value["Ref"]] if isinstance(value, dict) else str(value)
