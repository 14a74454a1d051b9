//! A workspace, a forwarder with short pauses, and an observer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use mercurio_domain::store::{Catalog, EventWriter, Feed, Housekeeping, Person, Removal};
use mercurio_domain::testing::{FixedClock, MemoryStore, at, provisioning, submission};
use mercurio_domain::{Clock, Owner};
use mercurio_forwarding::testing::Receiver;
use mercurio_forwarding::{
    Backoff, ForwardError, ForwardObserver, ForwardOptions, Forwarder, HttpSender, SigningSecrets,
    Surroundings, Target, Totals,
};

/// A valid secret.
pub(crate) const SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A tenant with a workspace in memory, and the observer of its forwarders.
pub(crate) struct TestWorkspace {
    pub(crate) store: MemoryStore,
    pub(crate) clock: FixedClock,
    pub(crate) owner: Owner,
    pub(crate) options: ForwardOptions,
    pub(crate) timeout: Duration,
    pub(crate) stop: AtomicBool,
    /// Messages of failed attempts.
    pub(crate) failures: Mutex<Vec<String>>,
    pub(crate) stops_after_events: u64,
}

impl TestWorkspace {
    pub(crate) fn new() -> Self {
        let clock = FixedClock::at("2026-11-29T10:00:00Z");
        let store = MemoryStore::default();
        let provisioned = store.provision(&provisioning("Acme", 1, clock.now()).0);
        let owner = provisioned.expect("created").api_key.owner;
        let millis = Duration::from_millis;
        let options = ForwardOptions {
            backoff: Backoff { first: millis(1), max: millis(4) },
            poll: millis(1),
            ..ForwardOptions::default()
        };
        Self {
            store,
            clock,
            owner,
            options,
            timeout: Duration::from_secs(10),
            stop: AtomicBool::new(false),
            failures: Mutex::default(),
            stops_after_events: u64::MAX,
        }
    }

    pub(crate) fn append(&self, ids: &[&str]) {
        let submission = submission(self.owner, at("2026-11-29T10:00:00Z"), ids);
        self.store.append(&[submission]).expect("stored");
    }

    /// Erases the one person of all events.
    pub(crate) fn erase_all_people(&self) {
        let (tenant_id, person) = (self.owner.tenant_id, Person::User("u".to_owned()));
        let removal = Removal::Person { tenant_id, person };
        let mut from = None;
        loop {
            let removed = self.store.remove_events(&removal, self.clock.now(), from.as_ref());
            from = removed.expect("removed").next;
            if from.is_none() {
                return;
            }
        }
    }

    /// Stops after this many events.
    pub(crate) fn stopping_after(mut self, events: u64) -> Self {
        self.stops_after_events = events;
        self
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.lock().expect("no panic").clone()
    }

    /// Forwards to `receiver` until the end.
    pub(crate) fn run(&self, receiver: &Receiver) -> Result<Totals, ForwardError> {
        self.run_on(&self.store, receiver, "test")
    }

    pub(crate) fn run_on(
        &self,
        feed: &dyn Feed,
        receiver: &Receiver,
        name: &str,
    ) -> Result<Totals, ForwardError> {
        let target = Target::parse(&format!("{}/hook?key=hunter2", receiver.url())).expect("valid");
        let secrets = Some(SigningSecrets::parse(SECRET).expect("valid"));
        self.run_with(feed, &HttpSender::new(target, secrets, self.timeout).expect("valid"), name)
    }

    pub(crate) fn run_with(
        &self,
        feed: &dyn Feed,
        sender: &HttpSender,
        name: &str,
    ) -> Result<Totals, ForwardError> {
        let around = Surroundings {
            clock: &self.clock,
            sleep: &thread::park_timeout,
            is_stopped: &|| self.stop.load(Ordering::Relaxed),
            observer: self,
        };
        let mut forwarder = Forwarder::new(feed, self.owner, name, sender, self.options, around);
        forwarder.run().map(|()| forwarder.totals())
    }

    /// Forwards on another thread.
    pub(crate) fn spawn<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        receiver: &'scope Receiver,
    ) -> ScopedJoinHandle<'scope, Result<Totals, ForwardError>> {
        scope.spawn(|| self.run(receiver))
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl ForwardObserver for TestWorkspace {
    fn progress(&self, totals: Totals) {
        if totals.events >= self.stops_after_events {
            self.stop();
        }
    }

    fn failure(&self, error: &(dyn std::error::Error + 'static), failures: u32, _pause: Duration) {
        let message = format!("{failures}: {error}");
        assert!(!message.contains("hunter2"), "{message}");
        self.failures.lock().expect("no panic").push(message);
    }
}
