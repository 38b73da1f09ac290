"""Tests of `.ci/citations`: it finds each kind of wrong citation at its line, and no right one."""

import importlib.machinery
import importlib.util
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
LOADER = importlib.machinery.SourceFileLoader("citations", str(HERE / "citations"))
citations = importlib.util.module_from_spec(importlib.util.spec_from_loader("citations", LOADER))
LOADER.exec_module(citations)

PROTOCOL = """# The protocol

## 5. Orders

### 5.1 Creating `an` order

```text
### 9.9 not a heading
```

### 5.2 Fields

See above (5.1).
"""
STATES = """# States

- **I1** Money is never made.
| I2 | Nor lost. |

## Proved how?
"""
DOCUMENTS = {
    "shared/wechatpay/PROTOCOL.md": PROTOCOL,
    "shared/payments/STATES.md": STATES,
    "README.md": "# Read me\n\n## Two commands\n\n[States](shared/payments/STATES.md#proved-how)\n",
}


def problems(**files):
    """What is said about some files beside the documents; underscores in a name stand for dots."""
    named = {name.replace("_", "."): text for name, text in files.items()}
    return citations.Repository(DOCUMENTS | named).problems()


class Right(unittest.TestCase):
    def test_the_documents_themselves_are_right(self):
        self.assertEqual(problems(), [])

    def test_citations_of_what_exists_pass(self):
        for text in [
            "// See shared/wechatpay/PROTOCOL.md, 5.2.",
            "// (`shared/wechatpay/PROTOCOL.md`, 5)",
            "/// as documented (shared/wechatpay/PROTOCOL.md, 5.1, 5.2 and 5)",
            "/// a line that breaks (shared/wechatpay/PROTOCOL.md,\n    /// 5.2).",
            "# shared/payments/STATES.md, I1 and I2",
            '// README.md, "Two commands"',
            '// shared/wechatpay/PROTOCOL.md, "Creating an order"',
            "// section 5.2 of shared/wechatpay/PROTOCOL.md",
            "// invariant 2 of `shared/payments/STATES.md`",
            "// the form of RFC 9421 section 2.5",
            "// lines (RFC 7468, section 2)",
            "// (NIST SP 800-38D, section 7)",
            "// what a probe starts with (page 4013053249, section 5)",
            "//! (section 5 of that page)",
            "let name = \"x.md\"; // STATES.md says more",
            "const PLAN: &str = \"plan 1\";",
        ]:
            self.assertEqual(problems(a_rs=text), [], text)

    def test_a_link_to_a_folder_or_elsewhere_passes(self):
        text = "[a](shared/payments) [b](https://example.org/none.md#x) [c](#here)\n\n# Here\n"
        self.assertEqual(problems(a_md=text), [])

    def test_a_path_of_a_file_or_a_folder_passes(self):
        text = "`shared/payments/`, `shared/payments/STATES.md`, `shared/.../x.rs`, `target/ci`\n"
        self.assertEqual(problems(a_md=text), [])
        crate = {"a/README.md": "`tests/it/`, `a/tests/it/x.rs`\n", "a/tests/it/x.rs": ""}
        self.assertEqual(problems(**crate), [])


class Wrong(unittest.TestCase):
    def assertFound(self, text, *expected, name="a_rs"):
        found = problems(**{name: text})
        self.assertEqual(len(found), len(expected), found)
        for problem, (line, words) in zip(found, expected):
            self.assertTrue(problem.startswith(f"{name.replace('_', '.')}:{line}: "), problem)
            self.assertIn(words, problem)

    def test_a_number_that_does_not_exist(self):
        self.assertFound("//\n// shared/wechatpay/PROTOCOL.md, 5.3", (2, "has no 5.3"))
        self.assertFound("// shared/wechatpay/PROTOCOL.md, 9.9", (1, "has no 9.9"))

    def test_the_second_of_two_numbers(self):
        self.assertFound("// shared/wechatpay/PROTOCOL.md, 5.1 and 6", (1, "has no 6"))

    def test_a_number_on_the_next_line(self):
        self.assertFound("// (shared/wechatpay/PROTOCOL.md,\n// 7.1)", (1, "has no 7.1"))

    def test_an_invariant_that_does_not_exist(self):
        self.assertFound("// shared/payments/STATES.md, I3", (1, "has no I3"))

    def test_a_heading_that_does_not_exist(self):
        self.assertFound('// README.md, "One command"', (1, "has no heading 'One command'"))

    def test_a_document_that_does_not_exist(self):
        self.assertFound("// architecture.md says why", (1, "there is no architecture.md"))
        self.assertFound("// infra/NONE.md, 4.2", (1, "there is no infra/NONE.md"))
        self.assertFound('say("see infra/NONE.md");', (1, "there is no infra/NONE.md"))

    def test_a_document_without_its_path(self):
        self.assertFound("// PROTOCOL.md, 5.2", (1, "by its path from the root"))

    def test_a_citation_without_its_comma(self):
        self.assertFound("// shared/wechatpay/PROTOCOL.md 5.2", (1, "a comma is missing"))

    def test_old_forms_that_say_no_document(self):
        for text, words in [
            ("// an answer within 3 s is normal (section 1.2)", "section 1.2"),
            ("// as documented (protocol reference)", "protocol reference"),
            ("// WeChat Pay takes a URL (sections\n//! 5.1 and 7.1)", "sections 5.1"),
            ("/// Invariant 4: booked means equal", "Invariant 4"),
            ("// judged by the last calls (plan 1 of what it says)", "plan 1 of"),
            ("//! held against the invariants of the design", "invariants of the design"),
            ("// what § 7 says", "§ 7"),
        ]:
            self.assertFound(text, (1, words))

    def test_an_old_form_of_a_document_that_lacks_it(self):
        self.assertFound("// section 8 of shared/wechatpay/PROTOCOL.md", (1, "has no 8"))
        self.assertFound("// invariant 9 of shared/payments/STATES.md", (1, "has no I9"))

    def test_a_public_document_of_another_sentence_does_not_excuse(self):
        self.assertFound("// RFC 9421 says so. As section 4 does.", (1, "section 4"))

    def test_a_number_that_a_document_has_twice(self):
        found = problems(b_md="## 1. One\n\n## 1. Two\n")
        self.assertEqual(len(found), 1)
        self.assertIn("b.md:3: 1 is there twice", found[0])

    def test_a_number_that_a_document_cites_of_itself(self):
        self.assertFound("## 1. One\n\nSee below (1.2).\n", (3, "there is no 1.2"), name="a_md")

    def test_a_path_that_is_not_there(self):
        self.assertFound("See `shared/old.rs`.\n", (1, "there is no shared/old.rs"), name="a_md")

    def test_links_that_lead_nowhere(self):
        self.assertFound("[a](shared/none.rs)\n", (1, "leads nowhere"), name="a_md")
        text = "[a](README.md#three-commands)\n"
        self.assertFound(text, (1, "no heading for #three-commands"), name="a_md")


class Everywhere(unittest.TestCase):
    def test_files_are_read_as_git_lists_them(self):
        files = citations.read_files(HERE.parent)
        self.assertIn(".ci/citations", files)
        self.assertIn("README.md", files)
        self.assertFalse(any(name.startswith("target/") for name in files))


if __name__ == "__main__":
    unittest.main()
