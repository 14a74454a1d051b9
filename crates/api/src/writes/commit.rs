//! The commit of a request's events: cut into submissions, admitted to the quota, submitted.

use std::time::Instant;

use actix_web::HttpRequest;
use futures_util::future::try_join_all;
use mercurio_domain::event::EnrichedEvent;
use mercurio_domain::store::Submission;
use mercurio_domain::verdict::Outcome;
use mercurio_domain::{Owner, Timestamp};
use mercurio_observability::Stage;
use mercurio_pipeline::writer::QueueTime;

use crate::middleware::RequestFacts;
use crate::problem::Problem;
use crate::state::AppState;
use mercurio_runtime::quota_usage::Admission;

/// Cuts events into submissions of at most `max_events`, in their order. Only foreign protocols have
/// larger batches: cut, they take turns with other tenants' as this server's own do.
pub(super) fn cut(
    owner: Owner,
    received_at: Timestamp,
    mut events: Vec<EnrichedEvent>,
    max_events: usize,
) -> Vec<Submission> {
    debug_assert!(max_events > 0, "a limit allows an event");
    let mut submissions = Vec::with_capacity(events.len() / max_events + 1);
    while events.len() > max_events {
        let rest = events.split_off(max_events);
        submissions.push(Submission { owner, received_at, events });
        events = rest;
    }
    submissions.push(Submission { owner, received_at, events });
    submissions
}

/// Waits until all submissions are committed. Returns the outcomes in the order of the events.
///
/// After an error some may be committed: their events are duplicates when the client repeats the
/// request.
pub(super) async fn submit(
    state: &AppState,
    request: &HttpRequest,
    submissions: Vec<Submission>,
    monthly_events: u64,
    deadline: tokio::time::Instant,
) -> Result<Vec<Outcome>, Problem> {
    let admissions = admit(state, &submissions, monthly_events, deadline).await?;
    let (start, queued) = (Instant::now(), QueueTime::default());
    // Together: they wait for the same group, not for one after the other.
    let outcomes = try_join_all(
        submissions
            .into_iter()
            .zip(admissions)
            .map(|(submission, admission)| state.submit(submission, admission, &queued, deadline)),
    )
    .await;
    let end = Instant::now();
    RequestFacts::update(request, |facts| {
        // Without a time in the queue no transaction has begun: all of the wait was in the queue.
        let began = queued.get().map_or(end, |queued| start + queued);
        facts.stages.note(Stage::Queue, start, began);
        if began < end {
            facts.stages.note(Stage::Commit, began, end);
        }
    });
    Ok(outcomes?.concat())
}

/// Admits all submissions to the quota, or none.
async fn admit(
    state: &AppState,
    submissions: &[Submission],
    monthly_events: u64,
    deadline: tokio::time::Instant,
) -> Result<Vec<Option<Admission>>, Problem> {
    let mut admissions = Vec::with_capacity(submissions.len());
    for submission in submissions {
        // A cold tenant waits here for a read of its usage.
        match state.admit(submission, monthly_events, deadline).await {
            Ok(admission) => admissions.push(admission),
            Err(problem) => {
                for admission in admissions.into_iter().flatten() {
                    admission.settle(0);
                }
                return Err(problem);
            }
        }
    }
    Ok(admissions)
}
