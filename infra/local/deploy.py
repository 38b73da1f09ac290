"""Deploys the SAM template on the local AWS engine: what `sam deploy` does on AWS, plus a few named adaptations.

Reads one JSON object from standard input:

    {"template": path, "stack": name, "endpoint": url, "region": name, "parameters": {name: value},
     "settings": {variable of all functions: value}, "binaries": {package: path of the compiled function},
     "cloudwatch": url where metrics are asked for, or none}

and prints one to standard output:

    {"changed": bool, "adaptations": [sentence, ...], "outputs": {name: value}, "watched": {...}}

`watched` is what a reader of the functions' lines needs to do what CloudWatch does: the properties of alarms, composite alarms and metric
filters, with all values filled in, and the format of the API's log.

A failure is printed on standard error, with exit status 1. Every function in ADAPTATIONS bridges one thing that the engine
lacks; its doc string says what, and is shown to the reader when it applied. Nothing else of the template is changed.
WITHOUT_EFFECT names in the same way what of the template the engine takes and does nothing with. What was added to the engine itself (src/engine/additions.py) is shown beside them, where the template uses it.
"""

import hashlib
import io
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "src", "engine"))

from additions import ADDITIONS  # noqa: E402

BUCKET = "local-deployments"
DIGEST_TAG = "local-digest"
COMPLETE = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


class Failure(Exception):
    """Something that the reader can act on; printed without a traceback."""


def main():
    order = json.load(sys.stdin)
    # The SAM translator asks boto3 for a region when it is imported.
    os.environ["AWS_DEFAULT_REGION"] = order["region"]
    try:
        print(json.dumps(deploy(order)))
    except Failure as failure:
        sys.exit(str(failure))


def deploy(order):
    keys = {name: f"{name}-{digest_of(path)}.zip" for name, path in order["binaries"].items()}
    template = read_template(order["template"])
    points_to_metrics = point_to_metrics(template, order.get("cloudwatch"))
    if order.get("settings"):
        template["Globals"]["Function"]["Environment"]["Variables"].update(order["settings"])
    name_the_release(template, order["parameters"], keys)
    template = translate(template, order["parameters"], keys, order["region"])
    adaptations = adapt(template) + added(template) + dropped(template)
    if points_to_metrics:
        adaptations.append(point_to_metrics.__doc__)
    times_to_live = take_times_to_live(template)
    if times_to_live:
        adaptations.append(take_times_to_live.__doc__)

    stack = Stack(order)
    changed = stack.bring_to(template, order["parameters"], order["binaries"], keys)
    resources = stack.resources()
    stack.set_times_to_live({resources[table]: spec for table, spec in times_to_live.items()})
    return {
        "changed": changed,
        "adaptations": [" ".join(text.split()) for text in adaptations],
        "outputs": stack.outputs(),
        "watched": watched(template, order["stack"], resources),
    }


# --- What `sam package` does ---------------------------------------------------------------------------------------


def digest_of(path):
    """Names a deployment package by its program, so that an unchanged function is not deployed again."""
    with open(path, "rb") as program:
        return hashlib.sha256(program.read()).hexdigest()


def package(path):
    """A deployment package: the compiled function as `bootstrap`, stripped, as a release build is."""
    content = io.BytesIO()
    with tempfile.TemporaryDirectory() as scratch:
        stripped = os.path.join(scratch, "bootstrap")
        if not (shutil.which("strip") and quiet(["strip", "-o", stripped, path])):
            stripped = path
        # Not compressed: it goes no further than this machine's memory, and compressing would take most of the time.
        with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o100755 << 16
            with open(stripped, "rb") as program:
                archive.writestr(entry, program.read())
    return content.getvalue()


