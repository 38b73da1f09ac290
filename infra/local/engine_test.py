"""Tests of what is added to the engine (src/engine/additions.py), with the engine and the real template deployed on it.
`cargo test -p local` runs them. No function is built for them: but for one they fail when they are called."""

import base64
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

os.environ["AWS_DEFAULT_REGION"] = "us-east-1"

import boto3
import deploy
from deploy_test import FUNCTIONS, OPTIONAL, ROOT

LAUNCHER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "src", "engine", "launch.py")
LIMIT_S = 60

# Longer than the time between two reads of a stream by the engine.
QUIET_S = 2.5


class Engine:
    """The engine as `src/engine.rs` runs it, with data that it keeps in `home`."""

    def __init__(self, home):
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "MINISTACK_REGION": "us-east-1",
            "MINISTACK_ACCOUNT_ID": "000000000000",
            "PERSIST_STATE": "1",
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": "unix:///nonexistent/docker.sock",
            "STATE_DIR": os.path.join(home, "state"),
            "TMPDIR": home,
        }
        self.log = os.path.join(home, "engine.log")
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-B", LAUNCHER, "0"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.endpoint = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        deadline = time.monotonic() + LIMIT_S
        while self.get("/_ministack/health")[0] != 200:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the engine does not answer: {self.said()}")
            time.sleep(0.05)
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name="us-east-1")
        self.client = lambda service, region=None: session.client(service, region, endpoint_url=self.endpoint)

    def get(self, path, method="GET"):
        request = urllib.request.Request(self.endpoint + path, method=method, data=b"" if method == "POST" else None)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()
        except OSError as error:
            return 0, str(error)

    def said(self):
        with open(self.log, encoding="utf-8") as log:
            return log.read()[-4000:]

    def stop(self):
        """Cuts its lifeline, as its owner does, and waits until its data is written."""
        self.process.stdin.close()
        self.process.wait(timeout=LIMIT_S)
        self.process.stdout.close()


FAILS = "#!/bin/sh\nexit 1\n"

# A function that hides each message for a second when it gets it first, and takes it the next time. It writes down
# which time it is, and when.
HIDES = f"""#!{sys.executable}
import json, os, time, urllib.parse, urllib.request
RUNTIME = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
QUEUE = os.environ["PAYMENT_RESULTS_QUEUE_URL"]
while True:
    with urllib.request.urlopen(RUNTIME + "next") as event:
        request_id, batch = event.headers["Lambda-Runtime-Aws-Request-Id"], json.load(event)
    failures = []
    for record in batch["Records"]:
        times = record["attributes"]["ApproximateReceiveCount"]
        with open("WRITTEN", "a") as written:
            print(times, time.time(), file=written)
        if times == "1":
            hide = dict(Action="ChangeMessageVisibility", QueueUrl=QUEUE, ReceiptHandle=record["receiptHandle"])
            form = urllib.parse.urlencode(dict(hide, VisibilityTimeout=1, Version="2012-11-05"))
            urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"], form.encode()).read()
            failures.append(dict(itemIdentifier=record["messageId"]))
    answer = json.dumps(dict(batchItemFailures=failures)).encode()
    urllib.request.urlopen(RUNTIME + request_id + "/response", answer).read()
"""


# Functions that answer each event: one logs, the other writes down what it gets.
ANSWERS = f"""#!{sys.executable}
import json, os, urllib.request
RUNTIME = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
while True:
    with urllib.request.urlopen(RUNTIME + "next") as event:
        request_id, text = event.headers["Lambda-Runtime-Aws-Request-Id"], event.read().decode()
    DOES
    urllib.request.urlopen(RUNTIME + request_id + "/response", b"null").read()
"""
LOGS = 'print(*(json.dumps(dict(level=level, message=level)) for level in ("INFO", "ERROR", "WARN")), sep=chr(10), flush=True)'
WRITES = 'print(text, file=open("WRITTEN", "a"), flush=True)'


