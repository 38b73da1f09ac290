"""Invocations under the runtime interface emulator that the SAM CLI brings, where there is no Docker engine."""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import samcli
from containers import free_port, listens
from failure import Failed, tail

RIE = Path(samcli.__file__).parent / "local" / "rapid" / "aws-lambda-rie-x86_64"


class Invoker:
    """Starts a bootstrap under the emulator for each event, as a new sandbox would."""

    def __init__(self, proof, work):
        self.proof = proof
        self.work = work

    def __call__(self, name, event):
        function = self.proof.functions[name]
        invoke_port, runtime_port = free_port(), free_port()
        log = self.work / f"emulator-{name}.log"
        command = [
            str(RIE),
            f"--runtime-interface-emulator-address=127.0.0.1:{invoke_port}",
            f"--runtime-api-address=127.0.0.1:{runtime_port}",
            str(function.bootstrap),
        ]
        with log.open("w") as output:
            process = subprocess.Popen(
                command,
                env=sandbox(function),
                cwd=function.bootstrap.parent,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + 10
            while not listens(invoke_port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise Failed(f"the emulator did not start {name}:\n{tail(log)}")
                time.sleep(0.02)
            return self.post(invoke_port, event, function, log)
        finally:
            # The emulator does not always take its bootstrap along, so the session they share is ended.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    @staticmethod
    def post(port, event, function, log):
        url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        try:
            with urllib.request.urlopen(url, data=event.read_bytes(), timeout=function.timeout_s + 10) as answer:
                return json.loads(answer.read())
        except (OSError, ValueError) as error:
            raise Failed(f"{function.logical_id} did not answer: {error}; the end of its log:\n{tail(log)}") from error


def sandbox(function):
    """The variables of a Lambda sandbox, and nothing of this process's but where programs are."""
    return function.variables | {
        "PATH": os.environ["PATH"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": function.logical_id,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(function.timeout_s),
        "LAMBDA_TASK_ROOT": str(function.bootstrap.parent),
    }
