"""Tests of the rules: for each change of the template's permissions, queues, limits and alarms, a rule fails.

    <venv>/bin/python tests/sam/rules_test.py

with the Python that the SAM CLI is installed in.
"""

import copy
import multiprocessing
import re
import unittest

import rules
import rules_alarms
import rules_channels
import rules_composites
import rules_everywhere
import rules_forwarding
import rules_parameters
import rules_releases
import rules_roles
from mutations import altered, document, holder, left_out, parsed, paths
from rules_beside_test import Beside, Deployment  # noqa: F401, so that they run too

# The types of which every value counts.
HELD = {
    "AWS::IAM::Role",
    "AWS::IAM::ManagedPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::Lambda::Permission",
    "AWS::ApiGatewayV2::Route",
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::S3::BucketPolicy",
    "AWS::Pipes::Pipe",
    "AWS::Events::EventBus",
    "AWS::Events::Rule",
    "AWS::Events::Archive",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Logs::MetricFilter",
    "AWS::Logs::SubscriptionFilter",
    "AWS::SNS::Subscription",
}

# Values that are a name, a text for people, or a number of which other values are as good.
FREE = {
    "Description",
    "PolicyName",
    "Sid",
    "Version",
    "QueueName",
    "AlarmName",
    "AlarmDescription",
    "MaximumRecordAgeInSeconds",
    "MaximumRetryAttempts",
    "ParallelizationFactor",
}


def broken(parameters, resources):
    """Whether a rule is broken; one that cannot even read what was made of the template is one, too."""
    try:
        return next(rules.violations(parameters, resources), None)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        return repr(error)


def changes_unseen(name):
    """The changes of one resource that break no rule, and how many were tried. Runs in a process of its own."""
    parameters, resources = parsed()["Parameters"], parsed()["Resources"]
    unseen, tried = [], 0
    for path in paths(resources[name]["Properties"]):
        if FREE & set(path):
            continue
        for change in (left_out, altered):
            changed = {**resources, name: copy.deepcopy(resources[name])}
            change(changed[name]["Properties"], path)
            tried += 1
            if not broken(parameters, changed):
                unseen.append(f"{name}: {'/'.join(map(str, path))} {change.__name__}")
    return unseen, tried


