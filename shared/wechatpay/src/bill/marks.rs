//! Where fields begin and lines end: the one pass over all bytes.
//!
//! Vector instructions compare 16 bytes at a time, by hand: a release build for size does not find
//! them by itself. The answers become words with a bit for each of 64 bytes, and whether a backtick
//! separates is a matter of a shift. A call of a search function for each of a row's 28 hits costs
//! three times as much.

use wide::u8x16;

const BLOCK: usize = 64;
/// Hits that are written without asking how many there are. Few blocks of a bill have more, so the
/// branch behind them is foreseen; what is written too much is overwritten by the next block.
const AT_ONCE: usize = 8;

/// Positions, in buffers that are used again and again.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    /// The backticks that begin a field: at the start of a line or behind a comma. All others are
    /// text. Has a place for each byte of the longest text so far and a block more.
    fields: Vec<u32>,
    /// The line feeds, likewise.
    line_feeds: Vec<u32>,
}

impl Marks {
    /// Backticks that begin a field, and line feeds, in order. `bytes` starts with a line and has
    /// less than 4 GiB.
    pub(super) fn of(&mut self, bytes: &[u8]) -> (&[u32], &[u32]) {
        if self.fields.len() < bytes.len() + BLOCK {
            self.fields.resize(bytes.len() + BLOCK, 0);
            self.line_feeds.resize(bytes.len() + BLOCK, 0);
        }
        let (mut fields, mut line_feeds) = (0, 0);
        let (mut base, mut may_begin) = (0, 1);
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        let mut last = [0; BLOCK];
        for (into, byte) in last.iter_mut().zip(rest) {
            *into = *byte;
        }
        for block in blocks.iter().chain([&last]) {
            let bits = Bits::of(block);
            let ends = bits.commas | bits.line_feeds;
            fields += write(
                &mut self.fields,
                fields,
                base,
                bits.backticks & (ends << 1 | may_begin),
            );
            may_begin = ends >> 63;
            let mut left = bits.line_feeds;
            while left != 0 {
                if let Some(place) = self.line_feeds.get_mut(line_feeds) {
                    *place = base.wrapping_add(left.trailing_zeros());
                    line_feeds += 1;
                }
                left &= left.wrapping_sub(1);
            }
            base = base.wrapping_add(64);
        }
        (
            self.fields.get(..fields).unwrap_or_default(),
            self.line_feeds.get(..line_feeds).unwrap_or_default(),
        )
    }
}

/// A bit for each byte of a block, the first byte's lowest.
struct Bits {
    backticks: u64,
    commas: u64,
    line_feeds: u64,
}

impl Bits {
    #[inline(always)]
    fn of(block: &[u8; BLOCK]) -> Self {
        let mut bits = Self {
            backticks: 0,
            commas: 0,
            line_feeds: 0,
        };
        for sixteen in block.as_chunks::<16>().0.iter().rev() {
            let bytes = u8x16::new(*sixteen);
            let equal = |byte| u64::from(bytes.simd_eq(u8x16::splat(byte)).to_bitmask());
            bits.backticks = bits.backticks << 16 | equal(b'`');
            bits.commas = bits.commas << 16 | equal(b',');
            bits.line_feeds = bits.line_feeds << 16 | equal(b'\n');
        }
        bits
    }
}

/// Writes the positions of `bits` from `count` on, and returns how many there are.
#[inline(always)]
fn write(into: &mut [u32], count: usize, base: u32, mut bits: u64) -> usize {
    let Some(places) = into
        .get_mut(count..)
        .and_then(<[u32]>::first_chunk_mut::<BLOCK>)
    else {
        return 0; // never: there is a place for each byte
    };
    let hits = index(bits.count_ones());
    let (at_once, more) = places.split_at_mut(AT_ONCE);
    for place in at_once {
        *place = base.wrapping_add(bits.trailing_zeros());
        bits &= bits.wrapping_sub(1);
    }
    if bits != 0 {
        for place in more {
            *place = base.wrapping_add(bits.trailing_zeros());
            bits &= bits.wrapping_sub(1);
            if bits == 0 {
                break;
            }
        }
    }
    hits
}

/// A position as an index.
#[inline]
pub(super) fn index(mark: u32) -> usize {
    usize::try_from(mark).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(bytes: &[u8], are: impl Fn(usize) -> bool) -> Vec<u32> {
        (0..)
            .zip(0..bytes.len())
            .filter(|(_, at)| are(*at))
            .map(|(at, _)| at)
            .collect()
    }

    #[test]
    fn marks_are_where_a_plain_search_finds_them() {
        let mut marks = Marks::default();
        let mut seed = 7_u32;
        for length in 0..300 {
            for density in [1, 2, 5, 40] {
                let bytes: Vec<u8> = (0..length)
                    .map(|_| {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        match (seed >> 16) % (3 * density) {
                            0 => b'`',
                            1 => b'\n',
                            2 => b',',
                            other => other.to_le_bytes()[0] | 0x80,
                        }
                    })
                    .collect();
                let fields = positions(&bytes, |at| {
                    bytes[at] == b'`' && (at == 0 || matches!(bytes[at - 1], b',' | b'\n'))
                });
                let line_feeds = positions(&bytes, |at| bytes[at] == b'\n');
                assert_eq!(
                    marks.of(&bytes),
                    (&fields[..], &line_feeds[..]),
                    "{bytes:?}"
                );
            }
        }
    }

    #[test]
    fn neighbours_of_the_three_bytes_are_no_hits() {
        let all: Vec<u8> = (0..=255).flat_map(|byte| [b',', byte]).collect();
        assert_eq!(Marks::default().of(&all), (&[193][..], &[21][..]));
    }
}
