//! Signals: SIGTERM and SIGINT stop the server, SIGUSR1 and SIGUSR2 change the log level, SIGHUP is
//! ignored.

use mercurio_observability::{LevelSwitch, LogLevel, keys};
use slog::{Logger, info};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::StartError;

fn listen(kind: SignalKind) -> Result<Signal, StartError> {
    signal(kind).map_err(|source| StartError::io("cannot listen for signals", source))
}

/// A request to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopSignal {
    /// SIGTERM, sent by a supervisor: the server waits for the load balancer first.
    Terminate,
    /// SIGINT, sent by Ctrl-C.
    Interrupt,
}

/// The signals that stop the server.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    pub(super) fn listen() -> Result<Self, StartError> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.terminate.recv() => StopSignal::Terminate,
            _ = self.interrupt.recv() => StopSignal::Interrupt,
        }
    }
}

/// Starts to handle the other signals, for the lifetime of the runtime.
pub(super) fn handle_others(level: LevelSwitch, log: Logger) -> Result<(), StartError> {
    let mut more = listen(SignalKind::user_defined1())?;
    let mut less = listen(SignalKind::user_defined2())?;
    // A closed terminal sends SIGHUP, and so do supervisors that expect a program to read its
    // settings again.
    let mut hang_up = listen(SignalKind::hangup())?;
    actix_web::rt::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = more.recv() => log_level_change(&log, level.more()),
                Some(()) = less.recv() => log_level_change(&log, level.less()),
                Some(()) = hang_up.recv() => info!(log, "signal ignored"; keys::SIGNAL => "SIGHUP"),
                else => return,
            }
        }
    });
    Ok(())
}

/// Logs the new level, in a line of at least that level: it is never suppressed.
fn log_level_change(log: &Logger, level: LogLevel) {
    let line = slog::RecordStatic {
        location: slog::record_static!(slog::Level::Info, "").location,
        level: level.min(LogLevel::Info).into(),
        tag: "",
    };
    let values = slog::b!(keys::LOG_LEVEL => level.as_str());
    log.log(&slog::Record::new(&line, &format_args!("log level changed"), values));
}
