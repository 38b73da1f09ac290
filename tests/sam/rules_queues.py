"""Queues: who sends, who takes, how often a message is tried, and that none is lost on the way."""

from reading import arn, is_kept, of_type, own_arn

DAY_S = 24 * 3600

# By queue: who takes from it, which roles may send to it, and how long all pauses between its tries are together.
QUEUES = {
    "PaymentRequestsQueue": (
        "ProcessPayment",
        ["CreateOrderRole", "ManageOrderRole", "ProcessPaymentRole", "ReconcileRole"],
        8 * 180,
    ),
    "PaymentResultsQueue": ("ProcessPayment", ["ReceiveCallbackRole"], 12 * 3600),
    # 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h.
    "WebhooksQueue": ("SendWebhook", ["ManageOrderRole"], 5 + 300 + 1800 + (2 + 5 + 10 + 10) * 3600),
    # A bill that is late is asked for each half hour.
    "ReconcileWorkQueue": ("Reconcile", ["ConsoleRole", "DailyScheduleRole", "ReconcileRole"], 50 * 1800),
    # Longer and longer, and then an hour each (`operator_channels::next_try_after_s`).
    "NotificationsQueue": ("NotifyOperators", [], 16 * 3600),
}

# The pauses of requests, results and webhooks are written for eight tries; a late bill may need a day.
TRIES = {"ReconcileWorkQueue": 50, "NotificationsQueue": 16}
# As few as a queue can have: more would tell in several messages what goes into one.
AT_ONCE = {"NotificationsQueue": 2}
# What goes on together is told together.
WINDOW = {"NotificationsQueue": {"MaximumBatchingWindowInSeconds": 5}}
# Dead letters of optional parts, which have what is elsewhere too.
OPTIONAL = {"NotificationsDlq", "ForwardErrorsDlq"}
# One message of these is minutes of work.
ONE_BY_ONE = {"ReconcileWorkQueue"}

OPERATOR = {"Fn::If": ["HasOperator", {"Ref": "OperatorRoleArn"}, {"Ref": "AWS::NoValue"}]}
OF_AN_ACCOUNT = {"Bool": {"aws:PrincipalIsAWSService": "false"}}


def violations(_parameters, resources):
    for name, (function, senders, pauses_s) in QUEUES.items():
        yield from queue(resources, name, function, pauses_s)
        if name == "NotificationsQueue":
            yield from policy(resources, name, [by_the_topic(name), only_the_operator(name)])
            yield from policy(resources, "NotificationsDlq", [by_the_topic("NotificationsDlq"), nobody("NotificationsDlq")])
            continue
        yield from policy(resources, name, [*by_the_rule(name), only(name, senders, by_rule=name in RULE_SENDS)])
        dead = name.replace("Queue", "Dlq")
        yield from policy(resources, dead, [*by_the_rule(dead), nobody(dead, SCHEDULED.get(dead))])
    # The Pipe sends by its role, and nothing moves from there into a queue.
    yield from policy(resources, "OrderEventsDlq", [only("OrderEventsDlq", ["OrderEventsPipeRole"], operator=False)])
    if resources["OrderEventsDlq"]["Properties"].get("RedriveAllowPolicy") != {"redrivePermission": "denyAll"}:
        yield "OrderEventsDlq is open to a queue"
    # Lambda and the function send by the function's role; no queue leads there.
    yield from policy(resources, "ForwardErrorsDlq", [only("ForwardErrorsDlq", ["ForwardErrorsRole"], operator=False)])
    if resources["ForwardErrorsDlq"]["Properties"].get("RedriveAllowPolicy") != {"redrivePermission": "denyAll"}:
        yield "ForwardErrorsDlq is open to a queue"
    for name, resource in of_type(resources, "AWS::SQS::Queue"):
        if resource["Properties"].get("KmsMasterKeyId") != arn("StorageKey"):
            yield f"{name} is not encrypted with the storage key"
        # What was to be said to people on call is in CloudWatch too, as log lines are, and goes with the part that says it.
        if name.endswith("Dlq") and name not in OPTIONAL and not is_kept(resource):
            yield f"{name} would be lost with the stack"
        if name in OPTIONAL and {"DeletionPolicy", "UpdateReplacePolicy"} & resource.keys():
            yield f"{name} would keep its name from the next one"
        # A message's age is counted from its first sending.
        if name.endswith("Dlq") and resource["Properties"].get("MessageRetentionPeriod") != 14 * DAY_S:
            yield f"{name} does not keep messages for as long as SQS can"
        if f"{name}Policy" not in resources:
            yield f"{name} has no policy"
    yield from sources(resources)