class Mutations(unittest.TestCase):
    def setUp(self):
        self.parameters, self.resources = document()["Parameters"], document()["Resources"]

    def broken(self, resources):
        return broken(self.parameters, resources)

    def test_the_template_keeps_the_rules(self):
        self.assertEqual(list(rules.violations(self.parameters, self.resources)), [])

    def test_no_value_can_be_changed_and_none_be_left_out(self):
        held = [name for name, resource in self.resources.items() if resource["Type"] in HELD]
        with multiprocessing.Pool() as pool:
            results = pool.map(changes_unseen, held, chunksize=1)
        self.assertEqual([place for unseen, _ in results for place in unseen], [])
        tried = sum(tried for _, tried in results)
        self.assertGreater(tried, 1900)

    def test_no_resource_can_be_left_out(self):
        for name, resource in self.resources.items():
            if resource["Type"] in HELD:
                rest = {other: value for other, value in self.resources.items() if other != name}
                self.assertTrue(self.broken(rest), name)

    def test_no_statement_can_be_added_to_a_role_or_a_queues_policy(self):
        anything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        for name, resource in self.resources.items():
            changed = {**self.resources, name: copy.deepcopy(resource)}
            properties = changed[name]["Properties"]
            match resource["Type"]:
                case "AWS::IAM::Role":
                    properties["Policies"][0]["PolicyDocument"]["Statement"].append(anything)
                case "AWS::IAM::ManagedPolicy":
                    properties["PolicyDocument"]["Statement"].append(anything)
                case "AWS::SQS::QueuePolicy":
                    properties["PolicyDocument"]["Statement"].append({**anything, "Principal": "*"})
                case _:
                    continue
            self.assertTrue(self.broken(changed), name)

    def test_a_new_role_queue_alarm_or_permission_is_not_let_in_unseen(self):
        for kind in ("AWS::IAM::Role", "AWS::SQS::Queue", "AWS::CloudWatch::Alarm", "AWS::Lambda::Permission"):
            name = next(name for name, resource in self.resources.items() if resource["Type"] == kind)
            self.assertTrue(self.broken({**self.resources, "Another": self.resources[name]}), kind)

    def test_doctor_asks_about_each_permission_of_a_role(self):
        source = rules_roles.DOCTOR.read_text()
        rows = re.findall(r'\(\s*"\w+",\s*\w+,\s*On::\w+\(.*?\),?\s*\),', source.split("const NEEDS")[1], re.S)
        self.assertGreater(len(rows), 80)
        for row in rows:
            self.assertTrue(list(rules_roles.asked(self.resources, source.replace(row, "", 1))), row)
        for there, changed in (
            ('"dynamodb:GetRecords"', '"dynamodb:GetItem"'),
            ('"webhook-secret"', '"client-key"'),
            ('SealedForMerchant("SecretsKey", "operator-channel")', 'Sealed("SecretsKey", "operator-channel")'),
            ('"s3:AbortMultipartUpload"', '"s3:DeleteObject"'),
            ('"bills/MCHID/"', '"bills/"'),
        ):
            self.assertIn(there, source)
            self.assertTrue(list(rules_roles.asked(self.resources, source.replace(there, changed))), there)

    def test_the_doctor_may_ask_about_each_role_where_it_is_there(self):
        conditional = {name for name, condition in rules_roles.asked_about(self.resources).items() if condition}
        self.assertEqual(conditional, {"ForwardErrorsRole", "NotifyOperatorsRole"})
        statement = next(
            statement
            for statement in self.resources["DoctorPolicy"]["Properties"]["PolicyDocument"]["Statement"]
            if statement["Sid"] == "Roles"
        )
        for at in range(len(statement["Resource"])):
            changed = copy.deepcopy(self.resources)
            for other in changed["DoctorPolicy"]["Properties"]["PolicyDocument"]["Statement"]:
                if other["Sid"] == "Roles":
                    del other["Resource"][at]
            self.assertTrue(list(rules_roles.people(changed)), statement["Resource"][at])

    def test_limits_of_a_function_hold(self):
        for name, resource in self.resources.items():
            if resource["Type"] != "AWS::Serverless::Function":
                continue
            for field in ("Role", "Timeout", "LoggingConfig", "ReservedConcurrentExecutions", "VpcConfig"):
                changed = {**self.resources, name: copy.deepcopy(resource)}
                changed[name]["Properties"][field] = {"Fn::GetAtt": ["Another", "Arn"]}
                self.assertTrue(self.broken(changed), f"{name} {field}")
            for index, _ in enumerate(resource["Properties"].get("Events", {})):
                changed = {**self.resources, name: copy.deepcopy(resource)}
                list(changed[name]["Properties"]["Events"].values())[index]["Properties"]["BatchSize"] = 7
                self.assertTrue(self.broken(changed), f"{name} {index}")
            # One that it uses and does not get.
            changed = {**self.resources, name: copy.deepcopy(resource)}
            changed[name]["Properties"]["Environment"]["Variables"] = {"ANOTHER_TABLE": {"Ref": "NoticesTable"}}
            self.assertTrue(self.broken(changed), name)

    def test_sandboxes_together_stay_within_wechat_pays_limits(self):
        for name in rules.LIMITS_PER_S:
            parameter = self.parameters[name]
            self.parameters[name] = {**parameter, "Default": parameter["Default"] + 1}
            self.assertTrue(self.broken(self.resources), name)
            self.parameters[name] = parameter
        for name in ("ProcessPayment", "Reconcile"):
            for variable in rules.LIMITED:
                changed = {**self.resources, name: copy.deepcopy(self.resources[name])}
                del changed[name]["Properties"]["Environment"]["Variables"][variable]
                self.assertTrue(self.broken(changed), f"{name} {variable}")

    def test_each_that_starts_the_daily_run_has_whether_it_repairs(self):
        for name in ("Reconcile", "Console"):
            changed = {**self.resources, name: copy.deepcopy(self.resources[name])}
            del changed[name]["Properties"]["Environment"]["Variables"]["RECONCILE_REPAIRS"]
            self.assertTrue(self.broken(changed), name)

    def test_the_console_has_the_daily_run_s_schedule(self):
        console = copy.deepcopy(self.resources["Console"])
        del console["Properties"]["Environment"]["Variables"]["RECONCILE_AT"]
        self.assertTrue(self.broken({**self.resources, "Console": console}))
        daily = copy.deepcopy(self.resources["DailySchedule"])
        daily["Properties"]["ScheduleExpression"] = "cron(0 12 * * ? *)"
        self.assertTrue(self.broken({**self.resources, "DailySchedule": daily}))

    def test_kept_resources_survive_the_stack_and_do_not_prevent_a_second_first_deployment(self):
        for name, resource in self.resources.items():
            for field in {"DeletionPolicy", "UpdateReplacePolicy"} & resource.keys():
                if resource[field] != "Delete":
                    for other in {"Delete", "Retain", "RetainExceptOnCreate"} - {resource[field]}:
                        changed = {**self.resources, name: {**resource, field: other}}
                        self.assertTrue(self.broken(changed), f"{name} {field} {other}")

    def test_the_storage_key_opens_to_eventbridge_for_this_bus_and_these_queues_only(self):
        said = self.resources["StorageKey"]["Properties"]["KeyPolicy"]["Statement"]
        for index, statement in enumerate(said):
            if statement["Principal"] != {"Service": "events.amazonaws.com"}:
                continue
            for path in paths(statement):
                if path[0] in ("Sid", "Resource"):
                    continue
                for change in (left_out, altered):
                    changed = {**self.resources, "StorageKey": copy.deepcopy(self.resources["StorageKey"])}
                    change(changed["StorageKey"]["Properties"]["KeyPolicy"]["Statement"][index], path)
                    self.assertTrue(self.broken(changed), f"{index} {path} {change.__name__}")

    def test_schedules_lead_where_they_should_and_a_day_that_could_not_be_begun_is_reported(self):
        for name in ("DailySchedule", "CertificatesSchedule"):
            for path in (("Target", "Arn"), ("Target", "Input"), ("Target", "DeadLetterConfig")):
                changed = {**self.resources, name: copy.deepcopy(self.resources[name])}
                target = changed[name]["Properties"]["Target"]
                if path[-1] in target:
                    del target[path[-1]]
                    self.assertTrue(self.broken(changed), f"{name} {path}")
        for name in ("SweepSchedule", "DailySchedule", "CertificatesSchedule"):
            changed = {**self.resources, name: copy.deepcopy(self.resources[name])}
            del changed[name]["Properties"]["State"]
            self.assertTrue(self.broken(changed), name)

    def test_whatever_can_carry_tags_carries_them(self):
        tagged = [name for name, resource in self.resources.items() if rules_everywhere.tags_of_type(resource["Type"])]
        self.assertGreater(len(tagged), 95)
        for name in tagged:
            if self.resources[name]["Type"] == "AWS::Serverless::Function":
                continue
            for path in paths(self.resources[name]["Properties"]["Tags"]):
                for change in (left_out, altered):
                    changed = {**self.resources, name: copy.deepcopy(self.resources[name])}
                    change(changed[name]["Properties"]["Tags"], path)
                    self.assertTrue(list(rules_everywhere.tagged(changed, rules_everywhere.TAGS)), f"{name} {path}")
        untagged = {"Type": "AWS::SNS::Topic", "Properties": {}}
        self.assertTrue(list(rules_everywhere.tagged({"Another": untagged}, rules_everywhere.TAGS)))

    def test_keys_can_be_replicated_and_those_made_before_stay_as_they_are(self):
        for name, resource in self.resources.items():
            if resource["Type"] != "AWS::KMS::Key":
                continue
            for value in (None, True, False, {"Fn::If": ["KeysAreMultiRegion", False, True]}):
                changed = {**self.resources, name: copy.deepcopy(resource)}
                changed[name]["Properties"]["MultiRegion"] = value
                self.assertTrue(self.broken(changed), f"{name} {value}")
        for name in ("SecretsKey", "FieldsKey"):
            changed = {**self.resources, name: copy.deepcopy(self.resources[name])}
            del changed[name]["Condition"]
            self.assertTrue(self.broken(changed), name)
        self.parameters["MultiRegionKeys"] = {**self.parameters["MultiRegionKeys"], "Default": "false"}
        self.assertTrue(self.broken(self.resources))

    def test_a_domain_is_there_when_it_is_asked_for_and_only_then(self):
        for name in ("ApiDomain", "ApiDomainMapping"):
            changed = {**self.resources, name: copy.deepcopy(self.resources[name])}
            del changed[name]["Condition"]
            self.assertTrue(self.broken(changed), name)

    def test_a_new_account_can_deploy_the_stack(self):
        self.parameters["ReserveConcurrency"] = {**self.parameters["ReserveConcurrency"], "Default": "true"}
        self.assertTrue(self.broken(self.resources))


