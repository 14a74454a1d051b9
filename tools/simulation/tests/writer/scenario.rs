//! One run: clients, a writer that may be restarted, and a database with outages.

use std::sync::Arc;
use std::time::Duration;

use mercurio_domain::store::{EventWriter, StoreError};
use mercurio_simulation::writer::{CommittedGroup, GroupWriter, WriterObserver, WriterOptions};
use mercurio_simulation::{now, pass_time};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

use super::client::{Address, Client, Request};
use super::history::History;
use super::store::{FaultyStore, LONGEST_PAUSE_MILLIS, Server, pause};

/// Writer threads of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Threads {
    One,
    Several,
}

/// Longest time from the last failure to the end of its probe, without the probe interval: three
/// pauses in the store and three in the observer, and one in each for the probe.
const LONGEST_RECOVERY: Duration = Duration::from_millis(8 * LONGEST_PAUSE_MILLIS);

/// A probe interval far beyond everything else that takes time in a run.
const LONG_INTERVAL: Duration = Duration::from_secs(100);

/// More than any queue needs to drain.
const LONGEST_GRACE: Duration = Duration::from_secs(10);

/// Lets other threads run wherever the writer calls it.
struct PausingObserver;

impl WriterObserver for PausingObserver {
    fn waited(&self, _: Duration) {
        pause();
    }

    fn committed(&self, _: CommittedGroup) {
        pause();
    }

    fn failed(&self, _: usize, _: &StoreError) {
        pause();
    }

    fn split(&self) {
        pause();
    }

    fn refused(&self, _: usize) {
        pause();
    }

    fn availability(&self, _: bool) {
        pause();
    }
}

/// Plays a run. The seed of the simulation makes all choices.
pub(crate) fn play(threads: Threads, history: &Arc<History>) {
    let options = draw_options(threads);
    let faults = [0.0, 0.1, 0.4][thread_rng().gen_range(0..3)];
    let store = Arc::new(FaultyStore::new(Arc::clone(history), faults));
    let mut writer = start(&store, &options, history);
    let address = Arc::new(Address::new(writer.handle()));
    let mut clients = Vec::new();
    for number in 0..thread_rng().gen_range(1..=6) {
        let requests = draw_requests(number);
        let client = Client { history: Arc::clone(history), address: Arc::clone(&address) };
        clients.push(thread::spawn(move || {
            for request in &requests {
                client.send(request);
            }
            requests
        }));
    }

    for _ in 0..thread_rng().gen_range(0..4) {
        pass_time(Duration::from_millis(thread_rng().gen_range(0..40)));
        let has_outage = thread_rng().gen_bool(0.6);
        if has_outage {
            let is_down = thread_rng().gen_bool(0.7);
            store.set_server(if is_down { Server::Down } else { Server::Deceptive });
            pass_time(Duration::from_millis(thread_rng().gen_range(0..80)));
        }
        // A restart, in an outage or without one.
        if !has_outage || thread_rng().gen_bool(0.3) {
            stop(writer, &options, history);
            writer = start(&store, &options, history);
            address.set(writer.handle());
        }
        store.set_server(Server::Up);
    }

    store.heal();
    pass_time(options.probe_interval * 10 + LONGEST_RECOVERY);
    if !writer.handle().is_available() {
        history.violate("the store has recovered, and the writer is still unavailable".to_owned());
    }
    for client in clients {
        for Request { tenant, ids, events, is_guilty } in client.join().expect("no panic") {
            if !is_guilty && !store.holds(tenant, &events) {
                history.violate(format!("{ids:?} of tenant {tenant} are not stored"));
            }
        }
    }
    stop(writer, &options, history);
    history.end();
}

fn start(store: &Arc<FaultyStore>, options: &WriterOptions, history: &History) -> GroupWriter {
    history.start(options);
    let store = Arc::clone(store) as Arc<dyn EventWriter>;
    GroupWriter::start(store, options, Arc::new(PausingObserver)).expect("threads")
}

/// Closes a writer as a server does at shutdown.
fn stop(writer: GroupWriter, options: &WriterOptions, history: &History) {
    let began = now();
    let handle = writer.handle();
    let short = Duration::from_millis(20);
    let grace = [Duration::ZERO, short, LONGEST_GRACE][thread_rng().gen_range(0..3)];
    history.note(&format!("close within {grace:?}"));
    if writer.close(grace) {
        history.closed();
        if now() - began >= LONGEST_GRACE {
            history.violate("closing used up its grace".to_owned());
        }
    }
    drop(writer);
    history.closed();
    if handle.depth().events > 0 || handle.is_available() {
        history.violate("a closed writer has events, or says it is available".to_owned());
    }
    // The pause between two probes must not delay the end.
    if options.probe_interval == LONG_INTERVAL && now() - began >= LONG_INTERVAL {
        history.violate(format!("closing took {:?}", now() - began));
    }
}

/// Small bounds, so that runs meet all of them.
fn draw_options(threads: Threads) -> WriterOptions {
    let mut random = thread_rng();
    let probe_interval =
        if random.gen_bool(0.7) { Duration::from_millis(10) } else { LONG_INTERVAL };
    WriterOptions {
        threads: match threads {
            Threads::One => 1,
            Threads::Several => random.gen_range(2..=3),
        },
        queue_events: random.gen_range(2..=24),
        tenant_share_percent: [25, 50, 100][random.gen_range(0..3)],
        group_events: random.gen_range(1..=12),
        join_events: random.gen_range(1..=8),
        probe_interval,
        ..WriterOptions::default()
    }
}

/// Requests of one client. Clients of a tenant share some ids, so that duplicates race.
fn draw_requests(client: u32) -> Vec<Request> {
    let mut requests = Vec::new();
    for number in 0..thread_rng().gen_range(1..=4) {
        let mut ids = Vec::new();
        for event in 0..thread_rng().gen_range(1..=5) {
            let own = 1_000 * (client + 1) + 10 * number + event;
            ids.push(if thread_rng().gen_bool(0.3) { thread_rng().gen_range(0..5) } else { own });
        }
        let is_guilty = thread_rng().gen_bool(0.15);
        requests.push(Request::new(i64::from(client % 3), ids, is_guilty));
    }
    requests
}
