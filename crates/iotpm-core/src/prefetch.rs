//! Asking for memory before it is used: the one place of this crate with `unsafe`.
//!
//! With 10,000 interleaved signals nearly every state comes from main memory. Fetching it while the readings before it
//! are computed is worth a factor of two to three; plain loads ahead of use stall the processor instead.

const LINE_BYTES: usize = 64;

/// Asks for the cache lines that hold these values.
#[inline]
pub(crate) fn prefetch<T>(values: &[T]) {
    let bytes = size_of_val(values);
    let start: *const u8 = values.as_ptr().cast();
    (0..bytes).step_by(LINE_BYTES).for_each(|offset| prefetch_line(start.wrapping_add(offset)));
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[allow(unsafe_code, reason = "the instruction has no safe form")]
fn prefetch_line(address: *const u8) {
    // SAFETY: a prefetch is a hint; it reads and writes nothing the program can see and faults at no address.
    unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn prefetch_line(_address: *const u8) {}
