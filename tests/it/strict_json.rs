//! All our code reads JSON by `strict-json`.

use std::path::Path;

/// Exceptions: they read none of our types.
const MAY: [(&str, &str); 6] = [
    (
        // Whatever a later version wrote, of which nothing is read here.
        "shared/stores/src/reconciliation/item.rs",
        "let stored: Option<serde_json::Value> = json.and_then",
    ),
    (
        "functions/console/src/person.rs",
        "serde_json::from_str::<Vec<String>>(claim)",
    ),
    (
        "functions/console/src/person.rs",
        "let payload: serde_json::Value = serde_json::from_slice",
    ),
    (
        // AWS's own error answer, of which two members are only counted.
        "shared/runtime/src/aws/counted.rs",
        "let answer: serde_json::Value = serde_json::from_slice",
    ),
    (
        // CloudWatch's answer, which the service map takes apart.
        "shared/runtime/src/aws/cloudwatch.rs",
        "return serde_json::from_slice(body)",
    ),
    (
        "shared/runtime/src/aws/cloudwatch.rs",
        "let refusal: Value = serde_json::from_slice(body)",
    ),
];

/// The files that are deployed, but WeChat Pay's protocol, which reads what is signed.
const WHERE: [&str; 7] = [
    "functions",
    "shared/payments/src",
    "shared/runtime/src",
    "shared/stores/src",
    "shared/wechat-client/src",
    "shared/webhook-client/src",
    "shared/flows/src",
];

fn rust_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                rust_files(&path, found);
            }
        } else if path.extension().is_some_and(|kind| kind == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_text_of_json_that_becomes_a_type_of_ours_is_read_strictly() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for folder in WHERE {
        rust_files(&root.join(folder), &mut files);
    }
    let mut past = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a file");
        let name = file
            .strip_prefix(&root)
            .expect("below it")
            .display()
            .to_string();
        let deployed = text.split("#[cfg(test)]").next().unwrap_or_default();
        let mut derives_read = false;
        for line in deployed.lines() {
            if line.contains("#[derive(") {
                derives_read = line.contains("Deserialize");
            }
            // Serde reads types with these through a buffer in which an array passes for a struct.
            let is_buffered = line.trim_start().starts_with("#[serde(")
                && ["flatten", "untagged", "tag ="]
                    .iter()
                    .any(|word| line.contains(word));
            let is_past = line.contains("serde_json::from_") || derives_read && is_buffered;
            if is_past
                && !MAY
                    .iter()
                    .any(|(file, part)| name == *file && line.contains(part))
            {
                past.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    assert!(files.len() > 100, "only {} files were found", files.len());
    assert!(
        past.is_empty(),
        "use strict_json::read or Object instead: {past:#?}"
    );
}
