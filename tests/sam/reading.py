"""How the rules read the template: short forms of its references, and of what a policy says."""

import json
import re


def of_type(resources, kind):
    return ((name, resource) for name, resource in resources.items() if resource["Type"] == kind)


def as_list(value):
    return value if isinstance(value, list) else [value]


def arn(name):
    """`!GetAtt <name>.Arn` as it is read."""
    return {"Fn::GetAtt": [name, "Arn"]}


def own_arn(service, resource):
    """The ARN of something of this account by its name, as the template spells it where it cannot refer to it."""
    return {"Fn::Sub": f"arn:${{AWS::Partition}}:{service}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}"}


def name_of(target):
    """The logical id that an ARN is made of, with what follows it; a text as it is, so `*` matches no rule."""
    match target:
        case {"Fn::GetAtt": [name, "Arn"]}:
            return name
        case {"Fn::GetAtt": [name, "StreamArn"]}:
            return f"{name}/stream"
        case {"Ref": name}:
            return name
        # A key of the merchant's own in place of the stack's.
        case {"Fn::If": [condition, yes, no]}:
            return f"{name_of(no)} or {name_of(yes)} if {condition}"
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{(\w+)\.Arn\}", r"\1", text)
        case _:
            return str(target)


def text_of(value):
    """A text, or the text inside a `!Sub`."""
    return value["Fn::Sub"] if isinstance(value, dict) and value.keys() == {"Fn::Sub"} else value


def statements(role):
    """What a role's policies say, each statement with when it holds; of a choice both sides, where there is something."""
    for policy in role["Properties"]["Policies"]:
        for entry in policy["PolicyDocument"]["Statement"]:
            match entry:
                case {"Fn::If": [condition, true, {"Ref": "AWS::NoValue"}]}:
                    yield true, condition
                case {"Fn::If": [condition, true, false]}:
                    yield from [(true, condition), (false, f"not {condition}")]
                case _:
                    yield entry, "always"


def grants(role):
    """The same as a `grant` for each resource of each statement."""
    for statement, when in statements(role):
        beside = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
        effect = " ".join([statement["Effect"], *sorted(beside)])
        for target in as_list(statement["Resource"]):
            yield grant(name_of(target), as_list(statement["Action"]), statement.get("Condition"), when, effect)


def grant(target, calls, condition=None, when="always", effect="Allow"):
    """A permission in one comparable line: what may be done with what, on which condition. Order is of no weight."""
    return f"{effect} {', '.join(sorted(calls))} on {target} if {canonical(condition or {})}, {when}"


def canonical(condition):
    def plain(value):
        if isinstance(value, dict) and value.keys() != {"Fn::Sub"}:
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return sorted((plain(inner) for inner in value), key=str)
        return text_of(value)

    # A list of one is its one.
    def single(value):
        if isinstance(value, dict):
            return {key: single(inner) for key, inner in value.items()}
        return value[0] if isinstance(value, list) and len(value) == 1 else value

    return json.dumps(single(plain(condition)), sort_keys=True)


def is_kept(resource):
    """Whether it stays when the stack goes or replaces it, and goes when the deployment that made it failed."""
    policies = resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")
    return policies == ("RetainExceptOnCreate", "Retain")


def differences(found, expected):
    """What two lists do not share, for a sentence; empty where they hold the same."""
    too_much = [f"has {line}" for line in sorted(set(found) - set(expected))]
    too_little = [f"lacks {line}" for line in sorted(set(expected) - set(found))]
    return too_much + too_little


def kebab(logical_id):
    """`CreateOrder` -> `create-order`: a function's folder and event file, a bucket's name."""
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in logical_id).lstrip("-")
