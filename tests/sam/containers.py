"""`sam local invoke` and `sam local start-api` on a Docker engine."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from failure import Failed, tail

SAM = Path(sys.executable).with_name("sam")

# SAM builds its image on the first call, then takes about 2 s for each.
CALL_LIMIT_S = 180

# Where the emulator in a container serves the runtime API. Rarely it starts a program before it listens there (the same
# emulator in https://github.com/localstack/localstack/issues/12680), and the program ends. The next call starts it again.
RUNTIME_API = "127.0.0.1:9001"
TRIES = 3


class Invoker:
    """Calls `sam local invoke`, one container for each event."""

    def __init__(self, docker, proof, work):
        self.docker = docker
        self.proof = proof
        self.work = work

    def __call__(self, function, event):
        log = self.work / f"invoke-{function}.log"
        for _ in range(TRIES):
            with log.open("w") as output:
                finished = subprocess.run(
                    sam(self.proof, "invoke", self.proof.functions[function].logical_id, "--event", str(event)),
                    env=environment(self.docker),
                    stdout=subprocess.PIPE,
                    stderr=output,
                    timeout=CALL_LIMIT_S,
                    check=False,
                )
            if not started_too_early(log.read_text(errors="replace")):
                break
        lines = finished.stdout.decode(errors="replace").strip().splitlines()
        if finished.returncode != 0 or not lines:
            raise Failed(f"`sam local invoke` of {function} ended with {finished.returncode}:\n{tail(log)}")
        return json.loads(lines[-1])


@contextlib.contextmanager
def api(docker, template, port, work):
    """Runs `sam local start-api` on a template that infra/local/sam_local.py wrote, and yields what calls it."""
    log = work / "start-api.log"
    command = [str(SAM), "local", "start-api", "--template", str(template), "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--warm-containers", "LAZY", "--skip-pull-image"],
            env=environment(docker),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + CALL_LIMIT_S
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"`sam local start-api` does not listen:\n{tail(log)}")
            time.sleep(0.2)
        yield Api(port, log)
    finally:
        process.send_signal(signal.SIGINT)  # it removes its containers on this one
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Api:
    """The HTTP API as `sam local start-api` serves it."""

    port: int
    log: Path

    def call(self, method, path):
        """Calls a path without a body; returns status, headers and body as a function's answer names them."""
        for _ in range(TRIES):
            logged = len(self.log.read_text(errors="replace"))
            answer = self.call_once(method, path)
            if answer["statusCode"] != 502 or not started_too_early(self.log.read_text(errors="replace")[logged:]):
                break
        return answer

    def call_once(self, method, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        try:
            with OPENER.open(request, timeout=CALL_LIMIT_S) as answer:
                status, headers, body = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as answer:
            status, headers, body = answer.code, answer.headers, answer.read()
        except OSError as error:
            raise Failed(f"{method} {path}: {error}; the end of its log:\n{tail(self.log)}") from error
        return {"statusCode": status, "headers": dict(headers), "body": body.decode()}


def started_too_early(log):
    """Whether the emulator started a program before it could be reached."""
    return any(RUNTIME_API in line and "ConnectionRefused" in line for line in log.splitlines())


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """An answer that leads elsewhere is an answer."""

    def redirect_request(self, *_arguments):
        return None


OPENER = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))


def sam(proof, command, *arguments):
    """A `sam local` command line on the proof's template, which never asks a registry for a newer image."""
    overrides = ["--parameter-overrides", "Architecture=x86_64"]
    return [str(SAM), "local", command, *arguments, "--template", str(proof.path), "--skip-pull-image", *overrides]


def environment(docker):
    """SAM's own variables: no telemetry, and credentials that any local engine takes."""
    return docker.environment | {
        "SAM_CLI_TELEMETRY": "0",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
