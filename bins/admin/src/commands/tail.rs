//! `events tail`: writes the feed of a workspace to stdout, and follows it.

use std::io::{self, Write};
use std::time::Duration;

use mercurio_domain::Owner;
use mercurio_domain::event::StoredEvent;
use mercurio_domain::limits::MAX_PAGE_EVENTS;
use mercurio_domain::store::{EventQuery, FeedError, FeedPage, FeedQuery, FeedStart, Store};

use super::lookup;
use super::report::Report;
use crate::cli::{TailCommand, TailFormat};
use crate::error::AdminError;
use crate::escape;
use crate::machine::Machine;
use crate::text::{cut, width};

/// Time between two looks at a feed without new events.
const INTERVAL: Duration = Duration::from_secs(1);
/// Short enough for a person at Ctrl-C.
const PART: Duration = Duration::from_millis(200);
/// Columns of an event's name in a table; longer ones are cut.
const NAME_COLUMNS: usize = 24;
/// Columns of a UUID.
const ID_COLUMNS: usize = 36;
/// Columns of a time in microseconds.
const TIME_COLUMNS: usize = 27;

pub(super) fn run(
    store: &dyn Store,
    command: &TailCommand,
    machine: &Machine<'_>,
    out: &mut dyn Write,
) -> Result<Report, AdminError> {
    let tenant = lookup::tenant(store, &command.tenant)?;
    let workspace = lookup::existing_workspace(store, &tenant, &command.workspace)?;
    let columns = machine.terminal.map(|terminal| terminal.width);
    let by_default = if columns.is_some() { TailFormat::Table } else { TailFormat::Ndjson };
    let mut tail = Tail {
        store,
        owner: lookup::owner(&workspace),
        filter: command.filter.at(machine.clock.now())?,
        start: command.start.clone(),
        left: command.limit,
        writer: TailWriter {
            out,
            format: command.format.unwrap_or(by_default),
            columns: columns.unwrap_or(usize::MAX),
            has_heading: false,
        },
    };
    match tail.run(machine, command.follows) {
        Ok(()) => Ok(Report::without_result().with_note(continuation(&tail.start))),
        // The reader has read enough, as `head` does.
        Err(AdminError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Report::without_result())
        }
        Err(error) => {
            // Without a cursor of a page, the same command starts at the same event.
            if matches!(tail.start, FeedStart::After(_)) {
                (machine.notify)(&continuation(&tail.start));
            }
            Err(error)
        }
    }
}

fn continuation(start: &FeedStart) -> String {
    let text = match start {
        FeedStart::Oldest => "oldest".to_owned(),
        FeedStart::Now => "now".to_owned(),
        FeedStart::After(cursor) => cursor.to_text(),
    };
    format!("continue with --after {text}")
}

struct Tail<'a> {
    store: &'a dyn Store,
    owner: Owner,
    filter: EventQuery,
    /// Behind the last page whose events are written.
    start: FeedStart,
    /// Events until the limit; `None`: no limit.
    left: Option<u64>,
    writer: TailWriter<'a>,
}

impl Tail<'_> {
    /// Returns at an interruption, at the limit, and, unless it `follows`, behind the newest event.
    fn run(&mut self, machine: &Machine<'_>, follows: bool) -> Result<(), AdminError> {
        while self.left != Some(0) && !(machine.interrupted)() {
            let is_newest = self.write_page()?;
            if !is_newest {
                continue;
            }
            if !follows {
                return Ok(());
            }
            if self.left != Some(0) {
                wait(machine);
            }
        }
        Ok(())
    }

    /// Writes the events of a page. Returns whether it reached the newest.
    fn write_page(&mut self) -> Result<bool, AdminError> {
        let FeedPage { events, next, is_newest, .. } = self.page()?;
        let mut written = 0;
        for event in events.iter().filter(|event| self.filter.matches(event)) {
            self.writer.write(event)?;
            written += 1;
        }
        // A reader at the other end of a pipe sees each page at once.
        self.writer.out.flush().map_err(AdminError::Output)?;
        self.left = self.left.map(|left| left.saturating_sub(written));
        self.start = FeedStart::After(next);
        Ok(is_newest)
    }

    /// Returns a page with no more events to write than are left.
    fn page(&self) -> Result<FeedPage, AdminError> {
        let mut limit = MAX_PAGE_EVENTS;
        loop {
            let query = FeedQuery { start: self.start.clone(), limit };
            let page = self.store.feed(self.owner, &query).map_err(feed_error)?;
            let Some(left) = self.left else { return Ok(page) };
            let wanted = page.events.iter().enumerate();
            let mut wanted = wanted.filter(|(_, event)| self.filter.matches(event));
            let last = wanted.nth(usize::try_from(left).unwrap_or(usize::MAX));
            // A cursor is that of a whole page, so a shorter one is read.
            match last {
                Some((index, _)) => limit = index.max(1),
                None => return Ok(page),
            }
        }
    }
}

fn feed_error(error: FeedError) -> AdminError {
    match error {
        FeedError::Cursor(error) => AdminError::Usage(vec![format!("--after is {error}")]),
        FeedError::Store(error) => AdminError::Store(error),
    }
}

fn wait(machine: &Machine<'_>) {
    let mut left = INTERVAL;
    while !left.is_zero() && !(machine.interrupted)() {
        (machine.sleep)(PART);
        left = left.saturating_sub(PART);
    }
}

struct TailWriter<'a> {
    out: &'a mut dyn Write,
    format: TailFormat,
    /// Of the terminal.
    columns: usize,
    has_heading: bool,
}

impl TailWriter<'_> {
    fn write(&mut self, event: &StoredEvent) -> Result<(), AdminError> {
        let line = match self.format {
            TailFormat::Ndjson => escape::json_line(&serde_json::to_string(event)?).into_owned(),
            TailFormat::Table => {
                if !std::mem::replace(&mut self.has_heading, true) {
                    let heading = row(["Timestamp", "Event name", "Event ID", "Person"]);
                    self.write_line(cut(&heading, self.columns))?;
                }
                let parts = &event.parts;
                let person = parts.user_id.as_deref().or(parts.anonymous_id.as_deref());
                let timestamp = parts.occurred_at.to_string();
                let cells = [
                    &*timestamp,
                    &parts.event_name,
                    parts.event_id.as_str(),
                    person.unwrap_or_default(),
                ];
                let row = row(cells.map(escape::cell).each_ref().map(|cell| &**cell));
                cut(&row, self.columns).to_owned()
            }
        };
        self.write_line(&line)
    }

    fn write_line(&mut self, line: &str) -> Result<(), AdminError> {
        writeln!(self.out, "{}", line.trim_end()).map_err(AdminError::Output)
    }
}

/// The widths of the columns are fixed: the next events are not known.
fn row(cells: [&str; 4]) -> String {
    let [timestamp, name, id, person] = cells;
    let cells = [
        pad(timestamp, TIME_COLUMNS),
        pad(cut(name, NAME_COLUMNS), NAME_COLUMNS),
        // Whole, so that it can be copied.
        pad(id, ID_COLUMNS),
        person.to_owned(),
    ];
    cells.join("  ")
}

fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}
