"""The templates beside template.yaml: a budget for the account, the record of who changed a stack's keys, subnets with fixed
addresses, backups, and the edge."""

import json
import re

import rules_everywhere
from reading import arn, is_kept, kebab, of_type, own_arn, text_of

ACCOUNTS = {"application": "wechatpay-on-lambda"}
TAGS = {
    "infra/alarm-topics.yaml": ACCOUNTS,
    "infra/audit.yaml": rules_everywhere.TAGS,
    "infra/backup.yaml": rules_everywhere.TAGS,
    "infra/budget.yaml": ACCOUNTS,
    "infra/edge.yaml": ACCOUNTS,
    "infra/network.yaml": ACCOUNTS,
}
# The pages that explain their alarms.
PAGES = {"infra/audit.yaml": "infra/runbooks/keys.md", "infra/backup.yaml": "infra/runbooks/restore.md"}

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
    if name == "infra/edge.yaml":
        # CloudFront's certificates and rules lie in us-east-1 whatever the stack's Region is, and AWS China has none of it.
        yield from edge(document["Resources"])
        return
    yield from rules_everywhere.partition(document)
    match name:
        case "infra/audit.yaml":
            yield from audit(document["Resources"], page, main_resources)
        case "infra/backup.yaml":
            yield from backup(document["Resources"], page, main_resources)
        case "infra/alarm-topics.yaml":
            yield from alarm_topics(document)
        case "infra/network.yaml":
            yield from network(document)
        case _:
            yield from budget(document["Resources"]["Budget"]["Properties"])


def budget(properties):
    notified = [
        (each["Notification"]["NotificationType"], each["Notification"]["Threshold"], each["Subscribers"])
        for each in properties["NotificationsWithSubscribers"]
    ]
    subscribers = [{"SubscriptionType": "EMAIL", "Address": {"Ref": "Email"}}]
    if notified != [("ACTUAL", 80, subscribers), ("FORECASTED", 100, subscribers)]:
        yield "no one is notified before the budget is spent"
    limit = properties["Budget"]["BudgetLimit"]
    if limit != {"Amount": {"Ref": "Amount"}, "Unit": {"Ref": "Currency"}} or "CostFilters" in properties["Budget"]:
        yield "the budget is not the account's"


def ref(name):
    return {"Ref": name}


