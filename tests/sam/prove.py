"""Proves that SAM's local testing works: invokes each function with its event file, and has the whole API served.

Run it after `sam build`, with the Python that the SAM CLI is installed in:

    sam build --parameter-overrides Architecture=x86_64
    <venv>/bin/python tests/sam/prove.py [--engine auto|docker|emulator]

The functions run against a local AWS engine with empty tables, so their calls are real. They run in containers
if a Docker engine answers or can be started (as root). `sam local start-api` then serves every route before the stack of
`cargo local`, as README.md says: a signed order is created, paid at the simulator, and settled by its callback; and the
events are sent again by `cargo lambda watch`. Where no engine is installed, or the kernel forbids containers, the
functions run under the runtime interface emulator that comes with the SAM CLI, without `sam local invoke` and
`start-api`. The output says which. Exit status 0 means that every answer was right.
"""

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path

import cargo_lambda_watch
import containers
import docker_engine
import emulator
import local_aws
import local_stack
import template
from failure import Failed

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "target" / "sam-proof"
EVENTS = ROOT / "tests" / "fixtures" / "events"


def problem(status, code):
    """An RFC 9457 problem."""

    def check(answer):
        body = json.loads(answer["body"])
        assert answer["statusCode"] == status, f"the status is not {status}"
        assert content_type(answer) == "application/problem+json", "it is no application/problem+json"
        assert body["status"] == status, f"the problem does not repeat the status {status}"
        assert body["code"] == code, f"the code is not {code}"
        return f"{status} {code}"

    return check


def not_acknowledged(status, cause):
    """What WeChat Pay is answered when its callback is not taken: anything but 200 and 204 makes it come again."""

    def check(answer):
        assert answer["statusCode"] == status, f"the status is not {status}"
        assert json.loads(answer["body"]) == {"code": "FAIL", "message": cause}, f"the cause is not {cause}"
        return f"{status} {cause}"

    return check


def exactly(expected, words):
    """One answer and no other."""

    def check(answer):
        assert answer == expected, f"it is not {json.dumps(expected)}"
        return words

    return check


def sweep_of_nothing(answer):
    """The report of a sweep over an empty index: every part of it was read, and all counters of what was done are zero."""
    assert answer.pop("pages") == 42, "not every part of the index was read"
    assert answer and not any(answer.values()), "an empty table gave something to do"
    return "nothing was due"


def words(answer):
    """The words of a part that checks its answers itself."""
    return answer


def content_type(answer):
    return {name.lower(): value for name, value in answer["headers"].items()}["content-type"]


# Function, what its event file holds, and what a working function answers.
INVOCATIONS = [
    ("create-order", "an order without a signature", problem(401, "no_signature")),
    # Its key is looked up in the keys table and not found there.
    ("manage-order", "a query signed long ago", problem(401, "signature_stale")),
    ("receive-callback", "a callback without WeChat's headers", not_acknowledged(400, "missing_header")),
    # The order of the second message is looked up and not found, so nothing is left to do for it.
    (
        "process-payment",
        "garbage, and a request for no order",
        exactly(
            {"batchItemFailures": [{"itemIdentifier": "11111111-1111-4111-8111-111111111111"}]},
            "the garbage comes again, the other is done",
        ),
    ),
    ("reconcile", "the minute's sweep", sweep_of_nothing),
    # The webhook of the second one's client is looked up and not found: there is nobody to send it to.
    (
        "send-webhook",
        "garbage, and an event of nobody's",
        exactly(
            {"batchItemFailures": [{"itemIdentifier": "11111111-1111-4111-8111-111111111111"}]},
            "the garbage comes again, the other is done",
        ),
    ),
    ("console", "a day without a token", problem(401, "no_person")),
    # No channel is set up, so there is nobody to tell.
    (
        "notify-operators",
        "garbage, and an alarm without a channel",
        exactly(
            {
                "batchItemFailures": [
                    {"itemIdentifier": "11111111-1111-4111-8111-111111111111"},
                    {"itemIdentifier": "22222222-2222-4222-8222-222222222222"},
                ]
            },
            "both come again",
        ),
    ),
    # A delivery of lines would be for a sink, which nobody has set up.
    ("forward-errors", "what CloudWatch Logs tries a function with", exactly(None, "nothing is forwarded")),
]

