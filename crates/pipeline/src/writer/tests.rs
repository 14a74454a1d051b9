//! The writer over the memory store. Its gate holds each commit until the test releases it.

use std::collections::HashMap;

use mercurio_domain::event::EnrichedEvent;
use mercurio_domain::ids::{Owner, TenantId, WorkspaceId};
use mercurio_domain::store::StoreError;
use mercurio_domain::testing::{MemoryStore, at, enriched, submission};
use proptest::prelude::*;

use std::sync::atomic::Ordering;

use super::answer::Answer;
use super::*;

const NOW: &str = "2026-11-22T10:00:00Z";

fn owner(tenant: i64) -> Owner {
    Owner { tenant_id: TenantId(tenant), workspace_id: WorkspaceId(tenant) }
}

fn one_thread() -> WriterOptions {
    WriterOptions {
        threads: 1,
        probe_interval: Duration::from_millis(1),
        ..WriterOptions::default()
    }
}

fn start(options: &WriterOptions) -> (Arc<MemoryStore>, GroupWriter, GroupWriterHandle) {
    let store = Arc::new(MemoryStore::default());
    let writer = GroupWriter::start(
        Arc::clone(&store) as Arc<dyn EventWriter>,
        options,
        Arc::new(NoopObserver),
    )
    .unwrap();
    let handle = writer.handle();
    (store, writer, handle)
}

fn send(
    handle: &GroupWriterHandle,
    tenant: i64,
    ids: &[&str],
) -> Result<AnswerReceiver, SubmitError> {
    handle.enqueue(submission(owner(tenant), at(NOW), ids))
}

fn result(answer: AnswerReceiver) -> Answer {
    answer.blocking_recv().expect("every submission gets an answer")
}

#[test]
fn lone_submission_is_answered_after_its_commit() {
    let (store, _writer, handle) = start(&one_thread());
    store.gate.close();
    let mut answer = send(&handle, 1, &["a", "a", "b"]).unwrap();
    // From here on the thread is inside the commit, and the queue is empty.
    store.gate.wait_for_arrivals(1);
    assert!(answer.try_recv().is_err(), "no answer before the commit");
    store.gate.open();
    assert_eq!(result(answer), Ok(vec![Outcome::Accepted, Outcome::Duplicate, Outcome::Accepted]));
}

#[test]
fn submissions_during_a_commit_form_the_next_group() {
    let (store, _writer, handle) = start(&one_thread());
    store.gate.close();
    let mut answers = vec![send(&handle, 1, &["0"]).unwrap()];
    store.gate.wait_for_arrivals(1);
    answers.extend((1..=64).map(|id| send(&handle, id % 3, &[&id.to_string()]).unwrap()));
    store.gate.open();
    for answer in answers {
        assert_eq!(result(answer), Ok(vec![Outcome::Accepted]));
    }
    assert_eq!(store.group_sizes(), [1, 64]);
}

#[test]
fn group_ends_at_its_bound_of_events() {
    let (store, writer, handle) = start(&WriterOptions { group_events: 5, ..one_thread() });
    store.gate.close();
    send(&handle, 1, &["first"]).unwrap();
    store.gate.wait_for_arrivals(1);
    for ids in [&["a", "b"], &["c", "d"], &["e", "f"]] {
        send(&handle, 1, ids).unwrap();
    }
    // Seven events exceed the bound of five, so they form a group of their own.
    send(&handle, 1, &["1", "2", "3", "4", "5", "6", "7"]).unwrap();
    store.gate.open();
    assert!(writer.close(Duration::from_secs(60)));
    // In flight; two with four events, since a third makes six; that third; the large one.
    assert_eq!(store.group_sizes(), [1, 2, 1, 1]);
    assert_eq!(store.event_count(), 14);
}

#[test]
fn full_queue_refuses_at_once_until_it_has_room() {
    let options = WriterOptions { queue_events: 4, tenant_share_percent: 50, ..one_thread() };
    let (store, _writer, handle) = start(&options);
    store.gate.close();
    let first = send(&handle, 1, &["in flight"]).unwrap();
    store.gate.wait_for_arrivals(1);
    let waiting = send(&handle, 1, &["a", "b"]).unwrap();
    assert_eq!(
        send(&handle, 1, &["c"]).err(),
        Some(SubmitError::Overloaded),
        "a tenant has its share"
    );
    send(&handle, 2, &["d"]).unwrap();
    send(&handle, 3, &["e"]).unwrap();
    assert_eq!(
        send(&handle, 4, &["f"]).err(),
        Some(SubmitError::Overloaded),
        "the queue has its bound"
    );
    let depth = handle.depth();
    assert_eq!((depth.events, depth.capacity), (4, 4));
    assert!(depth.bytes >= 4, "{depth:?}");
    store.gate.open();
    assert!(result(first).is_ok() && result(waiting).is_ok());
    assert_eq!(result(send(&handle, 4, &["f"]).unwrap()), Ok(vec![Outcome::Accepted]));
}

