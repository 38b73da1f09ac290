"""How little each role may do. An addition here is an addition to what a stolen role can do."""

import re
from pathlib import Path

from reading import as_list, differences, grant, grants, kebab, name_of, of_type, own_arn, statements, text_of

READ, WRITE = {"GetItem"}, {"GetItem", "PutItem", "UpdateItem"}
DAYS = "day#${Mchid}#*"

# Whose items: none of another merchant's, and clients' keys only where a client's signature is verified.
MERCHANT, CLIENTS, ORDERS, NOTICES = "merchant#${Mchid}", "client#*", "order#${Mchid}#*", "${Mchid}#*"
UNDELIVERED = "${Mchid}#*"


def items(table, calls, *keys):
    """Calls on the items of a table whose key is one of `keys`."""
    leading = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(keys)}}
    return grant(table, {f"dynamodb:{call}" for call in calls}, leading)


def sends(queue):
    return grant(queue, {"sqs:SendMessage"})


def takes(queue):
    calls = {"ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"}
    return grant(queue, {f"sqs:{call}" for call in calls})


# The stack's own, or the replica of another Region's that it was given.
SECRETS_KEY = "SecretsKeyArn or SecretsKey if MakesSecretsKey"
FIELDS_KEY = "FieldsKeyArn or FieldsKey if MakesFieldsKey"


def unseals(purpose, when="always", **context):
    """What is sealed for one purpose opens for no other; a merchant's secrets open for this merchant only."""
    bound = {f"kms:EncryptionContext:{name}": value for name, value in {"purpose": purpose, **context}.items()}
    return grant(SECRETS_KEY, {"kms:Decrypt"}, {"StringEquals": bound}, when)


OWN = {"Ref": "Mchid"}
UNKNOWN_SERIAL = "unknown-serial#${Mchid}"
# WeChat Pay's certificates may be replaced, and nothing else of the merchant's item: no secret, no signer.
CERTIFICATES = grant(
    "KeysTable",
    {"dynamodb:UpdateItem"},
    {
        "ForAllValues:StringEquals": {
            "dynamodb:LeadingKeys": [MERCHANT],
            "dynamodb:Attributes": ["pk", "verification", "response_serial", "version", "certificates_fetched_at"],
        },
        "StringEqualsIfExists": {"dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"]},
    },
)
CLIENT_KEYS, WEBHOOK_SECRETS = unseals("client-key"), unseals("webhook-secret")
APIV3_KEYS = unseals("apiv3-key", mchid=OWN)
SIGNING_KEY = "MerchantSigningKey or SigningKeyArn if HasSigningKey"
# While the merchant's key changes, the version before signs by the other one for some minutes.
OTHER_KEY = "AWS::NoValue or OtherSigner if HasOtherKey"
AS_WECHAT_PAY_WANTS = {"StringEquals": {"kms:SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256", "kms:MessageType": "DIGEST"}}
SIGN = [
    grant(SIGNING_KEY, {"kms:Sign"}, AS_WECHAT_PAY_WANTS, "SignsWithKms"),
    grant("OtherSigner", {"kms:Sign"}, AS_WECHAT_PAY_WANTS, "HasOtherKey"),
    unseals("merchant-key", "SealedKeyMaySign", mchid=OWN),
]
FIELDS = grant(
    FIELDS_KEY, {"kms:GenerateDataKey", "kms:Decrypt"}, {"StringEquals": {"kms:EncryptionContext:purpose": "field"}}
)

# In the merchant's subnets Lambda makes and ends network interfaces by the function's role, and the function itself may not.
NETWORK = {
    f"ec2:{call}"
    for call in (
        "CreateNetworkInterface",
        "DescribeNetworkInterfaces",
        "DescribeSubnets",
        "DeleteNetworkInterface",
        "AssignPrivateIpAddresses",
        "UnassignPrivateIpAddresses",
    )
}


# What Lambda ends them by, which it does days after a stack has left its VPC.
LEAVING = {"ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface"}


def in_vpc(function):
    itself = own_arn("lambda", f"function:${{AWS::StackName}}-{kebab(function)}")
    return [
        grant("*", NETWORK - LEAVING, when="HasVpc"),
        grant("*", LEAVING),
        grant("*", NETWORK, {"ArnEquals": {"lambda:SourceFunctionArn": itself}}, effect="Deny"),
    ]


