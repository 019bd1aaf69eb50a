//! The allocator of the `keelson` binary.

use std::alloc::{GlobalAlloc, Layout};
use std::num::NonZeroUsize;
use std::ptr::{self, NonNull};

use dlmalloc::GlobalDlmalloc;
use nix::sys::mman::{MRemapFlags, MapFlags, ProtFlags, mmap_anonymous, mremap, munmap};

/// dlmalloc, for musl's own allocator takes a seventh of the time in which a large table is put into the kernel, and a
/// quarter of that in which a large configuration is read. What is large has pages to itself: it grows without being
/// copied, and what a configuration took while it was read goes back to the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Memory;

/// From so many bytes on a thing has pages to itself: few enough for the page that is left half empty not to matter.
const LARGE: usize = 64 * 1024;

const fn is_large(size: usize, align: usize) -> bool {
    size >= LARGE && align <= 4096
}

// SAFETY: what is large, by its layout, always comes from `mmap` and all else from dlmalloc; each goes back, or is made
// larger or smaller, where it came from, and what changes from one to the other is copied.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout.size(), layout.align()) {
            return pages(layout.size());
        }
        // SAFETY: the caller's promise.
        unsafe { GlobalDlmalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout.size(), layout.align()) {
            return pages(layout.size()); // the kernel's are zeroed
        }
        // SAFETY: the caller's promise.
        unsafe { GlobalDlmalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if !is_large(layout.size(), layout.align()) {
            // SAFETY: the caller's promise.
            return unsafe { GlobalDlmalloc.dealloc(at, layout) };
        }
        if let Some(at) = NonNull::new(at.cast()) {
            // SAFETY: a mapping of that size, which nobody uses any more. What can't be unmapped stays unused.
            let _ = unsafe { munmap(at, layout.size()) };
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        match (is_large(layout.size(), align), is_large(size, align)) {
            // SAFETY: the caller's promise.
            (false, false) => unsafe { GlobalDlmalloc.realloc(at, layout, size) },
            (true, true) => {
                let Some(old) = NonNull::new(at.cast()) else {
                    return ptr::null_mut();
                };
                let may_move = MRemapFlags::MREMAP_MAYMOVE;
                // SAFETY: a mapping of that size; the caller uses what comes back from now on.
                let new = unsafe { mremap(old, layout.size(), size, may_move, None) };
                new.map_or(ptr::null_mut(), |new| new.as_ptr().cast())
            }
            _ => {
                // SAFETY: the size is the caller's, not 0 and not too large for the alignment.
                let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, align)) };
                if !new.is_null() {
                    // SAFETY: two things of at least that size; the old one is given up.
                    unsafe {
                        ptr::copy_nonoverlapping(at, new, layout.size().min(size));
                        self.dealloc(at, layout);
                    }
                }
                new
            }
        }
    }
}

/// Pages of their own for so many bytes, zeroed; null where there are none.
fn pages(size: usize) -> *mut u8 {
    let Some(size) = NonZeroUsize::new(size) else {
        return ptr::null_mut();
    };
    let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: new pages, at a place that the kernel chooses.
    let new = unsafe { mmap_anonymous(None, size, protection, MapFlags::MAP_PRIVATE) };
    new.map_or(ptr::null_mut(), |new| new.as_ptr().cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_and_shrinks_keeps_its_bytes_on_both_sides_of_the_border() {
        let sizes = [100, LARGE - 1, LARGE, 10 * LARGE, 3 * LARGE, LARGE - 1, 7];
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: each thing is written and read within its size, and given back once, as it is.
        unsafe {
            let mut at = Memory.alloc_zeroed(layout(sizes[0]));
            assert!((0..sizes[0]).all(|place| *at.add(place) == 0));
            for (old, new) in sizes.iter().zip(&sizes[1..]) {
                let kept = (*old).min(*new);
                (0..*old).for_each(|place| *at.add(place) = place as u8);
                at = Memory.realloc(at, layout(*old), *new);
                assert_eq!(at.addr() % 8, 0);
                assert!((0..kept).all(|place| *at.add(place) == place as u8));
            }
            Memory.dealloc(at, layout(7));
        }
    }

    #[test]
    fn what_is_large_is_zeroed_and_a_size_that_nobody_has_is_refused() {
        let layout = Layout::from_size_align(LARGE, 4096).unwrap();
        // SAFETY: as above.
        unsafe {
            let at = Memory.alloc_zeroed(layout);
            assert!((0..LARGE).all(|place| *at.add(place) == 0));
            Memory.dealloc(at, layout);
        }
        let layout = Layout::from_size_align(isize::MAX as usize - 4095, 1).unwrap();
        // SAFETY: nothing is there to be used.
        assert!(unsafe { Memory.alloc(layout) }.is_null());
    }
}
