"""Throttles on demand: calls of one AWS service refused as AWS refuses what comes too fast, until that is ended.

    curl ENGINE/_local/throttles --json '{"service": "dynamodb", "percent": 20}'
    curl ENGINE/_local/throttles
    curl -X DELETE ENGINE/_local/throttles

What the engine does by itself (queues to functions, the Pipe, schedules) makes no such calls and goes on.
"""

import json
import threading

PATH = "/_local/throttles"

# What names the service in a call's X-Amz-Target, and how that service refuses.
SERVICES = {
    "dynamodb": (
        "DynamoDB_20120810.",
        400,
        "com.amazonaws.dynamodb.v20120810#ThrottlingException",
        "Throughput exceeds the current capacity of your table or index.",
    ),
    "kms": ("TrentService.", 400, "ThrottlingException", "Rate exceeded"),
    "sqs": ("AmazonSQS.", 403, "com.amazonaws.sqs#RequestThrottled", "Request is throttled."),
}


class Refused(Exception):
    """A throttle that cannot be; the text says why."""


class Throttles:
    """Which share of each service's calls is refused: spread evenly, so that 20 percent is each fifth call."""

    def __init__(self):
        self.lock = threading.Lock()
        self.percents = {}
        self.sums = {}

    def set(self, wanted):
        service, percent = wanted.get("service"), wanted.get("percent", 100)
        if service not in SERVICES:
            raise Refused(f"service is one of {', '.join(SERVICES)}")
        if type(percent) is not int or not 1 <= percent <= 100:
            raise Refused("percent is a whole number from 1 to 100")
        with self.lock:
            self.percents[service] = percent

    def clear(self):
        with self.lock:
            self.percents.clear()
            self.sums.clear()

    def refusal(self, target):
        """How this call is refused, or None if it is let through."""
        for service, (prefix, status, code, message) in SERVICES.items():
            if target.startswith(prefix):
                with self.lock:
                    sum_now = self.sums.get(service, 0) + self.percents.get(service, 0)
                    self.sums[service] = sum_now % 100
                return (status, {"__type": code, "message": message}) if sum_now >= 100 else None
        return None


def throttled(app):
    """The engine with these throttles before it."""
    throttles = Throttles()

    async def throttled_app(scope, receive, send):
        if scope["type"] != "http":
            await app(scope, receive, send)
        elif scope["path"] == PATH:
            status, answer = change(throttles, scope["method"], await body_of(receive))
            await reply(send, status, answer, "application/json")
        elif refusal := throttles.refusal(target_of(scope)):
            # Read to its end, so that the connection can be used again.
            await body_of(receive)
            status, answer = refusal
            await reply(send, status, answer, "application/x-amz-json-1.0")
        else:
            await app(scope, receive, send)

    return throttled_app


def change(throttles, method, body):
    try:
        if method == "POST":
            throttles.set(json.loads(body))
        elif method == "DELETE":
            throttles.clear()
        elif method != "GET":
            return 405, {"error": "GET, POST or DELETE"}
    except (ValueError, AttributeError, Refused) as error:
        return 400, {"error": str(error)}
    return 200, throttles.percents


def target_of(scope):
    return next((value.decode("latin-1") for name, value in scope["headers"] if name.lower() == b"x-amz-target"), "")


async def body_of(receive):
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body"):
            return b"".join(parts)


async def reply(send, status, answer, content_type):
    body = json.dumps(answer).encode()
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
