"""Tests of what `deploy.py` decides by itself, without an engine. `cargo test -p local` runs them."""

import copy
import json
import os
import tempfile
import unittest

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"

import deploy  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FUNCTIONS = ["create-order", "manage-order", "receive-callback", "process-payment", "reconcile", "send-webhook", "console", "notify-operators", "forward-errors"]
# Made where a parameter asks for them alone.
OPTIONAL = {"notify-operators", "forward-errors"}
KEYS = {name: f"{name}-0.zip" for name in FUNCTIONS}


def translated(parameters):
    template = deploy.read_template(os.path.join(ROOT, "template.yaml"))
    return deploy.translate(template, {"Mchid": "1900000001", "Appids": "wx1", **parameters}, KEYS, "us-east-1")


class Translation(unittest.TestCase):
    def test_the_real_template_becomes_plain_cloudformation_with_a_package_for_each_function(self):
        resources = translated({})["Resources"].values()
        self.assertFalse([r["Type"] for r in resources if r["Type"].startswith("AWS::Serverless")])
        codes = [r["Properties"]["Code"] for r in resources if r["Type"] == "AWS::Lambda::Function"]
        self.assertEqual(sorted(code["S3Key"] for code in codes), sorted(KEYS.values()))

    def test_a_missing_and_an_unknown_parameter_are_named(self):
        template = deploy.read_template(os.path.join(ROOT, "template.yaml"))
        with self.assertRaisesRegex(deploy.Failure, "Mchid"):
            deploy.translate(copy.deepcopy(template), {"Appids": "wx1"}, KEYS, "us-east-1")
        with self.assertRaisesRegex(deploy.Failure, "Colour"):
            deploy.translate(template, {"Mchid": "1", "Appids": "wx1", "Colour": "red"}, KEYS, "us-east-1")

    def test_a_function_that_was_not_built_is_named(self):
        template = deploy.read_template(os.path.join(ROOT, "template.yaml"))
        built = {name: key for name, key in KEYS.items() if name != "reconcile"}
        with self.assertRaisesRegex(deploy.Failure, "reconcile"):
            deploy.translate(template, {"Mchid": "1", "Appids": "wx1"}, built, "us-east-1")