#[test]
fn queued_bytes_are_bounded() {
    let (store, _writer, handle) = start(&WriterOptions { queue_bytes: 1, ..one_thread() });
    store.gate.close();
    send(&handle, 1, &["in flight"]).unwrap();
    store.gate.wait_for_arrivals(1);
    send(&handle, 1, &["an empty queue takes one of any size"]).unwrap();
    assert_eq!(send(&handle, 2, &["no room"]).err(), Some(SubmitError::Overloaded));
    store.gate.open();
}

#[test]
fn tenants_take_turns_in_the_groups() {
    let options = WriterOptions { group_events: 4, tenant_share_percent: 100, ..one_thread() };
    let (store, _writer, handle) = start(&options);
    store.gate.close();
    send(&handle, 1, &["in flight"]).unwrap();
    store.gate.wait_for_arrivals(1);
    for id in 0..100 {
        send(&handle, 1, &[&format!("flood {id}")]).unwrap();
    }
    let quiet = send(&handle, 2, &["quiet"]).unwrap();
    // The group in flight and one more: the quiet tenant is in the second, ahead of the flood.
    store.gate.let_through(2);
    assert_eq!(result(quiet), Ok(vec![Outcome::Accepted]));
    store.gate.open();
}

#[test]
fn submission_the_store_refuses_fails_alone() {
    let (store, writer, handle) = start(&one_thread());
    store.refuse_event_name("guilty");
    store.gate.close();
    send(&handle, 1, &["in flight"]).unwrap();
    store.gate.wait_for_arrivals(1);
    let answers: Vec<_> = (0..33)
        .map(|id| {
            // Ids 7 and 23 lie in different halves, so both recursions find one.
            let name = if id % 16 == 7 { "guilty" } else { "innocent" };
            let events = vec![enriched(&id.to_string(), name, at(NOW))];
            handle.enqueue(Submission { owner: owner(1), received_at: at(NOW), events }).unwrap()
        })
        .collect();
    store.gate.open();
    let results: Vec<_> = answers.into_iter().map(result).collect();
    for (id, result) in results.iter().enumerate() {
        let expected =
            if id % 16 == 7 { Err(SubmitError::Failed) } else { Ok(vec![Outcome::Accepted]) };
        assert_eq!(*result, expected, "{id}");
    }
    assert!(writer.close(Duration::from_secs(60)));
    assert_eq!(store.event_count(), 1 + 31);
}

/// Counts the calls.
#[derive(Default)]
struct CountingObserver {
    committed: std::sync::Mutex<Vec<CommittedGroup>>,
    waited: std::sync::atomic::AtomicUsize,
    splits: std::sync::atomic::AtomicUsize,
    refused: std::sync::atomic::AtomicUsize,
}

impl WriterObserver for CountingObserver {
    fn waited(&self, _: Duration) {
        self.waited.fetch_add(1, Ordering::SeqCst);
    }

    fn committed(&self, group: CommittedGroup) {
        assert!(group.bytes > 0);
        self.committed.lock().unwrap().push(group);
    }

    fn failed(&self, _: usize, _: &StoreError) {}

    fn split(&self) {
        self.splits.fetch_add(1, Ordering::SeqCst);
    }

    fn refused(&self, submissions: usize) {
        self.refused.fetch_add(submissions, Ordering::SeqCst);
    }

    fn availability(&self, _: bool) {}
}

#[test]
fn observer_sees_waits_commits_splits_and_refusals() {
    let (store, counts) = (Arc::new(MemoryStore::default()), Arc::new(CountingObserver::default()));
    let observer = Arc::clone(&counts) as Arc<dyn WriterObserver>;
    let writer =
        GroupWriter::start(Arc::clone(&store) as Arc<dyn EventWriter>, &one_thread(), observer)
            .unwrap();
    let handle = writer.handle();
    store.refuse_event_name("guilty");
    store.gate.close();
    send(&handle, 1, &["in flight"]).unwrap();
    store.gate.wait_for_arrivals(1);
    send(&handle, 1, &["a", "b"]).unwrap();
    let guilty = vec![enriched("c", "guilty", at(NOW))];
    let mut submission = submission(owner(1), at(NOW), &[]);
    submission.events = guilty;
    let refused = handle.enqueue(submission).unwrap();
    store.gate.open();
    assert_eq!(result(refused), Err(SubmitError::Failed));
    assert!(writer.close(Duration::from_secs(60)));
    let committed: Vec<_> = counts
        .committed
        .lock()
        .unwrap()
        .iter()
        .map(|group| (group.submissions, group.events))
        .collect();
    // The group of two failed and was split: each half is a group of one.
    assert_eq!(committed, [(1, 1), (1, 2)]);
    let read = |number: &std::sync::atomic::AtomicUsize| number.load(Ordering::SeqCst);
    assert_eq!((read(&counts.waited), read(&counts.splits), read(&counts.refused)), (3, 1, 1));
}

