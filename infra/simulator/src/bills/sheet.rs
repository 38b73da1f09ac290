//! The syntax of all bills: a backtick before each value, a comma between them, none of it in
//! headers.

use std::fmt::Write;

use crate::{
    clock,
    settings::{BillFormat, LineEnds},
};

const BOM: char = '\u{feff}';

/// A bill's text while it is written.
pub(crate) struct Sheet {
    text: String,
    format: BillFormat,
    /// Whether the line being written has nothing yet.
    fresh: bool,
    lines: usize,
}

impl Sheet {
    pub(crate) fn new(format: BillFormat) -> Self {
        Self {
            text: if format.bom {
                BOM.to_string()
            } else {
                String::new()
            },
            format,
            fresh: true,
            lines: 0,
        }
    }

    pub(crate) fn format(&self) -> BillFormat {
        self.format
    }

    pub(crate) fn headers<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.begin_line();
        for name in names {
            if !std::mem::take(&mut self.fresh) {
                self.text.push(',');
            }
            self.text.push_str(name);
        }
    }

    /// Text after it starts on a new line.
    pub(crate) fn begin_line(&mut self) {
        if self.lines > 0 {
            self.end_line();
        }
        self.lines = self.lines.saturating_add(1);
        self.fresh = true;
    }

    fn end_line(&mut self) {
        self.text.push_str(match self.format.line_ends {
            LineEnds::Crlf => "\r\n",
            LineEnds::Lf | LineEnds::LfBetween => "\n",
        });
    }

    fn begin_value(&mut self) {
        let opening = if std::mem::take(&mut self.fresh) {
            "`"
        } else {
            ",`"
        };
        self.text.push_str(opening);
    }

    pub(crate) fn put(&mut self, value: &str) {
        self.begin_value();
        self.text.push_str(value);
    }

    /// Text that the merchant wrote; a comma is lost, so that commas always separate.
    pub(crate) fn put_escaped(&mut self, value: &str, in_refund: bool) {
        self.begin_value();
        escape(&mut self.text, value, in_refund);
    }

    pub(crate) fn put_time(&mut self, at_ms: i64) {
        self.put(&clock::bill_time(at_ms));
    }

    /// Fen as yuan with two decimals.
    pub(crate) fn put_yuan(&mut self, fen: i64) {
        self.begin_value();
        write_yuan(&mut self.text, fen);
    }

    /// A row's fee: five decimals in real files, two by the manual.
    pub(crate) fn put_fee(&mut self, fen: i64) {
        self.put_yuan(fen);
        if !self.format.short_fees {
            self.text.push_str("000");
        }
    }

    /// A count; a decimal number, except in the old format.
    pub(crate) fn put_count(&mut self, count: i64) {
        self.begin_value();
        let decimals = if self.format.old { "" } else { ".0" };
        // Writing into a `String` cannot fail.
        let _written = write!(self.text, "{count}{decimals}");
    }

    pub(crate) fn finish(mut self) -> String {
        if self.format.line_ends != LineEnds::LfBetween {
            self.end_line();
        }
        self.text
    }
}

fn write_yuan(text: &mut String, fen: i64) {
    let sign = if fen < 0 { "-" } else { "" };
    let fen = fen.unsigned_abs();
    let (yuan, rest) = (
        fen.checked_div(100).unwrap_or(0),
        fen.checked_rem(100).unwrap_or(0),
    );
    // Writing into a `String` cannot fail.
    let _written = write!(text, "{sign}{yuan}.{rest:02}");
}

fn escape(escaped: &mut String, text: &str, in_refund: bool) {
    for character in text.chars() {
        match (character, in_refund) {
            ('\\', _) => escaped.push_str("\\\\"),
            ('\'', false) => escaped.push_str("\\'"),
            ('"', _) => escaped.push_str("\\\""),
            ('`', false) => escaped.push_str("\\`"),
            ('`', true) => escaped.push_str("\\140"),
            (',' | '\u{e000}', _) => escaped.push_str("\\ "),
            ('\n', _) => escaped.push_str("\\n"),
            ('\r', _) => escaped.push_str("\\r"),
            ('\t', _) => escaped.push_str("\\t"),
            ('\u{1a}', _) => escaped.push_str("\\\u{1a}"),
            (other, _) => escaped.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merchant_text_is_escaped_as_in_real_bills() {
        let escaped = |text: &str, in_refund| {
            let mut escaped = String::new();
            escape(&mut escaped, text, in_refund);
            escaped
        };
        assert_eq!(escaped("a,b`c'd\\e\nf", false), "a\\ b\\`c\\'d\\\\e\\nf");
        assert_eq!(escaped("a,b`c'd", true), "a\\ b\\140c'd");
    }

    #[test]
    fn fen_are_written_as_yuan() {
        let yuan = |fen| {
            let mut text = String::new();
            write_yuan(&mut text, fen);
            text
        };
        assert_eq!(
            [yuan(0), yuan(7), yuan(1200), yuan(-105)],
            ["0.00", "0.07", "12.00", "-1.05"]
        );
    }

    #[test]
    fn lines_end_as_set() {
        let written = |line_ends| {
            let mut sheet = Sheet::new(BillFormat {
                line_ends,
                bom: false,
                ..BillFormat::default()
            });
            sheet.headers(["a", "b"].into_iter());
            sheet.begin_line();
            sheet.put("1");
            sheet.put("");
            sheet.finish()
        };
        assert_eq!(written(LineEnds::Crlf), "a,b\r\n`1,`\r\n");
        assert_eq!(written(LineEnds::Lf), "a,b\n`1,`\n");
        assert_eq!(written(LineEnds::LfBetween), "a,b\n`1,`");
    }
}
