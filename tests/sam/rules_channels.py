"""The optional part that tells people on call: all of it is there with OperatorChannels, and nothing of it without."""

from reading import arn

# By what their names begin with.
OPTIONAL = ("NotifyOperators", "Notifications")
HAS_CHANNELS = {
    "Fn::And": [
        {"Fn::Equals": [{"Ref": "OperatorChannels"}, "on"]},
        {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmTopicArn"}, ""]}]},
    ]
}
HAS_TOPIC = {"Fn::And": [{"Condition": "HasChannels"}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "OperatorsTopicArn"}, ""]}]}]}

# Its own alarms go to the people's topic past it, too: whoever is not told is not told of that either.
DIRECT = {
    f"{name}Alarm"
    for name in ("NotificationsDlq", "NotificationsAge", "NotificationsRefused", "NotifyOperatorsErrors", "NotifyOperatorsThrottles")
}
DIRECT_ACTION = [
    {"Ref": "AlarmTopicArn"},
    {"Fn::If": ["HasOperatorsTopic", {"Ref": "OperatorsTopicArn"}, {"Ref": "AWS::NoValue"}]},
]


def violations(_parameters, resources):
    for name, resource in resources.items():
        is_optional = name.startswith(OPTIONAL)
        if (resource.get("Condition") == "HasChannels") != is_optional:
            yield f"{name} exists when it should not, or does not when it should"
    if resources["NotificationsSubscription"]["Properties"] != {
        "TopicArn": {"Ref": "AlarmTopicArn"},
        "Protocol": "sqs",
        "Endpoint": arn("NotificationsQueue"),
        "RedrivePolicy": {"deadLetterTargetArn": arn("NotificationsDlq")},
    }:
        yield "the alarm topic does not lead to the queue, or what does not get there is lost"
    if set(resources["NotificationsSubscription"].get("DependsOn", [])) != {"NotificationsQueuePolicy", "NotificationsDlqPolicy"}:
        yield "the topic sends before it may"
    said = resources["StorageKey"]["Properties"]["KeyPolicy"]["Statement"]
    topics = {"ArnLike": {"aws:SourceArn": {"Fn::Sub": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:*"}}}
    if [(each["Effect"], each["Action"], each.get("Condition")) for each in said if each["Principal"] == {"Service": "sns.amazonaws.com"}] != [
        ("Allow", ["kms:Decrypt", "kms:GenerateDataKey"], topics)
    ]:
        yield "a topic of the account cannot send to an encrypted queue, or another account's can"
    variables = resources["NotifyOperators"]["Properties"]["Environment"]["Variables"]
    if variables.get("OPERATORS_TOPIC_ARN") != {"Ref": "OperatorsTopicArn"}:
        yield "notify-operators publishes to another topic than OperatorsTopicArn"
    if variables.get("WEBHOOK_ALLOW_LOOPBACK") != {"Ref": "WebhookAllowLoopback"}:
        yield "channels may be at private addresses"


def conditions(document):
    """What the conditions are made of."""
    if document["Conditions"].get("HasChannels") != HAS_CHANNELS:
        yield "OperatorChannels turns nothing on or off"
    if document["Conditions"].get("HasOperatorsTopic") != HAS_TOPIC:
        yield "OperatorsTopicArn counts where it should not, or does not where it should"
    parameter = document["Parameters"]["OperatorChannels"]
    if (parameter["Default"], parameter["AllowedValues"]) != ("off", ["on", "off"]):
        yield "an optional part is made without being asked for"
    for name in ("NotificationsQueueUrl", "NotificationsDlqUrl"):
        if document["Outputs"][name].get("Condition") != "HasChannels":
            yield f"the output {name} names what is not there"