# Those whose answer is the same whatever the tables hold, and whether or not the console is open.
OF_NO_TABLE = {"create-order", "manage-order", "receive-callback", "process-payment", "send-webhook"}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--engine", choices=["auto", "docker", "emulator"], default="auto")
    options.add_argument("--build", type=Path, default=ROOT / ".aws-sam" / "build", help="what `sam build` made")
    chosen = options.parse_args()
    WORK.mkdir(parents=True, exist_ok=True)

    with contextlib.ExitStack() as stack:
        docker = stack.enter_context(docker_engine.found_or_started(WORK)) if chosen.engine != "emulator" else None
        if chosen.engine == "docker" and not docker:
            raise Failed("no Docker engine answers, and none could be started")

        # It takes as long to come up as what is proved first.
        beside = stack.enter_context(local_stack.starting(ROOT, WORK)) if docker else None
        endpoint = stack.enter_context(local_aws.started(ROOT, WORK, docker.host_address if docker else "127.0.0.1"))
        proof = template.for_local_engine(chosen.build / "template.yaml", endpoint)
        if docker:
            print(f"engine: Docker {docker.version}, {docker.origin}; base image {docker.image_origin}", flush=True)
            invoke = containers.Invoker(docker, proof, WORK)
        else:
            print("engine: the runtime interface emulator of the SAM CLI, WITHOUT containers", flush=True)
            invoke = emulator.Invoker(proof, WORK)

        for function, holds, check in INVOCATIONS:
            with verdict(function, holds, check) as answered:
                answered(invoke(function, EVENTS / f"{function}.json"))
        not_sent = proof.functions.keys() - {function for function, _, _ in INVOCATIONS}
        if not_sent:
            raise Failed(f"no event is sent to {', '.join(sorted(not_sent))}")

        if docker:
            running = beside.ready()
            folder, port = stack.enter_context(local_stack.pointed_at(running, docker, WORK))
            api = stack.enter_context(containers.api(docker, folder / "local.json", port, WORK))
            with verdict("start-api", "a call without a signature, each route", words) as answered:
                answered(local_stack.answered_routes(api))
            with verdict("start-api", "an order, its payment and its callback", words) as answered:
                answered(local_stack.paid_order(api, running, folder / "client.json"))
            by_watch = stack.enter_context(cargo_lambda_watch.started(folder, proof, WORK))
            for function, holds, check in INVOCATIONS:
                if function in OF_NO_TABLE:
                    with verdict(f"{function} (w)", holds, check) as answered:
                        answered(by_watch(function, EVENTS / f"{function}.json"))
    if docker:
        print("SAM local testing works: `sam local invoke` and `start-api` in Docker containers, and `cargo lambda watch` without (w)")
    else:
        print("the functions that SAM built work; NOT run: `sam local invoke` and `start-api`, for want of Docker")


@contextlib.contextmanager
def verdict(function, holds, check):
    """Times a call, checks its answer and prints one line. The answers hold no secrets, so a wrong one is shown whole."""
    started = time.monotonic()

    def answered(answer):
        ms = round(1000 * (time.monotonic() - started))
        try:
            print(f"  {function:<18} {holds:<40} {check(answer):<44} {ms:>6} ms", flush=True)
        except (AssertionError, KeyError, TypeError, ValueError) as wrong:
            raise Failed(f"{function}, given {holds}: {wrong!r}; it answered {json.dumps(answer)}") from wrong

    yield answered


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"the proof failed: {failure}")
