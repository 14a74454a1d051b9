//! The loop: read a page of the feed, post it until the receiver has it, store the cursor.
//!
//! The cursor follows the answer, so a crash between them sends a batch twice and loses none. One
//! batch is in flight at a time: the order of the feed stays.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mercurio_domain::Owner;
use mercurio_domain::store::{
    Feed, FeedCursor, FeedError, FeedPage, FeedQuery, FeedStart, StoreError,
};

use crate::batch::{Batch, message_id};
use crate::error::ForwardError;
use crate::http_sender::HttpSender;
use crate::options::{ForwardOptions, ForwardStart, Surroundings, Totals};

/// Longest time between two looks at the stop flag in a pause.
const STOP_CHECK: Duration = Duration::from_millis(100);
/// Time after which the cursor is stored although no event was sent: events of other workspaces
/// move it too, and a restart would read past them again.
const IDLE_STORE: Duration = Duration::from_mins(1);

/// Forwards the feed of one workspace under one name.
pub struct Forwarder<'a> {
    feed: &'a dyn Feed,
    owner: Owner,
    name: &'a str,
    sender: &'a HttpSender,
    options: ForwardOptions,
    around: Surroundings<'a>,
    totals: Totals,
    /// The cursor in the database, as far as this process knows.
    stored: Option<FeedCursor>,
    stored_at: Instant,
}

/// A place in the feed.
struct Place {
    next: FeedCursor,
    is_newest: bool,
}

/// A page of the feed.
enum Content {
    /// It has no event.
    Nothing(Place),
    Events(Box<Pending>),
}

/// A page on its way.
struct Pending {
    start: FeedStart,
    batch: Batch,
    end: Place,
}

/// Why a step ends early.
enum End {
    /// The stop flag is set.
    Stopped,
    Error(ForwardError),
}

impl<E: Into<ForwardError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl<'a> Forwarder<'a> {
    /// `name` is the consumer under which the cursor is stored.
    #[must_use]
    pub fn new(
        feed: &'a dyn Feed,
        owner: Owner,
        name: &'a str,
        sender: &'a HttpSender,
        options: ForwardOptions,
        around: Surroundings<'a>,
    ) -> Self {
        let (totals, stored, stored_at) = (Totals::default(), None, Instant::now());
        Self { feed, owner, name, sender, options, around, totals, stored, stored_at }
    }

    /// Counts since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Forwards until the stop flag is set or, with `once`, the newest event is delivered.
    ///
    /// # Errors
    /// [`ForwardError`]. Whatever was delivered before is stored as such.
    pub fn run(&mut self) -> Result<(), ForwardError> {
        match self.forward() {
            // All that was delivered is stored.
            Ok(()) | Err(End::Stopped) => Ok(()),
            Err(End::Error(error)) => Err(error),
        }
    }

    fn forward(&mut self) -> Result<(), End> {
        // The first look at the flag may be what makes the process listen to signals.
        self.end_if_stopped()?;
        let mut start = self.start()?;
        loop {
            let page = self.page(&start, self.options.batch_events)?;
            let place = match self.content(&start, page)? {
                Content::Nothing(place) => {
                    self.store_when_idle(&place.next)?;
                    place
                }
                Content::Events(pending) => self.deliver(*pending)?,
            };
            start = FeedStart::After(place.next);
            if place.is_newest {
                self.around.observer.progress(self.totals);
                if self.options.once {
                    return Ok(());
                }
                self.pause(self.options.poll)?;
            }
            self.end_if_stopped()?;
        }
    }

    /// Finds the start, and stores it. A consumer without the right to move its place must not post
    /// events first, and a restart before the first event must not skip it.
    fn start(&mut self) -> Result<FeedStart, End> {
        self.stored = self.patient(|own| own.feed.consumer_cursor(own.owner, own.name))?;
        let start = match (&self.stored, self.options.start) {
            (Some(cursor), _) => cursor.clone(),
            (None, ForwardStart::Oldest) => FeedCursor::oldest(self.owner.workspace_id),
            (None, ForwardStart::Now) => self.page(&FeedStart::Now, 1)?.next,
        };
        self.store(&start)?;
        Ok(FeedStart::After(start))
    }

    fn content(&self, start: &FeedStart, page: FeedPage) -> Result<Content, ForwardError> {
        let FeedPage { events, next, is_newest, .. } = page;
        let end = Place { next, is_newest };
        if events.is_empty() {
            return Ok(Content::Nothing(end));
        }
        let batch = Batch::of(&events, self.options.format)?;
        Ok(Content::Events(Box::new(Pending { start: start.clone(), batch, end })))
    }