class Channels(unittest.TestCase):
    def test_the_optional_part_is_whole_or_absent(self):
        resources = document()["Resources"]
        optional = [name for name, resource in resources.items() if resource.get("Condition") == "HasChannels"]
        self.assertGreater(len(optional), 15)
        for name in [*optional, "WebhooksQueue"]:
            changed = {**resources, name: {key: value for key, value in resources[name].items() if key != "Condition"}}
            if name == "WebhooksQueue":
                changed[name]["Condition"] = "HasChannels"
            self.assertTrue(broken({}, changed), name)
        self.assertEqual(list(rules_channels.conditions(document())), [])
        for section, name in (("Conditions", "HasChannels"), ("Conditions", "HasOperatorsTopic"), ("Parameters", "OperatorChannels")):
            for path in paths(document()[section][name]):
                if path in (("Description",), ("Type",)):
                    continue
                changed = document()
                altered(changed[section][name], path)
                self.assertTrue(list(rules_channels.conditions(changed)), f"{name} {path}")

    def test_an_alarm_is_urgent_unless_it_is_listed(self):
        for name in ("MerchantCertificateEndsAlarm", "ConsoleFailingAlarm", "SweepMissingAlarm", "PaymentsFailingAlarm"):
            changed = document()["Resources"]
            alarm = changed[name]["Properties"]
            marked = alarm["AlarmDescription"]
            alarm["AlarmDescription"] = marked.removeprefix("[ticket] ") if "[ticket]" in marked else f"[ticket] {marked}"
            self.assertTrue(list(rules_composites.violations({}, changed)), name)

    def test_the_storage_key_opens_to_this_account_s_topics_only(self):
        resources = document()["Resources"]
        said = resources["StorageKey"]["Properties"]["KeyPolicy"]["Statement"]
        [index] = [number for number, each in enumerate(said) if each["Principal"] == {"Service": "sns.amazonaws.com"}]
        for path in paths(said[index]):
            if path[0] not in ("Sid", "Resource"):
                for change in (left_out, altered):
                    changed = {**resources, "StorageKey": copy.deepcopy(resources["StorageKey"])}
                    change(changed["StorageKey"]["Properties"]["KeyPolicy"]["Statement"][index], path)
                    self.assertTrue(broken({}, changed), f"{path} {change.__name__}")


