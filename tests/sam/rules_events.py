"""The way of an event: stream, Pipe, bus, rule. What leaves the table, how, and that nothing is dropped unseen."""

import json

from reading import arn

SOURCE, DETAIL_TYPE = "wechatpay-on-lambda", "order.changed"

# What is in an event, and how DynamoDB writes its type. It alone leaves the table: no openid, no prepay value.
FIELDS = {
    "order_no": "S",
    "client_id": "S",
    "version": "N",
    "subject": "S",
    "subject_id": "S",
    "from": "S",
    "to": "S",
    "amount_fen": "N",
    "cause_kind": "S",
    "cause_id": "S",
    "at": "N",
    "trace": "S",
    "decision": "S",
}

# An event's item; and the order's own where it embeds the event of its step (`OrderChange::embedded_event`): then `to` is the
# state, which it is not when the event is an item of its own. A Pipe takes five patterns at most.
FILTERS = [
    {"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": [{"prefix": "event#"}]}}}},
    {
        "eventName": ["INSERT"],
        "dynamodb": {
            "Keys": {"sk": {"S": ["order"]}},
            "NewImage": {"state": {"S": ["reserved", "closed", "closing"]}},
        },
    },
    {
        "eventName": ["MODIFY"],
        "dynamodb": {
            "Keys": {"sk": {"S": ["order"]}},
            "OldImage": {"state": {"S": ["reserved"]}},
            "NewImage": {"state": {"S": ["awaiting_payment"]}},
        },
    },
    {
        "eventName": ["MODIFY"],
        "dynamodb": {
            "Keys": {"sk": {"S": ["order"]}},
            "OldImage": {"state": {"S": ["reserved", "awaiting_payment"]}},
            "NewImage": {"state": {"S": ["closing"]}, "to": {"S": ["closing"]}},
        },
    },
    {
        "eventName": ["MODIFY"],
        "dynamodb": {
            "Keys": {"sk": {"S": ["order"]}},
            "OldImage": {"state": {"S": ["reserved", "awaiting_payment", "closing"]}},
            "NewImage": {
                "state": {"S": ["paid", "closed", "rejected"]},
                "to": {"S": ["paid", "closed", "rejected"]},
            },
        },
    },
]

STREAM_KEEPS_S = 24 * 3600


def violations(_parameters, resources):
    if resources["OrdersTable"]["Properties"].get("StreamSpecification") != {"StreamViewType": "NEW_AND_OLD_IMAGES"}:
        yield "the stream does not show an order's earlier state: its second event could not be distinguished from other changes"
    yield from pipe(resources["OrderEventsPipe"]["Properties"])
    yield from bus(resources)


def pipe(properties):
    ends = {name: properties.get(name) for name in ("Source", "Target", "RoleArn")}
    if ends != {
        "Source": {"Fn::GetAtt": ["OrdersTable", "StreamArn"]},
        "Target": arn("OrderEventsBus"),
        "RoleArn": arn("OrderEventsPipeRole"),
    }:
        yield "the Pipe does not lead from the orders table to the bus, or not by its own role"
    if properties["Name"] != {"Fn::Sub": "${AWS::StackName}-order-events"}:
        yield "the Pipe has another name than its role trusts"
    if beside := properties.keys() - {*ends, "Name", "Description", "SourceParameters", "TargetParameters"}:
        yield f"the Pipe has {sorted(beside)} that these rules do not know"

    source = properties["SourceParameters"]
    if [json.loads(each["Pattern"]) for each in source["FilterCriteria"]["Filters"]] != FILTERS:
        yield "the Pipe takes other items than events, or not all of them"
    stream = dict(source["DynamoDBStreamParameters"])
    age_s, tries = stream.pop("MaximumRecordAgeInSeconds", -1), stream.pop("MaximumRetryAttempts", -1)
    if not 3600 <= age_s <= STREAM_KEEPS_S // 2 or not 10 <= tries <= 1000:
        yield "the Pipe gives a record up too early, or too late for a person to read it in the stream"
    if not 1 <= stream.pop("ParallelizationFactor", 1) <= 10:
        yield "the Pipe works on more batches of a shard than AWS allows"
    if stream != {
        "StartingPosition": "TRIM_HORIZON",  # otherwise records written during its creation would be left out
        "BatchSize": 10,
        "OnPartialBatchItemFailure": "AUTOMATIC_BISECT",
        "DeadLetterConfig": {"Arn": arn("OrderEventsDlq")},
    }:
        yield "the Pipe leaves records out, or one bad record takes others with it, or no one is notified of a failed one"

    target = properties["TargetParameters"]
    if target.get("EventBridgeEventBusParameters") != {"Source": SOURCE, "DetailType": DETAIL_TYPE}:
        yield "the Pipe names its events otherwise than the rule and the consumers expect"
    fields = {name: f"<$.dynamodb.NewImage.{name}.{kind}>" for name, kind in FIELDS.items()}
    if json.loads(target["InputTemplate"]) != fields:
        yield "the Pipe lets something else out of the table than an event"


def bus(resources):
    bus = {**resources["OrderEventsBus"]["Properties"]}
    bus.pop("Description", None)
    if bus != {
        "Name": {"Fn::Sub": "${AWS::StackName}-orders"},
        "KmsKeyIdentifier": arn("StorageKey"),
        "DeadLetterConfig": {"Arn": arn("WebhooksDlq")},
    }:
        yield "the bus is not named after the stack, not encrypted with its key, or loses what it cannot encrypt"
    archive = {**resources["OrderEventsArchive"]["Properties"]}
    archive.pop("Description", None)
    if archive != {
        "SourceArn": arn("OrderEventsBus"),
        "RetentionDays": {"Ref": "EventRetentionDays"},
        "KmsKeyIdentifier": arn("StorageKey"),
        "EventPattern": {"source": [SOURCE]},
    }:
        yield "the archive does not keep the events of the bus, encrypted, for EventRetentionDays"
    rule = {**resources["WebhooksRule"]["Properties"]}
    rule.pop("Description", None)
    targets = rule.pop("Targets")
    if rule != {
        "Name": {"Fn::Sub": "${AWS::StackName}-webhooks"},
        "EventBusName": {"Ref": "OrderEventsBus"},
        "EventPattern": {"source": [SOURCE], "detail-type": [DETAIL_TYPE]},
    }:
        yield "the rule does not take every event of the bus"
    if targets != [
        {
            "Id": "webhooks",
            "Arn": arn("WebhooksQueue"),
            # A fair queue: no client's events fill all lanes.
            "SqsParameters": {"MessageGroupId": "$.detail.client_id"},
            "RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86400},
            "DeadLetterConfig": {"Arn": arn("WebhooksDlq")},
        }
    ]:
        yield "the rule does not bring events to the webhooks queue, says not whose, or drops those that it cannot bring"