#[test]
fn unavailable_store_is_reported_at_once_and_probed() {
    let (store, _writer, handle) = start(&one_thread());
    store.gate.close();
    // One submission inside the store and one in the queue: both must be answered.
    let in_flight = send(&handle, 1, &["a"]).unwrap();
    store.gate.wait_for_arrivals(1);
    let waiting = send(&handle, 1, &["b"]).unwrap();
    store.set_unavailable(true);
    store.gate.open();
    assert_eq!(result(in_flight), Err(SubmitError::Unavailable));
    assert_eq!(result(waiting), Err(SubmitError::Unavailable));
    assert_eq!(send(&handle, 1, &["c"]).err(), Some(SubmitError::Unavailable));
    assert!(!handle.is_available());
    store.set_unavailable(false);
    while !handle.is_available() {
        std::thread::yield_now();
    }
    assert_eq!(result(send(&handle, 1, &["c"]).unwrap()), Ok(vec![Outcome::Accepted]));
    assert_eq!(store.event_count(), 1);
}

#[test]
fn closing_writer_finishes_its_queue_and_takes_no_more() {
    let (store, writer, handle) = start(&one_thread());
    store.gate.close();
    let answers: Vec<_> =
        (0..10).map(|id| send(&handle, id, &[&id.to_string()]).unwrap()).collect();
    store.gate.wait_for_arrivals(1);
    assert!(!writer.close(Duration::ZERO), "the grace is over before the commit");
    assert_eq!(send(&handle, 1, &["late"]).err(), Some(SubmitError::ShuttingDown));
    store.gate.open();
    assert!(writer.close(Duration::from_secs(60)));
    for answer in answers {
        assert_eq!(result(answer), Ok(vec![Outcome::Accepted]));
    }
}

#[test]
fn writer_closes_while_its_store_is_unavailable() {
    let (store, writer, handle) = start(&WriterOptions { threads: 3, ..one_thread() });
    store.set_unavailable(true);
    assert_eq!(result(send(&handle, 1, &["a"]).unwrap()), Err(SubmitError::Unavailable));
    assert!(writer.close(Duration::from_secs(60)));
    drop(writer);
}

#[test]
fn disconnected_client_does_not_undo_its_events() {
    let (store, writer, handle) = start(&one_thread());
    drop(send(&handle, 1, &["a"]).unwrap());
    assert!(writer.close(Duration::from_secs(60)));
    assert_eq!(store.event_count(), 1);
}

/// A store with a full disk until its fifth probe.
#[derive(Default)]
struct FullStore {
    probes: std::sync::atomic::AtomicU32,
}

impl EventWriter for FullStore {
    fn append(&self, _: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        Err(StoreError::Unavailable("the disk is full".into()))
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn probe(&self) -> Result<(), StoreError> {
        // Four failures: the pause has doubled several times before the fifth probe succeeds.
        if self.probes.fetch_add(1, Ordering::SeqCst) < 4 {
            self.append(&[]).map(|_| ())
        } else {
            Ok(())
        }
    }
}

#[test]
fn full_store_stays_unavailable_until_a_probe_writes() {
    let store = Arc::new(FullStore::default());
    let writer = GroupWriter::start(
        Arc::clone(&store) as Arc<dyn EventWriter>,
        &one_thread(),
        Arc::new(NoopObserver),
    )
    .unwrap();
    let handle = writer.handle();
    assert_eq!(result(send(&handle, 1, &["a"]).unwrap()), Err(SubmitError::Unavailable));
    while !handle.is_available() {
        std::thread::yield_now();
    }
    assert_eq!(store.probes.load(Ordering::SeqCst), 5);
}

/// A store whose errors nobody recognises. Its disk is full, or it lost a conflict.
#[derive(Default)]
struct ForeignStore {
    is_full: std::sync::atomic::AtomicBool,
    /// Conflicts still to lose.
    conflicts: std::sync::atomic::AtomicU32,
}

impl EventWriter for ForeignStore {
    fn append(&self, group: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        let lost = self
            .conflicts
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if self.is_full.load(Ordering::SeqCst) || lost.is_ok() {
            return Err(StoreError::Internal("ein Fehler".into()));
        }
        Ok(group.iter().map(|of_one| vec![Outcome::Accepted; of_one.events.len()]).collect())
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn probe(&self) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) { self.append(&[]).map(|_| ()) } else { Ok(()) }
    }
}

fn start_foreign() -> (Arc<ForeignStore>, GroupWriter) {
    let store = Arc::new(ForeignStore::default());
    let events = Arc::clone(&store) as Arc<dyn EventWriter>;
    let writer = GroupWriter::start(events, &one_thread(), Arc::new(NoopObserver)).unwrap();
    (store, writer)
}

