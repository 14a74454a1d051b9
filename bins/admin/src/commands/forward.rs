//! `events forward`: settings, progress and the result. The forwarding crate has the loop.

use std::cell::Cell;
use std::error::Error;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use mercurio_domain::store::Store;
use mercurio_forwarding::{
    ForwardObserver, ForwardOptions, Forwarder, HttpSender, SigningSecrets, Surroundings, Totals,
};
use mercurio_observability::chain;
use serde::Serialize;

use super::amount::amount;
use super::lookup;
use super::report::Report;
use crate::cli::ForwardCommand;
use crate::error::AdminError;
use crate::machine::Machine;

/// Time between two messages about progress.
const TERMINAL_INTERVAL: Duration = Duration::from_secs(5);
/// The same in a log.
const LOG_INTERVAL: Duration = Duration::from_mins(1);
/// The largest file of secrets read, so that a wrong name, such as that of a device, ends.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;
/// Has the secrets in place of a file.
const SECRET_SETTING: &str = "MERCURIO_WEBHOOK_SECRET";

#[derive(Serialize)]
struct ForwardOutput {
    name: String,
    /// Scheme and host.
    to: String,
    events: u64,
    requests: u64,
    failed_attempts: u64,
}

/// # Errors
/// [`AdminError::Usage`] for invalid secrets, [`AdminError::Forward`] if forwarding ends before it is
/// interrupted.
pub(super) fn run(
    store: &dyn Store,
    command: &ForwardCommand,
    machine: &Machine<'_>,
) -> Result<Report, AdminError> {
    let secrets = secrets(command.secret_file.as_deref(), machine)?;
    let is_signed = secrets.is_some();
    let sender = HttpSender::new(command.target.clone(), secrets, command.timeout)
        .map_err(|error| AdminError::Usage(vec![format!("--to: {error}")]))?;
    let tenant = lookup::tenant(store, &command.tenant)?;
    let workspace = lookup::existing_workspace(store, &tenant, &command.workspace)?;
    if !is_signed {
        let message = format!("requests are not signed: set --secret-file or {SECRET_SETTING}");
        (machine.notify)(&message);
    }
    let to = command.target.to_string();
    (machine.notify)(&format!("forwarding to {to} under the name {:?}", command.name.as_str()));
    let progress = Progress::new(machine);
    let options = ForwardOptions {
        batch_events: command.batch_events,
        format: command.format,
        start: command.start,
        once: command.once,
        give_up_after: command.give_up_after,
        ..ForwardOptions::default()
    };
    let around = Surroundings {
        clock: machine.clock,
        sleep: machine.sleep,
        is_stopped: machine.interrupted,
        observer: &progress,
    };
    let (owner, name) = (lookup::owner(&workspace), command.name.as_str());
    let mut forwarder = Forwarder::new(store, owner, name, &sender, options, around);
    let end = forwarder.run();
    let Totals { events, batches, failures } = forwarder.totals();
    if let Err(error) = end {
        (machine.notify)(&summary(forwarder.totals()));
        return Err(error.into());
    }
    Report::new(&ForwardOutput {
        name: command.name.to_string(),
        to,
        events,
        requests: batches,
        failed_attempts: failures,
    })
}

/// Reads the secrets from the file or the setting.
fn secrets(
    file: Option<&Path>,
    machine: &Machine<'_>,
) -> Result<Option<SigningSecrets>, AdminError> {
    let usage = |message| AdminError::Usage(vec![message]);
    let setting = (machine.setting)(SECRET_SETTING).filter(|text| !text.trim().is_empty());
    let (source, text) = match (file, setting) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let message = format!("--secret-file: {SECRET_SETTING} is also set: unset one of them");
            return Err(usage(message));
        }
        (None, Some(text)) => (SECRET_SETTING, text),
        (Some(path), None) => {
            let read = read_file(path)
                .map_err(|error| usage(format!("--secret-file: {}: {error}", path.display())))?;
            ("--secret-file", read)
        }
    };
    let secrets = SigningSecrets::parse(&text);
    secrets.map(Some).map_err(|error| usage(format!("{source}: {error}")))
}

fn read_file(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_SECRET_FILE_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

fn summary(totals: Totals) -> String {
    let Totals { events, batches, failures } = totals;
    let failed = amount(failures, "attempt");
    format!(
        "forwarded {} in {}; {failed} failed",
        amount(events, "event"),
        amount(batches, "request")
    )
}

/// Writes progress to stderr: a line now and then, and each failure.
struct Progress<'a> {
    machine: &'a Machine<'a>,
    interval: Duration,
    last: Cell<Instant>,
    shown: Cell<Totals>,
    is_failing: Cell<bool>,
}

impl<'a> Progress<'a> {
    fn new(machine: &'a Machine<'a>) -> Self {
        let interval = if machine.terminal.is_some() { TERMINAL_INTERVAL } else { LOG_INTERVAL };
        let (last, shown) = (Cell::new(Instant::now()), Cell::default());
        Self { machine, interval, last, shown, is_failing: Cell::new(false) }
    }
}

impl ForwardObserver for Progress<'_> {
    fn progress(&self, totals: Totals) {
        let has_recovered = self.is_failing.replace(false);
        let is_due = self.last.get().elapsed() >= self.interval && totals != self.shown.get();
        if has_recovered || is_due {
            self.last.set(Instant::now());
            self.shown.set(totals);
            (self.machine.notify)(&summary(totals));
        }
    }

    fn failure(&self, error: &(dyn Error + 'static), failures: u32, pause: Duration) {
        self.is_failing.set(true);
        let (error, pause) = (chain(error), pause.as_secs_f64());
        let message = format!("attempt {failures} failed: {error}; the next one in {pause:.1} s");
        (self.machine.notify)(&message);
    }
}