class Stack:
    """The template's tables and queues on an engine, by their outputs."""

    def __init__(self, engine, home, parameters=None, programs=None):
        self.written = os.path.join(home, "written")
        fails = program(os.path.join(home, "fails"), FAILS)
        hides = program(os.path.join(home, "hides"), HIDES.replace("WRITTEN", self.written))
        self.engine = engine
        self.deployed = deploy.deploy(
            {
                "template": os.path.join(ROOT, "template.yaml"),
                "stack": "wechatpay",
                "endpoint": engine.endpoint,
                "region": "us-east-1",
                "parameters": {
                    "Mchid": "1900000001",
                    "Appids": "wx1",
                    "Architecture": "x86_64",
                    "ReserveConcurrency": "true",
                    "ApiRateLimit": "1",
                    "ApiBurstLimit": "1",
                    **(parameters or {}),
                },
                "binaries": {name: fails for name in FUNCTIONS} | {"process-payment": hides} | (programs or {}),
            }
        )
        self.outputs = self.deployed["outputs"]
        self.dynamodb, self.sqs = engine.client("dynamodb"), engine.client("sqs")

    def put(self, item):
        self.dynamodb.put_item(TableName=self.outputs["OrdersTableName"], Item=typed(item))

    def update(self, pk, **values):
        """Changes attributes of an order's item."""
        self.dynamodb.update_item(
            TableName=self.outputs["OrdersTableName"],
            Key=typed({"pk": pk, "sk": "order"}),
            UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
            ExpressionAttributeNames={f"#{name}": name for name in values},
            ExpressionAttributeValues={f":{name}": value for name, value in typed(values).items()},
        )

    def webhooks(self, count):
        """Receives `count` messages from the webhooks queue, and checks that no more come."""
        taken, quiet_since = [], None
        deadline = time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            url = self.outputs["WebhooksQueueUrl"]
            got = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
            for message in got:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                taken.append(json.loads(message["Body"]))
            if len(taken) < count or got:
                quiet_since = None
            elif quiet_since is None:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > QUIET_S:
                break
            time.sleep(0.1)
        return taken

    def leave_the_queue_alone(self):
        """Switches off what calls `send-webhook`, so that what arrives stays to be seen."""
        functions = self.engine.client("lambda")
        for source in functions.list_event_source_mappings()["EventSourceMappings"]:
            if source["EventSourceArn"].endswith(":wechatpay-webhooks"):
                functions.update_event_source_mapping(UUID=source["UUID"], Enabled=False)


def program(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)
    return path


def typed(item):
    """The item as DynamoDB writes it: texts and numbers."""
    return {name: {"N": str(value)} if isinstance(value, int) else {"S": value} for name, value in item.items()}


def change(order_no, version, old, new):
    """What an item says of its event: of an item of its own, or of an order's item with the first two."""
    return {
        "order_no": order_no,
        "client_id": "shop",
        "version": version,
        "subject": "order",
        "subject_id": order_no,
        "from": old,
        "to": new,
        "amount_fen": 100,
        "cause_kind": "request",
        "cause_id": f"r-{version}",
        "at": 1_785_556_800 + version,
        "trace": "0af7651916cd43dd8448eb211c80319c",
    }


def order_item(order_no):
    item = change(order_no, 1, "", "reserved")
    return item | {"pk": f"order#1900000001#{order_no}", "sk": "order", "state": "reserved", "sealed_body": "secret"}


def event_item(order_no, version, old, new):
    return change(order_no, version, old, new) | {
        "pk": f"order#1900000001#{order_no}",
        "sk": f"event#{version:010}",
    }


