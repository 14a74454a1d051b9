//! Clients that send each batch until it is answered, and more often than needed.
//!
//! Several connections send the same ids at once, with payloads of their own. Answered batches are
//! sent again. Some batches name an id twice, and some connections are given up before the answer.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mercurio_history::{Digest, Figures, History, Payload, Request, SentEvent};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::http::{Connection, Response};
use crate::site::{Site, Workspace};

const BATCH_EVENTS: usize = 50;
/// Batches per tenant that other clients may send too.
const RECENT_BATCHES: usize = 64;
/// Time for the last answers, once everything works again.
const LAST_ANSWERS: Duration = Duration::from_secs(120);

/// The ids of a batch.
type Ids = Arc<[Box<str>]>;

/// All clients of a run.
pub(crate) struct Clients {
    shared: Arc<Shared>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    site: Arc<Site>,
    history: Mutex<History>,
    /// By tenant: ids of the last batches, answered or in flight.
    recent: Vec<Mutex<VecDeque<Ids>>>,
    unanswered: AtomicUsize,
}

struct Client {
    shared: Arc<Shared>,
    number: usize,
    workspace: Workspace,
    connections: Vec<Connection>,
    random: fastrand::Rng,
    /// Number of the last batch.
    batches: u64,
}

/// A request, the same for each repetition.
struct Batch {
    events: Vec<SentEvent>,
    body: Vec<u8>,
}

impl Clients {
    pub(crate) fn start(runtime: &Runtime, site: &Arc<Site>, count: usize, seed: u64) -> Self {
        let tenants = site.workspaces.iter().map(|workspace| workspace.tenant).max();
        let shared = Arc::new(Shared {
            site: Arc::clone(site),
            history: Mutex::default(),
            recent: (0..=tenants.unwrap_or_default()).map(|_| Mutex::default()).collect(),
            unanswered: AtomicUsize::new(0),
        });
        let mut tasks = Vec::new();
        for number in 0..count {
            let client = Client {
                shared: Arc::clone(&shared),
                number,
                workspace: site.workspaces[number % site.workspaces.len()].clone(),
                connections: site.servers.iter().map(|it| Connection::new(it.addr)).collect(),
                random: fastrand::Rng::with_seed(seed ^ (number as u64 + 1) << 32),
                batches: 0,
            };
            tasks.push(runtime.spawn(client.run()));
        }
        Self { shared, tasks: Mutex::new(tasks) }
    }

    /// Waits until every batch is answered.
    pub(crate) async fn finish(&self) {
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        let wait = async {
            for task in tasks {
                if let Err(error) = task.await {
                    self.shared.site.journal.violation(format!("a client failed: {error}"));
                }
            }
        };
        if tokio::time::timeout(LAST_ANSWERS, wait).await.is_err() {
            let left = self.shared.unanswered.load(Ordering::SeqCst);
            let journal = &self.shared.site.journal;
            journal.violation(format!("{left} batches have no answer long after the last fault"));
        }
    }

    pub(crate) fn figures(&self) -> Figures {
        lock(&self.shared.history).figures()
    }

    /// Takes the history of all clients.
    pub(crate) fn history(&self) -> History {
        std::mem::take(&mut lock(&self.shared.history))
    }
}

impl Client {
    async fn run(mut self) {
        while !self.shared.site.is_over() {
            let ids = self.choose_ids();
            let batch = self.batch(&ids);
            self.deliver(&batch).await;
            if self.random.u8(0..20) == 0 {
                // Like a client that does not trust its notes.
                self.deliver(&batch).await;
            }
        }
    }

    /// The ids of the next batch: new ones, those of another batch, or half of each.
    fn choose_ids(&mut self) -> Ids {
        let known = {
            let recent = lock(&self.shared.recent[self.workspace.tenant]);
            let index = self.random.usize(0..RECENT_BATCHES);
            // The last ones are the most likely to be in flight.
            let index = if self.random.bool() { index } else { index % 4 };
            recent.get(index).cloned()
        };
        let ids = match (self.random.u8(0..20), known) {
            (0, Some(known)) => return known,
            (1, Some(known)) => {
                let mut ids = self.new_ids();
                ids.truncate(BATCH_EVENTS / 2);
                ids.extend(known.iter().take(BATCH_EVENTS / 2).cloned());
                // An id twice in one batch.
                ids.push(ids[0].clone());
                ids.remove(1);
                self.random.shuffle(&mut ids);
                ids
            }
            _ => self.new_ids(),
        };
        let ids: Ids = ids.into();
        let mut recent = lock(&self.shared.recent[self.workspace.tenant]);
        recent.push_front(Arc::clone(&ids));
        recent.truncate(RECENT_BATCHES);
        ids
    }

