//! The bounded queue of formatted lines, and the thread that writes them.
//!
//! Logging threads append to one buffer and wake the writer only if it sleeps. The writer pauses
//! after each write, so under load a write carries many lines, and otherwise a line is written at
//! once.

use crate::logging::line::{self, LineFormat};
use std::io::{self, Write};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Name of the writing thread.
pub(crate) const WRITER_THREAD: &str = "log-writer";

/// Bytes per line in the bound on the queue's memory.
const BYTES_A_LINE: usize = 1024;

/// Pause after a write.
const PAUSE: Duration = Duration::from_millis(5);

/// Minimum time between two reports of dropped lines, so that reports do not add to the load.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Maximum capacity of the buffer kept between writes.
const KEPT_BUFFER: usize = 256 * 1024;

/// Shared by the logging threads and the writing thread.
pub(crate) struct LogQueue {
    /// Lines not written, since the start.
    dropped: AtomicU64,
    max_lines: usize,
    pending: Mutex<PendingLines>,
    /// Signals lines, a flush or the end to the writer.
    filled: Condvar,
    /// Signals a finished flush or the end of the writer.
    flushed: Condvar,
}

#[derive(Default)]
struct PendingLines {
    bytes: Vec<u8>,
    lines: usize,
    flushes_requested: u64,
    flushes_done: u64,
    /// The writer sleeps and must be woken.
    is_idle: bool,
    /// Lines wait, unless a thread waits for the writer.
    is_held: bool,
    /// New lines are dropped.
    is_closed: bool,
    has_ended: bool,
}

impl PendingLines {
    /// A thread waits for the writer.
    fn is_urgent(&self) -> bool {
        self.is_closed || self.flushes_requested > self.flushes_done
    }

    /// Records and returns whether the writer has nothing to do.
    fn idles(&mut self) -> bool {
        self.is_idle = (self.lines == 0 || self.is_held) && !self.is_urgent();
        self.is_idle
    }
}