def alarm_topics(document):
    """Alarms of the account, and nobody else's, reach two encrypted topics; people are subscribed to one of them alone."""
    resources = document["Resources"]
    own = {"StringEquals": {"aws:SourceAccount": ref("AWS::AccountId")}}
    alarms = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}}
    account = {"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}}
    said = lambda policy: [{key: value for key, value in each.items() if key != "Sid"} for each in policy["Statement"]]
    if said(resources["Key"]["Properties"]["KeyPolicy"]) != [
        {"Effect": "Allow", "Principal": account, "Action": "kms:*", "Resource": "*"},
        {**alarms, "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*", "Condition": own},
    ]:
        yield "CloudWatch cannot publish to a topic under this key, or more than it needs to may use it"
    if not is_kept(resources["Key"]):
        yield "the key of the topics would be lost with the stack"
    for name in ("Alarms", "Operators"):
        if resources[name]["Properties"].get("KmsMasterKeyId") != arn("Key"):
            yield f"the topic {name} is not encrypted with a key that CloudWatch may use"
        policy = resources[f"{name}Policy"]["Properties"]
        tls = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": ref(name)}
        if policy["Topics"] != [ref(name)] or said(policy["PolicyDocument"]) != [
            {**alarms, "Action": "sns:Publish", "Resource": ref(name), "Condition": own},
            {**tls, "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        ]:
            yield f"alarms of the account cannot reach the topic {name}, or others can"
    people = {name: (each["Properties"], each.get("Condition")) for name, each in of_type(resources, "AWS::SNS::Subscription")}
    operators = {"TopicArn": ref("Operators")}
    if people != {
        "Mail": ({**operators, "Protocol": "email", "Endpoint": ref("Email")}, None),
        "Sms": ({**operators, "Protocol": "sms", "Endpoint": ref("Telephone")}, "HasTelephone"),
    }:
        yield "nobody is subscribed to the topic of people, or people are told of alarms twice"
    outputs = {name: output["Value"] for name, output in document["Outputs"].items()}
    if outputs != {"AlarmTopicArn": ref("Alarms"), "OperatorsTopicArn": ref("Operators")}:
        yield "the outputs are not the two topics"


def network(document):
    """The functions' subnets leave by the NAT gateways' addresses alone, and nothing comes in."""
    resources = rules_everywhere.without_tags(document["Resources"])
    conditions = {"HasTwo": ["AddressB", "NatB"], "HasInterfaceEndpoints": ["Endpoints", "ToSqs", "ToKms"]}
    when = {name: condition for condition, names in conditions.items() for name in names}
    anywhere = "0.0.0.0/0"
    inside = [ref("InsideA"), ref("InsideB")]
    endpoint = {"VpcId": ref("Network"), "RouteTableIds": [ref("InsideARouteTable"), ref("InsideBRouteTable")]}
    private = {"VpcId": ref("Network"), "SubnetIds": inside, "SecurityGroupIds": [ref("Endpoints")], "PrivateDnsEnabled": True}
    service = lambda name: {"Fn::Sub": f"com.amazonaws.${{AWS::Region}}.{name}"}
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    expected = {
        "Network": {"CidrBlock": ref("Cidr"), "EnableDnsSupport": True, "EnableDnsHostnames": True},
        "Internet": {},
        "InternetAttachment": {"VpcId": ref("Network"), "InternetGatewayId": ref("Internet")},
        "OutsideRoutes": {"VpcId": ref("Network")},
        "OutsideRoute": {"RouteTableId": ref("OutsideRoutes"), "DestinationCidrBlock": anywhere, "GatewayId": ref("Internet")},
        "Functions": {"VpcId": ref("Network"), "SecurityGroupEgress": [{**https, "CidrIp": anywhere}]},
        "Endpoints": {"VpcId": ref("Network"), "SecurityGroupIngress": [{**https, "SourceSecurityGroupId": ref("Functions")}]},
        "ToDynamodb": {**endpoint, "VpcEndpointType": "Gateway", "ServiceName": service("dynamodb")},
        "ToS3": {**endpoint, "VpcEndpointType": "Gateway", "ServiceName": service("s3")},
        "ToSqs": {
            **private,
            "VpcEndpointType": "Interface",
            "ServiceName": {"Fn::If": ["InChina", {"Fn::Sub": "cn." + service("sqs")["Fn::Sub"]}, service("sqs")]},
        },
        "ToKms": {**private, "VpcEndpointType": "Interface", "ServiceName": service("kms")},
    }
    for zone, letter in enumerate("AB"):
        for side, index in (("Outside", zone), ("Inside", zone + 2)):
            expected[f"{side}{letter}"] = {
                "VpcId": ref("Network"),
                "AvailabilityZone": {"Fn::Select": [zone, {"Fn::GetAZs": ""}]},
                "CidrBlock": {"Fn::Select": [index, {"Fn::Cidr": [ref("Cidr"), 4, 6]}]},
            }
            table = "OutsideRoutes" if side == "Outside" else f"Inside{letter}RouteTable"
            expected[f"{side}{letter}Routes"] = {"SubnetId": ref(f"{side}{letter}"), "RouteTableId": ref(table)}
        expected[f"Inside{letter}RouteTable"] = {"VpcId": ref("Network")}
        expected[f"Address{letter}"] = {"Domain": "vpc"}
        address = {"Fn::GetAtt": [f"Address{letter}", "AllocationId"]}
        expected[f"Nat{letter}"] = {"AllocationId": address, "SubnetId": ref(f"Outside{letter}")}
        nat = ref("NatA") if letter == "A" else {"Fn::If": ["HasTwo", ref("NatB"), ref("NatA")]}
        route = {"RouteTableId": ref(f"Inside{letter}RouteTable"), "DestinationCidrBlock": anywhere, "NatGatewayId": nat}
        expected[f"Inside{letter}Route"] = route
    for name in sorted(expected.keys() | resources.keys()):
        found = resources.get(name, {})
        if described(found.get("Properties")) != expected.get(name) or found.get("Condition") != when.get(name):
            yield f"{name} of the network leads elsewhere, lets in what it should not, or is there when it should not be"
    outputs = {name: output["Value"] for name, output in document["Outputs"].items()}
    both = {"Fn::Sub": "${AddressA.PublicIp},${AddressB.PublicIp}"}
    if outputs != {
        "VpcSubnetIds": {"Fn::Sub": "${InsideA},${InsideB}"},
        "VpcSecurityGroupIds": ref("Functions"),
        "Addresses": {"Fn::If": ["HasTwo", both, {"Fn::GetAtt": ["AddressA", "PublicIp"]}]},
    }:
        yield "the network's outputs are not the stack's parameters, or not the addresses"


def described(value):
    """Without descriptions."""
    match value:
        case dict():
            return {key: described(inner) for key, inner in value.items() if key not in ("Description", "GroupDescription")}
        case list():
            return [described(inner) for inner in value]
        case _:
            return value


def backup(resources, page, main_resources):
    """What carries the stack's tags is backed up each day, kept under a key of its own, and copied where that is configured. An alarm
    notifies of a failure."""
    for name in ("Key", "Vault"):
        if not is_kept(resources[name]):
            yield f"{name} goes with the stack, and the backups with it"
    if resources["Vault"]["Properties"]["EncryptionKeyArn"] != arn("Key"):
        yield "the backups open by a key that may be gone with what is backed up"
    [daily] = resources["Plan"]["Properties"]["BackupPlan"]["BackupPlanRule"]
    kept = {"DeleteAfterDays": ref("RetentionDays")}
    copy = {"DestinationBackupVaultArn": ref("BackupCopyVaultArn"), "Lifecycle": kept}
    if {key: value for key, value in daily.items() if not key.endswith("Minutes")} != {
        "RuleName": "daily",
        "TargetBackupVault": ref("Vault"),
        "ScheduleExpression": "cron(0 4 * * ? *)",
        "ScheduleExpressionTimezone": "Asia/Shanghai",
        "Lifecycle": kept,
        "CopyActions": {"Fn::If": ["HasCopy", [copy], ref("AWS::NoValue")]},
    }:
        yield "the plan is not a backup a day with its copy"
    selection = resources["Selection"]["Properties"]
    chosen = selection["BackupSelection"]
    guards = own_arn("dynamodb", "table/${Stack}-guards")
    if (
        selection["BackupPlanId"] != ref("Plan")
        or chosen["IamRoleArn"] != arn("Role")
        or chosen["Resources"] != [own_arn("dynamodb", "table/*"), {"Fn::Sub": "arn:${AWS::Partition}:s3:::*"}]
        or chosen["NotResources"] != [guards]
        or chosen["Conditions"]
        != {
            "StringEquals": [
                {"ConditionKey": f"aws:ResourceTag/{tag}", "ConditionValue": value}
                for tag, value in rules_everywhere.TAGS.items()
            ]
        }
    ):
        yield "something else is backed up than what carries the stack's tags"
    if main_resources["GuardsTable"]["Properties"]["TableName"] != {"Fn::Sub": "${AWS::StackName}-guards"}:
        yield "the table of guards has another name than the one that is left out"
    stay = [name for name, table in of_type(main_resources, "AWS::DynamoDB::Table") if is_kept(table)]
    stay += [name for name, bucket in of_type(main_resources, "AWS::S3::Bucket") if is_kept(bucket)]
    if stay != [f"{name}Bucket" if name == "Evidence" else f"{name}Table" for name in BACKED_UP]:
        yield f"of {stay} one is not looked for among the backups, or the alarms look for another"
    role = resources["Role"]["Properties"]
    trust = {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}
    policies = ["service-role/AWSBackupServiceRolePolicyForBackup", "AWSBackupServiceRolePolicyForS3Backup"]
    if (
        role["AssumeRolePolicyDocument"]["Statement"] != [trust]
        or role["ManagedPolicyArns"] != [{"Fn::Sub": f"arn:${{AWS::Partition}}:iam::aws:policy/{policy}"} for policy in policies]
        or "Policies" in role
    ):
        yield "the backups' role can be assumed by another service, or may do more than back up"
    for name, resource in resources.items():
        if name not in ("Key", "Vault") and resource.get("Condition") != "HasPlan":
            yield f"{name} is there where copies alone are kept"
    yield from backup_alarms(resources, page)


# What has to be backed up each day: the tables that are kept, and the evidence.
BACKED_UP = ["Orders", "Notices", "Reconciliation", "UndeliveredEvents", "Keys", "Evidence"]


def made_of(name):
    """The pattern of the log lines of its finished backups."""
    made = '{ ($.detail.state = "COMPLETED") && ($.detail.backupVaultName = "*") && (%s) }'
    # Other buckets of the stack's tags are backed up, too: that of infra/audit.yaml.
    if name == "Evidence":
        return {"Fn::Sub": made % '$.detail.resourceArn = "*:::${EvidenceBucketName}"'}
    return {"Fn::Sub": made % f'$.detail.resourceArn = "*:table/${{Stack}}-{kebab(name)}"'}


def backup_alarms(resources, page):
    """The end of each backup and each copy is logged. Alarms notify of one that failed, and of a day without one."""
    rule = resources["Ended"]
    own_rule = own_arn("events", "rule/${AWS::StackName}")
    lines = own_arn("logs", "log-group:${Lines}")
    if rule["Properties"]["Name"] != {"Fn::Sub": "${AWS::StackName}"} or rule["Properties"]["EventPattern"] != {
        "source": ["aws.backup"],
        "detail-type": ["Backup Job State Change", "Copy Job State Change"],
        "detail": {
            "state": ["COMPLETED", "FAILED", "ABORTED", "EXPIRED", "PARTIAL"],
            "$or": [
                {"backupVaultName": [ref("Vault")]},
                {"sourceBackupVaultArn": [{"Fn::GetAtt": ["Vault", "BackupVaultArn"]}]},
            ],
        },
    }:
        yield "the rule takes no events of these backups and their copies, or those of others"
    if rule["Properties"]["Targets"] != [{"Id": "lines", "Arn": lines}] or rule.get("DependsOn") != "LinesPolicy":
        yield "the events are not logged, or before the policy allows it"
    if resources["Lines"]["Properties"]["LogGroupName"] != {"Fn::Sub": "/aws/events/${AWS::StackName}"}:
        yield "EventBridge writes to groups below /aws/events alone"
    policy = resources["LinesPolicy"]["Properties"]
    begin = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Resource": "${Lines.Arn}"}
    writes = {"ArnEquals": {"aws:SourceArn": text_of(own_rule)}}
    statements = [
        {"Sid": "Begin", **begin, "Action": "logs:CreateLogStream"},
        {"Sid": "Write", **begin, "Action": "logs:PutLogEvents", "Condition": writes},
    ]
    if policy["PolicyName"] != {"Fn::Sub": "${AWS::StackName}-events"} or json.loads(text_of(policy["PolicyDocument"])) != {
        "Version": "2012-10-17",
        "Statement": statements,
    }:
        yield "another principal than the rule may write the events, or the rule may not"
    # One alarm for each resource: backups of the others say nothing of it.
    missing = ("LessThanThreshold", 1, 3600, 30, 30, "breaching")
    made = [
        (f"Made{name}", f"Missing{name}Alarm", made_of(name), missing, {"AlarmActions", "OKActions"}) for name in BACKED_UP
    ]
    notifies = {"Fn::If": ["HasAlarmTopic", [ref("AlarmTopicArn")], ref("AWS::NoValue")]}
    at_once = ("GreaterThanThreshold", 0, 300, 1, 1, "notBreaching")
    for name, alarm, pattern, watched, actions in (
        ("Failed", "FailedAlarm", '{ $.detail.state != "COMPLETED" }', at_once, {"AlarmActions"}),
        *made,
    ):
        filtered = resources[name]["Properties"]
        metric = {"MetricNamespace": ref("AWS::StackName"), "MetricName": name, "MetricValue": "1", "DefaultValue": 0}
        if filtered != {"LogGroupName": ref("Lines"), "FilterPattern": pattern, "MetricTransformations": [metric]}:
            yield f"{name} is not counted from the events"
        alarm = resources[alarm]["Properties"]
        settings = ("ComparisonOperator", "Threshold", "Period", "EvaluationPeriods", "DatapointsToAlarm", "TreatMissingData")
        if tuple(alarm[setting] for setting in settings) != watched or (
            alarm["Namespace"],
            alarm["MetricName"],
            alarm["Statistic"],
        ) != (ref("AWS::StackName"), name, "Sum"):
            yield f"no alarm watches {name}"
        if any(alarm.get(action) != (notifies if action in actions else None) for action in ("AlarmActions", "OKActions")):
            yield f"no one is notified of {name}"
        called = text_of(alarm["AlarmName"]).removeprefix("${AWS::StackName}-")
        if f"`...-{called}`" not in page or not text_of(alarm["AlarmDescription"]).endswith("(infra/runbooks/restore.md)"):
            yield f"infra/runbooks/restore.md does not say what {called} means"


# AWS's own policies of CloudFront: what is cached, and what is handed on.
CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"
# The largest body that a function takes of a client.
BODY_MAX = 16384


# WAF's rules, in order. The first lets callbacks in, whatever comes after.
UNCHANGED = [{"Priority": 0, "Type": "NONE"}]
FIREWALL = [
    (
        {"Action": {"Allow": {}}},
        {
            "ByteMatchStatement": {
                "FieldToMatch": {"UriPath": {}},
                "PositionalConstraint": "EXACTLY",
                "SearchString": "/v1/callbacks/wechatpay",
                "TextTransformations": UNCHANGED,
            }
        },
    ),
    (
        {"Action": {"Block": {"CustomResponse": {"ResponseCode": 413}}}},
        {
            "SizeConstraintStatement": {
                "FieldToMatch": {"Body": {"OversizeHandling": "MATCH"}},
                "ComparisonOperator": "GT",
                "Size": BODY_MAX,
                "TextTransformations": UNCHANGED,
            }
        },
    ),
    (
        {
            "Action": {
                "Block": {
                    "CustomResponse": {
                        "ResponseCode": 429,
                        "ResponseHeaders": [{"Name": "retry-after", "Value": "60"}],
                    }
                }
            }
        },
        {
            "RateBasedStatement": {
                "AggregateKeyType": "IP",
                "EvaluationWindowSec": 60,
                "Limit": {"Ref": "RequestsPerMinute"},
            }
        },
    ),
    (
        {"OverrideAction": {"None": {}}},
        {"ManagedRuleGroupStatement": {"VendorName": "AWS", "Name": "AWSManagedRulesAmazonIpReputationList"}},
    ),
]


def edge(resources):
    """Signed parts of a request arrive unchanged, no request bypasses CloudFront, and WeChat Pay is never blocked."""
    distribution = resources["Distribution"]["Properties"]["DistributionConfig"]
    if distribution["DefaultCacheBehavior"] != {
        "TargetOriginId": "api",
        "AllowedMethods": ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"],
        "CachePolicyId": CACHING_DISABLED,
        "OriginRequestPolicyId": ALL_VIEWER,
        "ViewerProtocolPolicy": "https-only",
        "Compress": False,
    } or "CacheBehaviors" in distribution:
        yield "requests are cached, changed or taken without TLS"
    if distribution["Enabled"] is not True or distribution["Aliases"] != [{"Ref": "DomainName"}]:
        yield "the domain does not lead through CloudFront"
    if distribution["ViewerCertificate"] != {
        "AcmCertificateArn": {"Ref": "CertificateArn"},
        "MinimumProtocolVersion": "TLSv1.2_2021",
        "SslSupportMethod": "sni-only",
    }:
        yield "TLS older than 1.2 is taken, or the certificate is another"
    if distribution.get("WebACLId") != {"Fn::GetAtt": ["Firewall", "Arn"]}:
        yield "the firewall protects nothing"
    if distribution["Origins"] != [
        {
            "Id": "api",
            "DomainName": {"Ref": "ApiTarget"},
            "ConnectionAttempts": 1,
            "CustomOriginConfig": {
                "OriginProtocolPolicy": "https-only",
                "OriginSSLProtocols": ["TLSv1.2"],
                "OriginReadTimeout": 35,
                "OriginMtlsConfig": {"ClientCertificateArn": {"Ref": "ClientCertificateArn"}},
            },
        }
    ]:
        yield "the API cannot authenticate CloudFront, or is called without TLS, more than once or with too short a time-out"
    firewall = resources["Firewall"]["Properties"]
    if firewall["Scope"] != "CLOUDFRONT" or firewall["DefaultAction"] != {"Allow": {}}:
        yield "the firewall is not CloudFront's, or refuses what no rule names"
    if sorted(rule["Priority"] for rule in firewall["Rules"]) != list(range(len(FIREWALL))):
        yield "the order of the firewall's rules is not fixed"
    found = [
        ({key: rule[key] for key in ("Action", "OverrideAction") if key in rule}, rule["Statement"])
        for rule in sorted(firewall["Rules"], key=lambda rule: rule["Priority"])
    ]
    if found != FIREWALL:
        yield "the firewall refuses what it should let in, or lets in what it should refuse"


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
            yield f"no one is notified of {name}"
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
        yield "the trail's role can be assumed by another service, or may do more than write lines"
    tls, reads_acl, writes = resources["RecordsPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    if (
        (tls["Effect"], tls["Principal"], tls["Action"]) != ("Deny", "*", "s3:*")
        or tls["Resource"] != [arn("Records"), {"Fn::Sub": "${Records.Arn}/*"}]
        or tls["Condition"] != {"Bool": {"aws:SecureTransport": "false"}}
        or (reads_acl["Principal"], reads_acl["Action"], reads_acl["Condition"])
        != ({"Service": "cloudtrail.amazonaws.com"}, "s3:GetBucketAcl", of_this_trail)
        or (writes["Principal"], writes["Action"]) != ({"Service": "cloudtrail.amazonaws.com"}, "s3:PutObject")
        or writes["Condition"]
        != {"StringEquals": {"aws:SourceArn": THIS_TRAIL, "s3:x-amz-acl": "bucket-owner-full-control"}}
    ):
        yield "another service than the trail may write records"