    fn new_ids(&mut self) -> Vec<Box<str>> {
        self.batches += 1;
        let mut ids = Vec::with_capacity(BATCH_EVENTS);
        for index in 0..BATCH_EVENTS {
            // The key of a UUID is the UUID itself, that of any other text a hash.
            let id = if self.number.is_multiple_of(4) {
                Uuid::from_u128(self.random.u128(..)).to_string()
            } else {
                format!("{}-{}-{index}", self.number, self.batches)
            };
            ids.push(id.into());
        }
        ids
    }

    fn batch(&mut self, ids: &[Box<str>]) -> Batch {
        let name = format!("event {}", self.random.u8(0..8));
        let user_id = format!("user {}", self.random.u32(0..100_000));
        let mut events = Vec::with_capacity(ids.len());
        let mut body = String::with_capacity(ids.len() * 160);
        for (index, id) in ids.iter().enumerate() {
            // The same id has another payload in each batch.
            let (number, batch) = (self.number, self.batches);
            let properties = format!(
                r#"{{"client": {number}, "batch": {batch}, "index": {index}, "of": "{id}"}}"#
            );
            let payload = Payload {
                event_name: &name,
                user_id: Some(&user_id),
                properties: Some(&properties),
                ..Payload::default()
            };
            events.push(SentEvent { event_id: id.clone(), digest: Digest::of(&payload) });
            let start = if index == 0 { r#"{"events":["# } else { "," };
            // Writing into a string cannot fail.
            write!(
                body,
                r#"{start}{{"event_id":"{id}","event_name":"{name}","user_id":"{user_id}","properties":{properties}}}"#
            )
            .ok();
        }
        body.push_str("]}");
        Batch { events, body: body.into_bytes() }
    }

    /// Sends a batch until it is answered.
    async fn deliver(&mut self, batch: &Batch) {
        self.shared.unanswered.fetch_add(1, Ordering::SeqCst);
        while !self.attempt(batch).await {
            let pause = Duration::from_millis(self.random.u64(10..200));
            tokio::time::sleep(pause).await;
        }
        self.shared.unanswered.fetch_sub(1, Ordering::SeqCst);
    }

    /// Sends a batch once. Returns whether the answer settles it.
    async fn attempt(&mut self, batch: &Batch) -> bool {
        let server = self.random.usize(0..self.connections.len());
        let connection = &mut self.connections[server];
        let request = Request::begin(self.workspace.owner, batch.events.clone());
        if self.random.u16(0..500) == 0 {
            let pause = Duration::from_millis(self.random.u64(0..20));
            connection.abandon(&self.workspace.key, &batch.body, pause).await;
            lock(&self.shared.history).unanswered(request);
            return false;
        }
        match connection.send(&self.workspace.key, &batch.body).await {
            Ok(response) => self.shared.record(request, &response),
            Err(_) => {
                lock(&self.shared.history).unanswered(request);
                false
            }
        }
    }
}

impl Shared {
    /// Records a response. Returns whether it settles the batch.
    fn record(&self, request: Request, response: &Response) -> bool {
        let journal = &self.site.journal;
        journal.status(response.status);
        if response.status == 200 {
            let ids = request.events().iter().map(|event| &*event.event_id);
            match response.answers(ids) {
                Ok(answers) => {
                    lock(&self.history).answered(request, &answers);
                    return true;
                }
                Err(error) => journal.violation(format!("a wrong answer: {error}")),
            }
        } else if response.status != 503 {
            // The requests are valid, within all limits, and their keys too.
            let body = String::from_utf8_lossy(&response.body).into_owned();
            journal.violation(format!("status {}: {body}", response.status));
        }
        lock(&self.history).unanswered(request);
        false
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
