//! Comparing short texts.

/// Whether two texts are equal. For the few characters of a merchant number, a rate or a kind of
/// trade, calling the library's comparison costs more than comparing; a day has millions of them.
#[inline]
pub(crate) fn eq_short(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        0..4 => one.iter().zip(other).all(|(one, other)| one == other),
        4..8 => ends::<4>(one) == ends::<4>(other),
        8..=16 => ends::<8>(one) == ends::<8>(other),
        _ => one == other,
    }
}

/// The first and the last `N` bytes, which may overlap.
#[inline]
fn ends<const N: usize>(bytes: &[u8]) -> (Option<&[u8; N]>, Option<&[u8; N]>) {
    (bytes.first_chunk(), bytes.last_chunk())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_when_each_of_their_bytes_is() {
        for length in 0..40 {
            let one = "abcdefghijklmnopqrstuvwxyz0123456789ABCDE"
                .get(..length)
                .unwrap();
            assert!(eq_short(one, &String::from(one)));
            assert!(!eq_short(one, &format!("{one}x")));
            for place in 0..length {
                let mut other = one.to_owned();
                other.replace_range(place..=place, "!");
                assert!(!eq_short(one, &other), "{other}");
            }
        }
    }
}
