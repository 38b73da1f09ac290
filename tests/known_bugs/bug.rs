//! A known bug, parsed from its file.

/// The variable that switches a bug on. Its value is the bug's name.
pub(crate) const SWITCH: &str = "KNOWN_BUG";

/// A bug: a patch with a head of fields before it.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct KnownBug {
    /// The file's name without `.patch`.
    pub(crate) name: String,
    /// What goes wrong.
    pub(crate) bug: String,
    /// Where it was seen, or why it is plausible.
    pub(crate) why: String,
    /// What the fault harness runs: arguments of `cargo faults`.
    pub(crate) run: Vec<String>,
    /// The check of the harness that must report a violation.
    pub(crate) check: String,
    /// The files that it changes, from the root.
    pub(crate) paths: Vec<String>,
}

impl KnownBug {
    /// Reads a bug's file.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (head, patch) = text
            .split_once("\ndiff --git ")
            .ok_or("it has no patch: no line begins with \"diff --git\"")?;
        let switch = format!("Ok(\"{name}\")");
        if !patch.contains(SWITCH) || !patch.contains(&switch) {
            return Err(format!(
                "nothing in it asks whether std::env::var(\"{SWITCH}\").as_deref() is {switch}"
            ));
        }
        let field = |key| field(head, key).ok_or(format!("its head has no \"{key}:\""));
        Ok(Self {
            name: name.to_owned(),
            bug: field("Bug")?,
            why: field("Why")?,
            run: field("Run")?
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            check: field("Check")?,
            paths: patch
                .lines()
                .filter_map(|line| line.strip_prefix("--- a/"))
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// A field of the head: `Key: text`, and further lines of it set in.
fn field(head: &str, key: &str) -> Option<String> {
    let mut lines = head.lines();
    let first = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": "))?;
    let further = lines.take_while(|line| line.starts_with(' '));
    let words: Vec<&str> = std::iter::once(first)
        .chain(further)
        .flat_map(str::split_whitespace)
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "Bug: Money is lost\n     at once.\nWhy: Seen elsewhere.\nRun: --flow late-money\nCheck: every payment is booked\n\ndiff --git a/x.rs b/x.rs\n--- a/x.rs\n+++ b/x.rs\n@@ -1 +1,2 @@\n a\n+if std::env::var(\"KNOWN_BUG\").as_deref() == Ok(\"late\") {}\n";

    #[test]
    fn a_bug_is_read_from_the_head_of_its_patch() {
        let bug = KnownBug::parse("late", FILE).expect("a whole file");
        assert_eq!(bug.bug, "Money is lost at once.");
        assert_eq!(bug.why, "Seen elsewhere.");
        assert_eq!(bug.run, ["--flow", "late-money"]);
        assert_eq!(bug.check, "every payment is booked");
        assert_eq!(bug.paths, ["x.rs"]);
    }

    #[test]
    fn a_bug_that_says_too_little_or_that_no_switch_turns_on_is_refused() {
        for (name, missing) in [("Bug", "Bug: "), ("Why", "Why: "), ("Check", "Check: ")] {
            let file = FILE.replace(missing, "Else: ");
            let refused = KnownBug::parse("late", &file).expect_err("a field is missing");
            assert!(refused.contains(name), "{refused}");
        }
        let other = KnownBug::parse("other-name", FILE).expect_err("another name");
        assert!(other.contains("Ok(\"other-name\")"), "{other}");
        let unpatched = KnownBug::parse("late", "Bug: a\n").expect_err("no patch");
        assert!(unpatched.contains("no patch"), "{unpatched}");
    }
}
