"""Tests of `.ci/log_fields`: it finds each member of a line however it is written, and both ways of a page that lags."""

import importlib.machinery
import importlib.util
import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
LOADER = importlib.machinery.SourceFileLoader("log_fields", str(Path(__file__).resolve().parent / "log_fields"))
log_fields = importlib.util.module_from_spec(importlib.util.spec_from_loader("log_fields", LOADER))
LOADER.exec_module(log_fields)


class Members(unittest.TestCase):
    def members(self, text):
        return sorted(log_fields.members(text))

    def test_a_member_is_found_however_it_is_given(self):
        source = """
            tracing::warn!(
                order_no = order.no(1, "a, b"), // not = this
                %date,
                ?report,
                state = match state { State::A => "a", State::B => "b" },
                record.message_id,
                "words = no member, {}", other
            );
            info!(amount_fen, CallsDone = 1, "done");
        """
        found = self.members(source)
        self.assertEqual(found, ["amount_fen", "date", "message_id", "order_no", "other", "report", "state"])

    def test_what_is_compared_is_no_member_and_metrics_and_tests_are_left_out(self):
        self.assertEqual(self.members('debug!("{}", a == b);'), [])
        self.assertEqual(self.members("info!(SweepsFinished = 1);"), [])
        self.assertEqual(self.members('#[cfg(test)]\nmod tests {\n info!(only_here = 1, "x"); }'), [])
        self.assertEqual(self.members("my_info!(no = 1)"), [])


class Page(unittest.TestCase):
    PAGE = "# x\n\n| `no` | row |\n\n## Members\n\n| Member | Is |\n|---|---|\n| `a`, `b` | two |\n\n## Else\n\n| `c` | no |\n"

    def test_only_first_cells_of_its_own_table_count(self):
        self.assertEqual(list(log_fields.rows(self.PAGE)), ["a", "b"])

    def test_a_member_without_a_row_and_a_row_without_a_member_are_named(self):
        lacks, more = log_fields.problems({"a", "new"}, {"a", "old"})
        self.assertTrue(lacks.startswith("new: lines have it"), lacks)
        self.assertTrue(more.startswith("old: "), more)


if __name__ == "__main__":
    unittest.main()