class OnTheEngine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.engine = Engine(cls.folder.name)
        cls.stack = Stack(cls.engine, cls.folder.name)
        cls.stack.leave_the_queue_alone()

    @classmethod
    def tearDownClass(cls):
        cls.engine.stop()
        cls.folder.cleanup()

    def test_an_events_item_arrives_as_an_event_that_holds_what_the_template_names_and_nothing_else(self):
        item = event_item("EVENT-1", 3, "awaiting_payment", "paid")
        self.stack.put(item | {"openid": "oPayer"})
        [event] = self.stack.webhooks(1)
        # What the item has not comes as an empty text.
        change_event = change("EVENT-1", 3, "awaiting_payment", "paid") | {"decision": ""}
        self.assertEqual(event.pop("detail"), {name: str(value) for name, value in change_event.items()})
        self.assertRegex(event.pop("id"), "^[0-9a-f-]{36}$")
        self.assertRegex(event.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(
            event,
            {
                "version": "0",
                "detail-type": "order.changed",
                "source": "wechatpay-on-lambda",
                "account": "000000000000",
                "region": "us-east-1",
                "resources": [],
            },
        )

    def test_a_persons_decision_arrives_as_it_was_stored(self):
        item = event_item("EVENT-2", 4, "abnormal", "abnormal") | {"decision": "eyJ3aG8iOiJMaSJ9"}
        self.stack.put(item)
        [event] = self.stack.webhooks(1)
        self.assertEqual(event["detail"]["decision"], "eyJ3aG8iOiJMaSJ9")

    def test_an_order_gives_its_first_two_events_and_no_other_change_of_an_item_gives_any(self):
        item = order_item("ORDER-1")
        self.stack.put(item)
        self.stack.update(item["pk"], attempt_until=5)
        self.stack.update(item["pk"], **change("ORDER-1", 2, "reserved", "awaiting_payment"), state="awaiting_payment")
        self.stack.update(item["pk"], due_at=7)
        self.stack.put(event_item("ORDER-1", 3, "awaiting_payment", "paid"))
        self.stack.update(item["pk"], state="paid")
        self.stack.put(event_item("ORDER-1", 1, "x", "y") | {"sk": "refund#R-1"})
        self.stack.put(event_item("ORDER-1", 1, "x", "y") | {"sk": "payment#T-1"})
        details = [event["detail"] for event in self.stack.webhooks(3)]
        self.assertEqual(
            [(each["version"], each["from"], each["to"]) for each in details],
            [
                ("1", "", "reserved"),
                ("2", "reserved", "awaiting_payment"),
                ("3", "awaiting_payment", "paid"),
            ],
        )
        self.assertNotIn("secret", json.dumps(details))

    def test_what_one_transaction_writes_gives_each_of_its_events(self):
        table = self.stack.outputs["OrdersTableName"]
        items = [event_item("TRANSACTION-1", version, "paid", "refunded") for version in (4, 5)]
        self.stack.dynamodb.transact_write_items(
            TransactItems=[{"Put": {"TableName": table, "Item": typed(item)}} for item in items]
        )
        versions = {event["detail"]["version"] for event in self.stack.webhooks(2)}
        self.assertEqual(versions, {"4", "5"})

    def test_the_archive_keeps_the_events_for_the_days_of_its_parameter(self):
        events = self.engine.client("events")
        [archive] = events.list_archives()["Archives"]
        self.assertEqual((archive["RetentionDays"], archive["State"]), (30, "ENABLED"))
        self.assertEqual(archive["EventSourceArn"], self.stack.outputs["OrderEventsBusArn"])
        self.stack.put(event_item("ARCHIVE-1", 6, "paid", "refunded"))
        self.stack.webhooks(1)
        self.assertEqual(events.list_archives()["Archives"][0]["EventCount"], archive["EventCount"] + 1)
        self.assertTrue(self.stack.outputs["OrderEventsArchiveArn"].endswith(archive["ArchiveName"]))

    def test_the_keys_can_be_replicated_into_a_second_region_unless_the_stack_says_no(self):
        kms = self.engine.client("kms")
        for output in ("MerchantSigningKeyId", "SecretsKeyId", "FieldsKeyId", "StorageKeyId"):
            key = kms.describe_key(KeyId=self.stack.outputs[output])["KeyMetadata"]
            self.assertTrue(key["MultiRegion"], output)
            self.assertTrue(key["KeyId"].startswith("mrk-"), output)
        before = self.stack.outputs
        # KMS cannot change a key that is there, and CloudFormation does not make another in its place.
        with self.assertRaisesRegex(deploy.Failure, "MultiRegion cannot be changed"):
            Stack(self.engine, self.folder.name, {"MultiRegionKeys": "false"})
        self.assertEqual(Stack(self.engine, self.folder.name).outputs, before)

    def test_a_key_is_rotated_on_demand_and_opens_what_it_sealed_before(self):
        kms = self.engine.client("kms")
        key = self.stack.outputs["FieldsKeyId"]
        context = {"of": "an order"}
        seal = lambda: kms.encrypt(KeyId=key, Plaintext=b"a payer", EncryptionContext=context)["CiphertextBlob"]
        opened = lambda sealed, **more: kms.decrypt(CiphertextBlob=sealed, EncryptionContext=context, **more)["Plaintext"]
        sealed, data_keys = [seal()], []
        for _ in range(2):
            data_keys.append(kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=context))
            self.assertTrue(kms.rotate_key_on_demand(KeyId=key)["KeyId"].endswith(key))
            sealed.append(seal())
        self.assertEqual({opened(one) for one in sealed}, {b"a payer"})
        self.assertEqual({opened(one, KeyId=key) for one in sealed}, {b"a payer"})
        for made in data_keys:
            self.assertEqual(opened(made["CiphertextBlob"]), made["Plaintext"])
        # Under the newest material alone the first would be something else.
        self.assertNotEqual(opened(sealed[0] + sealed[2][-9:]), b"a payer")
        signing = self.stack.outputs["MerchantSigningKeyId"]
        with self.assertRaises(kms.exceptions.UnsupportedOperationException):
            kms.rotate_key_on_demand(KeyId=signing)

    def test_a_simulation_goes_by_what_it_is_told_of_a_request(self):
        iam = self.engine.client("iam")
        [role] = [r["Arn"] for r in iam.list_roles(MaxItems=1000)["Roles"] if "SendWebhookRole" in r["RoleName"]]
        key = self.engine.client("kms").describe_key(KeyId=self.stack.outputs["SecretsKeyId"])["KeyMetadata"]["Arn"]
        for purpose, decision in (("webhook-secret", "allowed"), ("apiv3-key", "implicitDeny")):
            told = {
                "ContextKeyName": "kms:EncryptionContext:purpose",
                "ContextKeyType": "string",
                "ContextKeyValues": [purpose],
            }
            simulated = iam.simulate_principal_policy(
                PolicySourceArn=role, ActionNames=["kms:Decrypt"], ResourceArns=[key], ContextEntries=[told]
            )
            self.assertEqual([result["EvalDecision"] for result in simulated["EvaluationResults"]], [decision], purpose)

    def test_a_domain_leads_to_the_api_and_the_address_beside_it_is_shut(self):
        before, api_id = self.stack.outputs, self.stack.outputs["ApiId"]
        certificate = "arn:aws:acm:us-east-1:000000000000:certificate/1"
        domain = {"DomainName": "pay.example.com", "DomainCertificateArn": certificate}
        api = self.engine.client("apigatewayv2")
        for kept, is_shut in (("true", False), ("false", True)):
            outputs = Stack(self.engine, self.folder.name, domain | {"KeepDefaultEndpoint": kept}).outputs
            self.assertEqual(outputs["ApiUrl"], "https://pay.example.com")
            self.assertEqual(outputs["NotifyUrl"], "https://pay.example.com/v1/callbacks/wechatpay")
            self.assertIn("execute-api", outputs["DomainTarget"])
            [mapping] = api.get_api_mappings(DomainName="pay.example.com")["Items"]
            self.assertEqual((mapping["ApiId"], mapping["Stage"]), (api_id, "$default"))
            self.assertEqual(api.get_api(ApiId=api_id)["DisableExecuteApiEndpoint"], is_shut)
            configured = self.engine.client("lambda").get_function_configuration(FunctionName="wechatpay-create-order")
            self.assertEqual(configured["Environment"]["Variables"]["NOTIFY_URL"], outputs["NotifyUrl"])
        self.assertEqual(Stack(self.engine, self.folder.name).outputs, before)

    def test_every_route_of_the_contract_leads_to_a_function(self):
        api = self.stack.outputs["ApiId"]
        for method, path in (
            ("POST", "/v1/orders"),
            ("GET", "/v1/orders/A-000001"),
            ("POST", "/v1/orders/A-000001/close"),
            ("POST", "/v1/orders/A-000001/refunds"),
            ("GET", "/v1/orders/A-000001/refunds"),
            ("GET", "/v1/orders/A-000001/refunds/R-1"),
            ("POST", "/v1/orders/A-000001/refunds/R-1/abnormal"),
            ("POST", "/v1/orders/A-000001/refunds/R-1/retry"),
            ("POST", "/v1/orders/A-000001/refunds/R-1/release"),
            ("POST", "/v1/orders/A-000001/refunds/R-1/payer-paid"),
            ("GET", "/v1/orders/A-000001/events"),
            ("POST", "/v1/orders/A-000001/events/3/replay"),
            ("GET", "/v1/webhook"),
            ("POST", "/v1/webhook/resend"),
            ("POST", "/v1/callbacks/wechatpay"),
        ):
            status, body = self.engine.get(f"/_aws/execute-api/{api}/$default{path}", method)
            # The function cannot start, which is more than is said of a route that is not there.
            self.assertIn(status, (500, 502), f"{method} {path}: {body}")
        status, _ = self.engine.get(f"/_aws/execute-api/{api}/$default/v1/orders/A-000001/others")
        self.assertEqual(status, 404)

    def test_notices_are_found_by_their_status_in_the_order_of_their_last_change(self):
        table = self.stack.outputs["NoticesTableName"]
        for notice, status, at in (("N-1", "parked", 3), ("N-2", "pending", 2), ("N-3", "parked", 1)):
            item = typed({"pk": f"1900000001#{notice}", "status": status, "updated_at": at})
            self.stack.dynamodb.put_item(TableName=table, Item=item)
        found = self.stack.dynamodb.query(
            TableName=table,
            IndexName="by_status",
            KeyConditionExpression="#status = :parked",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":parked": {"S": "parked"}},
        )
        self.assertEqual([item["pk"]["S"] for item in found["Items"]], ["1900000001#N-3", "1900000001#N-1"])

    def test_a_message_can_be_put_off_for_as_long_as_the_longest_pause_between_two_tries(self):
        url = self.stack.outputs["PaymentResultsDlqUrl"]
        self.stack.sqs.send_message(QueueUrl=url, MessageBody="later")
        [message] = self.stack.sqs.receive_message(QueueUrl=url, VisibilityTimeout=1)["Messages"]
        self.stack.sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=36_000
        )
        time.sleep(1.2)
        self.assertNotIn("Messages", self.stack.sqs.receive_message(QueueUrl=url))

    def test_a_message_that_a_function_hides_comes_back_when_it_said(self):
        self.stack.sqs.send_message(QueueUrl=self.stack.outputs["PaymentResultsQueueUrl"], MessageBody="hide me")
        deadline = time.monotonic() + LIMIT_S
        seen = []
        while len(seen) < 2 and time.monotonic() < deadline:
            time.sleep(0.1)
            if os.path.exists(self.stack.written):
                with open(self.stack.written, encoding="utf-8") as written:
                    seen = [line.split() for line in written]
        self.assertEqual([times for times, _ in seen], ["1", "2"], self.engine.said())
        pause_s = float(seen[1][1]) - float(seen[0][1])
        self.assertGreater(pause_s, 0.9)
        # The queue's own time-out is three minutes.
        self.assertLess(pause_s, 30)

    def test_the_rule_of_the_backups_takes_how_those_of_its_vault_and_their_copies_ended_and_nothing_else(self):
        resources = deploy.read_template(os.path.join(ROOT, "infra", "backup.yaml"))["Resources"]
        vault, other = (f"arn:aws:backup:us-east-1:000000000000:backup-vault:{name}" for name in ("own", "other"))

        def filled(value):
            match value:
                case {"Ref": "Vault"}:
                    return "own"
                case {"Fn::GetAtt": ["Vault", "BackupVaultArn"]}:
                    return vault
                case dict():
                    return {key: filled(inner) for key, inner in value.items()}
                case list():
                    return [filled(inner) for inner in value]
                case _:
                    return value

        pattern = json.dumps(filled(resources["Ended"]["Properties"]["EventPattern"]))
        events = self.engine.client("events")
        of_own, of_other = {"backupVaultName": "own"}, {"backupVaultName": "other"}
        copied = {"sourceBackupVaultArn": vault, "destinationBackupVaultArn": other}
        brought = {"sourceBackupVaultArn": other, "destinationBackupVaultArn": vault}
        ended = ("COMPLETED", "FAILED", "ABORTED", "EXPIRED", "PARTIAL")
        for kind, detail, taken in (
            ("Backup", of_own, ended),
            ("Copy", copied, ended),
            ("Backup", of_other, ()),
            ("Copy", brought, ()),
            ("Restore", of_own, ()),
        ):
            for state in (*ended, "CREATED", "PENDING", "RUNNING", "ABORTING"):
                event = {"id": "1", "version": "0", "account": "000000000000", "region": "us-east-1", "resources": []}
                event |= {"time": "2026-08-01T20:10:00Z", "source": "aws.backup", "detail-type": f"{kind} Job State Change"}
                event |= {"detail": {"state": state, **detail}}
                found = events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]
                self.assertEqual(found, state in taken, (kind, state, detail))

    def test_what_was_added_to_the_engine_is_printed(self):
        printed = " ".join(self.stack.deployed["adaptations"])
        subjects = ("Pipes: ", "Streams: ", "Archives: ", "Imported keys: ", "Concurrency ", "Time to live: ", "Releases: ")
        for subject in subjects:
            self.assertIn(subject, printed)

    def test_what_is_listed_as_without_effect_has_none(self):
        """When the engine learns one of them, its sentence goes, and this test says so."""
        functions = self.stack.engine.client("lambda")
        names = [function["FunctionName"] for function in functions.list_functions()["Functions"]]
        self.assertEqual(len(names), len(FUNCTIONS) - len(OPTIONAL))
        for name in names:
            reserved = functions.get_function_concurrency(FunctionName=name)
            self.assertIsNone(reserved.get("ReservedConcurrentExecutions"), name)
        path = f"/_aws/execute-api/{self.stack.outputs['ApiId']}/$default/v1/orders/A"
        answers = [self.stack.engine.get(path)[0] for _ in range(5)]
        self.assertNotIn(429, answers)
        for table in self.stack.dynamodb.list_tables()["TableNames"]:
            backups = self.stack.dynamodb.describe_continuous_backups(TableName=table)
            described = backups["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
            self.assertNotEqual(described.get("PointInTimeRecoveryStatus"), "ENABLED", table)


class Releases(unittest.TestCase):
    def test_what_was_deployed_last_is_what_the_aliases_lead_to_and_queues_call_those(self):
        with tempfile.TemporaryDirectory() as home:
            engine = Engine(home)
            try:
                functions = engine.client("lambda")
                for times, level in enumerate(("info", "debug"), start=1):
                    self.assertTrue(Stack(engine, home, {"LogLevel": level}).deployed["changed"])
                    for name in set(FUNCTIONS) - OPTIONAL:
                        named = {"FunctionName": f"wechatpay-{name}"}
                        runs = functions.get_function_configuration(**named, Qualifier="live")
                        self.assertEqual(runs["Environment"]["Variables"]["LOG_LEVEL"], level)
                        self.assertEqual(runs["Version"], str(times))
                        kept = [each["Version"] for each in functions.list_versions_by_function(**named)["Versions"]]
                        # The version before is there to go back to.
                        self.assertEqual(kept, ["$LATEST", *(str(version) for version in range(1, times + 1))])
                sources = functions.list_event_source_mappings()["EventSourceMappings"]
                self.assertEqual(len(sources), 4)
                for source in sources:
                    self.assertTrue(source["FunctionArn"].endswith(":live"), source["FunctionArn"])
            finally:
                engine.stop()


class Forwarding(unittest.TestCase):
    def test_a_running_stack_that_is_told_to_forward_errors_hands_these_on_and_no_other_line(self):
        with tempfile.TemporaryDirectory() as home:
            engine = Engine(home)
            try:
                written = os.path.join(home, "forwarded")
                programs = {
                    "create-order": program(os.path.join(home, "logs"), ANSWERS.replace("DOES", LOGS)),
                    "forward-errors": program(
                        os.path.join(home, "writes"), ANSWERS.replace("DOES", WRITES.replace("WRITTEN", written))
                    ),
                }
                Stack(engine, home, programs=programs)
                stack = Stack(engine, home, {"LogForwarding": "errors"}, programs)
                self.assertIn("Subscription filters: ", " ".join(stack.deployed["adaptations"]))
                logs, functions = engine.client("logs"), engine.client("lambda")
                for name in set(FUNCTIONS) - OPTIONAL:
                    found = logs.describe_subscription_filters(logGroupName=f"/aws/lambda/wechatpay-{name}")
                    self.assertEqual(len(found["subscriptionFilters"]), 1, name)
                functions.invoke(FunctionName="wechatpay-create-order", Payload=b"{}")
                deadline = time.monotonic() + LIMIT_S
                while not os.path.exists(written) and time.monotonic() < deadline:
                    time.sleep(0.1)
                with open(written, encoding="utf-8") as lines:
                    [event] = [json.loads(line) for line in lines]
                batch = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
                self.assertEqual(batch["logGroup"], "/aws/lambda/wechatpay-create-order")
                self.assertEqual([json.loads(line["message"])["level"] for line in batch["logEvents"]], ["ERROR"])
            finally:
                engine.stop()


class InAnotherRegion(unittest.TestCase):
    def test_a_stack_that_is_given_another_regions_keys_opens_what_they_sealed_and_makes_none(self):
        with tempfile.TemporaryDirectory() as home:
            engine = Engine(home)
            try:
                kms = engine.client("kms")
                first = engine.client("kms", "us-west-2")
                context, given, sealed = {"purpose": "client-key"}, {}, {}
                for name in ("SecretsKey", "FieldsKey"):
                    made = first.create_key(MultiRegion=True, Description=f"{name} of the other Region")["KeyMetadata"]
                    sealed[name] = first.encrypt(KeyId=made["KeyId"], Plaintext=b"text", EncryptionContext=context)
                    replica = first.replicate_key(KeyId=made["KeyId"], ReplicaRegion="us-east-1")
                    given[f"{name}Arn"] = replica["ReplicaKeyMetadata"]["Arn"]
                stack = Stack(engine, home, given)
                variables = engine.client("lambda").get_function_configuration(FunctionName="wechatpay-process-payment")
                variables = variables["Environment"]["Variables"]
                for name, variable in (("SecretsKey", "SECRETS_KEY_ID"), ("FieldsKey", "FIELDS_KEY_ID")):
                    self.assertEqual(stack.outputs[f"{name}Id"], given[f"{name}Arn"])
                    self.assertEqual(variables[variable], given[f"{name}Arn"])
                    blob = sealed[name]["CiphertextBlob"]
                    opened = kms.decrypt(KeyId=variables[variable], CiphertextBlob=blob, EncryptionContext=context)
                    self.assertEqual(opened["Plaintext"], b"text")
                resources = engine.client("cloudformation").list_stack_resources(StackName="wechatpay")
                made = {each["LogicalResourceId"] for each in resources["StackResourceSummaries"]}
                self.assertFalse({"SecretsKey", "FieldsKey"} & made)
                self.assertIn("StorageKey", made)
            finally:
                engine.stop()


class OverARestart(unittest.TestCase):
    def test_no_event_is_lost_or_sent_twice_when_the_engine_is_stopped_and_started_again(self):
        with tempfile.TemporaryDirectory() as home:
            engine = Engine(home)
            try:
                stack = Stack(engine, home)
                stack.leave_the_queue_alone()
                for version in range(3, 6):
                    stack.put(event_item("RESTART-1", version, "a", "b"))
                first = stack.webhooks(3)
                # Some of these the Pipe has taken when the engine stops, some it has not.
                for version in range(6, 30):
                    stack.put(event_item("RESTART-1", version, "a", "b"))
                    if version == 18:
                        time.sleep(1.1)
            finally:
                engine.stop()
            engine = Engine(home)
            try:
                stack = Stack(engine, home)
                self.assertFalse(stack.deployed["changed"])
                for version in range(30, 33):
                    stack.put(event_item("RESTART-1", version, "a", "b"))
                events = first + stack.webhooks(27)
            finally:
                engine.stop()
            versions = [int(event["detail"]["version"]) for event in events]
            self.assertEqual(sorted(versions), list(range(3, 33)))


if __name__ == "__main__":
    unittest.main()
