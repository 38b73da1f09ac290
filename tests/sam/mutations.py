"""Changes of the template, value by value, for the tests of its rules."""

import functools
import pickle

import rules
from samcli.yamlhelper import yaml_parse


@functools.cache
def parsed():
    return yaml_parse(rules.TEMPLATE.read_text())


@functools.cache
def pickled():
    return pickle.dumps(parsed())


def document():
    return pickle.loads(pickled())  # several times as fast as a deep copy


def paths(value, path=()):
    """Where each text, number and truth value lies."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from paths(inner, (*path, key))
        case list():
            for index, inner in enumerate(value):
                yield from paths(inner, (*path, index))
        case _:
            yield path


def holder(value, path):
    for step in path[:-1]:
        value = value[step]
    return value, path[-1]


def left_out(value, path):
    inner, last = holder(value, path)
    del inner[last]


def altered(value, path):
    inner, last = holder(value, path)
    inner[last] = 0 if isinstance(inner[last], int) and inner[last] != 0 else f"{inner[last]}x"
