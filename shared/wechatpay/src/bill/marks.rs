//! Where the backticks and the line feeds of a text are: the one pass over all bytes.
//!
//! 64 bytes become one word with a bit for each hit, without a branch; the compiler turns the comparison into vector
//! instructions on every processor. A call of a search function for each of a row's 28 hits costs three times as much.

const BLOCK: usize = 64;
/// Hits that are written without asking how many there are. Few blocks of a bill have more, so the branch behind them is
/// foreseen; what is written too much is overwritten by the next block.
const AT_ONCE: usize = 8;

/// Positions, in a buffer that is used again and again.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks {
    /// Longer than any text so far has bytes.
    at: Vec<u32>,
}

impl Marks {
    /// The positions of all backticks and line feeds, in order. `bytes` has less than 4 GiB.
    pub(super) fn of(&mut self, bytes: &[u8]) -> &[u32] {
        if self.at.len() < bytes.len() + BLOCK {
            self.at.resize(bytes.len() + BLOCK, 0);
        }
        let mut count = 0;
        let mut base = 0;
        let (blocks, rest) = bytes.as_chunks::<BLOCK>();
        for block in blocks {
            count += self.write(count, base, hits(block));
            base += 64;
        }
        let mut last = [0; BLOCK];
        for (into, byte) in last.iter_mut().zip(rest) {
            *into = *byte;
        }
        count += self.write(count, base, hits(&last));
        self.at.get(..count).unwrap_or_default()
    }

    /// Writes the positions of `bits` from `count` on, and tells how many there are.
    #[inline]
    fn write(&mut self, count: usize, base: u32, mut bits: u64) -> usize {
        let Some(places) = self
            .at
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
}

/// A bit for each backtick and line feed of the block, the first byte's lowest.
#[inline]
fn hits(block: &[u8; BLOCK]) -> u64 {
    let mut hit = [0_u8; BLOCK];
    for (hit, byte) in hit.iter_mut().zip(block) {
        *hit = u8::from(*byte == b'`') | u8::from(*byte == b'\n');
    }
    let mut bits = 0;
    for word in hit.as_chunks::<8>().0.iter().rev() {
        // Eight bytes of 0 or 1; the product collects them in its highest byte.
        let eight = u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        bits = bits << 8 | eight;
    }
    bits
}

/// A position as an index.
#[inline]
pub(super) fn index(mark: u32) -> usize {
    usize::try_from(mark).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plainly(bytes: &[u8]) -> Vec<u32> {
        (0..)
            .zip(bytes)
            .filter(|(_, byte)| matches!(byte, b'`' | b'\n'))
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
                        match (seed >> 16) % (2 * density) {
                            0 => b'`',
                            1 => b'\n',
                            other => other.to_le_bytes()[0] | 0x80,
                        }
                    })
                    .collect();
                assert_eq!(marks.of(&bytes), plainly(&bytes), "{bytes:?}");
            }
        }
    }

    #[test]
    fn neighbours_of_the_two_bytes_are_no_hits() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Marks::default().of(&all), [10, 96]);
    }
}