    /// Posts a page until the receiver has it, and stores the cursor behind it.
    fn deliver(&mut self, mut pending: Pending) -> Result<Place, End> {
        let mut failures = Failures::default();
        while let Err(error) = self.sender.post(&pending.batch, self.around.clock.now()) {
            let pause = failures.add(error.retry_after(), &self.options);
            self.totals.failures += 1;
            if error.is_final() {
                return Err(ForwardError::Ended(error).into());
            }
            if failures.is_too_long(pause, &self.options) {
                return Err(ForwardError::GaveUp { failures: failures.count, source: error }.into());
            }
            self.around.observer.failure(&error, failures.count, pause);
            self.pause(pause)?;
            match self.again(pending)? {
                Content::Events(next) => pending = *next,
                Content::Nothing(place) => {
                    self.store(&place.next)?;
                    return Ok(place);
                }
            }
        }
        self.totals.batches += 1;
        self.totals.events += pending.batch.message_ids.len() as u64;
        self.store(&pending.end.next)?;
        self.around.observer.progress(self.totals);
        Ok(pending.end)
    }

    /// Reads the page of a failed attempt again: an event erased since then must not be sent again.
    /// If all are still there, the same batch is sent, with the same `webhook-id`.
    fn again(&mut self, pending: Pending) -> Result<Content, End> {
        let page = self.page(&pending.start, self.options.batch_events)?;
        let found: HashSet<_> = page.events.iter().map(message_id).collect();
        if pending.batch.message_ids.iter().all(|id| found.contains(id)) {
            return Ok(Content::Events(Box::new(pending)));
        }
        Ok(self.content(&pending.start, page)?)
    }

    fn page(&mut self, start: &FeedStart, limit: usize) -> Result<FeedPage, End> {
        let query = FeedQuery { start: start.clone(), limit };
        let page = self.patient(|own| match own.feed.feed(own.owner, &query) {
            Ok(page) => Ok(Ok(page)),
            Err(FeedError::Cursor(error)) => Ok(Err(error)),
            Err(FeedError::Store(error)) => Err(error),
        })?;
        Ok(page.map_err(|source| ForwardError::Cursor { name: self.name.to_owned(), source })?)
    }

    fn store_when_idle(&mut self, next: &FeedCursor) -> Result<(), End> {
        let is_due = self.stored_at.elapsed() >= IDLE_STORE;
        // A consumer without a stored cursor starts at the oldest event again, and finds the same.
        if is_due && self.stored.as_ref().is_some_and(|stored| stored != next) {
            self.store(next)?;
        }
        Ok(())
    }

    /// Stores the cursor, if no other process moved it.
    fn store(&mut self, next: &FeedCursor) -> Result<(), End> {
        let mut attempts = 0;
        let is_stored = self.patient(|own| {
            attempts += 1;
            let (before, now) = (own.stored.as_ref(), own.around.clock.now());
            let is_moved = own.feed.advance_consumer(own.owner, own.name, before, next, now)?;
            if is_moved || attempts == 1 {
                return Ok(is_moved);
            }
            // A failed attempt may have taken effect: then the cursor is there already.
            Ok(own.feed.consumer_cursor(own.owner, own.name)?.as_ref() == Some(next))
        })?;
        if !is_stored {
            return Err(ForwardError::NameInUse(self.name.to_owned()).into());
        }
        self.stored = Some(next.clone());
        self.stored_at = Instant::now();
        Ok(())
    }

    /// Calls the database until it is available, within the time to give up.
    fn patient<T>(
        &mut self,
        mut call: impl FnMut(&Self) -> Result<T, StoreError>,
    ) -> Result<T, End> {
        let mut failures = Failures::default();
        loop {
            let error = match call(self) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let may_pass = matches!(error, StoreError::Unavailable(_) | StoreError::TimedOut(_));
            let pause = failures.add(None, &self.options);
            self.totals.failures += 1;
            if !may_pass || failures.is_too_long(pause, &self.options) {
                return Err(error.into());
            }
            self.around.observer.failure(&error, failures.count, pause);
            self.pause(pause)?;
        }
    }

    fn pause(&self, length: Duration) -> Result<(), End> {
        let end = Instant::now() + length;
        loop {
            self.end_if_stopped()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            (self.around.sleep)(left.min(STOP_CHECK));
        }
    }

    fn end_if_stopped(&self) -> Result<(), End> {
        if (self.around.is_stopped)() { Err(End::Stopped) } else { Ok(()) }
    }
}

/// Failures in a row.
struct Failures {
    count: u32,
    since: Instant,
}

impl Default for Failures {
    fn default() -> Self {
        Self { count: 0, since: Instant::now() }
    }
}

impl Failures {
    /// Counts one, and returns the pause after it.
    fn add(&mut self, at_least: Option<Duration>, options: &ForwardOptions) -> Duration {
        self.count = self.count.saturating_add(1);
        options.backoff.pause(self.count, fastrand::f64(), at_least)
    }

    /// Whether the time is over before another attempt.
    fn is_too_long(&self, pause: Duration, options: &ForwardOptions) -> bool {
        let limit = options.give_up_after.or(options.once.then_some(Duration::ZERO));
        limit.is_some_and(|limit| self.since.elapsed() + pause > limit)
    }
}
