"""What holds for every resource of a template, whatever it is: tags, and nothing that is true in one partition only.

AWS China is a partition of its own: its ARNs begin with `arn:aws-cn:`, its addresses end in `amazonaws.com.cn`.
"""

import re

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER

TAGS = {"application": "wechatpay-on-lambda", "mchid": {"Ref": "Mchid"}}

# Services that have the same principal in China. Any other one is spelled with `AWS::URLSuffix`.
# A function is called by `logs`, as SAM writes it in each partition; a key is used by the one of its Region.
SAME = (
    "apigateway", "backup", "cloudwatch", "cloudtrail", "codedeploy", "events", "lambda", "logs", "pipes", "scheduler", "sns"
)
SAME_PRINCIPAL = {f"{name}.amazonaws.com" for name in SAME}
# Those that have one for each Region.
OF_A_REGION = {"logs.${AWS::Region}.${AWS::URLSuffix}"}
# An endpoint's service is named backwards, and so in every partition; what China has under another name begins with `cn.`.
ENDPOINT = re.compile(r"(cn\.)?com\.amazonaws\.\$\{AWS::Region\}\.[a-z0-9]+")
# What AWS China does not have (infra/DEPLOY.md, "AWS China"), by what a template would use it.
NOT_IN_CHINA = {"FunctionUrlConfig", "ProvisionedPollerConfig", "MetricsConfig", "PropagateTags", "RecursiveLoop"}
REGION = re.compile(r"\b(af|ap|ca|cn|eu|il|me|mx|sa|us)-(north|south|east|west|central|gov)[a-z]*-[0-9]\b")


def tagged(resources, expected):
    """Whatever can carry tags carries the same ones, by the registry of resource types."""
    for name, resource in resources.items():
        where = tags_of_type(resource["Type"])
        if where is None:
            continue
        if resource["Type"] == "AWS::Serverless::Function":
            # SAM takes them from `Globals`, and hands them on to nothing else.
            found, as_map = resource["Properties"].get("Tags"), True
            if found is not None:
                yield f"{name} has tags of its own beside those of Globals"
            continue
        found, as_map = resource["Properties"].get(where[0]), where[1]
        if found != (expected if as_map else [{"Key": key, "Value": value} for key, value in expected.items()]):
            yield f"{name} does not carry the tags {', '.join(expected)} in {where[0]}"


def tags_of_type(kind):
    """The property that holds a type's tags and whether that is a map; None where it can carry none."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    if kind == "AWS::Serverless::Function":
        return "Tags", True
    tagging = schema.get("tagging", {})
    if not tagging.get("taggable"):
        return None
    name = tagging.get("tagProperty", "/properties/Tags").rsplit("/", 1)[-1]
    return name, schema["properties"][name].get("type", "object") != "array"


def without_tags(resources):
    """The resources as the other rules compare them."""
    return {
        name: {**resource, "Properties": {key: value for key, value in resource["Properties"].items() if key != "Tags"}}
        for name, resource in resources.items()
    }


# Lambda passes on all lines of functions, at any level, since metrics are among them. Of its own lines it writes those of failed
# runs, and the others only where details are logged.
LOGGING = {"LogFormat": "JSON", "ApplicationLogLevel": "TRACE", "SystemLogLevel": {"Fn::If": ["LogsInDetail", "INFO", "WARN"]}}
IN_DETAIL = {"Fn::Or": [{"Fn::Equals": [{"Ref": "LogLevel"}, level]} for level in ("debug", "trace")]}


def logging(document):
    if document["Globals"]["Function"].get("LoggingConfig") != LOGGING:
        yield "Lambda drops lines of functions, or writes three of its own for each run"
    if document["Conditions"].get("LogsInDetail") != IN_DETAIL:
        yield "LogLevel does not bring Lambda's own lines back"


def partition(document):
    shared = document.get("Globals", {}).get("Function", {})
    if shared and (shared.get("Tracing") != "Disabled" or shared.get("Tags") != TAGS):
        yield "the functions carry no tags, or need X-Ray, which Lambda does not have in China"
    for section in ("Globals", "Conditions", "Rules", "Resources", "Outputs"):
        for path, text in texts(document.get(section, {})):
            place = "/".join(map(str, (section, *path)))
            if "Description" in str(path[-1]):
                continue
            if "arn:aws" in text:
                yield f"{place} names one partition: write arn:${{AWS::Partition}}"
            # What CloudTrail writes as the source of an event is the same everywhere, and so are those principals in a policy's text.
            rest = re.sub(r'eventSource = "[a-z]+\.amazonaws\.com"', "", text)
            rest = re.sub(rf'"Service": "({"|".join(SAME)})\.amazonaws\.com"', "", rest)
            if "amazonaws" in rest and not ENDPOINT.fullmatch(rest) and text not in SAME_PRINCIPAL:
                yield f"{place} names one partition: write ${{AWS::URLSuffix}}"
            if REGION.search(text):
                yield f"{place} names one Region"
            if "URLSuffix" in text and "Service" in path and text not in OF_A_REGION:
                yield f"{place} is no principal that these rules know"
            if NOT_IN_CHINA & set(path):
                yield f"{place} is something that AWS China does not have"


def texts(value, path=()):
    match value:
        case dict():
            for key, inner in value.items():
                yield from texts(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from texts(inner, (*path, index))
        case str():
            yield path, value
        case _:
            yield path, ""
