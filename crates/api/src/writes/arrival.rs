//! The arrival of a write request, and its client.

use std::time::Duration;

use mercurio_domain::Timestamp;
use mercurio_observability::context;
use mercurio_protocols::Form;

use crate::state::AppState;

/// Minimum time for a commit, however late the request is.
const MIN_COMMIT_TIME: Duration = Duration::from_secs(1);

/// When a request arrived, when its client stops waiting, and which client that is.
#[derive(Clone, Copy)]
pub(crate) struct Arrival {
    /// Before authentication and the body: a slow upload must not move the time of receipt.
    pub(crate) received_at: Timestamp,
    answer_by: Option<tokio::time::Instant>,
    /// `None`: a client of this server's own API.
    pub(super) client: Option<ForeignClient>,
}

impl Arrival {
    pub(crate) fn now(state: &AppState) -> Self {
        Self { received_at: state.clock.now(), answer_by: None, client: None }
    }

    /// Ends the wait for the commit in time to answer within `patience`.
    pub(crate) fn answered_within(self, patience: Duration) -> Self {
        Self { answer_by: Some(tokio::time::Instant::now() + patience), ..self }
    }

    /// Names the client, once its form is known.
    pub(crate) fn of_client(self, client: ForeignClient) -> Self {
        Self { client: Some(client), ..self }
    }

    pub(super) fn deadline(self, commit_timeout: Duration) -> tokio::time::Instant {
        let now = tokio::time::Instant::now();
        let deadline = now + commit_timeout;
        self.answer_by.map_or(deadline, |by| by.max(now + MIN_COMMIT_TIME).min(deadline))
    }
}

/// The client of a request in the form of another service.
#[derive(Clone, Copy)]
pub(crate) struct ForeignClient {
    pub(crate) form: Form,
    /// The library that sent the events, one of a bounded number.
    pub(crate) library: &'static str,
}

/// Returns the id set by the middleware; empty without it, as in a unit test.
pub(crate) fn request_id() -> String {
    context::current_request().map(|request| request.request_id).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn wait_for_a_commit_ends_while_the_client_waits() {
        let received_at = mercurio_domain::testing::at("2026-11-22T10:00:00Z");
        let now = tokio::time::Instant::now();
        for (answer_by, timeout, expected) in [
            (None, 10, 10),
            (Some(8), 10, 8),
            (Some(8), 2, 2),
            // A slow body: its commit has a second all the same.
            (Some(0), 10, 1),
        ] {
            let answer_by = answer_by.map(|seconds| now + Duration::from_secs(seconds));
            let arrival = Arrival { received_at, answer_by, client: None };
            let wait = arrival.deadline(Duration::from_secs(timeout)) - now;
            let expected = Duration::from_secs(expected);
            assert!((expected..expected + Duration::from_secs(1)).contains(&wait), "{wait:?}");
        }
    }
}