class Forwarding(unittest.TestCase):
    def test_the_optional_part_is_whole_or_absent(self):
        resources = document()["Resources"]
        optional = [name for name, resource in resources.items() if str(resource.get("Condition")).startswith("Forwards")]
        self.assertGreater(len(optional), 25)
        for name in [*optional, "WebhooksQueue"]:
            changed = {**resources, name: {key: value for key, value in resources[name].items() if key != "Condition"}}
            if name == "WebhooksQueue":
                changed[name]["Condition"] = "ForwardsLogs"
            self.assertTrue(broken({}, changed), name)
        self.assertEqual(list(rules_forwarding.conditions(document())), [])
        for section, names in (("Conditions", rules_forwarding.CONDITIONS), ("Parameters", ["LogForwarding"])):
            for name in names:
                for path in paths(document()[section][name]):
                    if path in (("Description",), ("Type",)):
                        continue
                    changed = document()
                    altered(changed[section][name], path)
                    self.assertTrue(list(rules_forwarding.conditions(changed)), f"{name} {path}")

    def test_a_filter_waits_for_its_permission_and_none_is_of_the_function_itself(self):
        for function in rules_forwarding.subscribed(document()["Resources"]):
            name, _ = rules_forwarding.of(function)
            changed = document()["Resources"]
            del changed[name]["DependsOn"]
            self.assertTrue(broken({}, changed), name)
        changed = document()["Resources"]
        name, _ = rules_forwarding.of("Console")
        changed["ForwardErrorsOfItself"] = copy.deepcopy(changed[name])
        changed["ForwardErrorsOfItself"]["Properties"]["LogGroupName"] = {"Ref": "ForwardErrorsLogs"}
        self.assertTrue(broken({}, changed))
        changed = document()["Resources"]
        del changed["ForwardErrors"]["Properties"]["DeadLetterQueue"]
        self.assertTrue(broken({}, changed))


