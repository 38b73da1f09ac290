"""Tests of `src/engine/throttles.py`, without an engine. `cargo test -p local` runs them."""

import asyncio
import json
import os
import sys
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "src", "engine"))

import throttles  # noqa: E402


async def engine(_scope, receive, send):
    await throttles.body_of(receive)
    await throttles.reply(send, 200, "the engine", "text/plain")


class Throttled(unittest.TestCase):
    def setUp(self):
        self.app = throttles.throttled(engine)

    def call(self, method, path, body=b"", target=""):
        sent = []
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return parts.pop(0)

        async def send(message):
            sent.append(message)

        headers = [(b"X-Amz-Target", target.encode())] if target else []
        scope = {"type": "http", "method": method, "path": path, "headers": headers}
        asyncio.run(self.app(scope, receive, send))
        self.assertEqual(parts, [], "the body was read")
        return sent[0]["status"], json.loads(sent[1]["body"])

    def statuses(self, target, count):
        return [self.call("POST", "/", b"{}", target)[0] for _ in range(count)]

    def throttle(self, **wanted):
        return self.call("POST", throttles.PATH, json.dumps(wanted).encode())

    def test_a_share_of_one_services_calls_is_refused_until_that_is_ended(self):
        self.assertEqual(self.throttle(service="dynamodb", percent=40), (200, {"dynamodb": 40}))
        self.assertEqual(self.statuses("DynamoDB_20120810.PutItem", 10).count(400), 4)
        self.assertEqual(self.statuses("AmazonSQS.SendMessage", 10), [200] * 10)
        self.assertEqual(self.call("DELETE", throttles.PATH), (200, {}))
        self.assertEqual(self.statuses("DynamoDB_20120810.PutItem", 10), [200] * 10)

    def test_each_service_refuses_in_its_own_words(self):
        for service, target, status, code in [
            ("dynamodb", "DynamoDB_20120810.GetItem", 400, "ThrottlingException"),
            ("kms", "TrentService.Sign", 400, "ThrottlingException"),
            ("sqs", "AmazonSQS.SendMessage", 403, "RequestThrottled"),
        ]:
            self.throttle(service=service)
            refused, answer = self.call("POST", "/", b"{}", target)
            self.assertEqual((refused, answer["__type"].split("#")[-1]), (status, code))

    def test_what_is_no_throttle_is_refused_with_its_cause(self):
        for body in [b"", b"[]", b'{"service": "s3"}', b'{"service": "kms", "percent": 0}', b'{"service": "kms", "percent": true}']:
            status, answer = self.call("POST", throttles.PATH, body)
            self.assertEqual((status, list(answer)), (400, ["error"]), body)
        self.assertEqual(self.call("GET", throttles.PATH), (200, {}))


if __name__ == "__main__":
    unittest.main()
