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
    let tests: String = rust_files(&root().join("tests"))
        .into_iter()
        .filter(|path| path.file_name() != Some(own))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let untested: Vec<&&str> = kinds
        .iter()
        .filter(|kind| !tests.contains(&format!("\"{kind}\"")))
        .collect();
    assert!(untested.is_empty(), "no test expects {untested:?}");
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