impl LogQueue {
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
        // Relaxed: no other memory depends on the count.
        self.dropped.load(Ordering::Relaxed)
    }

    /// Counts lines as dropped.
    pub(crate) fn drop_lines(&self, lines: usize) {
        self.dropped.fetch_add(lines as u64, Ordering::Relaxed);
    }

    /// Queues a line, or drops it if the queue is full or closed. An empty queue takes a line of
    /// any length.
    pub(crate) fn push(&self, line: &[u8]) {
        let mut pending = self.pending();
        // One line always fits, so a single long line is never lost.
        let fits = pending.lines == 0
            || pending.lines < self.max_lines
                && pending.bytes.len() + line.len() <= self.max_lines.saturating_mul(BYTES_A_LINE);
        if pending.is_closed || !fits {
            drop(pending);
            return self.drop_lines(1);
        }
        pending.bytes.extend_from_slice(line);
        pending.lines += 1;
        // A wake-up is a system call, so only a sleeping writer gets one.
        if mem::take(&mut pending.is_idle) {
            // Unlock first, or the woken writer would block on the lock.
            drop(pending);
            self.filled.notify_one();
        }
    }

    /// Waits until all earlier lines are written.
    ///
    /// # Errors
    /// `TimedOut` after `timeout`; `BrokenPipe` if the writer has ended.
    pub(crate) fn flush(&self, timeout: Duration) -> io::Result<()> {
        let mut pending = self.pending();
        // The ticket separates this flush from earlier ones that finish during the wait.
        pending.flushes_requested += 1;
        let ticket = pending.flushes_requested;
        // Wakes the writer from its pause as well.
        self.filled.notify_one();
        let waits =
            |pending: &mut PendingLines| pending.flushes_done < ticket && !pending.has_ended;
        let waited = self.flushed.wait_timeout_while(pending, timeout, waits);
        let pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        // A flush finished just before the writer's end counts as done.
        match (pending.flushes_done >= ticket, pending.has_ended) {
            (true, _) => Ok(()),
            (false, true) => Err(io::ErrorKind::BrokenPipe.into()),
            (false, false) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Keeps lines in the queue, or lets them go.
    pub(crate) fn hold(&self, is_held: bool) {
        self.pending().is_held = is_held;
        self.filled.notify_one();
    }

    /// Drops later lines. The writer ends after the queued ones.
    pub(crate) fn close(&self) {
        self.pending().is_closed = true;
        self.filled.notify_one();
    }

    /// Waits for the end of the writer. Returns false after `timeout`.
    pub(crate) fn wait_for_end(&self, timeout: Duration) -> bool {
        let waits = |pending: &mut PendingLines| !pending.has_ended;
        let waited = self.flushed.wait_timeout_while(self.pending(), timeout, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0.has_ended
    }

    fn pending(&self) -> MutexGuard<'_, PendingLines> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the queued lines. A failed write counts its lines as dropped.
pub(crate) struct LogWriter {
    queue: Arc<LogQueue>,
    format: LineFormat,
    output: Box<dyn Write + Send>,
    /// Dropped lines already reported.
    reported: u64,
    reported_at: Option<Instant>,
}

impl LogWriter {
    pub(crate) fn new(
        queue: Arc<LogQueue>,
        format: LineFormat,
        output: Box<dyn Write + Send>,
    ) -> Self {
        Self { queue, format, output, reported: 0, reported_at: None }
    }

    /// Writes lines until the queue is closed and empty.
    pub(crate) fn run(mut self) {
        let mut batch = Vec::new();
        let mut is_closed = false;
        while !is_closed {
            let (lines, flushes);
            // The lock ends before the write: a slow output must not block logging threads.
            {
                let mut pending = self.wait_for_lines();
                mem::swap(&mut pending.bytes, &mut batch);
                lines = mem::take(&mut pending.lines);
                // The lines of these flushes are in this batch or already written.
                flushes = (pending.flushes_requested > pending.flushes_done)
                    .then_some(pending.flushes_requested);
                is_closed = pending.is_closed;
            }
            // Standard output is buffered, so each batch is flushed.
            if self.output.write_all(&batch).and_then(|()| self.output.flush()).is_err() {
                self.queue.drop_lines(lines);
            }
            batch.clear();
            // A burst must not keep its memory.
            batch.shrink_to(KEPT_BUFFER);
            // Reports are throttled, except at a flush and at the end.
            if is_closed
                || flushes.is_some()
                || self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY)
            {
                self.report_dropped();
            }
            self.rest(flushes);
        }
    }

    fn wait_for_lines(&self) -> MutexGuard<'_, PendingLines> {
        let waits = PendingLines::idles;
        let waited = self.queue.filled.wait_while(self.queue.pending(), waits);
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports finished flushes, then pauses unless another thread waits.
    fn rest(&self, flushes: Option<u64>) {
        let mut pending = self.queue.pending();
        if let Some(flushes) = flushes {
            pending.flushes_done = flushes;
            self.queue.flushed.notify_all();
        }
        // Lines gather during the pause, so under load a write carries many.
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
        // Also after a failure, so that a broken output is not tried at each line.
        self.reported_at = Some(Instant::now());
        // Straight to the output, since a full queue would drop the report too.
        let output = &mut self.output;
        let reported = line::dropped_lines(self.format, new, |line| {
            output.write_all(line).and_then(|()| output.flush())
        });
        // A lost report leaves its number to the next one.
        if reported.is_ok() {
            self.reported = dropped;
        }
    }
}

impl Drop for LogWriter {
    /// Runs after a panic too, so that no flush waits for a dead writer.
    fn drop(&mut self) {
        let mut pending = self.queue.pending();
        // Closed, so later lines count as dropped.
        (pending.is_closed, pending.has_ended) = (true, true);
        self.queue.flushed.notify_all();
    }
}