class Releases(unittest.TestCase):
    def setUp(self):
        self.document = document()
        self.resources = self.document["Resources"]

    def test_no_function_is_released_at_once_without_brakes_or_under_no_name(self):
        tried = 0
        for name, resource in self.resources.items():
            if resource["Type"] != "AWS::Serverless::Function":
                continue
            for field in ("DeploymentPreference", "VersionDescription"):
                for path in paths(resource["Properties"][field], (field,)):
                    for change in (left_out, altered):
                        changed = {**self.resources, name: copy.deepcopy(resource)}
                        change(changed[name]["Properties"], path)
                        tried += 1
                        self.assertTrue(broken({}, changed), f"{name} {path} {change.__name__}")
            for field, value in (("AutoPublishAlias", "other"), ("AutoPublishCodeSha256", "x")):
                changed = {**self.resources, name: copy.deepcopy(resource)}
                changed[name]["Properties"][field] = value
                self.assertTrue(list(rules_releases.violations({}, changed)), f"{name} {field}")
            changed = {**self.resources, name: copy.deepcopy(resource)}
            changed[name]["Properties"]["Environment"]["Variables"]["RELEASE"] = "other"
            self.assertTrue(list(rules_releases.violations({}, changed)), name)
        self.assertGreater(tried, 80)

    def test_settings_of_all_functions_cannot_be_left_out(self):
        self.assertEqual(list(rules_releases.shared(self.document)), [])
        for field in ("AutoPublishAlias", "DeploymentPreference"):
            for path in paths(self.document["Globals"]["Function"][field], (field,)):
                for change in (left_out, altered):
                    changed = document()
                    change(changed["Globals"]["Function"], path)
                    self.assertTrue(list(rules_releases.shared(changed)), f"{path} {change.__name__}")
        for section, path in (
            ("Globals", ("Function", "Environment", "Variables", "RELEASE", "Ref")),
            ("Conditions", ("ReleasesGradually", "Fn::Equals", 1)),
            ("Parameters", ("GradualRelease", "Default")),
        ):
            changed = document()
            altered(changed[section], path)
            self.assertTrue(list(rules_releases.shared(changed)), path)

    def test_no_call_goes_past_a_function_s_alias(self):
        by_name = {"Fn::Sub": "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:${AWS::StackName}-reconcile"}
        for target in (
            {"Ref": "Reconcile"},
            {"Fn::GetAtt": ["Reconcile", "Arn"]},
            {"Fn::Sub": "${Reconcile.Arn}"},
            {"Fn::Sub": "${Reconcile}"},
            by_name,
            {"Fn::Sub": by_name["Fn::Sub"] + ":7"},
        ):
            another = {"Type": "AWS::Scheduler::Schedule", "Properties": {"Target": {"Arn": target}}}
            changed = {**self.resources, "Another": another}
            self.assertTrue(list(rules_releases.violations({}, changed)), target)
        for target in ({"Ref": "Reconcile.Alias"}, {"Fn::Sub": by_name["Fn::Sub"] + ":live"}):
            another = {"Type": "AWS::Scheduler::Schedule", "Properties": {"Target": {"Arn": target}}}
            changed = {**self.resources, "Another": another}
            self.assertEqual(list(rules_releases.violations({}, changed)), [])
        schedule = copy.deepcopy(self.resources["SweepSchedule"])
        schedule["Properties"]["Target"]["Arn"] = {"Ref": "CreateOrder.Alias"}
        self.assertTrue(broken(self.document["Parameters"], {**self.resources, "SweepSchedule": schedule}))

    def test_an_integration_waits_for_the_alias_and_its_permissions(self):
        for name, resource in self.resources.items():
            if resource["Type"] == "AWS::ApiGatewayV2::Integration":
                for waits_for in (None, "CreateOrder"):
                    changed = {**self.resources, name: {**resource, "DependsOn": waits_for}}
                    self.assertTrue(broken(self.document["Parameters"], changed), name)

    def test_the_expanded_template_has_versions_to_go_back_to_and_aliases_that_every_caller_uses(self):
        plain = rules.translated()
        self.assertEqual(list(rules_releases.translated(plain)), [])
        for kind, field in (
            ("AWS::Lambda::Alias", ("UpdatePolicy",)),
            ("AWS::Lambda::Version", ("DeletionPolicy",)),
            ("AWS::Lambda::EventSourceMapping", ("Properties", "FunctionName", "Ref")),
            ("AWS::Lambda::EventInvokeConfig", ("Properties", "Qualifier")),
        ):
            found = [name for name, resource in plain.items() if resource["Type"] == kind]
            self.assertTrue(found, kind)
            for name in found:
                changed = copy.deepcopy(plain)
                altered(changed[name], field) if len(field) > 1 else changed[name].pop(field[0])
                self.assertTrue(list(rules_releases.translated(changed)), name)


