//! The writer against the memory store, whose gate tells and holds the moment of each commit.

use std::collections::HashMap;

use mercurio_domain::event::EnrichedEvent;
use mercurio_domain::ids::{Owner, TenantId, WorkspaceId};
use mercurio_domain::testing::{MemoryStore, at, enriched, submission};
use proptest::prelude::*;

use std::sync::atomic::Ordering;

use super::*;

type Answer = oneshot::Receiver<Result<Vec<Outcome>, SubmitError>>;

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

fn send(handle: &GroupWriterHandle, tenant: i64, ids: &[&str]) -> Result<Answer, SubmitError> {
    handle.enqueue(submission(owner(tenant), at(NOW), ids))
}

fn result(answer: Answer) -> Result<Vec<Outcome>, SubmitError> {
    answer.blocking_recv().expect("every submission gets an answer")
}

#[test]
fn a_lone_submission_is_answered_after_its_commit() {
    let (store, _writer, handle) = start(&one_thread());
    store.gate.close();
    let mut answer = send(&handle, 1, &["a", "a", "b"]).unwrap();
    store.gate.wait_for_arrivals(1);
    assert!(answer.try_recv().is_err(), "no answer before the commit");
    store.gate.open();
    assert_eq!(result(answer), Ok(vec![Outcome::Accepted, Outcome::Duplicate, Outcome::Accepted]));
}

