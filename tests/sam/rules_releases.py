"""Releases: each function has versions and an alias, all callers use the alias, and a new version that fails is rolled back.

SAM's translation of the template is checked too (`translated`), by the library that AWS itself uses.
"""

import re

import rules_alarms
from reading import kebab, of_type

ALIAS = "live"
# Of a tenth of few calls a new version might get none; in as many minutes, by a tenth more each minute, it gets some.
FEW_CALLS = {"Reconcile", "Console", "NotifyOperators", "ForwardErrors"}
AT_ONCE = "AllAtOnce"
NONE = [{"Ref": "AWS::NoValue"}]


def gradual(kind):
    return {"Fn::If": ["ReleasesGradually", kind, AT_ONCE]}


SHARED = {"Type": gradual("Canary10Percent10Minutes"), "Role": {"Fn::GetAtt": ["ReleaseRole", "Arn"]}}


def violations(_parameters, resources):
    for name, resource in of_type(resources, "AWS::Serverless::Function"):
        properties = resource["Properties"]
        own = [] if name in rules_alarms.FAILS_WITH_OTHERS else [{"Ref": f"{name}ReleaseErrorsAlarm"}]
        brakes = [*own, {"Ref": "ReleaseErrorLinesAlarm"}]
        expected = {"Alarms": {"Fn::If": ["ReleasesGradually", brakes, NONE]}}
        if name in FEW_CALLS:
            expected["Type"] = gradual("Linear10PercentEvery1Minute")
        if "Condition" in resource:
            expected["PassthroughCondition"] = True
        if properties.get("DeploymentPreference") != expected:
            yield f"{name} is released at once, or its alarms do not take a release back, or GradualRelease does not turn that off"
        if resource.get("UpdateReplacePolicy") != "Retain" or "DeletionPolicy" in resource:
            yield f"{name} loses its versions at the next release, or stays when the stack is deleted"
        if properties.get("VersionDescription") != {"Ref": "Release"}:
            yield f"{name} gets no new version with a new Release"
        if beside := {"AutoPublishAlias", "AutoPublishCodeSha256", "ProvisionedConcurrencyConfig"} & properties.keys():
            yield f"{name} has {sorted(beside)} of its own"
        if "RELEASE" in properties["Environment"]["Variables"]:
            yield f"{name} names another release in its log than the alarm looks for"
    functions = {name for name, _ in of_type(resources, "AWS::Serverless::Function")}
    for name, resource in resources.items():
        for place, target in named(resource, functions):
            # Numbers of a function count all its versions; those of a release's alarm are compared where alarms are.
            # So does what a dashboard shows.
            if resource["Type"] == "AWS::CloudWatch::Dashboard":
                continue
            if resource["Type"] == "AWS::CloudWatch::Alarm" and "Dimensions" in place:
                continue
            # Who a call comes from is the function, whichever version of it runs: that calls nothing.
            if "lambda:SourceFunctionArn" in place:
                continue
            # CodeDeploy moves the alias, which is a right on the function.
            if name == "ReleaseRole":
                continue
            yield f"{name} names {target} and not its alias, at {'/'.join(map(str, place))}"


def named(value, functions, place=()):
    """Where a function itself is named, by its logical id or by its name in an ARN, and not its alias."""
    match value:
        case {"Ref": str(target)} if target in functions:
            yield place, target
        case {"Fn::GetAtt": [target, *_]} if target in functions:
            yield place, target
        case {"Fn::Sub": str(text)}:
            yield from ((place, target) for target in re.findall(r"\$\{(\w+)(?:\.Arn)?\}", text) if target in functions)
            # `-*` is of all of them and of all their versions, for people.
            if re.search(r":function:\$\{AWS::StackName\}-(?!\*)", text) and not text.endswith(f":{ALIAS}"):
                yield place, text
        case dict():
            for key, inner in value.items():
                yield from named(inner, functions, (*place, key))
        case list():
            for index, inner in enumerate(value):
                yield from named(inner, functions, (*place, index))


def shared(document):
    """What holds for all functions."""
    common = document["Globals"]["Function"]
    if common.get("AutoPublishAlias") != ALIAS:
        yield f"functions have no alias {ALIAS}"
    if common.get("DeploymentPreference") != SHARED:
        yield "functions are not released by a tenth of the calls first, or by another role"
    if common["Environment"]["Variables"].get("RELEASE") != {"Ref": "Release"}:
        yield "ERROR lines do not name their release, or a new Release gives Lambda nothing new to publish"
    if document["Conditions"].get("ReleasesGradually") != {"Fn::Equals": [{"Ref": "GradualRelease"}, "on"]}:
        yield "GradualRelease turns nothing on or off"
    parameter = document["Parameters"]["GradualRelease"]
    if (parameter["Default"], parameter["AllowedValues"]) != ("on", ["on", "off"]):
        yield "releases are not gradual by themselves"
    for message in rules_alarms.ON_OUR_SIDE:
        if f'"{message}"' not in rules_alarms.sources():
            yield f"no line of the functions says {message}"


def translated(resources):
    """The translation into plain CloudFormation: versions that are kept, aliases that CodeDeploy moves, callers of aliases."""
    functions = {name for name, _ in of_type(resources, "AWS::Lambda::Function")}
    aliases = {resource["Properties"]["FunctionName"]["Ref"]: name for name, resource in of_type(resources, "AWS::Lambda::Alias")}
    for name in functions - aliases.keys():
        yield f"{name} has no alias"
    # SAM passes a function's condition on only if it is told to. AWS refuses a group whose alarm is not there.
    for name in functions:
        group = resources.get(f"{name}DeploymentGroup", {})
        if group.get("Condition") != resources[name].get("Condition"):
            yield f"the deployment group of {name} is made under another condition than the function (PassthroughCondition)"
    versions = [resource for _, resource in of_type(resources, "AWS::Lambda::Version")]
    # Another Release replaces the version in the template, and AWS deletes a replaced version unless a policy retains it.
    policies = ("DeletionPolicy", "UpdateReplacePolicy")
    versions = [version for version in versions if all(version.get(policy) == "Retain" for policy in policies)]
    kept = {version["Properties"]["FunctionName"]["Ref"] for version in versions}
    for name in functions - kept:
        yield f"of {name} there is no version to go back to"
    for name, alias in aliases.items():
        moved = resources[alias].get("UpdatePolicy", {}).get("CodeDeployLambdaAliasUpdate", {})
        if moved.get("DeploymentGroupName") != {"Ref": f"{name}DeploymentGroup"}:
            yield f"the alias of {name} is moved at once, whatever its alarms say"
    for name, source in of_type(resources, "AWS::Lambda::EventSourceMapping"):
        if source["Properties"]["FunctionName"] not in ({"Ref": alias} for alias in aliases.values()):
            yield f"{name} feeds a function past its alias"
    for name, config in of_type(resources, "AWS::Lambda::EventInvokeConfig"):
        if config["Properties"].get("Qualifier") != ALIAS:
            yield f"{name} does not hold for the alias"
