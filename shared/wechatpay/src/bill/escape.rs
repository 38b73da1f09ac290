//! What merchants wrote, as it was before WeChat Pay escaped it (manual page 4013071246).

use super::kind::TradeKind;

/// Takes back the escapes of merchant-written fields, for people to read: refund rows write a
/// backtick as `\140` and leave `'` alone, payment rows put a backslash before both.
///
/// Not for comparing: commas and some other characters all became backslash and space, and are
/// returned as commas. A backslash that starts no known escape stays.
#[must_use]
pub fn unescape(text: &str, kind: TradeKind) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let (known, length) = match (kind, after.as_bytes()) {
            (_, [b'\\', ..]) => ('\\', 1),
            (_, [b'"', ..]) => ('"', 1),
            (_, [b' ', ..]) => (',', 1),
            (_, [b'n', ..]) => ('\n', 1),
            (_, [b'r', ..]) => ('\r', 1),
            (_, [b't', ..]) => ('\t', 1),
            (_, [0x1a, ..]) => ('\u{1a}', 1),
            (TradeKind::Payment, [b'\'', ..]) => ('\'', 1),
            (TradeKind::Payment, [b'`', ..]) => ('`', 1),
            (TradeKind::Refund | TradeKind::Revoked, [b'1', b'4', b'0', ..]) => ('`', 3),
            _ => ('\\', 0),
        };
        plain.push(known);
        rest = after.get(length..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_rows_come_back_as_the_merchant_wrote_them() {
        let common = [
            (r"a\\b", r"a\b"),
            (r#"\"x\""#, "\"x\""),
            (r"Tea\ cup", "Tea,cup"),
            (r"1\n2\r3\t4", "1\n2\r3\t4"),
            ("\\\u{1a}", "\u{1a}"),
            (r"\\n", r"\n"),
            (r"\\\\", r"\\"),
            ("茶杯", "茶杯"),
            ("", ""),
        ];
        for (written, plain) in common {
            for kind in [TradeKind::Payment, TradeKind::Refund, TradeKind::Revoked] {
                assert_eq!(unescape(written, kind), plain, "{written}");
            }
        }
        assert_eq!(unescape(r"it\'s \`so\`", TradeKind::Payment), "it's `so`");
        assert_eq!(unescape(r"it's \140so\140", TradeKind::Refund), "it's `so`");
        assert_eq!(unescape(r"\\140", TradeKind::Refund), r"\140");
    }

    #[test]
    fn a_backslash_that_escapes_nothing_stays() {
        for text in [r"\", r"a\", r"\x", r"\茶", r"\14"] {
            assert_eq!(unescape(text, TradeKind::Refund), text);
        }
        assert_eq!(unescape(r"\140", TradeKind::Payment), r"\140");
    }
}