def quiet(command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def read_template(path):
    from samtranslator.yaml_helper import yaml_parse

    with open(path, encoding="utf-8") as file:
        return yaml_parse(file.read())


def name_the_release(template, parameters, keys):
    """Gives the parameter `Release` a name of what is deployed, unless it has one: whatever differs is published."""
    if "Release" in template.get("Parameters", {}) and "Release" not in parameters:
        inputs = json.dumps([template, parameters, keys], sort_keys=True, default=str)
        parameters["Release"] = hashlib.sha256(inputs.encode()).hexdigest()[:12]


def point_to_metrics(template, url):
    """Metrics: the engine makes none of the functions' lines, so the console asks this program for them
    (AWS_ENDPOINT_URL_CLOUDWATCH)."""
    console = template["Resources"].get("Console")
    if url and console:
        console["Properties"]["Environment"]["Variables"]["AWS_ENDPOINT_URL_CLOUDWATCH"] = url
    return bool(url and console)


def translate(template, parameters, keys, region):
    """The plain CloudFormation template that AWS would make of the SAM template: the same library that AWS runs."""
    from samtranslator.sdk.parameter import SamParameterValues
    from samtranslator.public.exceptions import InvalidDocumentException
    from samtranslator.translator.transform import transform

    known = template.get("Parameters", {})
    missing = [name for name, definition in known.items() if "Default" not in definition and name not in parameters]
    if missing:
        raise Failure(f"the template's parameters {missing} have no default and no value was given")
    unknown = [name for name in parameters if name not in known]
    if unknown:
        raise Failure(f"values were given for {unknown}, which the template has no parameters for")
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            function = os.path.basename(resource["Properties"]["CodeUri"].rstrip("/"))
            if function not in keys:
                raise Failure(f"function {name} of the template needs the program {function}, which was not built")
            resource["Properties"]["CodeUri"] = {"Bucket": BUCKET, "Key": keys[function]}

    # It names features of its own that are switched off, and standard error is what the reader is shown.
    logging.getLogger("samtranslator").setLevel(logging.ERROR)
    # The given values become the defaults, so that an adaptation sees the value that holds.
    for name, value in parameters.items():
        template["Parameters"][name]["Default"] = value
    values = SamParameterValues({})
    values.add_default_parameter_values(template)
    values.add_pseudo_parameter_values()
    try:
        return transform(template, values.parameter_values, AwsManagedPolicies())
    except InvalidDocumentException as error:
        raise Failure("the template cannot be translated: " + "; ".join(c.message for c in error.causes)) from error


class AwsManagedPolicies:
    """The managed policies that SAM adds by itself. The translator would ask IAM for the whole list."""

    def load(self):
        return {
            name: f"arn:aws:iam::aws:policy/service-role/{name}"
            for name in ("AWSLambdaBasicExecutionRole", "AWSLambdaSQSQueueExecutionRole", "AWSXRayDaemonWriteAccess")
        }


# --- What the engine lacks -----------------------------------------------------------------------------------------


def concurrency_as_number(template):
    """Concurrency of the queue sources: the engine hands the values of Number parameters on as text, and its queue
    poller fails on a MaximumConcurrency that is text, so the reference is replaced by the number."""
    sources = [r for r in template["Resources"].values() if r["Type"] == "AWS::Lambda::EventSourceMapping"]
    scalings = [s["Properties"]["ScalingConfig"] for s in sources if "ScalingConfig" in s["Properties"]]
    references = [s for s in scalings if isinstance(s["MaximumConcurrency"], dict)]
    for scaling in references:
        parameter = template["Parameters"][scaling["MaximumConcurrency"]["Ref"]]
        scaling["MaximumConcurrency"] = int(parameter["Default"])
    return bool(references)


def console_on_loopback(template):
    """The console: the engine is on this machine and no provider issues tokens here, so its routes take none (ConsoleOnLoopback)."""
    if template["Parameters"].get("ConsoleOnLoopback", {}).get("Default") != "true":
        return False
    resources = template["Resources"]
    routes = [r["Properties"] for r in resources.values() if r["Type"] == "AWS::ApiGatewayV2::Route"]
    guarded = [route for route in routes if route.pop("AuthorizerId", None)]
    for route in guarded:
        route["AuthorizationType"] = "NONE"
    resources.pop("ConsoleAuthorizer", None)
    return bool(guarded)


def released_at_once(template):
    """Releases: the engine has no CodeDeploy, so a new version gets all calls of its alias at once, and nothing takes it back.
    The versions before it are not kept."""
    resources = template["Resources"]
    gradual = [name for name, r in resources.items() if r["Type"].startswith("AWS::CodeDeploy::")]
    for name in gradual:
        del resources[name]
    for resource in resources.values():
        if resource["Type"] == "AWS::Lambda::Alias":
            resource.pop("UpdatePolicy", None)
        if resource["Type"] == "AWS::Lambda::Version":
            resource["DeletionPolicy"] = "Delete"
    return bool(gradual)


ADAPTATIONS = [concurrency_as_number, console_on_loopback, released_at_once]


def adapt(template):
    """Applies every adaptation and gives the sentences of those that changed something."""
    return [adaptation.__doc__ for adaptation in ADAPTATIONS if adaptation(template)]


def reserved_concurrency(template):
    """Reserved concurrency: the engine's CloudFormation drops it, so no function is held to its share of the account's."""
    functions = [r for r in template["Resources"].values() if r["Type"] == "AWS::Lambda::Function"]
    wanted = template["Parameters"].get("ReserveConcurrency", {}).get("Default") == "true"
    return wanted and any("ReservedConcurrentExecutions" in function["Properties"] for function in functions)


def throttles(template):
    """Throttles: the engine keeps the API's rates and bursts and enforces none of them, so no call is answered 429 by it."""
    stages = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::ApiGatewayV2::Stage"]
    settings = [s.get("DefaultRouteSettings", {}) for s in stages]
    settings += [route for s in stages for route in s.get("RouteSettings", {}).values()]
    return any("ThrottlingRateLimit" in setting for setting in settings)


def permissions(template):
    """Permissions: the engine lets every call through, so one that a function's role lacks is not missed here."""
    return any(r["Type"] == "AWS::IAM::Role" for r in template["Resources"].values())


def point_in_time_recovery(template):
    """Point-in-time recovery: the engine's CloudFormation drops it; a table can be restored only as it is now."""
    tables = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::DynamoDB::Table"]
    return any("PointInTimeRecoverySpecification" in table for table in tables)


def fair_queues(template):
    """Fair queues: the engine hands messages over in the order in which they came, whichever client's they are, so a slow receiver
    of webhooks holds up the others here."""
    rules = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::Events::Rule"]
    return any("SqsParameters" in target for rule in rules for target in rule.get("Targets", []))


WITHOUT_EFFECT = [reserved_concurrency, throttles, permissions, point_in_time_recovery, fair_queues]


def dropped(template):
    """The sentences of what the template asks for and the engine does not do."""
    return [feature.__doc__ for feature in WITHOUT_EFFECT if feature(template)]


def added(template):
    """The sentences of what the launcher added to the engine for resources that this template has."""
    types = {resource["Type"] for resource in template["Resources"].values()}
    return [addition.__doc__ for kind, addition in ADDITIONS if kind in types]


def take_times_to_live(template):
    """Time to live: the engine's CloudFormation drops TimeToLiveSpecification of tables, so it is set by
    UpdateTimeToLive after the deployment."""
    return {
        name: resource["Properties"]["TimeToLiveSpecification"]
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::DynamoDB::Table" and "TimeToLiveSpecification" in resource["Properties"]
    }


# --- What CloudWatch would do --------------------------------------------------------------------------------------

WATCHED = {
    "alarms": "AWS::CloudWatch::Alarm",
    "composites": "AWS::CloudWatch::CompositeAlarm",
    "filters": "AWS::Logs::MetricFilter",
}


def watched(template, stack, physical):
    """The properties of what makes metrics and watches them, with all values that CloudFormation fills in."""
    resources = template["Resources"]
    found = {
        name: [
            filled(r["Properties"], template, stack, physical)
            for logical, r in resources.items()
            # What a condition leaves out is not there.
            if r["Type"] == kind and ("Condition" not in r or logical in physical)
        ]
        for name, kind in WATCHED.items()
    }
    logged = [r["Properties"]["AccessLogSettings"] for r in resources.values() if "AccessLogSettings" in r.get("Properties", {})]
    found["access_log"] = logged[0]["Format"] if logged else ""
    found["access_log_group"] = filled(logged[0]["DestinationArn"], template, stack, physical) if logged else ""
    return found


def filled(value, template, stack, physical):
    """A value of a template without references. Who is notified counts as given: `/alarms` shows whom an alarm would call."""

    def of(name):
        pseudo = {"AWS::StackName": stack, "AWS::Partition": "aws", "AWS::Region": os.environ["AWS_DEFAULT_REGION"]}
        parameter = template.get("Parameters", {}).get(name, {})
        return str(pseudo.get(name) or physical.get(name) or parameter.get("Default", name))

    match value:
        case {"Ref": name}:
            return of(name)
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([\w:]+)(?:\.\w+)*\}", lambda match: of(match[1]), text)
        case {"Fn::If": [_condition, chosen, _other]}:
            return filled(chosen, template, stack, physical)
        # Of what is asked of a queue, a log group or a version the last part is its name or number.
        case {"Fn::GetAtt": [str(name), *_attribute]}:
            return re.split(r"[/:]", of(name))[-1] if "/aws/" not in of(name) else of(name)
        case dict():
            return {key: filled(inner, template, stack, physical) for key, inner in value.items()}
        case list():
            return [filled(inner, template, stack, physical) for inner in value]
        case _:
            return value