class Namespace(unittest.TestCase):
    def test_metrics_are_in_the_stacks_own_namespace(self):
        self.assertEqual(list(rules_alarms.namespace(document())), [])
        for change in (None, "WechatPayOnLambda"):
            changed = document()
            shared = changed["Globals"]["Function"]["Environment"]["Variables"]
            shared["METRICS_NAMESPACE"] = change
            self.assertTrue(list(rules_alarms.namespace(changed)), change)
        changed = document()
        own = changed["Resources"]["Reconcile"]["Properties"]["Environment"]["Variables"]
        own["METRICS_NAMESPACE"] = {"Ref": "AWS::StackName"}
        self.assertTrue(list(rules_alarms.namespace(changed)))


class Spans(unittest.TestCase):
    def test_spans_go_where_the_parameter_says_and_the_permission_goes_with_cloudwatch(self):
        defaults = {name: str(each.get("Default", "given")) for name, each in document()["Parameters"].items()}
        self.assertEqual(list(rules_parameters.spans(document(), defaults)), [])
        self.assertTrue(list(rules_parameters.spans(document(), defaults | {"OtlpEndpoint": "cloudwatch"})))
        name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
        for change in (None, {"Ref": "OtlpEndpoint"}, {"Fn::Sub": "https://xray.${AWS::Region}.amazonaws.com/v1/traces"}):
            changed = document()
            changed["Globals"]["Function"]["Environment"]["Variables"][name] = change
            self.assertTrue(list(rules_parameters.spans(changed, defaults)), change)
        for condition in ({"Fn::Equals": ["on", "on"]}, {"Fn::Not": [{"Fn::Equals": [{"Ref": "OtlpEndpoint"}, ""]}]}):
            changed = document()
            changed["Conditions"]["SpansGoToCloudwatch"] = condition
            self.assertTrue(list(rules_parameters.spans(changed, defaults)), condition)


class Partition(unittest.TestCase):
    def test_no_arn_address_or_principal_holds_in_one_partition_only(self):
        template = document()
        self.assertEqual(list(rules_everywhere.partition(template)), [])
        changes = {"${AWS::Partition}": "aws", "${AWS::URLSuffix}": "amazonaws.com", "${AWS::Region}": "ap-east-1"}
        tried = 0
        for section in ("Globals", "Resources", "Outputs"):
            for path, text in rules_everywhere.texts(template[section]):
                for written, instead in changes.items():
                    if written in text:
                        changed = document()
                        inner, last = holder(changed[section], path)
                        inner[last] = text.replace(written, instead)
                        tried += 1
                        self.assertTrue(list(rules_everywhere.partition(changed)), f"{path} {instead}")
        self.assertGreater(tried, 60)

    def test_resources_that_china_lacks_and_another_services_principal_are_refused(self):
        for service in ("ec2.amazonaws.com", "lambda.amazonaws.com.cn", {"Fn::Sub": "ec2.${AWS::URLSuffix}"}):
            changed = document()
            trust = changed["Resources"]["CreateOrderRole"]["Properties"]["AssumeRolePolicyDocument"]
            trust["Statement"][0]["Principal"]["Service"] = service
            self.assertTrue(list(rules_everywhere.partition(changed)), service)
        for field in ("FunctionUrlConfig", "PropagateTags"):
            changed = document()
            changed["Resources"]["CreateOrder"]["Properties"][field] = True
            self.assertTrue(list(rules_everywhere.partition(changed)), field)
        for field, value in (("Tracing", "Active"), ("Tags", {"application": "another"})):
            changed = document()
            changed["Globals"]["Function"][field] = value
            self.assertTrue(list(rules_everywhere.partition(changed)), field)

    def test_lambda_drops_no_line_of_a_function_and_its_own_come_back_with_details(self):
        self.assertEqual(list(rules_everywhere.logging(document())), [])
        for section, place in (("Globals", ("Function", "LoggingConfig")), ("Conditions", ("LogsInDetail",))):
            values = document()[section]
            for step in place:
                values = values[step]
            for path in paths(values, place):
                changed = document()
                altered(changed[section], path)
                self.assertTrue(list(rules_everywhere.logging(changed)), path)


