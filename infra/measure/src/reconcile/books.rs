//! Reading the books of a day, as [`super::day`] writes them.
//!
//! The engines beside us read CSV with vector instructions; so does this.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use matching::books::{BookLine, BookedRefund};
use payments::model::order::Product;
use wide::u8x16;

use crate::failure::{ErrorContext, Failure, MeasureResult};

const READ_BYTES: usize = 64 * 1024;
const COLUMNS: usize = 10;

/// Reads the books, some lines of one part of the index at a time.
pub(super) fn each_page(
    books: &Path,
    mut each: impl FnMut(u8, &[BookLine<'_>]) -> MeasureResult<()>,
) -> MeasureResult<()> {
    let mut file = File::open(books).during(format!("opening {}", books.display()))?;
    let (mut buffer, mut kept) = (vec![0; READ_BYTES], 0);
    let (mut ends, mut is_header) = (Vec::new(), true);
    loop {
        let into = buffer.get_mut(kept..).unwrap_or_default();
        let read = file.read(into).during("reading the books")?;
        let filled = kept.saturating_add(read);
        let bytes = buffer.get(..filled).unwrap_or_default();
        let last = bytes.iter().rposition(|byte| *byte == b'\n');
        let whole = last.map_or(0, |at| at.saturating_add(1));
        let text = bytes.get(..whole).unwrap_or_default();
        let text = std::str::from_utf8(text).during("reading the books")?;
        find_ends(text.as_bytes(), &mut ends);
        page(text, &ends, is_header, &mut each)?;
        if read == 0 {
            return Ok(());
        }
        is_header = false;
        kept = filled.saturating_sub(whole);
        buffer.copy_within(whole..filled, 0);
    }
}

/// Reads whole lines.
fn page(
    text: &str,
    ends: &[usize],
    is_header: bool,
    each: &mut impl FnMut(u8, &[BookLine<'_>]) -> MeasureResult<()>,
) -> MeasureResult<()> {
    let (lines, rest) = ends.as_chunks::<COLUMNS>();
    let (mut page, mut of_shard, mut start) = (Vec::with_capacity(lines.len()), 0, 0);
    for (number, ends) in lines.iter().enumerate() {
        let fields = ends.map(|end| {
            let field = text.get(start..end).unwrap_or_default();
            start = end.saturating_add(1);
            field
        });
        if is_header && number == 0 {
            continue;
        }
        let is_whole = text.as_bytes().get(start.wrapping_sub(1)) == Some(&b'\n');
        let Some((shard, line)) = book_line(fields).filter(|_| is_whole) else {
            return Err(Failure::new(format!("no line of the books: {fields:?}")));
        };
        if shard != of_shard {
            each(of_shard, &page)?;
            page.clear();
            of_shard = shard;
        }
        page.push(line);
    }
    if !rest.is_empty() {
        return Err(Failure::new("the books have a line of other columns"));
    }
    each(of_shard, &page)
}

/// Finds the positions of commas and line feeds.
fn find_ends(bytes: &[u8], ends: &mut Vec<usize>) {
    ends.clear();
    let (blocks, rest) = bytes.as_chunks::<16>();
    let (comma, line_feed) = (u8x16::splat(b','), u8x16::splat(b'\n'));
    let mut base = 0_usize;
    for block in blocks {
        let block = u8x16::new(*block);
        let mut bits = (block.simd_eq(comma) | block.simd_eq(line_feed)).to_bitmask();
        while bits != 0 {
            let place = usize::try_from(bits.trailing_zeros()).unwrap_or_default();
            ends.push(base.saturating_add(place));
            bits &= bits.wrapping_sub(1);
        }
        base = base.saturating_add(16);
    }
    let rest = (base..).zip(rest);
    ends.extend(rest.filter_map(|(at, byte)| matches!(byte, b',' | b'\n').then_some(at)));
}

fn book_line(fields: [&str; COLUMNS]) -> Option<(u8, BookLine<'_>)> {
    let [
        shard,
        kind,
        id,
        order_no,
        amount_fen,
        appid,
        product,
        transaction_id,
        refund_id,
        state,
    ] = fields;
    let amount_fen = amount_fen.parse().ok()?;
    let trade_type = Product::named(product)?.trade_type();
    let line = match kind {
        "payment" => BookLine::Payment {
            transaction_id: id,
            order_no,
            amount_fen,
            appid,
            trade_type,
        },
        "refund" => BookLine::Refund {
            out_refund_no: id,
            refund_id: Some(refund_id),
            transaction_id,
            order_no,
            amount_fen,
            state: BookedRefund::named(state)?,
            trade_type: Some(trade_type),
        },
        _ => return None,
    };
    Some((shard.parse().ok()?, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_wherever_they_are_in_a_block() {
        let mut ends = Vec::new();
        for length in 0..70_usize {
            for at in 0..length {
                let mut bytes = vec![b'x'; length];
                bytes[at] = b',';
                bytes[length - 1] = b'\n';
                find_ends(&bytes, &mut ends);
                let mut right = vec![at, length - 1];
                right.dedup();
                assert_eq!(ends, right);
            }
        }
    }

    #[test]
    fn a_page_ends_where_a_shard_does() {
        let payment = |shard: u8| format!("{shard},payment,4200,ORDER,7,wx,native,,,\n");
        let text = [payment(0), payment(0), payment(3)].concat();
        let mut ends = Vec::new();
        find_ends(text.as_bytes(), &mut ends);
        let mut pages = Vec::new();
        page(&text, &ends, false, &mut |shard, lines| {
            pages.push((shard, lines.len()));
            Ok(())
        })
        .expect("whole lines");
        assert_eq!(pages, [(0, 2), (3, 1)]);
        assert!(page("a,b\n", &[1, 3], false, &mut |_, _| Ok(())).is_err());
    }
}
