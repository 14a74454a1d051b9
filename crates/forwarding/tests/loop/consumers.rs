//! The cursor: crashes, outages of the database, and two forwarders of one name.

use std::sync::{Barrier, Mutex};
use std::thread;

use mercurio_domain::store::{
    Feed, FeedCursor, FeedCursorError, FeedError, FeedPage, FeedQuery, StoreError,
};
use mercurio_domain::testing::MemoryStore;
use mercurio_domain::{Owner, Timestamp};
use mercurio_forwarding::testing::{Receiver, Reply};
use mercurio_forwarding::{DeliveryError, ForwardError};

use crate::test_workspace::TestWorkspace;

/// What happens to the next call that stores a cursor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It succeeds, as that of the start before the first batch.
    Success,
    /// It fails for good and changes nothing, as at the end of the process.
    Crash,
    /// It takes effect, and its answer is lost.
    AnswerLost,
    /// It changes nothing, and the connection breaks.
    Outage,
}

/// The store in memory, with faults.
struct FaultyFeed<'a> {
    store: &'a MemoryStore,
    fates: Mutex<Vec<Fate>>,
}

impl Feed for FaultyFeed<'_> {
    fn feed(&self, owner: Owner, query: &FeedQuery) -> Result<FeedPage, FeedError> {
        self.store.feed(owner, query)
    }

    fn consumer_cursor(&self, owner: Owner, name: &str) -> Result<Option<FeedCursor>, StoreError> {
        self.store.consumer_cursor(owner, name)
    }

    fn advance_consumer(
        &self,
        owner: Owner,
        name: &str,
        before: Option<&FeedCursor>,
        after: &FeedCursor,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let fate = self.fates.lock().expect("no panic").pop();
        match fate {
            Some(Fate::Crash) => return Err(StoreError::Internal("a crash".into())),
            Some(Fate::Outage) => return Err(StoreError::Unavailable("an outage".into())),
            Some(Fate::AnswerLost | Fate::Success) | None => {}
        }
        let is_moved = self.store.advance_consumer(owner, name, before, after, now)?;
        match fate {
            Some(Fate::AnswerLost) => Err(StoreError::Unavailable("an answer lost".into())),
            _ => Ok(is_moved),
        }
    }
}

#[test]
fn crash_before_the_cursor_repeats_the_batch_and_loses_none() {
    let mut workspace = TestWorkspace::new();
    (workspace.options.once, workspace.options.batch_events) = (true, 2);
    workspace.append(&["a", "b", "c"]);
    let receiver = Receiver::with_status(200);
    let feed =
        FaultyFeed { store: &workspace.store, fates: Mutex::new(vec![Fate::Crash, Fate::Success]) };
    let error = workspace.run_on(&feed, &receiver, "test").expect_err("a crash");
    assert!(matches!(error, ForwardError::Store(StoreError::Internal(_))), "{error}");
    assert_eq!(workspace.run_on(&feed, &receiver, "test").expect("delivered").events, 3);
    let requests = receiver.requests();
    let ids: Vec<_> = requests.iter().map(|request| request.message_ids().len()).collect();
    assert_eq!(ids, [2, 2, 1]);
    assert_eq!(requests[0].message_ids(), requests[1].message_ids());
    // The same body, so the same id also for a receiver that looks at batches alone.
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
}

#[test]
fn outage_after_the_answer_sends_nothing_twice() {
    for mut fates in [
        vec![Fate::Outage, Fate::Outage],
        vec![Fate::AnswerLost],
        vec![Fate::AnswerLost, Fate::Outage],
        vec![Fate::Outage, Fate::AnswerLost],
    ] {
        let workspace = TestWorkspace::new().stopping_after(1);
        workspace.append(&["a"]);
        let receiver = Receiver::with_status(200);
        let count = fates.len() as u64;
        // The last one is the first call: the start.
        fates.push(Fate::Success);
        let feed = FaultyFeed { store: &workspace.store, fates: Mutex::new(fates) };
        let totals = workspace.run_on(&feed, &receiver, "test").expect("delivered");
        assert_eq!((totals.events, totals.failures), (1, count));
        assert_eq!(receiver.requests().len(), 1);
    }
}