# --- The stack on the engine ---------------------------------------------------------------------------------------


class Stack:
    def __init__(self, order):
        import boto3

        self.name = order["stack"]
        session = boto3.Session(
            aws_access_key_id="test", aws_secret_access_key="test", region_name=order["region"]
        )
        self.client = lambda service: session.client(service, endpoint_url=order["endpoint"])
        self.cloudformation = self.client("cloudformation")

    def description(self):
        """What the engine says about the stack, or None if there is none."""
        from botocore.exceptions import ClientError

        try:
            return self.cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def bring_to(self, template, parameters, binaries, keys):
        """Creates or updates the stack; gives whether anything was to be done."""
        text = json.dumps(template, sort_keys=True)
        digest = hashlib.sha256((text + json.dumps(parameters, sort_keys=True)).encode()).hexdigest()
        found = self.description()
        if found and {"Key": DIGEST_TAG, "Value": digest} in found.get("Tags", []):
            return False
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        deployed = self.packages(found)
        packed = [name for name in binaries if keys[name] not in deployed]
        for name in packed:
            s3.put_object(Bucket=BUCKET, Key=keys[name], Body=package(binaries[name]))
        s3.put_object(Bucket=BUCKET, Key="template.json", Body=text.encode())
        change = self.cloudformation.update_stack if found else self.cloudformation.create_stack
        change(
            StackName=self.name,
            TemplateURL=f"{s3.meta.endpoint_url}/{BUCKET}/template.json",
            Parameters=[{"ParameterKey": n, "ParameterValue": v} for n, v in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Tags=[{"Key": DIGEST_TAG, "Value": digest}],
        )
        self.wait()
        # The functions have their code; the copies would only stay in the engine's memory.
        for key in [*(keys[name] for name in packed), "template.json"]:
            s3.delete_object(Bucket=BUCKET, Key=key)
        return True

    def packages(self, found):
        """The packages that functions have already, since their last deployment went well: those are not sent again."""
        if not found or found["StackStatus"] not in COMPLETE:
            return set()
        text = self.cloudformation.get_template(StackName=self.name)["TemplateBody"]
        resources = (text if isinstance(text, dict) else json.loads(text))["Resources"].items()
        # A function whose part of the template was not asked for so far has none.
        made = self.resources()
        functions = [r["Properties"] for name, r in resources if r["Type"] == "AWS::Lambda::Function" and name in made]
        return {function["Code"].get("S3Key") for function in functions}

    def wait(self):
        deadline = time.monotonic() + 120
        functions = self.client("lambda")
        while time.monotonic() < deadline:
            status = self.description()["StackStatus"]
            if status in COMPLETE:
                if self.are_ready(functions):
                    return
            elif not status.endswith("_IN_PROGRESS"):
                raise Failure(f"the stack ended in {status}: {self.causes()} (--fresh begins with a new one)")
            time.sleep(0.1)
        raise Failure("the stack was not deployed within two minutes")

    def are_ready(self, functions):
        """CloudFormation is done only when each function can run. The engine's is done half a second before."""
        names = [r["PhysicalResourceId"] for r in self.summaries() if r["ResourceType"] == "AWS::Lambda::Function"]
        states = [functions.get_function_configuration(FunctionName=name) for name in names]
        return not any(s.get("State") == "Pending" or s.get("LastUpdateStatus") == "InProgress" for s in states)

    def causes(self):
        events = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']} ({event.get('ResourceType')}): {event['ResourceStatusReason']}"
            for event in events
            if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason")
        ]
        return "; ".join(reasons[:5]) or "the engine gives no reason"

    def outputs(self):
        return {o["OutputKey"]: o["OutputValue"] for o in self.description().get("Outputs", [])}

    def summaries(self):
        """What the stack is made of, by CloudFormation's summaries."""
        pages = self.cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return [r for page in pages for r in page["StackResourceSummaries"] if r["ResourceStatus"] != "DELETE_COMPLETE"]

    def resources(self):
        return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in self.summaries()}

    def set_times_to_live(self, specifications):
        dynamodb = self.client("dynamodb")
        for table, specification in specifications.items():
            found = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
            if found.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
                dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)


if __name__ == "__main__":
    main()
