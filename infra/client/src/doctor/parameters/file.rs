//! A file of parameters as SAM reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::doctor::stack::Stack;

/// How deep files may include others.
const DEPTH_MAX: u32 = 4;

/// Parameters as a file gives them, in the form of infra/parameters/example.yaml: a name and a text
/// on each line.
#[derive(Debug, Default)]
pub(crate) struct Parameters {
    pub(super) given: BTreeMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ParametersError {
    #[error("{}: {why}", path.display())]
    Unreadable { path: PathBuf, why: std::io::Error },
    #[error("{}, line {line}: a parameter is written as `Name: \"value\"`, not as `{text}`", path.display())]
    Line {
        path: PathBuf,
        line: usize,
        text: String,
    },
    #[error("{}, line {line}: SAM hands a bare boolean or number on as another text: write the value of `{text}` in quotation marks", path.display())]
    Bare {
        path: PathBuf,
        line: usize,
        text: String,
    },
    #[error("{}, line {line}: `$include` names a file as `file://NAME`, not as `{text}`", path.display())]
    Include {
        path: PathBuf,
        line: usize,
        text: String,
    },
    #[error("{}: files include one another", path.display())]
    Circle { path: PathBuf },
}

impl Parameters {
    pub(crate) fn read(path: &Path) -> Result<Self, ParametersError> {
        let mut parameters = Self::default();
        parameters.add(path, DEPTH_MAX)?;
        Ok(parameters)
    }

    /// What the file gives; `None` for what it leaves to the template, or gives as nothing.
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        let value = self.given.get(name)?;
        (!value.is_empty()).then_some(value.as_str())
    }

    /// What a deployment goes by: AWS keeps what a stack has and the file does not name.
    pub(crate) fn deployed<'a>(&'a self, name: &str, stack: Option<&'a Stack>) -> &'a str {
        match (self.given.get(name), stack) {
            (Some(value), _) => value,
            (None, Some(stack)) => stack.parameter(name),
            (None, None) => "",
        }
    }

    fn add(&mut self, path: &Path, depth: u32) -> Result<(), ParametersError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(ParametersError::Circle {
                path: path.to_owned(),
            });
        };
        let text = std::fs::read_to_string(path).map_err(|why| ParametersError::Unreadable {
            path: path.to_owned(),
            why,
        })?;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') || line == "---" {
                continue;
            }
            let read = line.split_once(':').filter(|(name, _)| is_name(name));
            let read = read.and_then(|(name, rest)| Some((name, Value::read(rest)?)));
            let (path, text) = (path.to_owned(), line.to_owned());
            let line = at.saturating_add(1);
            let (name, value) = match read {
                Some((name, Value::Text(value))) => (name, value),
                Some((_, Value::Bare)) => return Err(ParametersError::Bare { path, line, text }),
                None => return Err(ParametersError::Line { path, line, text }),
            };
            if name != "$include" {
                self.given.insert(name.to_owned(), value);
                continue;
            }
            let Some(included) = value.strip_prefix("file://") else {
                return Err(ParametersError::Include { path, line, text });
            };
            // SAM looks for it in the folder of the file that names it, too.
            let folder = path.parent().unwrap_or(Path::new(""));
            self.add(&folder.join(included), depth)?;
        }
        Ok(())
    }
}

fn is_name(text: &str) -> bool {
    text == "$include"
        || (!text.is_empty() && text.bytes().all(|letter| letter.is_ascii_alphanumeric()))
}

/// What stands after a parameter's name.
enum Value {
    Text(String),
    /// Not in quotation marks, and to YAML a boolean, a number, a time or nothing: SAM hands on
    /// `True` for `true`, and `12` for `012`.
    Bare,
}

