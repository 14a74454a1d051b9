//! The commit of a request's events: admitted to the quota, submitted.

use std::time::Instant;

use actix_web::HttpRequest;
use mercurio_domain::store::Submission;
use mercurio_domain::verdict::Outcome;
use mercurio_observability::Stage;
use mercurio_pipeline::writer::QueueTime;

use crate::middleware::RequestFacts;
use crate::problem::Problem;
use crate::state::AppState;

/// Waits until a submission is committed. Returns the outcomes in the order of the events.
///
/// A request is one submission, however large: in one transaction, the first of two events with the
/// same id is stored, and nothing is stored in part.
pub(super) async fn submit(
    state: &AppState,
    request: &HttpRequest,
    submission: Submission,
    monthly_events: u64,
    deadline: tokio::time::Instant,
) -> Result<Vec<Outcome>, Problem> {
    // A cold tenant waits here for a read of its usage.
    let admission = state.admit(&submission, monthly_events, deadline).await?;
    let (start, queued) = (Instant::now(), QueueTime::default());
    let outcomes = state.submit(submission, admission, &queued, deadline).await;
    let end = Instant::now();
    RequestFacts::update(request, |facts| {
        // Without a time in the queue no transaction has begun: all of the wait was in the queue.
        let began = queued.get().map_or(end, |queued| start + queued);
        facts.stages.note(Stage::Queue, start, began);
        if began < end {
            facts.stages.note(Stage::Commit, began, end);
        }
    });
    outcomes
}
