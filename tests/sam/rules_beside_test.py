"""Tests of the rules of the other templates, and of what infra/DEPLOY.md deploys. `rules_test.py` runs them too.

    <venv>/bin/python tests/sam/rules_beside_test.py
"""

import copy
import re
import tempfile
import unittest
from pathlib import Path

import rules
import rules_beside
import rules_parameters
from mutations import altered, document, left_out, paths
from samcli.cli.types import CfnParameterOverridesType
from samcli.yamlhelper import yaml_parse


class Beside(unittest.TestCase):
    """The templates beside this one: what counts in them."""

    def unseen(self, name, kinds, free):
        template = yaml_parse((rules.ROOT / name).read_text())
        page = rules.page_of(name)
        resources = document()["Resources"]
        self.assertEqual(list(rules_beside.violations(name, template, page, resources)), [])
        tried = 0
        for logical_id, resource in template["Resources"].items():
            if resource["Type"] not in kinds:
                continue
            for path in paths(resource["Properties"]):
                if free & set(path):
                    continue
                for change in (left_out, altered):
                    changed = copy.deepcopy(template)
                    change(changed["Resources"][logical_id]["Properties"], path)
                    tried += 1
                    try:
                        found = list(rules_beside.violations(name, changed, page, resources))
                    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
                        found = [repr(error)]
                    if not found:
                        yield f"{logical_id} {path} {change.__name__}"
        self.assertGreater(tried, 20)

    def test_no_value_of_the_record_can_be_changed(self):
        kinds = {"AWS::CloudTrail::Trail", "AWS::Logs::MetricFilter", "AWS::IAM::Role"}
        free = {"TrailName", "IsMultiRegionTrail", "IncludeGlobalServiceEvents", "Name", "PolicyName", "Version"}
        self.assertEqual(list(self.unseen("infra/audit.yaml", kinds, free | {"Description"})), [])

    def test_a_fifth_key_is_not_left_out_of_the_record(self):
        template = yaml_parse((rules.ROOT / "infra/audit.yaml").read_text())
        resources = document()["Resources"]
        page = "`...-key-changes` `...-trail-changes`"
        self.assertEqual(list(rules_beside.audit(template["Resources"], page, resources)), [])
        self.assertTrue(list(rules_beside.audit(template["Resources"], "", resources)))
        resources["AnotherKey"] = resources["SecretsKey"]
        self.assertTrue(list(rules_beside.audit(template["Resources"], page, resources)))

    def test_no_value_of_the_network_can_be_changed(self):
        template = yaml_parse((rules.ROOT / "infra/network.yaml").read_text())
        kinds = {resource["Type"] for resource in template["Resources"].values()}
        self.assertEqual(list(self.unseen("infra/network.yaml", kinds, {"Description", "GroupDescription"})), [])
        for output in template["Outputs"]:
            changed = copy.deepcopy(template)
            changed["Outputs"][output]["Value"] = {"Ref": "Network"}
            self.assertTrue(list(rules_beside.network(changed)), output)
        for name in ("AddressB", "ToKms"):
            changed = copy.deepcopy(template)
            del changed["Resources"][name]["Condition"]
            self.assertTrue(list(rules_beside.network(changed)), name)

    def test_no_value_of_the_alarm_topics_can_be_changed(self):
        template = yaml_parse((rules.ROOT / "infra/alarm-topics.yaml").read_text())
        kinds = {"AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription"}
        self.assertEqual(list(self.unseen("infra/alarm-topics.yaml", kinds, {"TopicName", "Version", "Sid"})), [])
        for path in paths(template["Resources"]["Key"]["Properties"]["KeyPolicy"]["Statement"]):
            if path[1] == "Sid":
                continue
            changed = copy.deepcopy(template)
            altered(changed["Resources"]["Key"]["Properties"]["KeyPolicy"]["Statement"], path)
            self.assertTrue(list(rules_beside.alarm_topics(changed)), path)
        for name, field in (("Key", "DeletionPolicy"), ("Sms", "Condition")):
            changed = copy.deepcopy(template)
            del changed["Resources"][name][field]
            self.assertTrue(list(rules_beside.alarm_topics(changed)), name)
        for output in template["Outputs"]:
            changed = copy.deepcopy(template)
            changed["Outputs"][output]["Value"] = {"Ref": "Key"}
            self.assertTrue(list(rules_beside.alarm_topics(changed)), output)

    def test_no_value_of_the_backups_can_be_changed(self):
        template = yaml_parse((rules.ROOT / "infra/backup.yaml").read_text())
        kinds = {resource["Type"] for resource in template["Resources"].values()} - {"AWS::KMS::Key", "AWS::Backup::BackupVault"}
        free = {"Description", "Version", "BackupPlanName", "SelectionName", "StartWindowMinutes", "CompletionWindowMinutes"}
        self.assertEqual(list(self.unseen("infra/backup.yaml", kinds, free | {"RetentionInDays"})), [])
        resources, page = template["Resources"], rules.page_of("infra/backup.yaml")
        fields = [("Key", "DeletionPolicy"), ("Vault", "UpdateReplacePolicy"), ("Ended", "DependsOn")]
        fields.extend((name, "Condition") for name, resource in resources.items() if name not in ("Key", "Vault"))
        for name, field in fields:
            changed = copy.deepcopy(resources)
            del changed[name][field]
            self.assertTrue(list(rules_beside.backup(changed, page, document()["Resources"])), (name, field))
        self.assertTrue(list(rules_beside.backup(resources, "", document()["Resources"])))
        resources["Vault"]["Properties"]["EncryptionKeyArn"] = {"Ref": "StorageKey"}
        self.assertTrue(list(rules_beside.backup(resources, page, document()["Resources"])))

    def test_no_value_of_the_budget_can_be_changed(self):
        free = {"BudgetName", "BudgetType", "TimeUnit", "ComparisonOperator", "ThresholdType"}
        self.assertEqual(list(self.unseen("infra/budget.yaml", {"AWS::Budgets::Budget"}, free)), [])

    def test_no_value_of_the_edge_can_be_changed(self):
        free = {"Comment", "HttpVersion", "IPV6Enabled", "PriceClass", "VisibilityConfig", "Description", "Tags"}
        kinds = {"AWS::CloudFront::Distribution", "AWS::WAFv2::WebACL"}
        unseen = [path for path in self.unseen("infra/edge.yaml", kinds, free) if "'Name'" not in path]
        self.assertEqual(unseen, [])


