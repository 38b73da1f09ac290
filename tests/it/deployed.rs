//! What is deployed carries nothing that is for tests.

use std::{fs, path::Path, process::Command};

/// The features of packages, with which a package is built: lines such as `runtime feature
/// "testing"`.
fn features(package: &str, edges: &str) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--prefix", "none"])
        .args(["--package", package, "--edges", edges])
        // As a function is built: by itself, not with the features of everything beside it.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn no_function_is_built_with_a_clock_that_stands_still_or_an_engine_of_tests() {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let mut count = 0;
    for entry in fs::read_dir(functions).expect("the functions") {
        let function = entry.expect("a function").file_name();
        let function = function.to_str().expect("a name");
        let built_with = features(function, "features,normal,build");
        assert!(built_with.contains("wechatpay"), "{built_with}");
        for of_tests in ["feature \"testing\"", "dynoxide"] {
            assert!(
                !built_with.contains(of_tests),
                "{function} is built with {of_tests}"
            );
        }
        count += 1;
    }
    assert!(count >= 5, "{count} functions");
    assert!(
        features("integration", "features,normal,build,dev").contains("feature \"testing\""),
        "the tests themselves are"
    );
}
