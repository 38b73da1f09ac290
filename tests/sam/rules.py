"""Holds template.yaml to what a linter cannot know: numbers that belong together, and how little each role may do.

    <venv>/bin/python tests/sam/rules.py      (with the Python that the SAM CLI is installed in)
"""

import sys
from pathlib import Path

from samcli.yamlhelper import yaml_parse

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

# The calls each function may make, and nothing beside: an addition here is an addition to what a stolen role can do.
CALLS = {
    "CreateOrder": {
        "KeysTable": {"dynamodb:GetItem"},
        "OrdersTable": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        "GuardsTable": {"dynamodb:PutItem"},
        "PaymentRequestsQueue": {"sqs:SendMessage"},
        "SecretsKey": {"kms:Decrypt"},
        "FieldsKey": {"kms:Decrypt", "kms:GenerateDataKey"},
        "MerchantSigningKey": {"kms:Sign"},
    },
    "ManageOrder": {
        "KeysTable": {"dynamodb:GetItem"},
        "OrdersTable": {"dynamodb:GetItem"},
        "SecretsKey": {"kms:Decrypt"},
    },
    "ReceiveCallback": {
        "KeysTable": {"dynamodb:GetItem"},
        "PaymentResultsQueue": {"sqs:SendMessage"},
        "SecretsKey": {"kms:Decrypt"},
    },
    "ProcessPayment": {
        "KeysTable": {"dynamodb:GetItem"},
        "OrdersTable": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        "PaymentRequestsQueue": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        },
        "PaymentResultsQueue": {
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ReceiveMessage",
        },
        "SecretsKey": {"kms:Decrypt"},
        "FieldsKey": {"kms:Decrypt", "kms:GenerateDataKey"},
        "MerchantSigningKey": {"kms:Sign"},
    },
    "Reconcile": {
        "KeysTable": {"dynamodb:GetItem"},
        "OrdersTable": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"},
        "OrdersTable/index/due": {"dynamodb:Query"},
        "PaymentRequestsQueue": {"sqs:SendMessage"},
        "SecretsKey": {"kms:Decrypt"},
        "MerchantSigningKey": {"kms:Sign"},
    },
}

# Which items of a table each function reaches by their key: none of another merchant's, and clients' keys only where a
# client's signature is verified.
MERCHANT, CLIENTS, ORDERS = "merchant#${Mchid}", "client#*", "order#${Mchid}#*"
ITEMS = {
    "CreateOrder": {"KeysTable": {MERCHANT, CLIENTS}, "OrdersTable": {ORDERS}, "GuardsTable": {"nonce#*"}},
    "ManageOrder": {"KeysTable": {CLIENTS}, "OrdersTable": {ORDERS}},
    "ReceiveCallback": {"KeysTable": {MERCHANT}},
    "ProcessPayment": {"KeysTable": {MERCHANT}, "OrdersTable": {ORDERS, "notice#${Mchid}"}},
    "Reconcile": {"KeysTable": {MERCHANT}, "OrdersTable": {ORDERS}},
}

# Who may put a message into a queue.
SENDERS = {"PaymentRequestsQueue": {"CreateOrderRole", "ReconcileRole"}, "PaymentResultsQueue": {"ReceiveCallbackRole"}}


def main():
    document = yaml_parse(TEMPLATE.read_text())
    broken = list(violations(document["Parameters"], document["Resources"]))
    for violation in broken:
        print(violation)
    if broken:
        sys.exit(f"template.yaml breaks {len(broken)} rules")
    print("template.yaml keeps the rules of tests/sam/rules.py")


def violations(parameters, resources):
    """Yields a sentence for each rule that is broken."""
    yield from throttling(resources)
    yield from concurrency(parameters, resources["ProcessPayment"]["Properties"])
    yield from queues(resources)
    yield from tables_and_keys(resources)
    yield from logs(resources)
    yield from schedule(resources)
    yield from permissions(resources)
    yield from roles(resources)
    yield from items(resources)
    yield from secrets(resources)


def throttling(resources):
    stage = resources["ApiStage"]["Properties"]
    callback = resources["ReceiveCallbackRoute"]["Properties"]["RouteKey"]
    for name, settings in (
        ("Api", stage.get("DefaultRouteSettings")),
        ("Callback", stage.get("RouteSettings", {}).get(callback)),
    ):
        if settings != {f"Throttling{kind}Limit": {"Ref": f"{name}{kind}Limit"} for kind in ("Rate", "Burst")}:
            yield f"the stage does not throttle by {name}RateLimit and {name}BurstLimit where it should"


