//! Arrays that are read at random places: on huge pages where they fill some.
#![allow(unsafe_code, reason = "memory mapped for huge pages has no owner in the standard library")]

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::ops::{Deref, DerefMut};
use std::{fmt, ptr, slice};

/// A fixed number of values.
///
/// From [`HUGE`] bytes on the memory is mapped on its own, begins on a huge page, and asks the kernel for such
/// (`MADV_HUGEPAGE`); a kernel that has none gives small ones. A random access then needs no walk through page tables
/// beside the access itself. Such memory goes back to the system when the array is dropped.
pub struct Array<T: Copy> {
    start: ptr::NonNull<T>,
    len: usize,
    /// How many bytes are mapped at `start`; none where the allocator gave the memory.
    mapped: usize,
}

impl<T: Copy> Array<T> {
    /// `len` times `value`. Memory that cannot be mapped comes from the allocator.
    pub fn filled(value: T, len: usize) -> Self {
        match len.checked_mul(size_of::<T>()) {
            Some(bytes) if bytes >= HUGE && align_of::<T>() <= HUGE => {
                map(bytes).map_or_else(|_| Self::allocated(value, len), |start| Self::written(start.cast(), value, len))
            }
            _ => Self::allocated(value, len),
        }
    }

    fn allocated(value: T, len: usize) -> Self {
        let values = Box::into_raw(vec![value; len].into_boxed_slice());
        // SAFETY: a box's pointer is never null.
        Self { start: unsafe { ptr::NonNull::new_unchecked(values.cast()) }, len, mapped: 0 }
    }

    /// Takes over what [`map`] gave for `len` values.
    fn written(start: ptr::NonNull<T>, value: T, len: usize) -> Self {
        for index in 0..len {
            // SAFETY: the mapping holds `len` values, is writable, and nobody else knows it; it begins at a multiple of
            // `HUGE`, which is one of the type's alignment.
            unsafe { start.add(index).write(value) };
        }
        Self { start, len, mapped: whole_pages(len * size_of::<T>()) }
    }
}

/// An empty one, without memory.
impl<T: Copy> Default for Array<T> {
    fn default() -> Self {
        Self { start: ptr::NonNull::dangling(), len: 0, mapped: 0 }
    }
}

impl<T: Copy> Deref for Array<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `start` leads to `len` initialised values, aligned (dangling only where there are none), which live
        // until the drop and are borrowed as the array is.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl<T: Copy> DerefMut for Array<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed for this caller alone.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl<T: Copy> Drop for Array<T> {
    fn drop(&mut self) {
        if self.mapped > 0 {
            // SAFETY: the range is what `map` left mapped for this array, and nothing borrows it any more. Values that
            // are `Copy` need no drop of their own. It cannot fail for a range that is mapped.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.mapped) };
            return;
        }
        // SAFETY: with nothing mapped, `start` and `len` are those of a box that `allocated` gave up, or of an empty
        // slice, which needs no memory.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(self.start.as_ptr(), self.len)) });
    }
}

impl<T: Copy> fmt::Debug for Array<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} values", self.len)
    }
}

// SAFETY: the array owns its values as a box does, and shares nothing.
unsafe impl<T: Copy + Send> Send for Array<T> {}
// SAFETY: as above; a shared array gives shared slices only.
unsafe impl<T: Copy + Sync> Sync for Array<T> {}

/// Maps [`whole_pages`] of `bytes`, which must not be zero, at a multiple of [`HUGE`].
fn map(bytes: usize) -> rustix::io::Result<ptr::NonNull<u8>> {
    let wanted = whole_pages(bytes);
    let mapped = wanted.checked_add(HUGE).ok_or(rustix::io::Errno::NOMEM)?;
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: without a wish for an address, a new mapping touches no memory that is in use.
    let found = unsafe { mmap_anonymous(ptr::null_mut(), mapped, protection, MapFlags::PRIVATE) }?.cast::<u8>();
    let before = found.addr().next_multiple_of(HUGE) - found.addr();
    // SAFETY: `before` is less than `HUGE`, so both pointers are within the mapping or at its end.
    let (start, end) = unsafe { (found.add(before), found.add(before + wanted)) };
    // SAFETY: the three ranges are parts of the new mapping, to which nothing points yet. What is in front and behind
    // is given back; that, and the advice, may fail without harm.
    unsafe {
        if before > 0 {
            let _ = munmap(found.cast(), before);
        }
        let _ = munmap(end.cast(), HUGE - before);
        let _ = madvise(start.cast(), wanted, Advice::LinuxHugepage);
    }
    ptr::NonNull::new(start).ok_or(rustix::io::Errno::NOMEM)
}

/// The bytes of the huge pages that hold `bytes`.
fn whole_pages(bytes: usize) -> usize {
    bytes.next_multiple_of(HUGE)
}

/// A huge page of x86-64, and of `AArch64` with small pages of 4 KiB.
pub const HUGE: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_arrays_hold_what_was_written() {
        for len in [0, 1, 1_000, HUGE / 16, HUGE / 16 + 1, 3 * HUGE / 16 - 1] {
            let mut array = Array::filled([7_u64, 9], len);
            assert_eq!(array.len(), len);
            assert!(array.iter().all(|value| *value == [7, 9]));
            for (index, value) in array.iter_mut().enumerate() {
                value[0] = index as u64;
            }
            assert!(array.iter().enumerate().all(|(index, value)| *value == [index as u64, 9]), "{len}");
            let is_large = len * 16 >= HUGE;
            assert_eq!(array.mapped, if is_large { (len * 16).next_multiple_of(HUGE) } else { 0 }, "{len}");
            assert!(!is_large || array.as_ptr().addr().is_multiple_of(HUGE), "{len}");
        }
        assert!(Array::<u64>::default().is_empty());
    }

    #[test]
    fn what_was_mapped_goes_back_and_nothing_beside_it() {
        let mut kept = Vec::new();
        for round in 0..64_u64 {
            let array = Array::filled(round, HUGE / 8);
            if round % 2 == 0 {
                kept.push((round, array));
            }
        }
        assert!(kept.iter().all(|(round, array)| array.iter().all(|value| value == round)));
    }
}