#[test]
fn what_comes_during_a_commit_makes_the_next_group() {
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
fn a_group_ends_at_its_bound_of_events() {
    let (store, writer, handle) = start(&WriterOptions { group_events: 5, ..one_thread() });
    store.gate.close();
    send(&handle, 1, &["first"]).unwrap();
    store.gate.wait_for_arrivals(1);
    for ids in [&["a", "b"], &["c", "d"], &["e", "f"]] {
        send(&handle, 1, ids).unwrap();
    }
    send(&handle, 1, &["1", "2", "3", "4", "5", "6", "7"]).unwrap();
    store.gate.open();
    assert!(writer.close(Duration::from_secs(60)));
    assert_eq!(store.group_sizes(), [1, 2, 1, 1]);
    assert_eq!(store.event_count(), 14);
}

#[test]
fn a_full_queue_answers_at_once_and_takes_again_when_it_has_room() {
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
fn the_bytes_that_wait_are_bounded_too() {
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
    // The group in flight, then one more: the quiet tenant is in it, for all the flood before it.
    store.gate.let_through(2);
    assert_eq!(result(quiet), Ok(vec![Outcome::Accepted]));
    store.gate.open();
}

#[test]
fn a_submission_that_the_store_refuses_fails_alone() {
    let (store, writer, handle) = start(&one_thread());
    store.refuse_event_name("guilty");
    store.gate.close();
    send(&handle, 1, &["in flight"]).unwrap();
    store.gate.wait_for_arrivals(1);
    let answers: Vec<_> = (0..33)
        .map(|id| {
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

/// Keeps what it is told.
#[derive(Default)]
struct Notes {
    committed: std::sync::Mutex<Vec<(usize, usize)>>,
    waited: std::sync::atomic::AtomicUsize,
    splits: std::sync::atomic::AtomicUsize,
    refused: std::sync::atomic::AtomicUsize,
}

impl WriterObserver for Notes {
    fn waited(&self, _: Duration) {
        self.waited.fetch_add(1, Ordering::SeqCst);
    }

    fn committed(&self, group: Committed) {
        assert!(group.bytes > 0);
        self.committed.lock().unwrap().push((group.submissions, group.events));
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
fn the_observer_hears_of_waits_commits_splits_and_refusals() {
    let (store, notes) = (Arc::new(MemoryStore::default()), Arc::new(Notes::default()));
    let observer = Arc::clone(&notes) as Arc<dyn WriterObserver>;
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
    assert_eq!(*notes.committed.lock().unwrap(), [(1, 1), (1, 2)]);
    let read = |number: &std::sync::atomic::AtomicUsize| number.load(Ordering::SeqCst);
    assert_eq!((read(&notes.waited), read(&notes.splits), read(&notes.refused)), (3, 1, 1));
}

#[test]
fn an_unavailable_store_is_told_at_once_and_found_again() {
    let (store, _writer, handle) = start(&one_thread());
    store.gate.close();
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
fn a_closing_writer_finishes_what_it_took_and_takes_no_more() {
    let (store, writer, handle) = start(&one_thread());
    store.gate.close();
    let answers: Vec<_> =
        (0..10).map(|id| send(&handle, id, &[&id.to_string()]).unwrap()).collect();
    store.gate.wait_for_arrivals(1);
    assert!(!writer.close(Duration::ZERO), "the grace is over before the commit");
    assert_eq!(send(&handle, 1, &["late"]).err(), Some(SubmitError::Closing));
    store.gate.open();
    assert!(writer.close(Duration::from_secs(60)));
    for answer in answers {
        assert_eq!(result(answer), Ok(vec![Outcome::Accepted]));
    }
}

#[test]
fn a_writer_whose_store_is_away_still_closes() {
    let (store, writer, handle) = start(&WriterOptions { threads: 3, ..one_thread() });
    store.set_unavailable(true);
    assert_eq!(result(send(&handle, 1, &["a"]).unwrap()), Err(SubmitError::Unavailable));
    assert!(writer.close(Duration::from_secs(60)));
    drop(writer);
}

#[test]
fn a_caller_that_is_gone_does_not_undo_its_events() {
    let (store, writer, handle) = start(&one_thread());
    drop(send(&handle, 1, &["a"]).unwrap());
    assert!(writer.close(Duration::from_secs(60)));
    assert_eq!(store.event_count(), 1);
}

/// A store that answers and has no room, until it is probed for the fifth time.
#[derive(Default)]
struct Full {
    probes: std::sync::atomic::AtomicU32,
}

impl EventWriter for Full {
    fn append(&self, _: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        Err(StoreError::Unavailable("the disk is full".into()))
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn probe(&self) -> Result<(), StoreError> {
        if self.probes.fetch_add(1, Ordering::SeqCst) < 4 {
            self.append(&[]).map(|_| ())
        } else {
            Ok(())
        }
    }
}

#[test]
fn a_store_that_answers_and_takes_nothing_stays_unavailable_until_a_write_succeeds() {
    let store = Arc::new(Full::default());
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

/// A store that has a bug.
struct Panicking;

impl EventWriter for Panicking {
    fn append(&self, _: &[Submission]) -> Result<Vec<Vec<Outcome>>, StoreError> {
        panic!("a bug in the store");
    }

    fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn a_panic_in_a_lane_ends_the_process() {
    const CHILD: &str = "MERCURIO_TEST_PANIC_IN_A_LANE";
    if std::env::var_os(CHILD).is_some() {
        let writer =
            GroupWriter::start(Arc::new(Panicking), &one_thread(), Arc::new(NoopObserver)).unwrap();
        let answer = send(&writer.handle(), 1, &["a"]).unwrap();
        panic!("nobody is left to answer: {:?}", answer.blocking_recv());
    }
    let name = concat!(module_path!(), "::a_panic_in_a_lane_ends_the_process");
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
struct Case {
    tenant: i64,
    ids: Vec<u8>,
    guilty: bool,
}

fn cases() -> impl Strategy<Value = Vec<Case>> {
    let case = (0..3_i64, prop::collection::vec(0..30_u8, 1..8), prop::bool::weighted(0.1));
    let case = case.prop_map(|(tenant, ids, guilty)| Case { tenant, ids, guilty });
    prop::collection::vec(case, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn each_submission_gets_one_answer_and_what_is_stored_is_what_was_accepted(cases in cases(), threads in 1..4_usize) {
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

fn of(case: &Case) -> Submission {
    let name = if case.guilty { "guilty" } else { "innocent" };
    let event = |id: &u8| -> EnrichedEvent { enriched(&id.to_string(), name, at(NOW)) };
    Submission {
        owner: owner(case.tenant),
        received_at: at(NOW),
        events: case.ids.iter().map(event).collect(),
    }
}
