//! What the README and the runbooks print: their code blocks for a shell, and the commands in their
//! sentences.

use std::path::{Path, PathBuf};

/// A command, or a block of them, as a document prints it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Printed {
    /// The file, under the repository's root.
    pub(super) document: String,
    pub(super) text: String,
}

/// What code spans begin with that are commands.
const COMMANDS: [&str; 8] = [
    "cargo ", "aws ", "sam ", "curl ", "logs ", "setup ", "output ", "eval ",
];

/// The words after the fence of a block that is not for a shell.
const NOT_FOR_A_SHELL: [&str; 3] = ["mermaid", "text", "insights"];

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The README, the page on deployments and every runbook.
pub(super) fn documents() -> Vec<(String, String)> {
    let runbooks = root().join("infra/runbooks");
    let mut names: Vec<String> = std::fs::read_dir(runbooks)
        .expect("the runbooks")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| format!("infra/runbooks/{}", name.to_str().expect("text")))
        .collect();
    names.sort();
    names.insert(0, "README.md".to_owned());
    names.insert(1, "infra/DEPLOY.md".to_owned());
    let read = |name: String| {
        let text = std::fs::read_to_string(root().join(&name)).expect("a document");
        (name, text)
    };
    names.into_iter().map(read).collect()
}

/// All that they print for a shell.
pub(super) fn all() -> Vec<Printed> {
    let documents = documents();
    let found = documents.iter().flat_map(|(document, text)| {
        let text_of = |text| Printed {
            document: document.clone(),
            text,
        };
        in_document(document, text).into_iter().map(text_of)
    });
    found.collect()
}

/// The blocks of one kind in one document.
pub(super) fn blocks(kind: &str) -> Vec<Printed> {
    let mut found = Vec::new();
    for (document, text) in documents() {
        let (blocks, _) = taken_apart(&document, &text);
        let of_kind = blocks.into_iter().filter(|(found, _)| found == kind);
        found.extend(of_kind.map(|(_, text)| Printed {
            document: document.clone(),
            text,
        }));
    }
    found
}

fn in_document(document: &str, text: &str) -> Vec<String> {
    let (blocks, prose) = taken_apart(document, text);
    let mut found: Vec<String> = Vec::new();
    for (kind, block) in blocks {
        if kind == "sh" {
            found.push(block);
        } else {
            assert!(
                NOT_FOR_A_SHELL.contains(&kind.as_str()),
                "{document}: a block after ```{kind} is neither for a shell (```sh) nor known not to be:\n{block}"
            );
        }
    }
    let spans: Vec<&str> = prose.split('`').collect();
    assert!(spans.len() % 2 == 1, "{document}: a code span has no end");
    for span in spans.iter().skip(1).step_by(2) {
        assert!(
            !span.contains("$(") || COMMANDS.iter().any(|command| span.starts_with(command)),
            "{document}: a piece of a command cannot be run: print the whole of it in place of `{span}`"
        );
        let is_new = !found.iter().any(|text| text == span);
        if is_new && COMMANDS.iter().any(|command| span.starts_with(command)) {
            found.push((*span).to_owned());
        }
    }
    found
}

/// The blocks with what stands after their fences, and all else in one line.
fn taken_apart(document: &str, text: &str) -> (Vec<(String, String)>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut block: Option<(String, Vec<&str>)> = None;
    for line in text.lines() {
        match (&mut block, line.trim_start().strip_prefix("```")) {
            (None, Some(kind)) => block = Some((kind.trim().to_owned(), Vec::new())),
            (None, None) => {
                prose.push_str(line);
                prose.push(' ');
            }
            (Some((kind, lines)), Some(_)) => {
                blocks.push((kind.clone(), lines.join("\n")));
                block = None;
            }
            (Some((_, lines)), None) => lines.push(line),
        }
    }
    assert!(block.is_none(), "{document}: a block has no end");
    (blocks, prose)
}

/// The commands of a text, each in one line.
pub(super) fn lines(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.join(" ")
    });
    lines.map(|line| long(&line)).collect()
}

/// A command as it is typed: the pages on keys leave out what all of theirs begin with.
pub(super) fn long(line: &str) -> String {
    match line.strip_prefix("setup ") {
        Some(rest) => format!("cargo client setup {rest}"),
        None => line.to_owned(),
    }
}

#[test]
fn blocks_and_spans_are_found_and_what_is_neither_is_reported() {
    let text = "Run `cargo a\nb` and `x`.\n\n```sh\naws b \\\n  c\n```\n\n```text\ncargo no\n```\n";
    let found = in_document("x.md", text);
    assert_eq!(found, ["aws b \\\n  c", "cargo a b"]);
    assert_eq!(lines(&found[0]), ["aws b c"]);
    let unknown = std::panic::catch_unwind(|| in_document("x.md", "```\ncargo hidden\n```\n"));
    assert!(unknown.is_err());
    let piece = std::panic::catch_unwind(|| in_document("x.md", "Add `--arn \"$(b c)\"` to it.\n"));
    assert!(piece.is_err());
}

/// Commands that send to a queue whose policy allows only functions and the operator's role. The
/// local engine enforces no queue policy, so running them would prove nothing about it.
const SENDS: [&str; 3] = [
    "cargo client notices redrive",
    "cargo client redrive",
    "aws sqs send-message",
];

#[test]
fn each_page_with_a_command_that_sends_to_a_queue_says_whose_role_it_takes() {
    let template = std::fs::read_to_string(root().join("template.yaml")).expect("the template");
    assert!(template.contains("- Sid: OnlyTheNamedRolesSend\n            Effect: Deny"));
    let mut pages = std::collections::BTreeSet::new();
    for it in all() {
        if SENDS.iter().any(|command| it.text.contains(command)) {
            pages.insert(it.document);
        }
    }
    let text_of: std::collections::BTreeMap<String, String> = documents().into_iter().collect();
    for page in &pages {
        let words = text_of[page]
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(words.contains("takes the operator's role"), "{page}");
    }
    assert!(pages.contains("infra/runbooks/notices.md"), "{pages:?}");
    assert!(pages.len() > 3, "{pages:?}");
}

#[test]
fn no_command_names_a_merchant_where_the_stack_says_which_it_is() {
    for it in all() {
        let is_named = it.text.contains("19000000") || it.text.contains("<mchid>");
        assert!(!is_named, "{}: {}", it.document, it.text);
    }
}

#[test]
fn a_page_that_sets_the_region_sets_it_for_sam_too() {
    // The AWS CLI and `cargo client` go by the first, SAM by the second.
    let exports = |text: &str, name: &str| text.contains(&format!("{name}="));
    let sets = all().into_iter().filter(|it| {
        it.text.contains("export ") && exports(&it.text, " AWS_REGION")
            || exports(&it.text, "AWS_DEFAULT_REGION")
    });
    let mut pages = 0;
    for it in sets {
        pages += 1;
        let sets_both = exports(&it.text, " AWS_REGION") && exports(&it.text, "AWS_DEFAULT_REGION");
        assert!(sets_both, "{}: {}", it.document, it.text);
    }
    assert!(pages >= 3, "{pages}");
}

#[test]
fn no_document_prints_a_piece_of_a_command() {
    assert!(!all().is_empty());
}
