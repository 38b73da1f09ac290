"""The stack that `cargo local` runs, with `sam local start-api` before it: every route answers, and an order is paid.

What a reader of README.md does in three terminals, by the same commands.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import containers
from containers import free_port
from failure import Failed, tail
from rules import ROUTES

ORDER_NO = "SAM-PROOF-0001"

# Its scenario takes half a minute, and a machine that builds three times as long. In CI it waits for the build of the known
# bugs besides.
START_LIMIT_S = 480
# The callback, two queues and a function that the engine starts.
PAID_LIMIT_S = 60

# What a route of the console answers who sends nothing; `cargo local` opens it without a token. All others ask for a signature.
CONSOLE = {
    "GET /v1/reconciliations/{date}": 404,
    "POST /v1/reconciliations/{date}": 415,
    "GET /v1/reconciliations/{date}/differences": 200,
    "GET /v1/reconciliations/{date}/differences.csv": 200,
    "GET /v1/reconciliations/{date}/differences/{id}": 404,
    "POST /v1/reconciliations/{date}/differences/{id}/decisions": 415,
    "GET /console": 303,
    "GET /console/{proxy+}": 200,
    # It comes from no page of the console.
    "POST /console/{proxy+}": 403,
}
PLACES = {
    "{order_no}": ORDER_NO,
    "{refund_no}": "r1",
    "{version}": "1",
    "{date}": "2026-08-01",
    "{id}": "x",
    "{proxy+}": "2026-08-01",
}


@dataclass
class Stack:
    """Where the parts of a running `cargo local` are."""

    root: Path
    engine: str
    simulator: str
    state: Path


class Starting:
    """`cargo local` on its way up, while other things are proved."""

    def __init__(self, root, work):
        engine, api, simulator = free_port(), free_port(), free_port()
        self.stack = Stack(root, f"http://127.0.0.1:{engine}", f"http://127.0.0.1:{simulator}", work / "stack")
        self.log = work / "cargo-local.log"
        ports = ["--port", str(api), "--simulator-port", str(simulator), "--engine-port", str(engine)]
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                cargo(root, "local", "--", "--fresh", "--state", str(self.stack.state), *ports),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ready(self):
        """Waits until it has run its scenario, whose faults would affect the proof's order as well."""
        deadline = time.monotonic() + START_LIMIT_S
        while "Running until Ctrl-C" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"`cargo local` is not up:\n{tail(self.log)}")
            time.sleep(0.2)
        return self.stack


@contextlib.contextmanager
def starting(root, work):
    """Begins to run `cargo local`, and stops it as Ctrl-C does."""
    started = Starting(root, work)
    try:
        yield started
    finally:
        stopped(started.process)


@contextlib.contextmanager
def pointed_at(stack, docker, work):
    """Runs infra/local/sam_local.py; yields the folder of what it wrote, and the port for the API."""
    folder, port, log = work / "pointed", free_port(), work / "sam-local.log"
    script = [sys.executable, "-u", str(stack.root / "infra" / "local" / "sam_local.py")]
    options = ["--engine", stack.engine, "--api-port", str(port), "--state", str(stack.state), "--write-to", str(folder)]
    with log.open("w") as output:
        process = subprocess.Popen(
            script + options, env=containers.environment(docker), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 30
        while "until Ctrl-C" not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"infra/local/sam_local.py does not work:\n{tail(log)}")
            time.sleep(0.1)
        yield folder, port
    finally:
        stopped(process)


def stopped(process):
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def cargo(root, program, *words):
    manifest = ["--manifest-path", str(root / "Cargo.toml")]
    return [os.environ.get("CARGO", "cargo"), "run", "--quiet", "--locked", *manifest, "--bin", program, *words]


def answered_routes(api):
    """Calls every route of the template; returns a sentence."""
    for route, function in ROUTES.items():
        method, path = route.split(" ")
        for place, value in PLACES.items():
            path = path.replace(place, value)
        answer = api.call(method, path)
        match function:
            case "Console":
                expected = (CONSOLE[route], "")
            case "ReceiveCallback":
                expected = (400, '"missing_header"')
            case _:
                expected = (401, '"no_signature"')
        status, words = expected
        if answer["statusCode"] != status or words not in answer["body"]:
            raise Failed(f"{route} is not answered with {status} {words}: {json.dumps(answer)}\n{tail(api.log)}")
    return f"all {len(ROUTES)} routes"


def paid_order(api, stack, settings):
    """An order is created, paid at the simulator, settled by its callback, and read, all through the API; returns a sentence."""
    created = client(stack, settings, "create", "--product", "native", "--amount-fen", "100", "--description", "Tea", "--order-no", ORDER_NO)
    if created["state"] != "awaiting_payment":
        raise Failed(f"the order that was created is {created}")
    simulator(stack, "/admin/pay", {"order": ORDER_NO})
    deadline = time.monotonic() + PAID_LIMIT_S
    while True:
        # Reading an unpaid order would query WeChat Pay, so the callback is awaited first.
        tries = [one for callback in simulator(stack, f"/admin/callbacks?about={ORDER_NO}") for one in callback["tries"]]
        taken = [one for one in tries if one.get("status") == 204]
        if taken and (order := client(stack, settings, "get", ORDER_NO))["state"] == "paid":
            return f"{order['order_no']} is paid"
        if time.monotonic() > deadline:
            raise Failed(f"the callback came to nothing: {tries}\n{tail(api.log)}")
        time.sleep(0.2)


def client(stack, settings, *words):
    """`cargo client`, which signs for the address that `sam local start-api` serves."""
    command = cargo(stack.root, "client", "--", *words, "--settings", str(settings))
    finished = subprocess.run(command, capture_output=True, text=True, timeout=containers.CALL_LIMIT_S, check=False)
    if finished.returncode != 0:
        raise Failed(f"`cargo client {' '.join(words)}`: {finished.stdout}{finished.stderr}")
    return json.loads(finished.stdout)


def simulator(stack, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(stack.simulator + path, data=data, headers={"Content-Type": "application/json"})
    with containers.OPENER.open(request, timeout=30) as answer:
        return json.loads(answer.read())
