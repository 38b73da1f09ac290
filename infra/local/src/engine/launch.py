"""Runs the local AWS engine until standard input closes.

The socket is bound here, so that a port of 0 leaves no gap in which another process could take the port, and its number
is the one line written to standard output. Standard input is the owner's lifeline: when the owner stops the engine or
dies in any way, it closes, and the engine ends as by SIGTERM, writing its data.
"""

import asyncio
import os
import signal
import socket
import sys
import threading

listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
port = listener.getsockname()[1]

# The engine reads these when it is imported; the second one is what functions are given to call it back.
os.environ["GATEWAY_PORT"] = str(port)
os.environ["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{port}"


def end_with_owner():
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


import additions  # noqa: E402
import throttles  # noqa: E402
from hypercorn.asyncio import serve  # noqa: E402
from hypercorn.config import Config  # noqa: E402
from ministack.app import app  # noqa: E402
from ministack.services import sqs  # noqa: E402

# The engine finds an event source's queue by a URL that holds the port. Kept data is to work on any port, so this one
# stays the same; clients are answered with the real one.
sqs.DEFAULT_PORT = "4566"

additions.add_all()

config = Config()
config.bind = [f"fd://{listener.fileno()}"]
config.keep_alive_timeout = 75
config.graceful_timeout = 2

print(port, flush=True)
threading.Thread(target=end_with_owner, daemon=True).start()
asyncio.run(serve(throttles.throttled(app), config))
