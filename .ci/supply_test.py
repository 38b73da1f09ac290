"""Tests of `.ci/supply`: it finds what a release does not say of itself and what nobody renews, and nothing as it is."""

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
LOADER = importlib.machinery.SourceFileLoader("supply", str(HERE / "supply"))
supply = importlib.util.module_from_spec(importlib.util.spec_from_loader("supply", LOADER))
LOADER.exec_module(supply)


class Supply(unittest.TestCase):
    def setUp(self):
        self.files, self.names = supply.read(HERE.parent)

    def found(self, name, old, new):
        self.assertIn(old, self.files[name])
        return list(supply.problems(self.files | {name: self.files[name].replace(old, new, 1)}, self.names))

    def is_found(self, name, *changes):
        for old, new, said in changes:
            found = self.found(name, old, new)
            self.assertTrue(any(said in problem for problem in found), (old, new, found))

    def test_nothing_is_wrong_as_it_is(self):
        self.assertEqual(list(supply.problems(self.files, self.names)), [])

    def test_a_release_is_of_a_tag_and_its_jobs_have_the_least_rights(self):
        self.is_found(
            supply.RELEASE,
            ('tags: ["v[0-9]+.[0-9]+.[0-9]+"]', "branches: [main]", "something else than the tag"),
            ("permissions: {}", "permissions: write-all", "says nothing of its rights"),
            ("      contents: read\n", "      contents: write\n", "build may do more"),
            ("      id-token: write # the identity that the statement is signed by\n", "", "build may do more"),
            ("      contents: write\n", "      contents: write\n      packages: write\n", "publish may do more"),
            ("    needs: build\n", "", "does not wait for build"),
            ("persist-credentials: false", "persist-credentials: true", "leaves its credentials"),
            ("  publish:\n", "  another:\n", "other jobs"),
        )

    def test_every_file_of_a_release_has_its_statement_before_it_is_handed_on(self):
        attest = next(line for line in self.files[supply.RELEASE].splitlines() if supply.ATTEST in line)
        upload = next(line for line in self.files[supply.RELEASE].splitlines() if supply.UPLOAD in line)
        self.is_found(
            supply.RELEASE,
            (attest, "      - run: 'true'\n        env:", "once each"),
            ("run: bash .ci/release target/release-files", "run: sam build", "once each"),
            ("subject-path: target/release-files/*", "subject-path: target/release-files/*.zip", "not about every file"),
            ("path: target/release-files/\n", "path: target/\n", "something else is handed on"),
            ("if-no-files-found: error", "if-no-files-found: warn", "nothing is without a failure"),
            ("          name: release-files\n          path: release-files\n", "          name: others\n          path: release-files\n", "gets other files"),
            (" --verify-tag", "", "for a tag that is there"),
            ("release-files/*\n        env", "release-files/*.zip\n        env", "of all files"),
            ("      - run: gh release", "      - run: bash .ci/run\n      - run: gh release", "something else than get the files"),
        )
        swapped = self.files[supply.RELEASE].replace(attest, "ATTEST").replace(upload, attest).replace("ATTEST", upload)
        found = list(supply.problems(self.files | {supply.RELEASE: swapped}, self.names))
        self.assertTrue(any("before it is stated" in problem for problem in found), found)

    def test_the_files_of_a_release_say_what_they_are_made_of(self):
        self.is_found(
            supply.MAKES,
            ("cyclonedx --format json --spec-version 1.5", "cyclonedx --format xml --spec-version 1.5", "what it is made of"),
            ('mv "$sbom" "$folder/', 'mv "$sbom" "/tmp/', "leaves that out"),
            ("sha256sum -- *", "sha256sum -- *.zip", "no hashes of all files"),
            ("for architecture in arm64 x86_64", "for architecture in arm64", "both processors"),
        )
        late = self.files[supply.MAKES] + 'mv "$sbom" "$folder/late"\n'
        found = list(supply.problems(self.files | {supply.MAKES: late}, self.names))
        self.assertTrue(any("after the hashes" in problem for problem in found), found)

    def test_ci_reads_and_writes_nothing(self):
        self.is_found(
            supply.CI,
            ("      contents: read\n", "      contents: read\n      actions: write\n", "something else than read"),
            ("    permissions:\n      contents: read\n", "", "something else than read"),
            ("permissions: {}", "permissions: read-all", "says nothing of its rights"),
            ("persist-credentials: false", "fetch-depth: 1", "leaves its credentials"),
        )

    def test_each_list_of_packages_is_renewed(self):
        for name in ("tools/package-lock.json", "tools/Cargo.lock", "tools/requirements-dev.txt", "Dockerfile"):
            found = list(supply.problems(self.files, [*self.names, name]))
            self.assertRegex(found[0], "nobody renews the packages of")
        rest = [name for name in self.names if name != "infra/measure/peers/node/package-lock.json"]
        self.assertRegex(next(supply.problems(self.files, rest)), "there are no packages of npm in /infra/measure/peers/node")
        self.is_found(
            supply.DEPENDABOT,
            ("directory: /shared/wechatpay/fuzz", "directory: /elsewhere", "nobody renews the packages of cargo in /shared/wechatpay/fuzz"),
            ("package-ecosystem: github-actions", "package-ecosystem: docker", "nobody renews the packages of github-actions in /"),
            ("interval: monthly", "interval: yearly", "too rarely"),
        )


if __name__ == "__main__":
    unittest.main()
