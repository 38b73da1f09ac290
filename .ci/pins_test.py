"""Tests of `.ci/pins`: it finds what is not pinned, and nothing in the files as they are; and of `.ci/zipped`."""

import importlib.machinery
import importlib.util
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
LOADER = importlib.machinery.SourceFileLoader("pins", str(HERE / "pins"))
pins = importlib.util.module_from_spec(importlib.util.spec_from_loader("pins", LOADER))
LOADER.exec_module(pins)

CI = ".github/workflows/ci.yml"


class Pins(unittest.TestCase):
    def setUp(self):
        self.files = pins.read(HERE.parent)

    def found(self, name, old, new):
        self.assertIn(old, self.files[name])
        return list(pins.problems(self.files | {name: self.files[name].replace(old, new, 1)}))

    def test_everything_is_pinned(self):
        self.assertEqual(list(pins.problems(self.files)), [])
        self.assertIn(".github/workflows/release.yml", self.files)

    def test_an_action_is_named_by_its_commit_and_its_version(self):
        checkout = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0"
        for other in ("actions/checkout@v5", "actions/checkout@08c6903", "actions/checkout", "docker://alpine:3"):
            self.assertRegex(self.found(CI, checkout, other)[0], f"{CI}:\\d+: {other} is not named by its commit")
        self.assertRegex(self.found(CI, checkout, checkout.split(" ")[0])[0], "has no version behind it")
        self.assertRegex(self.found(CI, checkout, checkout.replace("v5.0.0", "v5"))[0], "has no version behind it")

    def test_a_package_is_taken_by_its_hash(self):
        name = ".ci/tools"
        self.assertRegex(self.found(name, "--no-deps --require-hashes", "--no-deps")[0], "without their hashes")
        added = self.found(CI, "run: bash .ci/run", "run: pip install ruff && bash .ci/run")
        self.assertRegex(added[0], "without their hashes")
        for name in (".ci/mutants", ".ci/tools", ".ci/release"):
            for taken in ("--locked ", '--version "'):
                self.assertRegex(self.found(name, taken, "")[0], "takes whatever is newest", (name, taken))
        self.assertRegex(self.found(".ci/weekly", "bash .ci/packages", "curl -sSf https://x.example | sh")[0], "runs what it downloads")
        self.assertRegex(self.found(".ci/weekly", "bash .ci/packages", "npx x")[0], "nothing here pins")

    def test_each_requirement_has_one_version_with_its_hashes(self):
        name = ".ci/requirements.txt"
        self.assertRegex(self.found(name, "arrow==", "arrow>=")[0], "has not one version")
        bare = self.files[name] + "requests==2.0.0\n"
        self.assertRegex(next(pins.problems(self.files | {name: bare})), "`requests==2.0.0` has not one version")

    def test_the_three_lists_of_tools_agree(self):
        self.assertRegex(self.found(".ci/requirements.in", "ziglang==0.17.1", "ziglang==0.18.0")[0], "has no ziglang==0.18.0")
        self.assertRegex(self.found(".ci/tools", "ziglang==0.17.1", "ziglang==0.18.0")[0], "`sam` names other versions")

    def test_the_compiler_has_a_whole_version(self):
        self.assertRegex(self.found("rust-toolchain.toml", "1.95.0", "stable")[0], "no whole version")


class Zipped(unittest.TestCase):
    def test_the_same_programs_give_the_same_bytes_whenever_they_were_built(self):
        with tempfile.TemporaryDirectory() as scratch:
            made = []
            for run in ("one", "two"):
                for function in ("SendWebhook", "CreateOrder"):
                    program = Path(scratch, run, function, "bootstrap")
                    program.parent.mkdir(parents=True)
                    program.write_bytes(function.encode())
                    program.chmod(0o700 if run == "one" else 0o755)
                target = Path(scratch, f"{run}.zip")
                environment = {"SOURCE_DATE_EPOCH": "1785556800"}
                subprocess.run([sys.executable, HERE / "zipped", Path(scratch, run), target], env=environment, check=True)
                made.append(target.read_bytes())
            self.assertEqual(made[0], made[1])
            with zipfile.ZipFile(target) as all_of_them:
                self.assertEqual(all_of_them.namelist(), ["CreateOrder.zip", "SendWebhook.zip"])
                with zipfile.ZipFile(all_of_them.open("SendWebhook.zip")) as one:
                    [entry] = one.infolist()
                    self.assertEqual((entry.filename, entry.date_time), ("bootstrap", (2026, 8, 1, 4, 0, 0)))
                    self.assertEqual(entry.external_attr >> 16, 0o100755, "Lambda runs it")
                    self.assertEqual(one.read("bootstrap"), b"SendWebhook")


if __name__ == "__main__":
    unittest.main()
