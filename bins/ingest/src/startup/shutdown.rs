//! The orderly end of a server.

use std::time::{Duration, Instant};

use actix_web::web::Data;
use mercurio_api::state::AppState;
use mercurio_api::transport::Servers;
use mercurio_config::Config;
use mercurio_observability::keys;
use mercurio_pipeline::GroupWriter;
use slog::{Logger, info, warn};

use super::error::StartError;
use super::signals::{StopSignal, StopSignals};

/// Minimum time for the group writer to finish, even if the requests used up the grace.
const MIN_WRITER_TIME: Duration = Duration::from_millis(100);

/// Stops in this order: readiness, live tails, new connections, requests in flight, group writer. Each step
/// relies on the one before: a load balancer sends no more requests, no request submits events, no
/// event is left in the queue.
///
/// # Errors
/// [`StartError::GraceExpired`] if something did not finish in time.
pub(super) async fn shut_down(
    config: &Config,
    state: &Data<AppState>,
    log: &Logger,
    servers: Servers,
    writer: &GroupWriter,
    signals: &mut StopSignals,
    signal: StopSignal,
) -> Result<(), StartError> {
    state.lifecycle.drain();
    info!(log, "shutdown started"; keys::QUEUE_DEPTH => state.writer.depth().events);
    if signal == StopSignal::Terminate {
        // A load balancer keeps sending requests until its next readiness check. A second signal
        // skips the wait.
        tokio::time::timeout(config.shutdown_delay, signals.next()).await.ok();
    }
    // Not before: their clients connect again at once, and should reach another server. They have no
    // end that the next step could wait for.
    state.tails.close();
    let deadline = Instant::now() + config.shutdown_grace;
    let stopped = tokio::time::timeout(config.shutdown_grace, servers.stop()).await.is_ok();
    let left = deadline.saturating_duration_since(Instant::now()).max(MIN_WRITER_TIME);
    // Blocking is fine: this thread has no other work now.
    let drained = writer.close(left);
    if stopped && drained {
        info!(log, "server stopped");
        return Ok(());
    }
    warn!(log, "shutdown grace expired"; keys::QUEUE_DEPTH => state.writer.depth().events);
    Err(StartError::GraceExpired)
}