class Parameters(unittest.TestCase):
    CONDITIONS = (
        "HasDomain",
        "NotifyUrlIsDerived",
        "ClosesDefaultEndpoint",
        "HasSigningKey",
        "HasOtherKey",
        "SealedKeyMaySign",
        "MakesSecretsKey",
        "MakesFieldsKey",
        "HasVpc",
    )

    def test_the_addresses_and_patterns_of_a_domain_hold(self):
        for change in (None, {"Fn::Equals": [{"Ref": "NotifyUrl"}, "x"]}):
            for name in self.CONDITIONS:
                changed = document()
                changed["Conditions"][name] = change or {"Fn::Not": [changed["Conditions"][name]]}
                self.assertTrue(list(rules_parameters.violations(changed)), f"{name} {change}")
        for name in rules_parameters.VALUES:
            changed = document()
            changed["Parameters"][name]["AllowedPattern"] = "|.+"
            self.assertTrue(list(rules_parameters.violations(changed)), name)

    def test_an_account_with_a_limit_of_ten_deploys_with_the_defaults_and_reads_what_it_needs_for_more(self):
        changes = [
            lambda template: template["Parameters"]["ReserveConcurrency"].update(Default="true"),
            lambda template: template["Parameters"]["CreateOrderConcurrency"].update(Default=60),
            lambda template: template["Conditions"].update(ReservesConcurrency={"Fn::Equals": ["a", "a"]}),
            lambda template: template["Resources"]["Console"]["Properties"].update(ReservedConcurrentExecutions=1),
            lambda template: template["Resources"]["Console"]["Properties"].update(ProvisionedConcurrencyConfig={}),
        ]
        for index, change in enumerate(changes):
            changed = document()
            change(changed)
            self.assertTrue(list(rules_parameters.violations(changed)), index)

    def test_a_key_may_wait_to_be_imported_while_a_sealed_one_signs(self):
        changed = document()
        changed["Rules"]["ImportedKeySigns"] = {
            "RuleCondition": {"Fn::Equals": [{"Ref": "MerchantSigner"}, "sealed"]},
            "Assertions": [
                {
                    "Assert": {"Fn::Equals": [{"Ref": "MerchantSigningKeyOrigin"}, "AWS_KMS"]},
                    "AssertDescription": "What held before, and kept a stack with an imported key from signing otherwise.",
                }
            ],
        }
        self.assertTrue(list(rules_parameters.violations(changed)))

    def test_no_rule_and_no_assertion_can_be_left_out_or_turned_round(self):
        template = document()
        self.assertEqual(list(rules_parameters.violations(template)), [])
        for name, rule in template["Rules"].items():
            rest = {other: value for other, value in template["Rules"].items() if other != name}
            self.assertTrue(list(rules_parameters.violations({**template, "Rules": rest})), name)
            for index, assertion in enumerate(rule["Assertions"]):
                for change in (None, {**assertion, "Assert": {"Fn::Not": [assertion["Assert"]]}}):
                    changed = copy.deepcopy(template)
                    assertions = changed["Rules"][name]["Assertions"]
                    assertions[index : index + 1] = [change] if change else []
                    self.assertTrue(list(rules_parameters.violations(changed)), f"{name} {index} {change}")
            changed = copy.deepcopy(template)
            changed["Rules"][name]["RuleCondition"] = {"Fn::Not": [rule["RuleCondition"]]}
            self.assertTrue(list(rules_parameters.violations(changed)), name)

    def test_a_day_that_would_begin_after_its_alarm_s_check_is_refused(self):
        for change in (r"cron\(.+\)", r"cron\([^ ]+ [0-9]( [^ ]+){4}\)", r"cron\([^ ]+ (0?[0-9]|1[0-3])( [^ ]+){4}\)"):
            changed = document()
            changed["Parameters"]["ReconcileAt"]["AllowedPattern"] = change
            self.assertTrue(list(rules_parameters.violations(changed)), change)


if __name__ == "__main__":
    unittest.main()
