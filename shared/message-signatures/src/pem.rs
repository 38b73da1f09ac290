//! Reading one PEM block (RFC 7468).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// The bytes of a PEM text that consists of one block with this label, or `None`.
pub(crate) fn decode(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let body = text
        .trim()
        .strip_prefix("-----BEGIN ")?
        .strip_prefix(label)?
        .strip_prefix("-----")?;
    let body = body
        .strip_suffix("-----")?
        .strip_suffix(label)?
        .strip_suffix("-----END ")?;
    let packed: Zeroizing<Vec<u8>> = Zeroizing::new(
        body.bytes()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect(),
    );
    STANDARD.decode(&*packed).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_read_with_any_line_ends() {
        for text in [
            "-----BEGIN PUBLIC KEY-----\nAQI\nD\n-----END PUBLIC KEY-----\n",
            "\r\n-----BEGIN PUBLIC KEY-----\r\nAQID\r\n-----END PUBLIC KEY-----\r\n",
        ] {
            assert_eq!(
                decode(text, "PUBLIC KEY").as_deref(),
                Some(&vec![1, 2, 3]),
                "{text}"
            );
        }
    }

    #[test]
    fn another_label_a_cut_block_and_bad_base64_are_not_read() {
        for text in [
            "",
            "AQID",
            "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\nAQID\n",
            "-----BEGIN PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----\nA!ID\n-----END PUBLIC KEY-----",
        ] {
            assert_eq!(decode(text, "PUBLIC KEY"), None, "{text}");
        }
    }
}
