//! Consumers that follow the feed of each workspace over all faults.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mercurio_domain::store::{EventQuery, Store};
use mercurio_storage::{DatabaseUrl, StoreOptions};
use serde::Deserialize;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::http::Connection;
use crate::site::{Site, Workspace};

/// Pause after a failed request or an empty page.
const PAUSE: Duration = Duration::from_millis(100);
/// Time to read what is left, once everything works again.
const LAST_PAGES: Duration = Duration::from_secs(120);

/// A consumer for each workspace.
pub(crate) struct Consumers {
    site: Arc<Site>,
    tasks: Mutex<Vec<JoinHandle<Consumer>>>,
}

struct Consumer {
    workspace: Workspace,
    connections: Vec<Connection>,
    /// The cursor, kept with the events of its page.
    after: String,
    /// How often each event came.
    seen: HashMap<Box<str>, u32>,
}

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    events: Vec<PageEvent<'a>>,
    next: &'a str,
}

#[derive(Deserialize)]
struct PageEvent<'a> {
    event_id: &'a str,
}

impl Consumers {
    pub(crate) fn start(runtime: &Runtime, site: &Arc<Site>) -> Self {
        let mut tasks = Vec::new();
        for workspace in &site.workspaces {
            let consumer = Consumer {
                workspace: workspace.clone(),
                connections: site.servers.iter().map(|it| Connection::new(it.addr)).collect(),
                after: String::new(),
                seen: HashMap::new(),
            };
            tasks.push(runtime.spawn(consumer.run(Arc::clone(site))));
        }
        Self { site: Arc::clone(site), tasks: Mutex::new(tasks) }
    }

    /// Waits until the feeds are read to their ends, and compares them with the tables.
    pub(crate) async fn finish(&self) -> Result<(), Error> {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let url = DatabaseUrl::parse(&self.site.cluster.direct_url())?;
        let store = mercurio_storage::open(&url, &StoreOptions::default())?;
        for task in tasks {
            match tokio::time::timeout(LAST_PAGES, task).await {
                Ok(consumer) => consumer?.compare(&*store, &self.site)?,
                Err(_) => {
                    let journal = &self.site.journal;
                    journal.violation("a feed has no end long after the last fault".to_owned());
                }
            }
        }
        Ok(())
    }
}

impl Consumer {
    /// Follows the feed until the faults are over and nothing is left.
    async fn run(mut self, site: Arc<Site>) -> Self {
        for request in 0.. {
            let is_last = site.is_settled();
            match self.read_page(request).await {
                Ok(0) if is_last => break,
                Ok(1..) => {}
                Ok(0) | Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
        self
    }

    /// Reads a page. Returns the number of its events.
    async fn read_page(&mut self, request: usize) -> Result<usize, Error> {
        let server = request % self.connections.len();
        // Pages of several sizes end within groups.
        let limit = [1000, 333, 10][request % 3];
        let path = format!("/v1/feed?limit={limit}&after={}", self.after);
        let response = self.connections[server].get(&self.workspace.key, &path).await?;
        if response.status != 200 {
            return Err(format!("status {}", response.status).into());
        }
        let page: Page<'_> = serde_json::from_slice(&response.body)?;
        for event in &page.events {
            *self.seen.entry(event.event_id.into()).or_default() += 1;
        }
        self.after = page.next.to_owned();
        Ok(page.events.len())
    }

    fn compare(self, store: &dyn Store, site: &Site) -> Result<(), Error> {
        let mut query = EventQuery { limit: 1000, ..EventQuery::default() };
        let (mut stored, mut missing, mut repeated) = (0_u64, 0_u64, 0_u64);
        loop {
            let page = store.events(self.workspace.owner, &query)?;
            for event in &page.events {
                stored += 1;
                match self.seen.get(event.parts.event_id.as_str()) {
                    None => missing += 1,
                    Some(1) => {}
                    Some(_) => repeated += 1,
                }
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
        let others = self.seen.len() as u64 + missing - stored;
        let workspace = self.workspace.owner.workspace_id;
        site.journal.say(format_args!(
            "feed of workspace {workspace}: {stored} events, {others} read and lost"
        ));
        if missing + repeated > 0 {
            site.journal.violation(format!(
                "the feed of workspace {workspace} lacks {missing} events, and has {repeated} twice"
            ));
        }
        Ok(())
    }
}