# Spans, where they go to CloudWatch: X-Ray knows no resources for them.
SPANS = grant("*", {"xray:PutTraceSegments", "xray:PutSpans"}, when="SpansGoToCloudwatch")

# By function; each may also write its own log.
GRANTS = {
    "CreateOrder": [
        SPANS,
        *in_vpc("CreateOrder"),
        items("KeysTable", READ, MERCHANT, CLIENTS),
        items("OrdersTable", WRITE, ORDERS),
        items("GuardsTable", {"UpdateItem"}, "rate#create-order#*"),
        items("GuardsTable", {"PutItem"}, "nonce#*"),
        items("GuardsTable", {"PutItem", "DeleteItem"}, "submit#*"),
        items("GuardsTable", {"PutItem"}, UNKNOWN_SERIAL),
        items("NoticesTable", {"UpdateItem"}, NOTICES),
        sends("PaymentRequestsQueue"),
        CLIENT_KEYS,
        FIELDS,
        *SIGN,
    ],
    "ManageOrder": [
        SPANS,
        *in_vpc("ManageOrder"),
        items("KeysTable", READ, MERCHANT, CLIENTS, "webhook#*"),
        items("OrdersTable", WRITE | {"Query"}, ORDERS),
        items("GuardsTable", {"UpdateItem"}, "rate#manage-order#*"),
        items("GuardsTable", {"PutItem"}, "nonce#*"),
        items("GuardsTable", {"PutItem"}, "ask#*"),
        items("GuardsTable", {"GetItem"}, "pause#*"),
        items("GuardsTable", {"PutItem"}, "resend#${Mchid}#*"),
        items("UndeliveredEventsTable", {"Query"}, UNDELIVERED),
        items("GuardsTable", {"PutItem"}, UNKNOWN_SERIAL),
        items("NoticesTable", {"UpdateItem"}, NOTICES),
        sends("PaymentRequestsQueue"),
        sends("WebhooksQueue"),
        CLIENT_KEYS,
        *SIGN,
    ],
    "ReceiveCallback": [
        SPANS,
        items("KeysTable", READ, MERCHANT),
        items("GuardsTable", {"PutItem"}, UNKNOWN_SERIAL),
        sends("PaymentResultsQueue"),
        APIV3_KEYS,
    ],
    "ProcessPayment": [
        SPANS,
        *in_vpc("ProcessPayment"),
        items("KeysTable", READ, MERCHANT),
        items("OrdersTable", WRITE | {"Query"}, ORDERS),
        items("GuardsTable", {"GetItem", "PutItem"}, "pause#*"),
        items("GuardsTable", {"PutItem"}, "refund#${Mchid}#*"),
        items("GuardsTable", {"PutItem"}, UNKNOWN_SERIAL),
        items("NoticesTable", WRITE, NOTICES),
        sends("PaymentRequestsQueue"),
        takes("PaymentRequestsQueue"),
        takes("PaymentResultsQueue"),
        APIV3_KEYS,
        FIELDS,
        *SIGN,
    ],
    "Reconcile": [
        SPANS,
        *in_vpc("Reconcile"),
        items("KeysTable", READ, MERCHANT),
        CERTIFICATES,
        APIV3_KEYS,
        items("GuardsTable", {"GetItem", "PutItem", "DeleteItem"}, "certificates#${Mchid}#*", UNKNOWN_SERIAL),
        items("OrdersTable", WRITE | {"Query"}, ORDERS),
        grant("OrdersTable/index/due", {"dynamodb:Query"}),
        grant("OrdersTable/index/day", {"dynamodb:Query"}),
        items("ReconciliationTable", WRITE | {"BatchGetItem", "Query"}, DAYS),
        items("ReconciliationTable", {"PutItem", "DeleteItem", "Query"}, "followed#${Mchid}"),
        items("ReconciliationTable", {"GetItem", "PutItem"}, "followed-from#${Mchid}"),
        items("NoticesTable", {"GetItem", "UpdateItem"}, NOTICES),
        grant(
            "NoticesTable/index/by_status",
            {"dynamodb:Query"},
            {
                "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["parked"]},
                "StringEquals": {"dynamodb:Select": "COUNT"},
            },
        ),
        grant("EvidenceBucket/bills/${Mchid}/*", {"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"}),
        grant("EvidenceBucket", {"s3:ListBucket"}),
        items("GuardsTable", {"GetItem", "PutItem"}, "pause#*"),
        items("GuardsTable", {"PutItem"}, "refund#${Mchid}#*"),
        sends("PaymentRequestsQueue"),
        sends("ReconcileWorkQueue"),
        takes("ReconcileWorkQueue"),
        *SIGN,
    ],
    "Console": [
        SPANS,
        items("ReconciliationTable", {"GetItem", "BatchGetItem", "PutItem", "Query"}, DAYS),
        items("OrdersTable", {"Query"}, ORDERS),
        items("NoticesTable", {"GetItem", "UpdateItem"}, NOTICES),
        sends("ReconcileWorkQueue"),
        # Numbers about the account's parts, by no resource that a policy could name.
        grant("*", {"cloudwatch:GetMetricData"}),
    ],
    "SendWebhook": [
        SPANS,
        items("KeysTable", {"GetItem", "UpdateItem"}, "webhook#*"),
        items("UndeliveredEventsTable", {"PutItem", "DeleteItem"}, UNDELIVERED),
        takes("WebhooksQueue"),
        WEBHOOK_SECRETS,
    ],
    "NotifyOperators": [
        SPANS,
        items("KeysTable", {"GetItem"}, "channels#${Mchid}"),
        items("GuardsTable", {"PutItem", "UpdateItem", "DeleteItem"}, "notified#${Mchid}#*"),
        items("GuardsTable", {"GetItem", "PutItem"}, "channel-rate#${Mchid}#*"),
        takes("NotificationsQueue"),
        unseals("operator-channel", mchid=OWN),
        grant("OperatorsTopicArn", {"sns:Publish"}, when="HasOperatorsTopic"),
        grant(
            own_arn("kms", "key/*")["Fn::Sub"],
            {"kms:Decrypt", "kms:GenerateDataKey"},
            {"StringEquals": {"kms:ViaService": {"Fn::Sub": "sns.${AWS::Region}.${AWS::URLSuffix}"}}},
            when="HasOperatorsTopic",
        ),
    ],
    "ForwardErrors": [
        SPANS,
        items("KeysTable", {"GetItem"}, "log-sinks#${Mchid}"),
        sends("ForwardErrorsDlq"),
        unseals("log-sink", mchid=OWN),
    ],
}

