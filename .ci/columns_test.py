"""Tests of `.ci/columns`: it finds each comment that could be broken, and nothing else."""

import contextlib
import importlib.machinery
import importlib.util
import io
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOADER = importlib.machinery.SourceFileLoader("columns", str(HERE / "columns"))
columns = importlib.util.module_from_spec(importlib.util.spec_from_loader("columns", LOADER))
LOADER.exec_module(columns)


def words(text, width):
    """The text, filled up with short words to a number of columns."""
    return text + " a" * ((width - columns.width(text)) // 2)


class Columns(unittest.TestCase):
    def test_a_comment_of_each_kind_may_end_at_the_last_column_and_not_behind_it(self):
        for leader in ("// It", "/// It", "//! It", "    /// It"):
            with self.subTest(leader):
                line = words(leader, 100)
                line += "." * (100 - columns.width(line))
                self.assertFalse(columns.is_too_long(line))
                self.assertTrue(columns.is_too_long(line + "."))

    def test_a_chinese_character_takes_two_columns(self):
        line = words("/// 退款状态", 98)
        self.assertLess(len(line), 98)
        self.assertFalse(columns.is_too_long(line))
        self.assertTrue(columns.is_too_long(line + " 退"))

    def test_what_cannot_be_broken_is_left_alone(self):
        url = "https://example.com/" + "a" * 100
        for line in (
            words("//! | `attribute` | holds", 110) + " |",
            f"//! <{url}>",
            f"//! [a long link]: {url}",
            words('    let text = "code is what rustfmt holds', 110),
            words('    let url = "https://example.com', 110),
        ):
            with self.subTest(line):
                self.assertFalse(columns.is_too_long(line))

    def test_a_link_within_a_sentence_excuses_nothing(self):
        self.assertTrue(columns.is_too_long("/// See <https://example.com/> and " + "a" * 100))

    def test_the_file_and_the_line_are_named_and_fail_the_run(self):
        with tempfile.TemporaryDirectory() as root:
            subprocess.run(["git", "init", "-q", root], check=True)
            source = Path(root) / "src"
            source.mkdir()
            (source / "lib.rs").write_text("//! Fine.\n\n" + words("/// Too long", 110) + "\n")
            (source / "notes.md").write_text(words("Long prose", 200) + "\n")
            self.assertEqual(
                list(columns.problems(Path(root))),
                ["src/lib.rs:3: 110 columns; break the comment at 100"],
            )
            self.assertEqual(self.run_in(root), 1)
            (source / "lib.rs").write_text("//! Fine.\n")
            self.assertEqual(self.run_in(root), 0)

    @staticmethod
    def run_in(root):
        """The exit code of the whole script in a folder."""
        given, sys.argv = sys.argv, ["columns", root]
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                return columns.main()
        finally:
            sys.argv = given


if __name__ == "__main__":
    unittest.main()
