//! Finished lines on their way: a bounded queue, and one thread that writes what has come together.
//!
//! A thread that logs only appends to a buffer. It wakes the writer only where that one sleeps, and the writer rests a
//! moment after each write: so under load a write carries many lines, and while all is quiet a line is out at once.
//! Not here: what a line looks like ([`crate::logging::line`]).

use crate::logging::line::{self, Form};
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The name of the thread that writes.
pub(crate) const WRITER_THREAD: &str = "log-writer";

/// A line counts as so many bytes where the queue's memory is bounded.
const BYTES_A_LINE: usize = 1024;

/// The rest after a write.
const PAUSE: Duration = Duration::from_millis(5);

/// At most one line about lost lines in this time, so that the report does not make the flood worse.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// A buffer that grew beyond this many bytes in a flood is given back.
const KEPT_BUFFER: usize = 256 * 1024;

/// What the threads that log and the thread that writes share.
pub(crate) struct Queue {
    /// Lines that were not written, since the start.
    dropped: AtomicU64,
    max_lines: usize,
    pending: Mutex<Pending>,
    /// There is something to write.
    filled: Condvar,
    /// A flush is done, or the writer has ended.
    flushed: Condvar,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    lines: usize,
    flushes_asked: u64,
    flushes_done: u64,
    /// The writer sleeps until it is woken.
    is_idle: bool,
    /// No more lines are taken.
    is_closed: bool,
    has_ended: bool,
}

impl Pending {
    /// Somebody waits for the writer.
    fn is_urgent(&self) -> bool {
        self.is_closed || self.flushes_asked > self.flushes_done
    }
}

impl Queue {
    pub(crate) fn new(max_lines: usize) -> Arc<Self> {
        Arc::new(Self {
            dropped: AtomicU64::new(0),
            max_lines: max_lines.max(1),
            pending: Mutex::default(),
            filled: Condvar::new(),
            flushed: Condvar::new(),
        })
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Counts lines as lost.
    pub(crate) fn drop_lines(&self, lines: usize) {
        self.dropped.fetch_add(lines as u64, Ordering::Relaxed);
    }

    /// Takes a line, or counts it as lost where the queue is full or closed. A line of any length fits an empty queue.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut pending = self.pending();
        let fits = pending.lines == 0
            || pending.lines < self.max_lines
                && pending.bytes.len() + line.len() <= self.max_lines.saturating_mul(BYTES_A_LINE);
        if pending.is_closed || !fits {
            drop(pending);
            return self.drop_lines(1);
        }
        pending.bytes.extend_from_slice(line);
        pending.lines += 1;
        if mem::take(&mut pending.is_idle) {
            drop(pending);
            self.filled.notify_one();
        }
    }

    /// Waits until all that was pushed before is written.
    ///
    /// # Errors
    /// `TimedOut` after `timeout`; `BrokenPipe` if the writer has ended.
    pub(crate) fn flush(&self, timeout: Duration) -> io::Result<()> {
        let mut pending = self.pending();
        pending.flushes_asked += 1;
        let ticket = pending.flushes_asked;
        self.filled.notify_one();
        let waits = |pending: &mut Pending| pending.flushes_done < ticket && !pending.has_ended;
        let waited = self.flushed.wait_timeout_while(pending, timeout, waits);
        let pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        match (pending.flushes_done >= ticket, pending.has_ended) {
            (true, _) => Ok(()),
            (false, true) => Err(io::ErrorKind::BrokenPipe.into()),
            (false, false) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Takes no more lines, and lets the writer end once it has written the last.
    pub(crate) fn close(&self) {
        self.pending().is_closed = true;
        self.filled.notify_one();
    }

    /// Waits until the writer has ended. Whether it has.
    pub(crate) fn wait_for_end(&self, timeout: Duration) -> bool {
        let waits = |pending: &mut Pending| !pending.has_ended;
        let waited = self.flushed.wait_timeout_while(self.pending(), timeout, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.has_ended
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing end. A line that can't be written is counted as lost.
pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue>,
    pub(crate) form: Form,
    pub(crate) output: Box<dyn Write + Send>,
    /// Lost lines that were told.
    reported: u64,
    reported_at: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(queue: Arc<Queue>, form: Form, output: Box<dyn Write + Send>) -> Self {
        Self { queue, form, output, reported: 0, reported_at: None }
    }

    /// Writes until the queue is closed.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        let mut is_closed = false;
        while !is_closed {
            let (lines, flushes);
            {
                let mut pending = self.wait_for_lines();
                mem::swap(&mut pending.bytes, &mut batch);
                lines = mem::take(&mut pending.lines);
                flushes =
                    (pending.flushes_asked > pending.flushes_done).then_some(pending.flushes_asked);
                is_closed = pending.is_closed;
            }
            if self.output.write_all(&batch).and_then(|()| self.output.flush()).is_err() {
                self.queue.drop_lines(lines);
            }
            batch.clear();
            batch.shrink_to(KEPT_BUFFER);
            if is_closed
                || flushes.is_some()
                || self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY)
            {
                self.report_dropped();
            }
            self.rest(flushes);
        }
    }

    fn wait_for_lines(&self) -> MutexGuard<'_, Pending> {
        let waits = |pending: &mut Pending| {
            pending.is_idle = pending.lines == 0 && !pending.is_urgent();
            pending.is_idle
        };
        self.queue
            .filled
            .wait_while(self.queue.pending(), waits)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells who waits for `flushes`, and lets lines come together unless somebody waits already.
    fn rest(&self, flushes: Option<u64>) {
        let mut pending = self.queue.pending();
        if let Some(flushes) = flushes {
            pending.flushes_done = flushes;
            self.queue.flushed.notify_all();
        }
        let rested =
            self.queue.filled.wait_timeout_while(pending, PAUSE, |pending| !pending.is_urgent());
        drop(rested.unwrap_or_else(PoisonError::into_inner));
    }

    fn report_dropped(&mut self) {
        let dropped = self.queue.dropped();
        let new = dropped - self.reported;
        if new == 0 {
            return;
        }
        self.reported = dropped;
        self.reported_at = Some(Instant::now());
        let output = &mut self.output;
        if line::dropped_lines(self.form, new, |line| {
            output.write_all(line).and_then(|()| output.flush())
        })
        .is_err()
        {
            self.queue.drop_lines(1);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut pending = self.queue.pending();
        (pending.is_closed, pending.has_ended) = (true, true);
        self.queue.flushed.notify_all();
    }
}
