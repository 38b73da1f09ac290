"""Tests of what `sam_local.py` decides by itself. tests/sam/prove.py runs it whole, before a running stack.

    <venv>/bin/python infra/local/sam_local_test.py      (with the Python that the SAM CLI is installed in)
"""

import asyncio
import json
import os
import platform
import tempfile
import unittest
from argparse import Namespace
from pathlib import Path

import sam_local

VARIABLES = {
    "create-order": {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "WECHATPAY_BASE_URL": "http://127.0.0.1:8081",
        "NOTIFY_URL": "http://127.0.0.1:8080/v1/callbacks/wechatpay",
        "PAYMENT_REQUESTS_QUEUE_URL": "http://localhost:4566/000000000000/wechatpay-payment-requests",
    },
    "send-webhook": {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "LOG_LEVEL": "info"},
}
TEMPLATE = """
Globals:
  Function: { Architectures: [!Ref Architecture], Environment: { Variables: { KEYS_TABLE: !Ref KeysTable } } }
Resources:
  CreateOrder: { Type: AWS::Serverless::Function, Properties: { CodeUri: CreateOrder, MemorySize: 256 } }
  SendWebhook: { Type: AWS::Serverless::Function, Properties: { CodeUri: SendWebhook, Environment: { Variables: { A: !Ref B } } } }
  NotifyOperators: { Type: AWS::Serverless::Function, Condition: HasChannels, Properties: { CodeUri: NotifyOperators } }
  Route: { Type: AWS::ApiGatewayV2::Route, Properties: { AuthorizerId: !Ref ConsoleAuthorizer } }
"""


class Files(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.built = self.folder / "build" / "template.yaml"
        _, number = sam_local.PROCESSORS[platform.machine()]
        for function in ("CreateOrder", "SendWebhook"):
            self.bootstrap(function, number)
        self.built.write_text(TEMPLATE)
        (self.folder / "client.json").write_text('{"api_url": "http://127.0.0.1:8080", "secret_base64": "c2VjcmV0"}')

    def bootstrap(self, function, number):
        program = self.built.parent / function / "bootstrap"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_bytes(b"\x7fELF" + bytes(14) + number.to_bytes(2, "little"))

    def written(self, variables=None):
        chosen = Namespace(api_port=3000, state=self.folder, write_to=self.folder / "out")
        return sam_local.write(self.built, variables or VARIABLES, chosen, "172.17.0.1")

    def test_a_container_gets_what_the_stack_deployed_at_addresses_that_it_reaches(self):
        self.assertEqual(self.written(), [4566, 8081])
        template = json.loads((self.folder / "out" / "local.json").read_text())
        properties = template["Resources"]["CreateOrder"]["Properties"]
        self.assertEqual(
            properties["Environment"]["Variables"],
            {
                "AWS_ENDPOINT_URL": "http://172.17.0.1:4566",
                "WECHATPAY_BASE_URL": "http://172.17.0.1:8081",
                # The simulator calls it, and is in no container.
                "NOTIFY_URL": "http://127.0.0.1:3000/v1/callbacks/wechatpay",
                "PAYMENT_REQUESTS_QUEUE_URL": "http://172.17.0.1:4566/000000000000/wechatpay-payment-requests",
            },
        )
        self.assertEqual(properties["CodeUri"], str(self.built.parent / "CreateOrder"))
        self.assertEqual(template["Globals"]["Function"], {"Architectures": [sam_local.PROCESSORS[platform.machine()][0]]})
        self.assertEqual(template["Resources"]["Route"]["Properties"], {"AuthorizerId": {"Ref": "ConsoleAuthorizer"}})

    def test_a_process_of_this_machine_gets_it_at_the_addresses_of_this_machine(self):
        self.written()
        lines = (self.folder / "out" / "local.env").read_text().splitlines()
        self.assertIn('AWS_ENDPOINT_URL="http://127.0.0.1:4566"', lines)
        self.assertIn('NOTIFY_URL="http://127.0.0.1:8080/v1/callbacks/wechatpay"', lines)
        self.assertIn('LOG_LEVEL="info"', lines)

    def test_the_settings_of_the_client_are_for_its_owner_alone(self):
        self.written()
        settings = self.folder / "out" / "client.json"
        self.assertEqual(os.stat(settings).st_mode & 0o777, 0o600)
        self.assertEqual(json.loads(settings.read_text())["api_url"], "http://127.0.0.1:3000")

    def test_an_optional_function_that_is_not_deployed_is_left_out(self):
        self.written()
        template = json.loads((self.folder / "out" / "local.json").read_text())
        self.assertNotIn("NotifyOperators", template["Resources"])
        self.assertIn("SendWebhook", template["Resources"])

    def test_one_variable_of_two_values_is_refused(self):
        differing = VARIABLES | {"send-webhook": VARIABLES["send-webhook"] | {"WECHATPAY_BASE_URL": "http://127.0.0.1:9"}}
        with self.assertRaisesRegex(sam_local.Failed, "send-webhook has another WECHATPAY_BASE_URL"):
            self.written(differing)

    def test_what_stands_in_the_way_says_what_to_do(self):
        with self.assertRaisesRegex(sam_local.Failed, "no function send-webhook.*start it again"):
            self.written({"create-order": VARIABLES["create-order"]})
        self.bootstrap("SendWebhook", 0xFFFF)
        with self.assertRaisesRegex(sam_local.Failed, "SendWebhook was built for another processor; run `sam build"):
            self.written()
        self.built.unlink()
        with self.assertRaisesRegex(sam_local.Failed, "run `sam build"):
            self.written()
        with self.assertRaisesRegex(sam_local.Failed, "start `cargo local`"):
            sam_local.deployed("http://127.0.0.1:9")


class Relay(unittest.IsolatedAsyncioTestCase):
    async def test_what_comes_at_the_bridge_is_answered_by_this_machine(self):
        async def echo(reader, writer):
            writer.write(await reader.read())
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        # Any other address of this machine stands for the bridge's.
        relaying = asyncio.create_task(sam_local.relay("127.0.0.2", [port]))
        await asyncio.sleep(0)
        for _ in range(200):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.2", port)
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
        writer.write(b"a request")
        writer.write_eof()
        self.assertEqual(await reader.read(), b"a request")
        writer.close()
        relaying.cancel()
        server.close()


if __name__ == "__main__":
    unittest.main()
