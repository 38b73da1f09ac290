"""The built template, pointed at the local AWS engine.

SAM gives a function the variables that its template names, and no others; a `!Ref` to a table comes out as the table's
logical id. So the template is written again beside the built one, with values that hold locally.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import local_aws
from failure import Failed
from reading import kebab
from samcli.yamlhelper import yaml_parse

# Nothing answers at WeChat's addresses: an event that would make a function call WeChat Pay has no place in the proof.
PARAMETERS = {
    "Architecture": "x86_64",
    "Mchid": "1900000001",
    "Appids": "wx0000000000000001",
    "NotifyUrl": "https://merchant.example/v1/callbacks/wechatpay",
    "WechatpayBaseUrl": "http://127.0.0.1:9",
    "WechatpayBackupUrl": "http://127.0.0.1:9",
    "ConsoleGroup": "finance",
    "AWS::StackName": "proof",
}


@dataclass
class Function:
    """A function as the proof runs it."""

    logical_id: str
    bootstrap: Path
    variables: dict
    memory_mb: int
    timeout_s: int


@dataclass
class Proof:
    """The template that `sam local` is given, and its functions by the name of their folder."""

    path: Path
    functions: dict


def for_local_engine(built, endpoint):
    """Reads the template that `sam build` wrote, makes its resources at `endpoint`, and writes a template for them."""
    try:
        document = yaml_parse(built.read_text())
    except OSError as error:
        raise Failed(f"{built} cannot be read ({error}); run `sam build` first") from error

    resources = document["Resources"]
    defaults = {name: parameter.get("Default") for name, parameter in document["Parameters"].items()}
    # `sam local` has no API that CloudWatch knows. Its id is asked for metrics alone.
    references = defaults | PARAMETERS | {"Api": "proof"} | local_aws.made(endpoint, resources)

    shared = document.pop("Globals")["Function"]
    functions = {}
    for logical_id, resource in resources.items():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        properties = resource["Properties"] = shared | resource["Properties"]
        expressions = shared["Environment"]["Variables"] | properties["Environment"]["Variables"]
        variables = {
            name: value(expression, references, document["Conditions"]) for name, expression in expressions.items()
        }
        variables["AWS_ENDPOINT_URL"] = endpoint  # on AWS every service is where the SDK expects it
        properties["Environment"] = {"Variables": variables}
        functions[kebab(logical_id)] = Function(
            logical_id,
            built.parent / properties["CodeUri"] / "bootstrap",
            variables,
            properties["MemorySize"],
            properties["Timeout"],
        )

    path = built.with_name("template-proof.json")
    path.write_text(json.dumps(document, indent=1))
    return Proof(path, functions)


def value(expression, references, conditions):
    """What a variable's expression stands for: a text, a reference, or a choice."""
    match expression:
        case str():
            return expression
        case {"Ref": name} if references.get(name) is not None:
            return str(references[name])
        case {"Fn::If": [condition, first, second]}:
            chosen = first if holds({"Condition": condition}, references, conditions) else second
            return value(chosen, references, conditions)
        case _:
            raise Failed(f"tests/sam/template.py gives {json.dumps(expression)} no value")


def holds(condition, references, conditions):
    """Whether a condition of the template is true."""
    match condition:
        case {"Condition": name}:
            return holds(conditions[name], references, conditions)
        case {"Fn::Equals": [one, other]}:
            return value(one, references, conditions) == value(other, references, conditions)
        case {"Fn::Not": [of]}:
            return not holds(of, references, conditions)
        case {"Fn::Or": several}:
            return any(holds(one, references, conditions) for one in several)
        case {"Fn::And": several}:
            return all(holds(one, references, conditions) for one in several)
        case _:
            raise Failed(f"tests/sam/template.py does not know whether {json.dumps(condition)} is true")