STREAM = {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"}
# Of roles that are no function's: who may take them on, for whom, and what they may do.
SERVICES = {
    "SweepScheduleRole": (
        "scheduler",
        {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        [grant("Reconcile.Alias", {"lambda:InvokeFunction"})],
    ),
    "DailyScheduleRole": (
        "scheduler",
        {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        [sends("ReconcileWorkQueue"), sends("ReconcileWorkDlq")],
    ),
    "OrderEventsPipeRole": (
        "pipes",
        {
            "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}},
            "ArnEquals": {"aws:SourceArn": own_arn("pipes", "pipe/${AWS::StackName}-order-events")},
        },
        [
            grant("OrdersTable/stream/*", {f"dynamodb:{call}" for call in STREAM}),
            grant("OrderEventsBus", {"events:PutEvents"}),
            sends("OrderEventsDlq"),
        ],
    ),
    # No hook is called, no topic sent to, no package read, and no function of another stack moved whose name begins alike.
    "ReleaseRole": (
        "codedeploy",
        None,
        [
            *(
                grant(
                    own_arn("lambda", f"function:${{AWS::StackName}}-{kebab(function)}{version}")["Fn::Sub"],
                    {f"lambda:{call}" for call in ("GetAlias", "UpdateAlias", "GetProvisionedConcurrencyConfig")},
                )
                for function in GRANTS
                for version in ("", ":*")
            ),
            grant("*", {"cloudwatch:DescribeAlarms"}),
        ],
    ),
}


# What people may do by job, in policies that are attached to no role of the stack.
STACK = "AWS::StackId"
FIND = grant(STACK, {"cloudformation:DescribeStacks"})
KEYS = [
    "MerchantSigningKey",
    SECRETS_KEY,
    FIELDS_KEY,
    "StorageKey",
    "AWS::NoValue or SigningKeyArn if HasSigningKey",
    OTHER_KEY,
]
DEAD_LETTERS = ["PaymentRequestsDlq", "PaymentResultsDlq", "WebhooksDlq", "ReconcileWorkDlq"]
MOVES = {"GetQueueAttributes", "ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage"}
PIPE = own_arn("pipes", "pipe/${AWS::StackName}-order-events")["Fn::Sub"]


def own(service, resource, *calls):
    return grant(own_arn(service, resource)["Fn::Sub"], {f"{service}:{call}" for call in calls})


PEOPLE = {
    "SetUpPolicy": [
        FIND,
        grant("KeysTable", {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:Scan"}),
        items("KeysTable", {"DeleteItem"}, "webhook#*"),
        grant(SECRETS_KEY, {"kms:Encrypt"}),
        unseals(["apiv3-key", "client-key", "webhook-secret", "operator-channel", "log-sink"]),
        *(
            grant(
                key,
                {
                    f"kms:{call}"
                    for call in ("DescribeKey", "GetPublicKey", "Sign", "GetParametersForImport", "ImportKeyMaterial")
                },
            )
            for key in (SIGNING_KEY, OTHER_KEY)
        ),
    ],
    "NoticesPolicy": [
        FIND,
        grant("NoticesTable/index/by_status", {"dynamodb:Query"}),
        items("NoticesTable", {"GetItem", "UpdateItem"}, NOTICES),
        sends("PaymentResultsQueue"),
    ],
    "RedrivePolicy": [
        FIND,
        *(grant(name, {f"sqs:{call}" for call in MOVES}) for name in [*DEAD_LETTERS, "OrderEventsDlq"]),
        *(sends(name.replace("Dlq", "Queue")) for name in DEAD_LETTERS),
        grant("AWS::NoValue or NotificationsDlq if HasChannels", {f"sqs:{call}" for call in MOVES}),
        sends("AWS::NoValue or NotificationsQueue if HasChannels"),
        grant("AWS::NoValue or ForwardErrorsDlq if ForwardsLogs", {f"sqs:{call}" for call in MOVES}),
        grant("OrdersTable/stream/*", {"dynamodb:GetShardIterator", "dynamodb:GetRecords"}),
        grant(PIPE, {"pipes:DescribePipe"}),
    ],
    "DoctorPolicy": [
        grant(STACK, {"cloudformation:DescribeStacks", "cloudformation:ListStackResources"}),
        *(grant(name, {"kms:DescribeKey", "kms:GetKeyRotationStatus", "kms:GetKeyPolicy"}) for name in KEYS),
        own(
            "dynamodb",
            "table/${AWS::StackName}-*",
            "DescribeTable",
            "DescribeContinuousBackups",
            "DescribeTimeToLive",
        ),
        own("sqs", "${AWS::StackName}-*", "GetQueueAttributes"),
        own("lambda", "function:${AWS::StackName}-*", "GetAlias", "GetFunctionConfiguration", "GetFunctionConcurrency"),
        own("scheduler", "schedule/default/${AWS::StackName}-*", "GetSchedule"),
        grant(PIPE, {"pipes:DescribePipe", "events:DescribeRule"}),
        grant("WebhooksRule", {"pipes:DescribePipe", "events:DescribeRule"}),
        grant(
            "*",
            {
                "lambda:GetAccountSettings",
                "servicequotas:GetServiceQuota",
                "servicequotas:GetAWSDefaultServiceQuota",
                "lambda:GetEventSourceMapping",
                "cloudwatch:DescribeAlarms",
                "sns:GetTopicAttributes",
            },
        ),
        grant("KeysTable", {"dynamodb:GetItem", "dynamodb:Scan"}),
        items("NoticesTable", {"GetItem"}, NOTICES),
        unseals(["apiv3-key", "merchant-key"], mchid=OWN),
        grant(SIGNING_KEY, {"kms:Sign", "kms:GetPublicKey"}),
    ],
}
# Where each job's page says which permissions it takes.
PAGES = Path(__file__).resolve().parents[2] / "infra" / "runbooks"


# `doctor` asks nothing about it: a release that it cannot move fails by itself, and says so.
OF_RELEASES = "ReleaseRole"


def asked_about(resources):
    """The roles of the template, each with the condition on which it is there."""
    return {name: role.get("Condition") for name, role in of_type(resources, "AWS::IAM::Role") if name != OF_RELEASES}


def allowed_to_people(resources):
    """`PEOPLE`, with the roles that `doctor` asks IAM about."""
    simulated = [
        grant(name if condition is None else f"AWS::NoValue or {name} if {condition}", {"iam:SimulatePrincipalPolicy"})
        for name, condition in asked_about(resources).items()
    ]
    return PEOPLE | {"DoctorPolicy": [*PEOPLE["DoctorPolicy"], *simulated]}


def people(resources):
    allowed_to = allowed_to_people(resources)
    for name, allowed in allowed_to.items():
        properties = resources[name]["Properties"]
        if beside := properties.keys() - {"Description", "PolicyDocument"}:
            yield f"{name} has {sorted(beside)} beside what it allows"
        for difference in differences(list(grants({"Properties": {"Policies": [properties]}})), allowed):
            yield f"{name} {difference}"
    # The page of `doctor` lists the calls that it makes, and its tests make each of them.
    page = (PAGES / "doctor.md").read_text().split("## What it may do")[1]
    named = set(re.findall(r"`([a-z]+:[A-Z]\w+)`", page))
    calls = {call for line in allowed_to["DoctorPolicy"] for call in re.findall(r"\b[a-z]+:[A-Z]\w+", line.split(" on ")[0])}
    if named != calls:
        yield f"doctor.md and DoctorPolicy differ in {sorted(named ^ calls)}"


# What `doctor` asks IAM about, of all that the template lets roles do but for their logs and network.
DOCTOR = Path(__file__).resolve().parents[2] / "infra" / "client" / "src" / "doctor" / "roles" / "needs.rs"
ABOUT = {"dynamodb", "sqs", "events", "lambda", "kms", "s3", "sns", "cloudwatch"}
# Of the first two it cannot ask: their conditions are about what is asked for in a call. Of the third the key is not known: it is the
# topic's, and in use only where that is encrypted.
NOT_ASKED = {
    ("ReconcileRole", "KeysTable", frozenset({"dynamodb:UpdateItem"}), frozenset({"merchant#MCHID"})),
    ("ReconcileRole", "NoticesTable/index/by_status", frozenset({"dynamodb:Query"}), frozenset({"parked"})),
    ("NotifyOperatorsRole", own_arn("kms", "key/*")["Fn::Sub"], frozenset({"kms:Decrypt", "kms:GenerateDataKey"}), frozenset()),
}


def needs(source):
    """The `NEEDS` of its source, each as role, target, calls, and what partition keys begin with."""
    code = re.sub(r"//.*", "", source)
    texts = dict(re.findall(r'const (\w+): &str = "([^"]*)";', code))
    lists = {name: re.findall(r'"([^"]*)"', body) for name, body in re.findall(r"const (\w+): &\[&str\] = &\[(.*?)\];", code, re.S)}
    [table] = re.findall(r"const NEEDS: \[Need; \d+\] = \[(.*?)\n\];", code, re.S)
    found = re.findall(r'\(\s*"(\w+)",\s*(\w+),\s*On::(\w+)(?:\((.*?)\))?,?\s*\),', table, re.S)
    if len(found) != table.count("On::"):
        raise ValueError("NEEDS of doctor/roles/needs.rs is written otherwise than these rules read it")
    for role, calls, kind, arguments in found:
        words = [texts.get(name, text) for text, name in re.findall(r'"([^"]*)"|(\w+)', arguments)]
        match kind:
            case "Items":
                target, keys = words[0], words[1:]
            case "Index":
                target, keys = "/index/".join(words), []
            case "Stream":
                target, keys = f"{words[0]}/stream/*", []
            case "Function":
                target, keys = f"{words[0]}.Alias", []
            case "Sealed" | "SealedForMerchant":
                target = {"SecretsKey": SECRETS_KEY, "FieldsKey": FIELDS_KEY}[words[0]]
                keys = [f"purpose={words[1]}", *(["mchid=MCHID"] if kind == "SealedForMerchant" else [])]
            case "Signer":
                target, keys = {"MerchantSigningKey": SIGNING_KEY}.get(words[0], words[0]), []
            case "Metrics":
                target, keys = "*", []
            case "Objects":
                target, keys = f"{words[0]}/{words[1].replace('MCHID', '${Mchid}')}*", []
            case _:
                target, keys = words[0], []
        yield role, target, frozenset(lists[calls]), frozenset(keys)


def sealed_for(condition):
    """The encryption context that a permission is bound to."""
    prefix = "kms:EncryptionContext:"
    bound = {name: value for test in condition.values() for name, value in test.items() if name.startswith(prefix)}
    return {f"{name.removeprefix(prefix)}={'MCHID' if value == OWN else value}" for name, value in bound.items()}


def asked(resources, source=None):
    """`doctor` asks about all of them, and about nothing that no role may do."""
    about = set(needs(DOCTOR.read_text() if source is None else source)) | NOT_ASKED
    allowed = set()
    for name, role in of_type(resources, "AWS::IAM::Role"):
        for statement, _ in statements(role) if name in asked_about(resources) else ():
            calls = frozenset(as_list(statement["Action"]))
            if statement["Effect"] != "Allow" or not {call.split(":")[0] for call in calls} & ABOUT:
                continue
            condition = statement.get("Condition", {})
            keys = [key for test in condition.values() for key in as_list(test.get("dynamodb:LeadingKeys", []))]
            begins = frozenset(text_of(key).replace("${Mchid}", "MCHID").removesuffix("*") for key in keys) | sealed_for(condition)
            allowed |= {(name, name_of(target), calls, begins) for target in as_list(statement["Resource"])}
    for role, target, calls, begins in sorted(allowed ^ about, key=str):
        which = "does not ask whether" if (role, target, calls, begins) in allowed else "asks in vain whether"
        yield f"doctor {which} {role} may {', '.join(sorted(calls))} on {target} of {sorted(begins)}"


def violations(_parameters, resources):
    yield from nothing_beside(resources)
    yield from people(resources)
    yield from asked(resources)
    expected = dict(SERVICES)
    for function, resource in of_type(resources, "AWS::Serverless::Function"):
        role = resource["Properties"]["Role"]["Fn::GetAtt"][0]
        if role != f"{function}Role":
            yield f"{function} runs as {role}"
        log = grant(f"{function}Logs", {"logs:CreateLogStream", "logs:PutLogEvents"})
        expected[f"{function}Role"] = ("lambda", None, [log, *GRANTS.get(function, [])])
    for name, role in of_type(resources, "AWS::IAM::Role"):
        if name not in expected:
            yield f"{name} is no role that these rules know"
            continue
        service, condition, allowed = expected.pop(name)
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        if condition:
            trust["Condition"] = condition
        if role["Properties"]["AssumeRolePolicyDocument"] != {"Version": "2012-10-17", "Statement": [trust]}:
            yield f"{name} can be assumed by another service than {service}, or for another account"
        for difference in differences(list(grants(role)), allowed):
            yield f"{name} {difference}"
    yield from (f"{name} is missing" for name in expected)
    yield from settings(resources)


def nothing_beside(resources):
    """Nothing gives a role permissions past the `Policies` that are read here."""
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            beside = resource["Properties"].keys() - {"Description", "AssumeRolePolicyDocument", "Policies"}
            if beside:
                yield f"{name} has {', '.join(sorted(beside))} beside its Policies"
        elif resource["Type"].startswith("AWS::IAM::") and name not in PEOPLE:
            yield f"{name} is of the type {resource['Type']}; roles get permissions by their own Policies alone"


# A topic is given as a parameter, and its key is not known.
OF_SNS = {"OperatorsTopicArn", own_arn("kms", "key/*")["Fn::Sub"].split("/")[0]}


def settings(resources):
    """A function gets the names of what its role may use, and no others. All get the keys table and its key. The console
    verifies no signature and seals nothing, so its role does not allow them."""
    for function, resource in of_type(resources, "AWS::Serverless::Function"):
        given = set() if function == "Console" else {"KeysTable", SECRETS_KEY}
        for value in resource["Properties"]["Environment"]["Variables"].values():
            if isinstance(value, dict) and value.get("Ref", "").endswith(("Table", "Queue", "Dlq", "Key", "Bucket")):
                given.add(value["Ref"])
            elif isinstance(value, dict) and "Fn::If" in value and name_of(value) in (SIGNING_KEY, FIELDS_KEY):
                given.add(name_of(value))
        statements_of_role = statements(resources[f"{function}Role"])
        targets = [name_of(target) for statement, _ in statements_of_role for target in as_list(statement["Resource"])]
        used = {target.split("/")[0] for target in targets} - {f"{function}Logs", "*", "OtherSigner", *OF_SNS}
        if given != used:
            yield f"{function} gets {sorted(given - used)} without using it, or does not get {sorted(used - given)}"
