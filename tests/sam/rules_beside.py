"""The templates beside template.yaml: a budget for the account, and the record of who changed a stack's keys."""

import re

import rules_everywhere
from reading import arn, of_type, own_arn, text_of

TAGS = {"infra/audit.yaml": rules_everywhere.TAGS, "infra/budget.yaml": {"application": "wechatpay-on-lambda"}}

# What changes who may use a key, or whether it can be used.
OF_KEYS = {
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
    "DisableKey",
    "DisableKeyRotation",
    "DeleteImportedKeyMaterial",
    "ReplicateKey",
    "UpdatePrimaryRegion",
    "CreateGrant",
}
OF_THE_TRAIL = {"StopLogging", "DeleteTrail", "UpdateTrail", "PutEventSelectors"}

RECORDED = [
    [("eventCategory", "Equals", "Management"), ("readOnly", "Equals", "false")],
    [
        ("eventCategory", "Equals", "Data"),
        ("resources.type", "Equals", "AWS::DynamoDB::Table"),
        ("readOnly", "Equals", "false"),
        ("resources.ARN", "Equals", text_of(own_arn("dynamodb", "table/${KeysTableName}"))),
    ],
    [
        ("eventCategory", "Equals", "Data"),
        ("resources.type", "Equals", "AWS::S3::Object"),
        ("resources.ARN", "StartsWith", "arn:${AWS::Partition}:s3:::${EvidenceBucketName}/"),
    ],
]
LONGEST_PATTERN = 1024
THIS_TRAIL = own_arn("cloudtrail", "trail/${AWS::StackName}")


def violations(name, document, page, main_resources):
    yield from rules_everywhere.tagged(document["Resources"], TAGS[name])
    yield from rules_everywhere.partition(document)
    if name == "infra/audit.yaml":
        yield from audit(document["Resources"], page, main_resources)
    else:
        yield from budget(document["Resources"]["Budget"]["Properties"])


def budget(properties):
    told = [
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"], each["Subscribers"])
        for each in properties["NotificationsWithSubscribers"]
    ]
    somebody = [{"SubscriptionType": "EMAIL", "Address": {"Ref": "Email"}}]
    if told != [("ACTUAL", 80, somebody), ("FORECASTED", 100, somebody)]:
        yield "nobody is told before the budget is spent"
    limit = properties["Budget"]["BudgetLimit"]
    if limit != {"Amount": {"Ref": "Amount"}, "Unit": {"Ref": "Currency"}} or "CostFilters" in properties["Budget"]:
        yield "the budget is not the account's"


def audit(resources, page, main_resources):
    trail = resources["Trail"]["Properties"]
    found = [
        [
            (field["Field"], operator, text_of(value))
            for field in selector["FieldSelectors"]
            for operator, values in field.items()
            if operator != "Field"
            for value in values
        ]
        for selector in trail["AdvancedEventSelectors"]
    ]
    if found != RECORDED:
        yield "the trail does not record what it is for, or reads of which there are millions"
    if not (trail["IsLogging"] is trail["EnableLogFileValidation"] is True):
        yield "the trail does not record, or its files could be changed unseen"
    if (trail["S3BucketName"], trail["CloudWatchLogsLogGroupArn"], trail["CloudWatchLogsRoleArn"]) != (
        {"Ref": "Records"},
        arn("Lines"),
        arn("LinesRole"),
    ):
        yield "the trail writes elsewhere"
    keys = [f"{name}Id" for name, _ in of_type(main_resources, "AWS::KMS::Key")]
    for name, events, named in (
        ("KeyChanges", OF_KEYS, keys),
        ("TrailChanges", OF_THE_TRAIL, ["AWS::StackName", "AWS::StackName"]),
    ):
        filtered, alarm = resources[name]["Properties"], resources[f"{name}Alarm"]["Properties"]
        pattern = text_of(filtered["FilterPattern"])
        if not (pattern.startswith("{ ") and pattern.endswith(" }")) or pattern.count("(") != pattern.count(")"):
            yield f"{name} has no pattern that CloudWatch takes"
        # A key may be given as an ARN, which is no longer than this.
        if len(re.sub(r"\$\{[\w:]+\}", "x" * 110, pattern)) > LONGEST_PATTERN:
            yield f"the pattern of {name} may be longer than CloudWatch takes"
        if set(re.findall(r'eventName = "(\w+)"', pattern)) != events:
            yield f"{name} counts other calls"
        if sorted(re.findall(r'"\*\$\{([\w:]+)\}"', pattern)) != sorted(named):
            yield f"{name} is about other resources"
        [counted] = filtered["MetricTransformations"]
        metric = {"MetricNamespace": {"Ref": "AWS::StackName"}, "MetricName": name, "MetricValue": "1", "DefaultValue": 0}
        if counted != metric or filtered["LogGroupName"] != {"Ref": "Lines"}:
            yield f"{name} is not counted from the trail's lines"
        watched = (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"], alarm["Threshold"], alarm["Period"])
        if watched != ({"Ref": "AWS::StackName"}, name, "Sum", 0, 300) or (
            alarm["ComparisonOperator"],
            alarm["EvaluationPeriods"],
            alarm["TreatMissingData"],
        ) != ("GreaterThanThreshold", 1, "notBreaching"):
            yield f"the alarm of {name} does not watch it"
        if alarm["AlarmActions"] != [{"Ref": "AlarmTopicArn"}]:
            yield f"{name} is told to nobody"
        called = text_of(alarm["AlarmName"]).removeprefix("${AWS::StackName}-")
        if f"`...-{called}`" not in page or not text_of(alarm["AlarmDescription"]).endswith("(infra/runbooks/keys.md)"):
            yield f"infra/runbooks/keys.md does not say what {called} means"
    [trust] = resources["LinesRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    [policy] = resources["LinesRole"]["Properties"]["Policies"]
    [may] = policy["PolicyDocument"]["Statement"]
    of_this_trail = {"StringEquals": {"aws:SourceArn": THIS_TRAIL}}
    if trust != {
        "Effect": "Allow",
        "Principal": {"Service": "cloudtrail.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": of_this_trail,
    } or may != {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": arn("Lines")}:
        yield "the trail's role is somebody else's, or may do more than write lines"
    tls, looks, writes = resources["RecordsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    if (
        (tls["Effect"], tls["Principal"], tls["Action"]) != ("Deny", "*", "s3:*")
        or tls["Resource"] != [arn("Records"), {"Fn::Sub": "${Records.Arn}/*"}]
        or tls["Condition"] != {"Bool": {"aws:SecureTransport": "false"}}
        or (looks["Principal"], looks["Action"], looks["Condition"])
        != ({"Service": "cloudtrail.amazonaws.com"}, "s3:GetBucketAcl", of_this_trail)
        or (writes["Principal"], writes["Action"]) != ({"Service": "cloudtrail.amazonaws.com"}, "s3:PutObject")
        or writes["Condition"]
        != {"StringEquals": {"aws:SourceArn": THIS_TRAIL, "s3:x-amz-acl": "bucket-owner-full-control"}}
    ):
        yield "somebody else than the trail may write records"