class Deployment(unittest.TestCase):
    """infra/DEPLOY.md and the files of parameters, as the SAM CLI reads them."""

    def given(self, name):
        return CfnParameterOverridesType().convert(f"file://{rules.ROOT / name}", None, None)

    def refused(self, given):
        """Why the template takes these parameters not, or CloudFormation refuses them."""
        template = document()
        known = template["Parameters"]
        for name, value in given.items():
            if name not in known:
                yield f"there is no parameter {name}"
                continue
            allowed, pattern = known[name].get("AllowedValues"), known[name].get("AllowedPattern", ".*")
            if (allowed and value not in map(str, allowed)) or not re.fullmatch(pattern, value):
                yield f"{name} does not take {value}"
        defaults = {name: str(parameter.get("Default", "given")) for name, parameter in known.items()}
        yield from rules_parameters.refusals(template["Rules"], defaults | given)

    def test_the_example_is_whole_and_china_differs_from_it_by_its_own_file(self):
        example, china = self.given("infra/parameters/example.yaml"), self.given("infra/parameters/aws-cn.yaml")
        needed = {name for name, parameter in document()["Parameters"].items() if "Default" not in parameter}
        self.assertLessEqual(needed, set(example))
        self.assertEqual(list(self.refused(example)), [])
        self.assertEqual(china["Architecture"], "x86_64")
        self.assertEqual(list(self.refused(example | china)), [])
        self.assertTrue(list(self.refused({"Colour": "red"})))
        self.assertTrue(list(self.refused({"Architecture": "sparc"})))

    def test_commented_parameters_of_the_example_can_be_set(self):
        text = (rules.ROOT / "infra/parameters/example.yaml").read_text()
        lines = [line[2:] for line in text.splitlines() if re.match(r"# ([A-Z]\w+: \"|\$include: )", line)]
        self.assertEqual(len(lines), 7)
        with tempfile.TemporaryDirectory(dir=rules.ROOT) as folder:
            written = Path(folder) / "live.yaml"
            there = text + "\n".join(lines).replace("file://infra", f"file://{rules.ROOT}/infra")
            written.write_text(there)
            given = self.given(written)
        self.assertEqual(given["Architecture"], "x86_64")
        self.assertEqual(list(self.refused(given)), [])

    def test_the_page_names_the_tools_of_ci_and_what_it_deploys_takes_all_that_it_gives(self):
        page = (rules.ROOT / "infra/DEPLOY.md").read_text()
        pinned = re.search(r"^sam=\((.+)\)$", (rules.ROOT / ".ci/tools").read_text(), re.MULTILINE)[1]
        for named, package in (("AWS SAM CLI", "aws-sam-cli"), ("cargo-lambda", "cargo-lambda"), ("zig", "ziglang")):
            version = re.search(rf"{package}==(\S+)", pinned)[1]
            self.assertIn(f"{named} {version}", page.replace("\n", " "))
        for name in rules_beside.TAGS:
            command = next(block for block in page.split("```sh") if f"--template-file {name}" in block).split("```")[0]
            given = set(re.findall(r"([A-Z]\w+)=", command.split("--parameter-overrides")[1]))
            known = yaml_parse((rules.ROOT / name).read_text())["Parameters"]
            needed = {parameter for parameter, definition in known.items() if "Default" not in definition}
            self.assertTrue(needed <= given <= set(known), (name, needed, given))


if __name__ == "__main__":
    unittest.main()
