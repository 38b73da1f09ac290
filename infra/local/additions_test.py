"""Tests of what `src/engine/additions.py` decides by itself, without an engine. `cargo test -p local` runs them."""

import json
import os
import sys
import time
import unittest
from unittest import mock

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "src", "engine"))

import additions  # noqa: E402

PIPE = "arn:aws:pipes:us-east-1:000000000000:pipe/p"


def record(number=1, sk="event#0000000003", age_s=0):
    return {
        "eventName": "INSERT",
        "dynamodb": {
            "ApproximateCreationDateTime": int(time.time()) - age_s,
            "Keys": {"sk": {"S": sk}},
            "NewImage": {"name": {"S": 'a "b"\n充值'}, "empty": {"S": ""}, "count": {"N": str(number)}},
            "SequenceNumber": str(number),
        },
    }


class Templates(unittest.TestCase):
    def filled(self, template):
        return json.loads(additions.fill(template, record(7)))

    def test_a_value_in_quotes_becomes_a_text_whatever_it_holds(self):
        template = '{"name": "<$.dynamodb.NewImage.name.S>", "count": "<$.dynamodb.NewImage.count.N>"}'
        self.assertEqual(self.filled(template), {"name": 'a "b"\n充值', "count": "7"})

    def test_an_empty_and_an_absent_value_become_empty_texts(self):
        template = '{"empty": "<$.dynamodb.NewImage.empty.S>", "absent": "<$.dynamodb.NewImage.absent.S>"}'
        self.assertEqual(self.filled(template), {"empty": "", "absent": ""})

    def test_a_value_without_quotes_keeps_its_form(self):
        self.assertEqual(self.filled('{"keys": <$.dynamodb.Keys>}'), {"keys": {"sk": {"S": "event#0000000003"}}})

    def test_a_template_or_filter_that_cannot_be_read_is_refused_when_the_pipe_is_made(self):
        good = {"SourceParameters": {"FilterCriteria": {"Filters": [{"Pattern": '{"eventName":["INSERT"]}'}]}}}
        additions.check(good | {"TargetParameters": {"InputTemplate": '{"a": "<$.b>"}'}})
        additions.check({})
        for template in ('{"a": "b <$.c>"}', '{"a": <$.b[0]>}', '{"a": "<aws.pipes.pipe-name>"}', '{"a": <$.b>'):
            with self.assertRaises(ValueError, msg=template):
                additions.check({"TargetParameters": {"InputTemplate": template}})
        with self.assertRaises(ValueError):
            additions.check({"SourceParameters": {"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}})


class Alarms(unittest.TestCase):
    """What is given to the engine's CloudFormation, with stand-ins for its parts."""

    def test_an_alarm_over_metric_math_is_stored_on_a_metric_that_nobody_puts_and_others_as_they_are(self):
        provisioners = mock.Mock()
        provisioners._cw_metric_alarm_record = lambda name, properties: properties
        additions.know_alarms_over_expressions(provisioners)
        over_math = provisioners._cw_metric_alarm_record("a", {"Metrics": [{"Id": "m1"}], "Threshold": 1})
        self.assertEqual(over_math, {"Threshold": 1, "Namespace": "local/over-expressions", "MetricName": "a"})
        plain = {"Namespace": "N", "MetricName": "M"}
        self.assertEqual(provisioners._cw_metric_alarm_record("b", plain), plain)

    def test_a_composite_alarm_is_made_changed_and_deleted_and_a_refused_one_fails_the_deployment(self):
        asked = []
        cloudwatch = mock.Mock(_composite_alarms={"c": {"AlarmArn": "arn"}})
        cloudwatch._put_composite_alarm = lambda params, request, *_, is_json: asked.append(request) or (200, {}, b"{}")
        provisioners = mock.Mock(_RESOURCE_HANDLERS={})
        with mock.patch.dict(sys.modules, {"ministack": mock.Mock(), "ministack.services": mock.Mock(cloudwatch=cloudwatch)}):
            additions.know_composite_alarms(provisioners)
        handlers = provisioners._RESOURCE_HANDLERS["AWS::CloudWatch::CompositeAlarm"]
        properties = {"AlarmName": "c", "AlarmRule": 'ALARM("a")', "ActionsSuppressor": "s", "Tags": []}
        self.assertEqual(handlers["create"]("C", properties, "stack"), ("c", {"Arn": "arn"}))
        handlers["update"]("c", properties, properties | {"AlarmRule": "FALSE"}, "stack")
        self.assertEqual([one["AlarmRule"] for one in asked], ['ALARM("a")', "FALSE"])
        self.assertNotIn("ActionsSuppressor", asked[0])
        handlers["delete"]("c", properties)
        self.assertEqual(cloudwatch._composite_alarms, {})
        cloudwatch._put_composite_alarm = lambda *_, is_json: (400, {}, b"no such child")
        with self.assertRaisesRegex(ValueError, "no such child"):
            handlers["create"]("C", properties, "stack")


class Simulations(unittest.TestCase):
    def test_what_a_simulation_is_told_is_read_by_keys_of_no_case_and_stays_a_list_where_it_is_one(self):
        told = {
            "ContextEntries.member.1.ContextKeyName": "kms:EncryptionContext:purpose",
            "ContextEntries.member.1.ContextKeyType": "string",
            "ContextEntries.member.1.ContextKeyValues.member.1": "client-key",
            "ContextEntries.member.2.ContextKeyName": "dynamodb:LeadingKeys",
            "ContextEntries.member.2.ContextKeyType": "stringList",
            "ContextEntries.member.2.ContextKeyValues.member.1": "day#1",
            "ContextEntries.member.2.ContextKeyValues.member.2": "day#2",
        }
        read = additions.context_entries(lambda name: told.get(name, ""))
        self.assertEqual(read, {"kms:encryptioncontext:purpose": "client-key", "dynamodb:leadingkeys": ["day#1", "day#2"]})
        self.assertEqual(additions.context_entries(lambda _name: ""), {})


class Stream:
    """A table's stream of these records, as the engine's DynamoDB gives it."""

    def __init__(self, records):
        self.records = records

    def stream_start_position(self, _table, **_scope):
        return 0

    def stream_end_position(self, _table, **_scope):
        return len(self.records)

    def stream_records_since(self, _table, position, limit, **_scope):
        return self.records[position : position + limit]


class Deliveries(unittest.TestCase):
    def setUp(self):
        from ministack.services import eventbridge, pipes

        self.pipes = pipes
        self.pipe = {
            "Name": "p",
            "Arn": PIPE,
            "CurrentState": "RUNNING",
            "Source": "arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-08-01T00:00:00.000",
            "Target": "arn:aws:events:us-east-1:000000000000:event-bus/b",
            "SourceParameters": {
                "DynamoDBStreamParameters": {
                    "MaximumRetryAttempts": 2,
                    "MaximumRecordAgeInSeconds": 3600,
                    "DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:000000000000:dlq"},
                },
                "FilterCriteria": {
                    "Filters": [{"Pattern": '{"dynamodb":{"Keys":{"sk":{"S":[{"prefix":"event#"}]}}}}'}]
                },
            },
            "TargetParameters": {"InputTemplate": '{"count": "<$.dynamodb.NewImage.count.N>"}'},
        }
        self.refusals, self.events, self.dead = 0, [], []

        def put_events(request):
            if self.refusals:
                self.refusals -= 1
                return 200, {}, json.dumps({"FailedEntryCount": 1}).encode()
            self.events += [json.loads(entry["Detail"])["count"] for entry in request["Entries"]]
            return 200, {}, json.dumps({"FailedEntryCount": 0}).encode()

        for target, name, replacement in (
            (eventbridge, "_put_events", put_events),
            (eventbridge, "_dispatch_to_sqs", lambda _arn, text: self.dead.append(json.loads(text))),
            (additions, "PAUSE_S", 0),
        ):
            patch = mock.patch.object(target, name, replacement)
            patch.start()
            self.addCleanup(patch.stop)
        self.addCleanup(pipes._positions.clear)
        self.addCleanup(additions.logger.setLevel, additions.logger.level)
        additions.logger.setLevel("CRITICAL")

    def deliver(self, *records):
        additions.deliver_what_is_new(Stream(records), self.pipe, "000000000000")

    def test_what_a_filter_lets_through_is_brought_in_order_and_once(self):
        records = [record(1), record(2, sk="order"), record(3)]
        self.deliver(*records)
        self.deliver(*records, record(4))
        self.assertEqual((self.events, self.dead), (["1", "3", "4"], []))

    def test_a_refused_event_is_tried_again(self):
        self.refusals = 2
        self.deliver(record(1))
        self.assertEqual((self.events, self.dead), (["1"], []))

    def test_a_record_that_cannot_be_delivered_goes_to_the_dead_letter_queue_and_holds_up_no_other(self):
        self.refusals = 3
        self.deliver(record(1), record(2))
        self.assertEqual(self.events, ["2"])
        [dead] = self.dead
        self.assertEqual(dead["context"]["condition"], "RetryAttemptsExhausted")
        self.assertEqual(dead["context"]["approximateInvokeCount"], 3)
        self.assertEqual(dead["DDBStreamBatchInfo"]["startSequenceNumber"], "1")
        self.assertNotIn("充值", json.dumps(dead, ensure_ascii=False))

    def test_a_record_that_is_too_old_is_given_up(self):
        self.deliver(record(1, age_s=4000), record(2))
        self.assertEqual(self.events, ["2"])
        self.assertEqual(self.dead[0]["context"]["condition"], "MaximumRecordAgeExceeded")

    def test_a_stopped_pipe_brings_nothing_and_goes_on_where_it_was(self):
        self.pipe["CurrentState"] = "STOPPED"
        self.deliver(record(1))
        self.assertEqual(self.events, [])
        self.pipe["CurrentState"] = "RUNNING"
        self.deliver(record(1))
        self.assertEqual(self.events, ["1"])

    def test_other_pipes_are_left_to_the_engine(self):
        self.assertTrue(additions.leads_to_a_bus(self.pipe))
        topic = self.pipe | {"Target": "arn:aws:sns:us-east-1:000000000000:t"}
        by_the_api = {name: value for name, value in self.pipe.items() if name != "TargetParameters"}
        self.assertFalse(additions.leads_to_a_bus(topic))
        self.assertFalse(additions.leads_to_a_bus(by_the_api))


class Sentences(unittest.TestCase):
    def test_every_addition_says_what_it_is_for(self):
        for _, addition in additions.ADDITIONS:
            self.assertIn("engine", addition.__doc__)


class Lines(unittest.TestCase):
    PATTERN = '{ ($.level = "ERROR") || ((($.type = "a.report") || ($.type = "b.report")) && (($.record.status = "timeout") || ($.record.error = "R.*"))) }'

    def test_what_the_template_asks_for_matches_and_nothing_else(self):
        for line, expected in (
            ({"level": "ERROR"}, True),
            ({"level": "WARN", "message": "ERROR"}, False),
            ({"type": "b.report", "record": {"status": "timeout"}}, True),
            ({"type": "a.report", "record": {"error": "R.Memory"}}, True),
            ({"type": "a.report", "record": {"status": "error", "error": "other"}}, False),
            ({"type": "c", "record": {"status": "timeout"}}, False),
            ({"type": "a.report", "record": "timeout"}, False),
            ([], False),
        ):
            self.assertEqual(additions.line_matches(self.PATTERN, json.dumps(line)), expected, line)
        self.assertFalse(additions.line_matches(self.PATTERN, "level ERROR"))

    def test_and_binds_tighter_than_or_and_what_is_not_there_is_no_other_text(self):
        for pattern, line, expected in (
            ('{ $.a = "1" || $.b = "1" && $.c = "1" }', {"a": "1"}, True),
            ('{ ($.a = "1" || $.b = "1") && $.c = "1" }', {"a": "1"}, False),
            ('{ $.a != "1" }', {"b": "1"}, False),
            ('{ $.a != "1" }', {"a": "2"}, True),
            ("{ $.a NOT EXISTS }", {"b": "1"}, True),
        ):
            self.assertEqual(additions.line_matches(pattern, json.dumps(line)), expected, pattern)

    def test_a_pattern_that_is_not_read_here_is_said(self):
        for pattern in ("{ $.a = 1 }", '{ $.a = "1" ', '{ ($.a = "1" }', '{ $.a = "1" $.b = "2" }'):
            with self.assertRaises((ValueError, IndexError)):
                additions.line_matches(pattern, "{}")


if __name__ == "__main__":
    unittest.main()
