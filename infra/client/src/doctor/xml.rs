//! XML as three of AWS's services still answer: elements that hold a text or other elements.

use xmlparser::{ElementEnd, Token, Tokenizer};

/// An element. Attributes are left out: these answers say nothing in them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a whole answer; `None` if it is not one element.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        for token in Tokenizer::from(text) {
            match token.ok()? {
                Token::ElementStart { local, .. } => open.push(Self {
                    name: local.as_str().to_owned(),
                    ..Self::default()
                }),
                Token::ElementEnd {
                    end: ElementEnd::Empty | ElementEnd::Close(..),
                    ..
                } => {
                    let ended = open.pop()?;
                    match open.last_mut() {
                        Some(around) => around.children.push(ended),
                        None => root = Some(ended),
                    }
                }
                Token::Text { text } => {
                    if let Some(inside) = open.last_mut() {
                        inside.text.push_str(&unescaped(text.as_str())?);
                    }
                }
                Token::Cdata { text, .. } => open.last_mut()?.text.push_str(text.as_str()),
                // Entities would be declared in a document type, which no answer has.
                Token::DtdStart { .. }
                | Token::EmptyDtd { .. }
                | Token::EntityDeclaration { .. }
                | Token::DtdEnd { .. } => return None,
                Token::Declaration { .. }
                | Token::ProcessingInstruction { .. }
                | Token::Comment { .. }
                | Token::Attribute { .. }
                | Token::ElementEnd {
                    end: ElementEnd::Open,
                    ..
                } => {}
            }
        }
        if open.is_empty() { root } else { None }
    }

    /// The first element of this name, at any depth.
    pub(crate) fn find(&self, name: &str) -> Option<&Self> {
        self.children.iter().find_map(|child| {
            if child.name == name {
                Some(child)
            } else {
                child.find(name)
            }
        })
    }

    /// The text of the first element of this name, at any depth.
    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.find(name).map(|found| found.text.as_str())
    }

    /// The members of the list of this name.
    pub(crate) fn members(&self, name: &str) -> &[Self] {
        self.find(name).map_or(&[], |list| &list.children)
    }
}

fn unescaped(text: &str) -> Option<String> {
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, following) = after.split_once(';')?;
        read.push_str(before);
        read.push(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "apos" => '\'',
            "quot" => '"',
            _ => char::from_u32(match name.strip_prefix("#x") {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => name.strip_prefix('#')?.parse().ok()?,
            })?,
        });
        rest = following;
    }
    read.push_str(rest);
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_lists_and_escapes() {
        let answer = br#"<?xml version="1.0"?>
            <DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
              <DescribeStacksResult><Stacks><member>
                <StackName>tea &amp; more &#8212; &#x4e2d;</StackName><Outputs/>
                <Parameters><member><ParameterKey>A</ParameterKey></member><member><ParameterKey>B</ParameterKey></member></Parameters>
              </member></Stacks></DescribeStacksResult>
            </DescribeStacksResponse>"#;
        let answer = Element::read(answer).unwrap();
        assert_eq!(answer.text_of("StackName"), Some("tea & more \u{2014} 中"));
        let names: Vec<_> = answer
            .members("Parameters")
            .iter()
            .map(|member| member.text_of("ParameterKey"))
            .collect();
        assert_eq!(names, [Some("A"), Some("B")]);
        assert!(answer.members("Outputs").is_empty());
        assert!(answer.members("Tags").is_empty());
    }

    #[test]
    fn what_is_no_whole_answer_is_refused() {
        for text in [
            "",
            "no XML",
            "<a><b></a>",
            "<a>&unknown;</a>",
            "<!DOCTYPE a [<!ENTITY b \"c\">]><a/>",
            "<a>",
        ] {
            assert_eq!(Element::read(text.as_bytes()), None, "{text}");
        }
    }
}
