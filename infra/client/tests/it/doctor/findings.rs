//! Findings as a whole: each is brought about by a test, and names only pages that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Functions that are given the kind of a finding. Its text is the first among their arguments.
const MAKERS: [&str; 4] = [
    "Finding::error(",
    "Finding::warning(",
    " certificate_ends(",
    " old(",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The sources that make findings, without comments and unit tests.
fn sources() -> Vec<(String, String)> {
    let mut files = rust_files(&root().join("src/doctor"));
    files.push(root().join("src/doctor.rs"));
    let read = |path: PathBuf| {
        let whole = std::fs::read_to_string(&path).unwrap();
        let code = whole.split("#[cfg(test)]").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim().starts_with("//"));
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, lines.collect::<Vec<_>>().join("\n"))
    };
    files.into_iter().map(read).collect()
}

fn is_kind(text: &str) -> bool {
    text.contains('-')
        && text
            .bytes()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'-')
}

/// What a source gives as the kind of each finding that it makes: a text, or the argument `id` of
/// the function around it.
fn given(source: &str) -> Vec<&str> {
    let mut given = Vec::new();
    for maker in MAKERS {
        for (at, _) in source.match_indices(maker) {
            let arguments = source[at + maker.len()..].trim_start();
            // Another function that is given a kind has to stand among the makers.
            if maker.starts_with("Finding") && !arguments.starts_with('"') {
                given.push(arguments.split(',').next().unwrap());
                continue;
            }
            let first = arguments.split('"').nth(1).unwrap();
            given.extend(is_kind(first).then_some(first));
        }
    }
    given
}

#[test]
fn each_kind_of_finding_is_brought_about_by_a_test() {
    let sources = sources();
    let all = sources.iter().flat_map(|(_, source)| given(source));
    let (kinds, others): (BTreeSet<&str>, BTreeSet<&str>) = all.partition(|kind| is_kind(kind));
    assert_eq!(others, BTreeSet::from(["id"]));
    for known in ["platform-certificate-ends", "apiv3-key-old", "stack-failed"] {
        assert!(kinds.contains(known), "{kinds:?}");
    }
    let own = Path::new(file!()).file_name().unwrap();
    let tests: Vec<String> = rust_files(&root().join("tests"))
        .into_iter()
        .filter(|path| path.file_name() != Some(own))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let expected: BTreeSet<&str> = tests.iter().flat_map(|test| expected(test)).collect();
    let untested: Vec<&&str> = kinds.difference(&expected).collect();
    assert!(untested.is_empty(), "no test expects {untested:?}");
    // A list of kinds that is kept by hand names no other.
    let by_hand = BTreeSet::from(super::CHANGED_BY_HAND);
    let unknown: Vec<&&str> = by_hand.difference(&kinds).collect();
    assert!(unknown.is_empty(), "no check finds {unknown:?}");
}

/// What a test calls, or asserts, to expect kinds of findings.
const EXPECTING: [&str; 4] = [
    "is_only(",
    "breaks(",
    "breaks_and_is_mended_as_it_says(",
    "assert_eq!(",
];

/// The kinds that tests expect: given as they are, by a name that a `let` binds, or one after the
/// other in the list of a `for`. Texts that stand elsewhere do not count.
fn expected(tests: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let code: BTreeSet<usize> = code(tests).map(|(at, ..)| at).collect();
    for expecting in EXPECTING {
        let calls = tests.match_indices(expecting).map(|(at, _)| at);
        for at in calls.filter(|at| code.contains(at)) {
            let open = at + expecting.len() - 1;
            let arguments = arguments(inside(&tests[open..]));
            let is_of_ids = arguments.first().is_some_and(|it| it.ends_with(".ids()"));
            if expecting.starts_with("assert") && !is_of_ids {
                continue;
            }
            for argument in arguments {
                if is_name(argument) {
                    found.extend(bound(&tests[..at], argument));
                } else {
                    found.extend(quoted(argument));
                }
            }
        }
    }
    found.retain(|text| is_kind(text));
    found
}

fn is_name(argument: &str) -> bool {
    argument
        .bytes()
        .all(|letter| letter.is_ascii_lowercase() || letter == b'_')
}

/// The texts that a name stands for, by what binds it last in the function around it.
fn bound<'a>(before: &'a str, name: &str) -> Vec<&'a str> {
    let function = before.rfind("\nfn ").map_or(0, |begin| begin + 1);
    let function = &before[function..];
    let by_let = function.rfind(&format!("let {name} = "));
    let loops = function.match_indices("for (").filter_map(|(at, begin)| {
        let pattern = inside(&function[at + begin.len() - 1..]);
        let place = arguments(pattern).iter().position(|part| *part == name)?;
        let after = &function[at + begin.len() + pattern.len() + 1..];
        let list = after
            .strip_prefix(" in [")
            .map(|_| &after[" in ".len()..])?;
        Some((at, place, inside(list)))
    });
    match (by_let, loops.last()) {
        (Some(at), by_for) if by_for.is_none_or(|(of_for, ..)| of_for < at) => {
            quoted(function[at..].split(';').next().unwrap())
        }
        (_, Some((_, place, list))) => {
            let entries = arguments(list).into_iter();
            let of_place = entries.filter_map(|entry| arguments(inside(entry)).get(place).copied());
            of_place.flat_map(quoted).collect()
        }
        (_, None) => Vec::new(),
    }
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