impl Value {
    /// With quotation marks or without, and maybe a comment after it.
    fn read(rest: &str) -> Option<Self> {
        let text = rest.trim_start();
        // Without a blank it is no value to YAML.
        if text.len() == rest.len() && !text.is_empty() {
            return None;
        }
        let is_comment =
            |after: &str| after.trim().is_empty() || after.trim_start().starts_with('#');
        for mark in ['"', '\''] {
            if let Some(inside) = text.strip_prefix(mark) {
                let (value, after) = inside.split_once(mark)?;
                let is_plain = !value.contains('\\');
                return (is_plain && is_comment(after)).then(|| Self::Text(value.to_owned()));
            }
        }
        let bare = text.split(" #").next().unwrap_or_default().trim();
        if bare.starts_with(['[', '{', '&', '*', '!', '|', '>', '%', '@', '`', '#']) {
            return None;
        }
        let is_word = ["true", "false", "null", "~"]
            .iter()
            .any(|word| bare.eq_ignore_ascii_case(word));
        let is_like_a_number = bare.starts_with(|letter: char| {
            letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.')
        });
        Some(if is_word || is_like_a_number {
            Self::Bare
        } else {
            Self::Text(bare.to_owned())
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn read(text: &str) -> Result<Parameters, ParametersError> {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("parameters-{}-{number}.yaml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        let read = Parameters::read(&path);
        std::fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn a_line_that_is_no_parameter_is_refused_with_its_number() {
        for line in [
            "Mchid",
            "Mchid: \"1",
            "Mchid: \"1\" 2",
            "Appids: [a, b]",
            "  Mchid: \"1\"",
            "Mchid:\"1\"",
        ] {
            let refused = read(&format!("# first\n{line}\n")).unwrap_err().to_string();
            assert!(refused.contains(", line 2: "), "{refused}");
        }
        let missing = Parameters::read(Path::new("/no/such/file.yaml"));
        assert!(matches!(missing, Err(ParametersError::Unreadable { .. })));
    }

    #[test]
    fn what_sam_hands_on_as_another_text_is_refused() {
        for bare in [
            "true",
            "False",
            "null",
            "~",
            "012",
            "1900000001",
            "1.50",
            ".5",
            "-1",
            "+1",
            "1e3",
            "2026-11-30T10:00:00Z",
        ] {
            let refused = read(&format!("Mchid: {bare}\n")).unwrap_err();
            assert!(matches!(refused, ParametersError::Bare { .. }), "{refused}");
            let said = refused.to_string();
            assert!(said.contains("in quotation marks"), "{said}");
            let quoted = read(&format!("Mchid: \"{bare}\"\n")).unwrap();
            assert_eq!(quoted.given("Mchid"), Some(bare));
        }
        for text in ["on", "off", "arm64", "wx0123", "subnet-01,subnet-02"] {
            let bare = read(&format!("Mchid: {text} # ours\n")).unwrap();
            assert_eq!(bare.given("Mchid"), Some(text));
        }
        assert_eq!(read("Mchid:\n").unwrap().given("Mchid"), None);
    }

    #[test]
    fn a_file_is_included_by_file_and_from_the_folder_of_the_one_that_names_it() {
        let name = format!("parameters-{}-included", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let inner = folder.join("inner");
        std::fs::create_dir_all(&inner).unwrap();
        let write = |path: PathBuf, text: &str| std::fs::write(path, text).unwrap();
        let live = folder.join("live.yaml");
        write(live.clone(), "$include: file://inner/first.yaml\n");
        write(
            inner.join("first.yaml"),
            "$include: \"file://second.yaml\"\nLogLevel: warn\n",
        );
        write(inner.join("second.yaml"), "Mchid: \"1\"\n");
        let parameters = Parameters::read(&live).unwrap();
        assert_eq!(parameters.given("Mchid"), Some("1"));
        assert_eq!(parameters.given("LogLevel"), Some("warn"));
        write(live.clone(), "\n$include: inner/first.yaml\n");
        let refused = Parameters::read(&live).unwrap_err();
        assert!(matches!(refused, ParametersError::Include { line: 2, .. }));
        write(live.clone(), "$include: file://live.yaml\n");
        let refused = Parameters::read(&live).unwrap_err();
        assert!(matches!(refused, ParametersError::Circle { .. }));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
