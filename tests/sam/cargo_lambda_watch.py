"""`cargo lambda watch` and `cargo lambda invoke`, as README.md says, with the variables that infra/local/sam_local.py wrote.

`cargo lambda watch` only serves the runtime API here, and the functions that SAM built run against it, outside of any container.
By default it would compile each function again with its own features, which takes minutes and proves nothing about the functions.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from containers import free_port, listens
from failure import Failed, tail
from local_stack import stopped

CARGO_LAMBDA = Path(sys.executable).with_name("cargo-lambda")
CALL_LIMIT_S = 30


class Invoker:
    """Sends an event to a function that runs as a process."""

    def __init__(self, port, variables, proof, work, log):
        self.port, self.variables, self.proof, self.work, self.log = port, variables, proof, work, log

    def __call__(self, name, event):
        log = self.work / f"cargo-lambda-watch-{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [str(self.proof.functions[name].bootstrap)],
                env=self.variables | runtime(name, self.port),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            invoked = subprocess.run(
                [str(CARGO_LAMBDA), "lambda", "invoke", name, *address(self.port), "--data-file", str(event)],
                capture_output=True,
                text=True,
                timeout=CALL_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise Failed(f"`cargo lambda invoke {name}` gets no answer:\n{tail(log)}\n{tail(self.log)}") from late
        finally:
            stopped(process)
        try:
            return json.loads(invoked.stdout)
        except ValueError as error:
            raise Failed(f"`cargo lambda invoke {name}`: {invoked.stdout}{invoked.stderr}\n{tail(log)}") from error


@contextlib.contextmanager
def started(folder, proof, work):
    """Runs `cargo lambda watch`; yields an `Invoker`. `folder` has the files that infra/local/sam_local.py wrote."""
    port, log, env_file = free_port(), work / "cargo-lambda-watch.log", folder / "local.env"
    command = [str(CARGO_LAMBDA), "lambda", "watch", "--only-lambda-apis", *address(port), "--env-file", str(env_file)]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = time.monotonic() + CALL_LIMIT_S
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"`cargo lambda watch` does not listen:\n{tail(log)}")
            time.sleep(0.1)
        yield Invoker(port, read(env_file), proof, work, log)
    finally:
        stopped(process)


def address(port):
    return ["--invoke-address", "127.0.0.1", "--invoke-port", str(port)]


def read(env_file):
    """The variables of the file, as `cargo lambda watch` gives them to the functions that it starts."""
    lines = (line.partition("=") for line in env_file.read_text().splitlines())
    return {"PATH": os.environ["PATH"]} | {name: json.loads(value) for name, _, value in lines}


def runtime(name, port):
    """The variables that `cargo lambda watch` adds for each function."""
    return {
        "AWS_LAMBDA_RUNTIME_API": f"http://127.0.0.1:{port}/.rt/{name}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "4096",
    }