def concurrency(parameters, consumer):
    reservation = {"Fn::If": ["ReservesConcurrency", {"Ref": "ProcessPaymentConcurrency"}, {"Ref": "AWS::NoValue"}]}
    if consumer.get("ReservedConcurrentExecutions") != reservation:
        yield "process-payment does not reserve ProcessPaymentConcurrency"
    sources = [event["Properties"] for event in consumer["Events"].values()]
    limited = {source["Queue"]["Fn::GetAtt"][0]: source.get("ScalingConfig") for source in sources}
    if limited != {name: {"MaximumConcurrency": {"Ref": name.replace("Queue", "Concurrency")}} for name in SENDERS}:
        yield "process-payment does not take from both queues, each with its own MaximumConcurrency"
    reserved, *sources = (
        parameters[f"{name}Concurrency"]["Default"] for name in ("ProcessPayment", "PaymentRequests", "PaymentResults")
    )
    if reserved < sum(sources):
        yield f"process-payment reserves {reserved} runs, its queues may ask for {sum(sources)}"


def queues(resources):
    consumer = resources["ProcessPayment"]["Properties"]
    for event in consumer["Events"].values():
        if event["Properties"]["FunctionResponseTypes"] != ["ReportBatchItemFailures"]:
            yield "one bad message would bring back its whole batch: report item failures"
    for name, senders in SENDERS.items():
        queue = resources[name]["Properties"]
        dead = resources[name.replace("Queue", "Dlq")]["Properties"]
        if queue["VisibilityTimeout"] < 6 * consumer["Timeout"]:
            yield f"{name} shows a message again before six times the function's time-out"
        if dead["MessageRetentionPeriod"] <= queue["MessageRetentionPeriod"]:
            yield f"the dead-letter queue of {name} must keep messages longer than the queue does"
        deny = statement(resources[f"{name}Policy"], "OnlyTheNamedRolesSend")
        excepted = deny["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
        named = {arn["Fn::GetAtt"][0] for arn in excepted if "Fn::GetAtt" in arn}
        if deny["Effect"] != "Deny" or named != senders:
            yield f"the policy of {name} lets {sorted(named)} send"
        redrive = queue.get("RedrivePolicy", {})
        if redrive.get("deadLetterTargetArn") != {"Fn::GetAtt": [name.replace("Queue", "Dlq"), "Arn"]}:
            yield f"{name} has no dead-letter queue, or another's"
        # SQS and Lambda lose a few receipts themselves; AWS asks for 5 at least.
        if not 5 <= redrive.get("maxReceiveCount", 0) <= 10:
            yield f"{name} gives a message up after too few or too many tries"
        arn = "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:" + queue["QueueName"]["Fn::Sub"]
        only = {"redrivePermission": "byQueue", "sourceQueueArns": [{"Fn::Sub": arn}]}
        if dead.get("RedriveAllowPolicy") != only:
            yield f"the dead-letter queue of {name} is open to other queues, or closed to {name}"
    for name, resource in of_type(resources, "AWS::SQS::Queue"):
        if resource["Properties"]["KmsMasterKeyId"] != {"Fn::GetAtt": ["StorageKey", "Arn"]}:
            yield f"{name} is not encrypted with the storage key"
        tls = statement(resources[f"{name}Policy"], "OnlyByTls")
        if tls["Effect"] != "Deny" or tls["Condition"] != {"Bool": {"aws:SecureTransport": "false"}}:
            yield f"{name} takes calls without TLS"


def tables_and_keys(resources):
    for name, resource in of_type(resources, "AWS::DynamoDB::Table"):
        if resource["Properties"]["SSESpecification"].get("KMSMasterKeyId") != {"Fn::GetAtt": ["StorageKey", "Arn"]}:
            yield f"{name} is not encrypted with the storage key"
    for name in ("OrdersTable", "KeysTable", "MerchantSigningKey", "SecretsKey", "FieldsKey", "StorageKey"):
        if {resources[name].get("DeletionPolicy"), resources[name].get("UpdateReplacePolicy")} != {"Retain"}:
            yield f"{name} would be lost with the stack"


def logs(resources):
    for name, resource in of_type(resources, "AWS::Logs::LogGroup"):
        if resource["Properties"].get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            yield f"{name} is not deleted after LogRetentionDays"
        if resource["Properties"].get("KmsKeyId") != {"Fn::GetAtt": ["StorageKey", "Arn"]}:
            yield f"{name} is not encrypted with the storage key"
    for name, resource in of_type(resources, "AWS::Serverless::Function"):
        # Into any other group Lambda would write too, and make it first: never deleted, not encrypted with our key.
        if resource["Properties"].get("LoggingConfig") != {"LogGroup": {"Ref": f"{name}Logs"}}:
            yield f"{name} does not write to {name}Logs"


def schedule(resources):
    once = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
    if resources["SweepSchedule"]["Properties"]["Target"]["RetryPolicy"] != once:
        yield "the schedule would repeat a sweep that failed"
    if resources["Reconcile"]["Properties"]["EventInvokeConfig"] != once:
        yield "Lambda would repeat a sweep that failed"
    invoke = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": {"Fn::GetAtt": ["Reconcile", "Arn"]}}
    if list(statements(resources["SweepScheduleRole"])) != [invoke]:
        yield "the schedule may do more than invoke reconcile"


def permissions(resources):
    """Nothing gives a role permissions past the `Policies` that the rules below read."""
    for name, resource in resources.items():
        if resource["Type"] == "AWS::IAM::Role":
            beside = resource["Properties"].keys() - {"Description", "AssumeRolePolicyDocument", "Policies"}
            if beside:
                yield f"{name} has {', '.join(sorted(beside))} beside its Policies"
        elif resource["Type"].startswith("AWS::IAM::"):
            yield f"{name} is of the type {resource['Type']}; roles get permissions by their own Policies alone"


def roles(resources):
    for function, resource in of_type(resources, "AWS::Serverless::Function"):
        role = resource["Properties"]["Role"]["Fn::GetAtt"][0]
        if role != f"{function}Role":
            yield f"{function} runs as {role}"
        allowed = {}
        for grant in statements(resources[role]):
            for target in as_list(grant["Resource"]):
                allowed.setdefault(name_of(target), set()).update(as_list(grant["Action"]))
        logs = allowed.pop(f"{function}Logs", set())
        if logs != {"logs:CreateLogStream", "logs:PutLogEvents"}:
            yield f"{function} may do {sorted(logs)} with its logs"
        if allowed != CALLS[function]:
            yield f"{function} may do {allowed}, its calls are {CALLS[function]}"


def items(resources):
    for function, tables in ITEMS.items():
        reached = {}
        for grant in statements(resources[f"{function}Role"]):
            keys = grant.get("Condition", {}).get("ForAllValues:StringLike", {}).get("dynamodb:LeadingKeys", "*")
            patterns = {key["Fn::Sub"] if isinstance(key, dict) else key for key in as_list(keys)}
            for table in filter(lambda name: name.endswith("Table"), map(name_of, as_list(grant["Resource"]))):
                reached.setdefault(table, set()).update(patterns)
        if reached != tables:
            yield f"{function} reaches the items {reached}, its own are {tables}"


def secrets(resources):
    """A secret opens only for a function that uses secrets of this purpose, and only for this merchant's."""
    for function in CALLS:
        for grant in statements(resources[f"{function}Role"]):
            context = grant.get("Condition", {}).get("StringEquals", {})
            if name_of(as_list(grant["Resource"])[0]) != "SecretsKey":
                continue
            purpose = context.get("kms:EncryptionContext:purpose")
            if purpose is None:
                yield f"{function} opens secrets of any purpose"
            if purpose != "client-key" and context.get("kms:EncryptionContext:mchid") != {"Ref": "Mchid"}:
                yield f"{function} opens secrets of any merchant"


def statements(role):
    """A role's statements; of a choice, both."""
    for policy in role["Properties"]["Policies"]:
        for entry in policy["PolicyDocument"]["Statement"]:
            yield from entry["Fn::If"][1:] if "Fn::If" in entry else [entry]


def statement(policy, sid):
    return next(entry for entry in policy["Properties"]["PolicyDocument"]["Statement"] if entry["Sid"] == sid)


def name_of(target):
    """The logical id that an ARN is made of, with what follows it; a text as it is, so `*` matches no rule."""
    match target:
        case {"Fn::GetAtt": [name, "Arn"]}:
            return name
        case {"Fn::Sub": text}:
            return text.replace("${", "").replace(".Arn}", "")
        case _:
            return str(target)


def of_type(resources, kind):
    return ((name, resource) for name, resource in resources.items() if resource["Type"] == kind)


def as_list(value):
    return value if isinstance(value, list) else [value]


if __name__ == "__main__":
    main()