/// What stands between a text's first bracket and that bracket's end.
fn inside(text: &str) -> &str {
    let mut places = code(text).skip_while(|(_, depth, _)| *depth == 0);
    let begin = places.next().map_or(text.len(), |(at, ..)| at + 1);
    let end = places.find(|(_, depth, _)| *depth == 0);
    let end = end.map_or(text.len(), |(at, ..)| at);
    text.get(begin..end).unwrap_or_default()
}

/// The parts of a list between its commas.
fn arguments(list: &str) -> Vec<&str> {
    let commas = code(list).filter(|(_, depth, byte)| *depth == 0 && *byte == b',');
    let mut begin = 0;
    let mut parts = Vec::new();
    for (at, ..) in commas {
        parts.push(list[begin..at].trim());
        begin = at + 1;
    }
    parts.push(list[begin..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// Each byte outside of texts and comments, with its place and how deep in brackets it stands: a
/// bracket's end is as deep as what is around it.
fn code(text: &str) -> impl Iterator<Item = (usize, usize, u8)> {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    std::iter::from_fn(move || {
        loop {
            let byte = *bytes.get(at)?;
            let rest = &text.as_bytes()[at..];
            let skipped = if rest.starts_with(b"//") {
                rest.iter().position(|byte| *byte == b'\n')
            } else if rest.starts_with(b"r#\"") {
                position(rest, b"\"#").map(|end| end + 2)
            } else if byte == b'"' {
                let mut end = 1;
                while rest.get(end).is_some_and(|byte| *byte != b'"') {
                    end += if rest[end] == b'\\' { 2 } else { 1 };
                }
                Some(end + 1)
            } else if rest.get(2) == Some(&b'\'') && byte == b'\'' {
                Some(3)
            } else {
                None
            };
            if let Some(skipped) = skipped {
                at += skipped;
                continue;
            }
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            at += 1;
            return Some((at - 1, depth, byte));
        }
    })
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

#[test]
fn a_kind_counts_where_a_test_expects_it_and_nowhere_else() {
    let test = r#"
const LISTED: [&str; 1] = ["only-listed"];
fn first() {
    assert!(text.contains("only-said"), "not-said");
    run.is_only("given-itself"); // is_only("only-in-a-comment")
    breaks(&stage, "given-beside", &format!("{x}('a, (b'"), &mend);
    assert_eq!(run.ids(), ["one-of-two", "two-of-two"], "{:#}", run.report);
    assert_eq!(run.report["id"], "only-compared");
    let id = "bound-by-let";
    stage.doctor().is_only(id);
}
fn second() {
    for (severity, id) in [
        ("warning", "first-of-list"),
        // The "last-one".
        (of("no-kind"), Some("second-of-list")),
    ] {
        match id {
            Some(id) => run.is_only(id),
            None => run.is_well(),
        }
    }
    run.is_only(other);
}
"#;
    let expected: BTreeSet<&str> = expected(test).into_iter().collect();
    assert_eq!(
        expected,
        BTreeSet::from([
            "given-itself",
            "given-beside",
            "one-of-two",
            "two-of-two",
            "bound-by-let",
            "first-of-list",
            "second-of-list",
        ])
    );
}

/// The pages that a source names, each with the heading that follows it: `DEPLOY.md, Deploy`.
fn pages(source: &str) -> Vec<(&str, Option<&str>)> {
    let is_of_path = |letter: char| letter.is_ascii_alphanumeric() || "/_-.".contains(letter);
    let page = |(at, _): (usize, &str)| {
        let end = at + ".md".len();
        let start = source[..at]
            .rfind(|letter: char| !is_of_path(letter))
            .map_or(0, |before| before + 1);
        let after = source[end..].strip_prefix(", ");
        let heading = after.and_then(|text| text.split([')', '"', ';', ':']).next());
        let heading = heading.filter(|text| text.starts_with(|letter: char| letter.is_uppercase()));
        (&source[start..end], heading)
    };
    source.match_indices(".md").map(page).collect()
}

#[test]
fn each_page_and_heading_that_a_finding_names_exists() {
    assert_eq!(
        pages("deploy it (infra/DEPLOY.md, Deploy), or"),
        [("infra/DEPLOY.md", Some("Deploy"))]
    );
    let repository = root().join("../..");
    let mut named = BTreeSet::new();
    for (name, source) in sources() {
        for (page, heading) in pages(&source) {
            let text = std::fs::read_to_string(repository.join(page));
            let text = text.unwrap_or_else(|error| panic!("{name} names {page}: {error}"));
            if let Some(heading) = heading {
                let is_it =
                    |line: &str| line.starts_with('#') && line.ends_with(&format!("# {heading}"));
                assert!(text.lines().any(is_it), "{name}: {page}, {heading}");
            }
            named.insert(page.to_owned());
        }
    }
    for page in ["infra/DEPLOY.md", "infra/runbooks/keys.md"] {
        assert!(named.contains(page), "{named:?}");
    }
}
