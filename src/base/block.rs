//! Sixteen bytes looked at together: which of them are something, as one bit each.
//!
//! With SSE2, which every x86-64 has, a question costs three instructions; elsewhere a loop that says the same.

/// Sixteen bytes.
#[derive(Debug, Clone, Copy)]
pub struct Block(Lanes);

/// How many bytes a block has.
pub const BLOCK_BYTES: usize = 16;

impl Block {
    /// The first bytes of `bytes`; those that are missing are zero.
    #[inline]
    pub fn of(bytes: &[u8]) -> Self {
        if let Some(whole) = bytes.first_chunk() {
            return Self(Lanes::of(whole));
        }
        let mut padded = [0; BLOCK_BYTES];
        if let Some(start) = padded.get_mut(..bytes.len()) {
            start.copy_from_slice(bytes);
        }
        Self(Lanes::of(&padded))
    }

    /// Which bytes are `byte`: the first one's bit is the lowest.
    #[inline]
    pub fn equal(self, byte: u8) -> u16 {
        self.0.equal(byte)
    }

    /// Which bytes are control bytes: below 0x20, or 0x7f.
    #[inline]
    pub fn control(self) -> u16 {
        self.0.within(0, 0x1f) | self.0.equal(0x7f)
    }

    /// Which bytes are ASCII letters, digits, `-` or `_`.
    #[inline]
    pub fn word(self) -> u16 {
        let letters = self.0.with(0x20).within(b'a', b'z');
        letters | self.0.within(b'0', b'9') | self.0.equal(b'-') | self.0.equal(b'_')
    }
}

#[cfg(not(target_arch = "x86_64"))]
use scalar::Lanes;
#[cfg(target_arch = "x86_64")]
use sse2::Lanes;

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "vector instructions")]
mod sse2 {
    use super::BLOCK_BYTES;
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        _mm_sub_epi8,
    };

    #[derive(Debug, Clone, Copy)]
    pub(super) struct Lanes(__m128i);

    impl Lanes {
        #[inline]
        pub(super) fn of(bytes: &[u8; BLOCK_BYTES]) -> Self {
            let all = u128::from_le_bytes(*bytes);
            // SAFETY: every x86-64 processor has SSE2.
            Self(unsafe { _mm_set_epi64x((all >> 64) as i64, all as i64) })
        }

        #[inline]
        pub(super) fn equal(self, byte: u8) -> u16 {
            // SAFETY: as above.
            unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(self.0, each(byte))) as u16 }
        }

        #[inline]
        pub(super) fn within(self, first: u8, last: u8) -> u16 {
            // SAFETY: as above.
            unsafe {
                let from_first = _mm_sub_epi8(self.0, each(first));
                let capped = _mm_min_epu8(from_first, each(last - first));
                _mm_movemask_epi8(_mm_cmpeq_epi8(capped, from_first)) as u16
            }
        }

        #[inline]
        pub(super) fn with(self, bits: u8) -> Self {
            // SAFETY: as above.
            Self(unsafe { _mm_or_si128(self.0, each(bits)) })
        }
    }

    #[inline]
    fn each(byte: u8) -> __m128i {
        // SAFETY: as above.
        unsafe { _mm_set1_epi8(byte.cast_signed()) }
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod scalar {
    use super::BLOCK_BYTES;

    #[derive(Debug, Clone, Copy)]
    pub(super) struct Lanes([u8; BLOCK_BYTES]);

    impl Lanes {
        #[inline]
        pub(super) fn of(bytes: &[u8; BLOCK_BYTES]) -> Self {
            Self(*bytes)
        }

        #[inline]
        pub(super) fn equal(self, byte: u8) -> u16 {
            self.within(byte, byte)
        }

        #[inline]
        pub(super) fn within(self, first: u8, last: u8) -> u16 {
            let bit = |(at, byte): (usize, &u8)| u16::from((first..=last).contains(byte)) << at;
            self.0.iter().enumerate().map(bit).fold(0, |bits, bit| bits | bit)
        }

        #[inline]
        pub(super) fn with(self, bits: u8) -> Self {
            Self(self.0.map(|byte| byte | bits))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(bytes: &[u8], is: impl Fn(u8) -> bool) -> u16 {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        (0..BLOCK_BYTES).filter(|at| is(byte(*at))).map(|at| 1 << at).sum()
    }

    proptest! {
        #[test]
        fn each_byte_has_its_bit(bytes in prop::collection::vec(any::<u8>(), 0..20), one: u8) {
            let block = Block::of(&bytes);
            prop_assert_eq!(block.equal(one), naive(&bytes, |byte| byte == one));
            prop_assert_eq!(block.control(), naive(&bytes, |byte| byte.is_ascii_control()));
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            prop_assert_eq!(block.word(), naive(&bytes, is_word));
        }
    }

    #[test]
    fn every_byte_is_what_it_is_whichever_way_one_looks() {
        for byte in 0..=u8::MAX {
            let bytes = [byte; BLOCK_BYTES];
            let slow = scalar::Lanes::of(&bytes);
            let block = Block::of(&bytes);
            for (first, last) in [(0, 0x1f), (b'a', b'z'), (b'0', b'9'), (b'-', b'-')] {
                assert_eq!(block.0.within(first, last), slow.within(first, last), "{byte}");
            }
            assert_eq!(block.0.with(0x20).equal(b'a'), slow.with(0x20).equal(b'a'), "{byte}");
        }
    }
}