class Adaptations(unittest.TestCase):
    def test_the_concurrency_of_a_queue_source_becomes_the_number_that_holds(self):
        template = translated({"PaymentResultsConcurrency": "7"})
        self.assertTrue(deploy.concurrency_as_number(template))
        sources = [r for r in template["Resources"].values() if r["Type"] == "AWS::Lambda::EventSourceMapping"]
        concurrencies = {r["Properties"]["ScalingConfig"]["MaximumConcurrency"] for r in sources}
        self.assertEqual(concurrencies, {2, 5, 7, 8})
        self.assertFalse(deploy.concurrency_as_number(template), "nothing is left to adapt")

    def test_the_console_is_open_on_this_machine_alone(self):
        routes = [r for r in translated({})["Resources"].values() if "AuthorizerId" in r["Properties"]]
        self.assertEqual(len(routes), 9)
        self.assertFalse(deploy.console_on_loopback(translated({})))
        template = translated({"ConsoleOnLoopback": "true"})
        self.assertTrue(deploy.console_on_loopback(template))
        self.assertFalse([r for r in template["Resources"].values() if "AuthorizerId" in r["Properties"]])
        self.assertNotIn("ConsoleAuthorizer", template["Resources"])

    def test_what_is_watched_has_all_its_values(self):
        os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
        template = translated({})
        physical = {"PaymentRequestsDlq": "http://127.0.0.1:4566/000000000000/wechatpay-payment-requests-dlq"}
        physical |= {"CreateOrder": "wechatpay-create-order", "ApiLogs": "/aws/vendedlogs/apis/wechatpay"}
        physical |= {"AnswersUnverifiedAlarm": "wechatpay-answers-unverified"}
        watched = deploy.watched(template, "wechatpay", physical)
        alarms = {alarm["AlarmName"]: alarm for alarm in watched["alarms"]}
        dead = alarms["wechatpay-payment-requests-dlq"]
        self.assertEqual(dead["Dimensions"], [{"Name": "QueueName", "Value": "wechatpay-payment-requests-dlq"}])
        self.assertEqual(alarms["wechatpay-create-order-errors"]["Dimensions"][0]["Value"], "wechatpay-create-order")
        composites = {alarm["AlarmName"]: alarm for alarm in watched["composites"]}
        failing = composites["wechatpay-wechat-pay-failing"]
        self.assertEqual(failing["ActionsSuppressor"], "wechatpay-answers-unverified")
        self.assertTrue(failing["AlarmActions"], "as if there were a topic")
        groups = {each["LogGroupName"] for each in watched["filters"]}
        self.assertIn("/aws/vendedlogs/apis/wechatpay", groups)
        self.assertIn("$context.error.message", watched["access_log"])
        self.assertEqual(watched["access_log_group"], "/aws/vendedlogs/apis/wechatpay")
        self.assertNotIn("Fn::", json.dumps(watched))

    def test_a_release_moves_each_alias_at_once_and_leaves_nothing_of_codedeploy(self):
        template = translated({})
        of = lambda kind: [r for r in template["Resources"].values() if r["Type"].startswith(kind)]
        self.assertEqual(len(of("AWS::CodeDeploy::")), 10)
        self.assertEqual({r["DeletionPolicy"] for r in of("AWS::Lambda::Version")}, {"Retain"})
        self.assertTrue(deploy.released_at_once(template))
        self.assertEqual(of("AWS::CodeDeploy::"), [])
        self.assertEqual(len(of("AWS::Lambda::Alias")), 9)
        self.assertFalse([r for r in of("AWS::Lambda::Alias") if "UpdatePolicy" in r])
        self.assertEqual({r["DeletionPolicy"] for r in of("AWS::Lambda::Version")}, {"Delete"})
        self.assertFalse(deploy.released_at_once(template), "nothing is left to adapt")

    def test_whatever_differs_is_a_release_of_another_name(self):
        def named(parameters, keys={"create-order": "a.zip"}):
            deploy.name_the_release(deploy.read_template(os.path.join(ROOT, "template.yaml")), parameters, keys)
            return parameters["Release"]

        first = named({"LogLevel": "info"})
        self.assertRegex(first, "^[0-9a-f]{12}$")
        self.assertEqual(first, named({"LogLevel": "info"}))
        self.assertNotEqual(first, named({"LogLevel": "debug"}))
        self.assertNotEqual(first, named({"LogLevel": "info"}, {"create-order": "b.zip"}))
        self.assertEqual(named({"Release": "mine"}), "mine")

    def test_only_tables_with_a_time_to_live_get_one_set(self):
        times = deploy.take_times_to_live(translated({}))
        expires = {"AttributeName": "expires_at", "Enabled": True}
        self.assertEqual(times, dict.fromkeys(("GuardsTable", "NoticesTable", "UndeliveredEventsTable"), expires))

    def test_limits_that_the_engine_drops_are_named(self):
        printed = " ".join(deploy.dropped(translated({"ReserveConcurrency": "true"})))
        for subject in ("Reserved concurrency: ", "Throttles: ", "Permissions: ", "Point-in-time recovery: ", "Fair queues: "):
            self.assertIn(subject, printed)
        printed = deploy.dropped(translated({"ReserveConcurrency": "false"}))
        self.assertNotIn(deploy.reserved_concurrency.__doc__, printed)
        self.assertEqual(deploy.dropped({"Resources": {}, "Parameters": {}}), [])

    def test_every_adaptation_says_why(self):
        for adaptation in [*deploy.ADAPTATIONS, *deploy.WITHOUT_EFFECT, deploy.take_times_to_live]:
            self.assertIn("engine", adaptation.__doc__)


class Packages(unittest.TestCase):
    def test_a_package_holds_an_executable_bootstrap_and_is_named_by_its_program(self):
        import io
        import zipfile

        with tempfile.NamedTemporaryFile() as program:
            program.write(b"#!/bin/sh\n")
            program.flush()
            content = deploy.package(program.name)
            name = deploy.digest_of(program.name)
            program.write(b"true\n")
            program.flush()
            self.assertNotEqual(name, deploy.digest_of(program.name))
        entry = zipfile.ZipFile(io.BytesIO(content)).infolist()[0]
        self.assertEqual((entry.filename, entry.external_attr >> 16), ("bootstrap", 0o100755))


if __name__ == "__main__":
    unittest.main()
