"""Parameters that go together: which sets of them `Rules:` of the template lets through. And when a day may be reconciled.

CloudFormation's own functions are few there (and, or, not, equals, contains), so they are worked out here as it does.
"""

import re
from itertools import product

# Each set is written as what differs from the defaults; whether a stack may be made with it.
CONSOLE = {"ConsoleIssuer": "https://id.example", "ConsoleAudience": "app", "ConsoleGroup": "finance"}
SETS = [
    ({}, True),
    (CONSOLE, True),
    ({"ConsoleOnLoopback": "true"}, True),
    (CONSOLE | {"ConsoleOnLoopback": "true"}, False),
    ({"MerchantSigner": "sealed"}, True),
    ({"MerchantSigningKeyOrigin": "EXTERNAL"}, True),
    ({"MerchantSigner": "sealed", "MerchantSigningKeyOrigin": "EXTERNAL"}, False),
]
# Of the console's three, all or none.
for chosen in product([False, True], repeat=len(CONSOLE)):
    names = [name for name, is_chosen in zip(CONSOLE, chosen) if is_chosen]
    SETS.append(({name: CONSOLE[name] for name in names}, len(names) in (0, len(CONSOLE))))

# The alarm `reconciliation-missing` looks at 13:00 in Beijing: no day begins later. Whether a stack may be made with it.
RECONCILE_AT = [(f"cron(30 {hour} * * ? *)", hour <= 12) for hour in range(24)] + [
    ("cron(0 00 * * ? *)", True),
    ("cron(5 09 * * ? *)", True),
    ("cron(0,30 12 * * ? *)", True),
    ("cron(30 * * * ? *)", False),
    ("cron(30 10-14 * * ? *)", False),
    ("cron(30 10,14 * * ? *)", False),
    ("cron(30 1/6 * * ? *)", False),
    ("cron(30 024 * * ? *)", False),
    ("cron(30 10 * * ?)", False),
    ("rate(1 day)", False),
]


def violations(document):
    """Yields a sentence for each set that is let through, or held up, when it should not be."""
    defaults = {name: str(parameter.get("Default", "given")) for name, parameter in document["Parameters"].items()}
    for differs, is_fine in SETS:
        refused = list(refusals(document.get("Rules", {}), defaults | differs))
        if is_fine and refused:
            yield f"with {differs} no stack can be made: {refused}"
        if not is_fine and not refused:
            yield f"with {differs} a stack is made"
    for name, rule in document.get("Rules", {}).items():
        for assertion in rule["Assertions"]:
            if len(assertion.get("AssertDescription", "")) < 40:
                yield f"{name} does not say what to do"
    reconcile_at = document["Parameters"]["ReconcileAt"]
    for value, is_fine in [*RECONCILE_AT, (reconcile_at["Default"], True)]:
        # CloudFormation holds the whole value against the pattern.
        if bool(re.fullmatch(reconcile_at["AllowedPattern"], value)) != is_fine:
            yield f"ReconcileAt {value} is {'refused' if is_fine else 'taken'}"


def refusals(rules, values):
    for rule in rules.values():
        if holds(rule.get("RuleCondition", True), values):
            for assertion in rule["Assertions"]:
                if not holds(assertion["Assert"], values):
                    yield assertion["AssertDescription"]


def holds(expression, values):
    match expression:
        case bool():
            return expression
        case {"Fn::Not": [inner]}:
            return not holds(inner, values)
        case {"Fn::And": each}:
            return all([holds(inner, values) for inner in each])
        case {"Fn::Or": each}:
            return any([holds(inner, values) for inner in each])
        case {"Fn::Equals": [one, other]}:
            return text(one, values) == text(other, values)
        case _:
            raise ValueError(f"no function of a rule: {expression}")


def text(value, values):
    return values[value["Ref"]] if isinstance(value, dict) else str(value)