#[test]
fn unknown_error_with_a_failed_probe_is_an_outage() {
    let (store, writer) = start_foreign();
    let handle = writer.handle();
    store.is_full.store(true, Ordering::SeqCst);
    assert_eq!(result(send(&handle, 1, &["a"]).unwrap()), Err(SubmitError::Unavailable));
    assert!(!handle.is_available());
    store.is_full.store(false, Ordering::SeqCst);
    while !handle.is_available() {
        std::thread::yield_now();
    }
    assert_eq!(result(send(&handle, 1, &["a"]).unwrap()), Ok(vec![Outcome::Accepted]));
}

#[test]
fn unknown_error_of_a_working_store_is_tried_once_more() {
    let (store, writer) = start_foreign();
    let handle = writer.handle();
    for (conflicts, expected) in [(1, Ok(vec![Outcome::Accepted])), (2, Err(SubmitError::Failed))] {
        store.conflicts.store(conflicts, Ordering::SeqCst);
        assert_eq!(result(send(&handle, 1, &["a"]).unwrap()), expected);
        assert!(handle.is_available());
    }
}

/// A store with a bug.
struct PanickingStore;

impl EventWriter for PanickingStore {
    fn append(&self, _: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        panic!("a bug in the store");
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn panic_in_a_writer_thread_aborts_the_process() {
    const CHILD: &str = "MERCURIO_TEST_PANIC_IN_A_WRITER_THREAD";
    // The test runs itself as a child process, because the abort would end the test runner.
    if std::env::var_os(CHILD).is_some() {
        let writer =
            GroupWriter::start(Arc::new(PanickingStore), &one_thread(), Arc::new(NoopObserver))
                .unwrap();
        let answer = send(&writer.handle(), 1, &["a"]).unwrap();
        panic!("an aborted process cannot answer: {:?}", answer.blocking_recv());
    }
    let name = concat!(module_path!(), "::panic_in_a_writer_thread_aborts_the_process");
    let name = name.split_once("::").expect("a module of this crate").1;
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let signal = std::os::unix::process::ExitStatusExt::signal(&child.status);
    assert_eq!(signal, Some(6), "SIGABRT: {}", String::from_utf8_lossy(&child.stderr));
}

#[derive(Debug, Clone)]
struct SubmissionCase {
    tenant: i64,
    ids: Vec<u8>,
    guilty: bool,
}

fn cases() -> impl Strategy<Value = Vec<SubmissionCase>> {
    // Few tenants and few ids, so that duplicates across submissions are frequent.
    let case = (0..3_i64, prop::collection::vec(0..30_u8, 1..8), prop::bool::weighted(0.1));
    let case = case.prop_map(|(tenant, ids, guilty)| SubmissionCase { tenant, ids, guilty });
    prop::collection::vec(case, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn submissions_get_one_answer_and_accepted_ones_are_stored(cases in cases(), threads in 1..4_usize) {
        let (store, writer, handle) = start(&WriterOptions { threads, group_events: 40, ..one_thread() });
        store.refuse_event_name("guilty");
        let mut accepted: HashMap<(i64, u8), usize> = HashMap::new();
        let answers: Vec<_> = std::thread::scope(|scope| {
            let senders: Vec<_> = cases.chunks(8).map(|chunk| {
                let handle = &handle;
                scope.spawn(move || chunk.iter().map(|case| (case, handle.enqueue(of(case)).unwrap())).collect::<Vec<_>>())
            }).collect();
            senders.into_iter().flat_map(|sender| sender.join().unwrap()).collect()
        });
        for (case, answer) in answers {
            match result(answer) {
                Err(error) => prop_assert!(case.guilty && error == SubmitError::Failed),
                Ok(outcomes) => {
                    prop_assert!(!case.guilty);
                    prop_assert_eq!(outcomes.len(), case.ids.len());
                    for (id, outcome) in case.ids.iter().zip(outcomes) {
                        let count = accepted.entry((case.tenant, *id)).or_default();
                        *count += usize::from(outcome == Outcome::Accepted);
                    }
                }
            }
        }
        prop_assert!(accepted.values().all(|count| *count == 1), "each id is accepted once");
        prop_assert!(writer.close(Duration::from_secs(60)));
        prop_assert_eq!(store.event_count(), accepted.len());
    }
}

fn of(case: &SubmissionCase) -> Submission {
    let name = if case.guilty { "guilty" } else { "innocent" };
    let event = |id: &u8| -> EnrichedEvent { enriched(&id.to_string(), name, at(NOW)) };
    Submission {
        owner: owner(case.tenant),
        received_at: at(NOW),
        events: case.ids.iter().map(event).collect(),
    }
}