def queue(resources, name, function, pauses_s):
    properties = resources[name]["Properties"]
    dead = resources[name.replace("Queue", "Dlq")]["Properties"]
    if properties["VisibilityTimeout"] < 6 * resources[function]["Properties"]["Timeout"]:
        yield f"{name} shows a message again before six times the function's time-out"
    if not pauses_s + DAY_S <= properties["MessageRetentionPeriod"] < dead["MessageRetentionPeriod"]:
        yield f"{name} drops a message between its tries, or keeps it as long as its dead-letter queue"
    redrive = properties.get("RedrivePolicy", {})
    if redrive.get("deadLetterTargetArn") != arn(name.replace("Queue", "Dlq")):
        yield f"{name} has no dead-letter queue, or another's"
    if redrive.get("maxReceiveCount") != TRIES.get(name, 8):
        yield f"{name} gives a message up after too few or too many tries"
    own = own_arn("sqs", properties["QueueName"]["Fn::Sub"])
    if dead.get("RedriveAllowPolicy") != {"redrivePermission": "byQueue", "sourceQueueArns": [own]}:
        yield f"the dead-letter queue of {name} is open to other queues, or closed to {name}"


def sources(resources):
    """Each function takes from its queues and no others, a bounded number of batches at once, message by message."""
    for function, resource in of_type(resources, "AWS::Serverless::Function"):
        events = resource["Properties"].get("Events", {}).values()
        expected = [name for name, (consumer, _, _) in QUEUES.items() if consumer == function]
        found = []
        for event in events:
            properties = dict(event["Properties"])
            name = properties.pop("Queue")["Fn::GetAtt"][0]
            found.append(name)
            bounded = {"MaximumConcurrency": AT_ONCE.get(name, {"Ref": name.replace("Queue", "Concurrency")})}
            batch = 1 if name in ONE_BY_ONE else 10
            item_by_item = {"BatchSize": batch, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
            if event["Type"] != "SQS" or properties != {**item_by_item, **WINDOW.get(name, {}), "ScalingConfig": bounded}:
                yield f"{function} takes from {name} without a bound, or one bad message brings back its whole batch"
        if found != expected:
            yield f"{function} takes from {found}, its queues are {expected}"


# What the rule of the bus may send to.
RULE_SENDS = {"WebhooksQueue", "WebhooksDlq"}
# Where a schedule's role leaves what it could not bring to the queue before.
SCHEDULED = {"ReconcileWorkDlq": "DailyScheduleRole"}
BUS = own_arn("events", "event-bus/${AWS::StackName}-orders")


def by_the_rule(name):
    if name not in RULE_SENDS:
        return []
    # What the bus could not encrypt or decrypt goes where the rule's failures go.
    sources = [arn("WebhooksRule"), BUS] if name.endswith("Dlq") else arn("WebhooksRule")
    condition = {"ArnEquals": {"aws:SourceArn": sources}}
    return [statement(name, "Allow", {"Service": "events.amazonaws.com"}, "sqs:SendMessage", condition)]


def by_the_topic(name):
    condition = {"ArnEquals": {"aws:SourceArn": {"Ref": "AlarmTopicArn"}}}
    return statement(name, "Allow", {"Service": "sns.amazonaws.com"}, "sqs:SendMessage", condition)


def only_the_operator(name):
    """Of principals of accounts, the operator's role, who moves messages back; without one, nobody."""
    but = {"Fn::If": ["HasOperator", {"aws:PrincipalArn": [{"Ref": "OperatorRoleArn"}]}, {"Ref": "AWS::NoValue"}]}
    return statement(name, "Deny", "*", "sqs:SendMessage", OF_AN_ACCOUNT | {"ArnNotEquals": but})


def only(name, senders, by_rule=False, operator=True):
    """Of principals of accounts, the named roles. A service's own call has no `aws:PrincipalArn`: where one is to come
    through, the Deny must not be about services."""
    roles = [arn(sender) for sender in senders] + ([OPERATOR] if operator else [])
    condition = {"ArnNotEquals": {"aws:PrincipalArn": roles}} | (OF_AN_ACCOUNT if by_rule else {})
    return statement(name, "Deny", "*", "sqs:SendMessage", condition)


def nobody(name, but=None):
    allowed = {"ArnNotEquals": {"aws:PrincipalArn": [arn(but)]}} if but else {}
    return statement(name, "Deny", "*", "sqs:SendMessage", OF_AN_ACCOUNT | allowed)


def statement(name, effect, principal, action, condition):
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": arn(name), "Condition": condition}


def policy(resources, name, expected):
    properties = resources[f"{name}Policy"]["Properties"]
    tls = statement(name, "Deny", "*", "sqs:*", {"Bool": {"aws:SecureTransport": "false"}})
    found = [
        {key: value for key, value in each.items() if key != "Sid"}
        for each in properties["PolicyDocument"]["Statement"]
    ]
    if properties["Queues"] != [{"Ref": name}] or found != [*expected, tls]:
        yield f"the policy of {name} does not let in those who send to it, or lets in others"
    # Drift detection knows no queue's policy.
    if properties["PolicyDocument"].get("Id") != {"Ref": "Release"}:
        yield f"a policy of {name} that was changed by hand would stay so: no release writes it anew"
