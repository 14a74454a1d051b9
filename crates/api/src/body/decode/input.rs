//! The coded data, handed to a decoder in slices. Between two slices the work so far is compared
//! with its limits.

use super::cpu::CpuBudget;
use super::error::DecodeError;
use std::cell::Cell;
use std::io::{self, BufRead, Read};

/// The worst slice of this size costs about 1 ms.
const SLICE_BYTES: usize = 1024;

/// Bytes a decoder may read ahead of its output: headers, tables, and the slice itself.
const MAX_LEAD_BYTES: usize = 16 * 1024;

/// Coded data with limits on the work it may cause.
pub(super) struct Input<'a> {
    rest: &'a [u8],
    /// The part of `rest` that the decoder may read before the next check.
    offered: usize,
    read: usize,
    /// Bytes of output so far.
    written: &'a Cell<usize>,
    max_lead: usize,
    budget: CpuBudget,
}

impl<'a> Input<'a> {
    /// `block` is the maximum of data that the coding needs before its first byte of output.
    pub(super) fn new(
        data: &'a [u8],
        written: &'a Cell<usize>,
        block: usize,
        budget: CpuBudget,
    ) -> Self {
        let max_lead = MAX_LEAD_BYTES + block;
        Self { rest: data, offered: 0, read: 0, written, max_lead, budget }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The data not read yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.rest
    }

    /// Takes the next byte, without a check.
    pub(super) fn take_first(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn check(&self) -> Result<(), DecodeError> {
        // Encoders store what they cannot shorten, so only padding makes data longer than its
        // content. Needs no clock, hence first.
        if self.read > self.written.get() + self.max_lead {
            return Err(DecodeError::LongerThanContent);
        }
        if self.budget.is_used_up() { Err(DecodeError::TooCostly) } else { Ok(()) }
    }
}

impl BufRead for Input<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.offered == 0 {
            self.check()?;
            self.offered = self.rest.len().min(SLICE_BYTES);
        }
        Ok(&self.rest[..self.offered])
    }

    fn consume(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
        self.offered -= bytes;
        self.read += bytes;
    }
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?.read(buffer)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

/// Counts the output of a decoder.
pub(super) struct Counted<'a, R> {
    pub(super) decoder: R,
    pub(super) written: &'a Cell<usize>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.decoder.read(buffer)?;
        self.written.set(self.written.get() + bytes);
        Ok(bytes)
    }
}
