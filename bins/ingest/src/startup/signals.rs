//! What signals do: SIGTERM and SIGINT stop the server, SIGUSR1 and SIGUSR2 move the level of its log, SIGHUP does nothing.

use mercurio_observability::{LevelSwitch, LogLevel, keys};
use slog::{Logger, info};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::StartError;

fn listen(kind: SignalKind) -> Result<Signal, StartError> {
    signal(kind).map_err(|source| StartError::Io {
        what: "signals can't be listened to".to_owned(),
        source,
    })
}

/// The signals by which a process is told to stop.
pub(super) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    pub(super) fn listen() -> Result<Self, StartError> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one; `true` for SIGTERM, by which a supervisor asks, `false` for Ctrl-C.
    pub(super) async fn told(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => false,
        }
    }
}

/// From now on follows the signals that stop nothing, for as long as the runtime lives.
pub(super) fn follow(level: LevelSwitch, log: Logger) -> Result<(), StartError> {
    let mut more = listen(SignalKind::user_defined1())?;
    let mut less = listen(SignalKind::user_defined2())?;
    // A terminal that is closed sends it, and so do supervisors that mean "read your settings again".
    let mut hang_up = listen(SignalKind::hangup())?;
    actix_web::rt::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = more.recv() => tell_level(&log, level.more()),
                Some(()) = less.recv() => tell_level(&log, level.less()),
                Some(()) = hang_up.recv() => {
                    info!(log, "a signal changes nothing: settings are read at start"; keys::SIGNAL => "SIGHUP");
                }
                else => return,
            }
        }
    });
    Ok(())
}

/// In a line of the level that is logged now, or it would not be seen.
fn tell_level(log: &Logger, level: LogLevel) {
    let line = slog::RecordStatic {
        location: slog::record_static!(slog::Level::Info, "").location,
        level: level.min(LogLevel::Info).into(),
        tag: "",
    };
    let values = slog::b!(keys::LOG_LEVEL => level.as_str());
    log.log(&slog::Record::new(&line, &format_args!("the level of the log was changed"), values));
}
