//! Brotli, with limits on its memory and on the work before its output.
//!
//! The window a stream names is replaced by the smallest one that serves the size limit: every
//! window up to 16 MiB is accepted, and none takes more than twice the limit. The tables of a
//! stream are limited in total, because they need no output: 224 blocks of 768 tables cost 230 ms
//! in 256 KiB.

use super::error::DecodeError;
use super::input::Input;
use super::steps::{self, Steps};
use brotli::enc::StandardAlloc;
use brotli::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, HuffmanCode, SliceWrapper,
};
use std::cell::Cell;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

/// Entries of the decoder's table for one prefix code.
const TABLE_ENTRIES: usize = 1080;

/// Tables a stream may build per 256 KiB of the limit. A table costs up to 0.8 µs. Encoders use a
/// few dozen, and three or four more for each flush.
const MAX_TABLES: usize = 4096;

/// An entry of a context map costs as much as this many entries of a table.
const CONTEXT_COST: usize = 8;

/// Maximum entries of a context map. A longer array of bytes is the ring buffer.
const MAX_CONTEXTS: usize = 64 * 256;

/// The content of one stream. Trailing bytes are an error.
pub(super) struct BrotliReader<'a> {
    /// The first byte, with another window, until the decoder has it.
    first: Option<u8>,
    input: Input<'a>,
    stream: Stream,
    ended: bool,
}

impl<'a> BrotliReader<'a> {
    /// After `limit` bytes, one more proves the content too large; its value is undefined.
    pub(super) fn new(mut input: Input<'a>, limit: usize) -> Self {
        let first = input.take_first().map(|first| narrow_window(first, limit));
        Self { first, input, stream: Stream::new(limit), ended: false }
    }
}

impl Steps for BrotliReader<'_> {
    fn has_ended(&self) -> bool {
        self.ended
    }

    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let first = self.first.take();
        let coded = match &first {
            Some(first) => std::slice::from_ref(first),
            None => self.input.fill_buf()?,
        };
        let is_last = coded.is_empty();
        let Step { result, read, written } = self.stream.decode(coded, out);
        if first.is_none() {
            self.input.consume(read);
        }
        match result {
            BrotliResult::ResultSuccess if self.input.is_empty() => self.ended = true,
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput if !is_last || written > 0 => {}
            _ if self.stream.work.is_used_up() => return Err(DecodeError::TooCostly.into()),
            // The data failed, ended early, or continues after its end.
            _ => return Err(DecodeError::Invalid.into()),
        }
        Ok(written)
    }
}

impl Read for BrotliReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        steps::read(self, out)
    }
}

/// Returns the first byte of a stream with the smallest window that holds `limit` bytes, if its
/// own is larger. Up to the limit the content is the same: a distance beyond the window, or beyond
/// the bytes so far, names a dictionary word, and the second bound comes first in both windows.
fn narrow_window(first: u8, limit: usize) -> u8 {
    // A set bit and then 1 to 7 mean windows of 18 to 24 bits (RFC 7932, 9.1).
    let (is_large, code) = (first & 1 == 1, first >> 1 & 7);
    if !is_large || code == 0 {
        return first;
    }
    // The last 16 bytes of a window are out of reach (RFC 7932, 9.1).
    let holds_limit = |code: &u8| (1 << (17 + code)) - 16 >= limit;
    let code = (1..code).find(holds_limit).unwrap_or(code);
    first & !0x0f | code << 1 | 1
}

/// The decoder of one stream.
struct Stream {
    state: BrotliState<Memory<u8>, Memory<u32>, Memory<HuffmanCode>>,
    work: Work,
    written: usize,
}

/// Memory of an allocator.
type WrapBox<T> = <StandardAlloc as Allocator<T>>::AllocatedMemory;

/// The result of one call of the decoder, and the bytes it read and wrote.
struct Step {
    result: BrotliResult,
    read: usize,
    written: usize,
}

impl Stream {
    fn new(limit: usize) -> Self {
        let work = Work::new(MAX_TABLES * TABLE_ENTRIES * limit.div_ceil(256 * 1024).max(1));
        // Strict: HTTP does not allow the windows of up to 1 GiB of "large window brotli".
        let state =
            BrotliState::new_strict(Memory::new(&work), Memory::new(&work), Memory::new(&work));
        Self { state, work, written: 0 }
    }

    fn decode(&mut self, coded: &[u8], out: &mut [u8]) -> Step {
        let (mut unread, mut read, mut free, mut written) = (coded.len(), 0, out.len(), 0);
        let result = BrotliDecompressStream(
            &mut unread,
            &mut read,
            coded,
            &mut free,
            &mut written,
            out,
            &mut self.written,
            &mut self.state,
        );
        Step { result, read, written }
    }
}

/// The work left for the tables of a stream, in their entries.
#[derive(Clone)]
struct Work {
    left: Rc<Cell<Option<usize>>>,
}

impl Work {
    fn new(entries: usize) -> Self {
        Self { left: Rc::new(Cell::new(Some(entries))) }
    }

    fn is_used_up(&self) -> bool {
        self.left.get().is_none()
    }
}

/// The allocator of one stream's decoder. Every allocation counts as work on its entries. Those
/// over the limit are refused: the decoder fails then.
struct Memory<T: Clone + Default> {
    work: Work,
    /// Freed memory. A decoder frees its tables after each block and allocates as many for the next
    /// one; new memory for them would cost more than the tables.
    spare: Vec<WrapBox<T>>,
}

impl<T: Clone + Default> Memory<T> {
    fn new(work: &Work) -> Self {
        Self { work: work.clone(), spare: Vec::new() }
    }
}

impl<T: Clone + Default> Allocator<T> for Memory<T> {
    type AllocatedMemory = WrapBox<T>;

    fn alloc_cell(&mut self, len: usize) -> WrapBox<T> {
        let cost = match size_of::<T>() {
            // Allocated once, and its size follows from the limit.
            1 if len > MAX_CONTEXTS => 0,
            1 => len * CONTEXT_COST,
            _ => len,
        };
        // Once used up, it stays so: the decoder does not check every allocation.
        let left = self.work.left.get().and_then(|left| left.checked_sub(cost));
        self.work.left.set(left);
        if left.is_none() {
            return WrapBox::default();
        }
        // Longer memory serves as well, and old entries do no harm: the decoder writes an entry
        // before it reads it, as its original in C has to.
        if let Some(index) = self.spare.iter().position(|spare| spare.slice().len() >= len) {
            return self.spare.swap_remove(index);
        }
        // All of it is too short, and would only add to the memory.
        self.spare.clear();
        StandardAlloc::default().alloc_cell(len)
    }

    fn free_cell(&mut self, memory: WrapBox<T>) {
        // The decoder also frees what it never allocated.
        if !memory.slice().is_empty() {
            self.spare.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_narrowed_to_the_limit() {
        for (first, limit, expected) in [
            // 22 bits, as most encoders send, with other bits above.
            (0b1010_1011, 262_144, 0b1010_0101),
            (0x0b, 262_128, 0x03),
            (0x0f, 1, 0x03),
            (0x0f, 64 << 20, 0x0f),
            (0x0f, (1 << 24) - 16, 0x0f),
            (0x0f, (1 << 23) - 16, 0x0d),
            // Narrow already: 18, 16, 17 and 10 bits.
            (0x03, 262_144, 0x03),
            (0xf0, 1, 0xf0),
            (0x01, 1, 0x01),
            (0x21, 1, 0x21),
        ] {
            let narrowed = narrow_window(first, limit);
            assert_eq!(narrowed, expected, "{first:#x} with a limit of {limit}");
        }
    }
}