#[test]
fn database_outage_is_waited_for() {
    let workspace = TestWorkspace::new().stopping_after(1);
    workspace.append(&["a"]);
    workspace.store.set_unavailable(true);
    let receiver = Receiver::with_status(200);
    let totals = thread::scope(|scope| {
        let forwarder = workspace.spawn(scope, &receiver);
        while workspace.failures().len() < 3 {
            thread::yield_now();
        }
        workspace.store.set_unavailable(false);
        forwarder.join().unwrap().expect("delivered")
    });
    assert_eq!(totals.events, 1);
    assert_eq!(workspace.failures()[0], "1: the database is unavailable");
}

#[test]
fn once_does_not_wait_for_the_database() {
    let mut workspace = TestWorkspace::new();
    workspace.options.once = true;
    workspace.store.set_unavailable(true);
    let error = workspace.run(&Receiver::with_status(200)).expect_err("an end");
    assert!(matches!(&error, ForwardError::Store(error) if error.is_unavailable()), "{error}");
}

#[test]
fn second_forwarder_of_a_name_ends_with_an_error() {
    let workspace = TestWorkspace::new();
    workspace.append(&["a"]);
    // The first request of each arrives before any gets its answer.
    let barrier = Barrier::new(2);
    let receiver = Receiver::start(move |number, _| {
        if number < 2 {
            barrier.wait();
        }
        Reply::status(200)
    });
    let ends = thread::scope(|scope| {
        let forwarders = [workspace.spawn(scope, &receiver), workspace.spawn(scope, &receiver)];
        while !forwarders.iter().any(|forwarder| forwarder.is_finished()) {
            thread::yield_now();
        }
        workspace.stop();
        forwarders.map(|forwarder| forwarder.join().unwrap())
    });
    let errors: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
    assert_eq!(errors.len(), 1, "{ends:?}");
    assert!(matches!(errors[0], ForwardError::NameInUse(name) if name == "test"), "{ends:?}");
}

#[test]
fn names_have_cursors_of_their_own() {
    let mut workspace = TestWorkspace::new();
    workspace.options.once = true;
    workspace.append(&["a"]);
    let receiver = Receiver::with_status(200);
    for name in ["one", "two", "one"] {
        workspace.run_on(&workspace.store, &receiver, name).expect("delivered");
    }
    assert_eq!(receiver.requests().len(), 2);
}

#[test]
fn cursor_of_a_replaced_database_is_an_error() {
    let mut workspace = TestWorkspace::new();
    workspace.options.once = true;
    let foreign = FeedCursor { last: 1 << 40, ..FeedCursor::oldest(workspace.owner.workspace_id) };
    let now = mercurio_domain::Clock::now(&workspace.clock);
    workspace.store.advance_consumer(workspace.owner, "test", None, &foreign, now).expect("stored");
    let error = workspace.run(&Receiver::with_status(200)).expect_err("an end");
    let expected = FeedCursorError::Replaced;
    assert!(
        matches!(&error, ForwardError::Cursor { source, .. } if *source == expected),
        "{error}"
    );
}

#[test]
fn gone_keeps_the_cursor_before_the_batch() {
    let mut workspace = TestWorkspace::new();
    workspace.options.once = true;
    workspace.append(&["a"]);
    let error = workspace.run(&Receiver::with_status(410)).expect_err("an end");
    assert!(matches!(error, ForwardError::Ended(DeliveryError::Gone)), "{error}");
    let stored = workspace.store.consumer_cursor(workspace.owner, "test").expect("an answer");
    assert_eq!(stored, Some(FeedCursor::oldest(workspace.owner.workspace_id)));
}
