//! Clients that record what they send and are answered.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;

use mercurio_domain::Owner;
use mercurio_history::{Answer, History, Report, Request};

use crate::client::{Client, Response, sent_event};

/// The requests of a workspace.
pub(crate) struct Sender {
    pub(crate) key: String,
    pub(crate) owner: Owner,
    pub(crate) history: History,
}

impl Sender {
    pub(crate) fn new(key: &str, owner: Owner) -> Self {
        Self { key: key.to_owned(), owner, history: History::default() }
    }

    /// Sends a batch and records its answer. A 503 leaves the outcome open.
    pub(crate) fn batch(&mut self, client: &mut Client, ids: &[String]) -> io::Result<Response> {
        let events = ids.iter().map(|id| sent_event(id)).collect();
        let request = Request::begin(self.owner, events);
        let response = client.batch(ids, &self.key);
        match &response {
            Ok(response) if response.status == 200 => {
                let results = response.json["results"].as_array().unwrap();
                let mut answers = Vec::new();
                for (id, result) in ids.iter().zip(results) {
                    assert_eq!(result["event_id"], id.as_str(), "results keep the order");
                    let status = result["status"].as_str().and_then(Answer::from_status);
                    answers.push(status.unwrap_or_else(|| panic!("{result}")));
                }
                self.history.answered(request, &answers);
            }
            Ok(response) if response.status < 500 => self.history.refused(request),
            _ => self.history.unanswered(request),
        }
        response
    }

    /// Sends batches of 50 events named after `name` until one gets no 200. Reports each 200 to
    /// `progress`.
    pub(crate) fn send_until_gone(
        mut self,
        addr: SocketAddr,
        name: &str,
        progress: &mpsc::Sender<()>,
    ) -> History {
        let Ok(mut client) = Client::connect(addr) else {
            return self.history;
        };
        for number in 0.. {
            let ids: Vec<_> = (0..50).map(|event| format!("{name}-{number}-{event}")).collect();
            match self.batch(&mut client, &ids) {
                Ok(answer) if answer.status == 200 => {
                    // The receiver is gone once the test stops the server.
                    progress.send(()).ok();
                }
                _ => break,
            }
        }
        self.history
    }

    /// Sends events without an answer again. The server must answer each batch with 200.
    pub(crate) fn send_again(&mut self, client: &mut Client) {
        let ids: Vec<_> =
            self.history.unanswered_events().map(|it| it.event_id.to_string()).collect();
        for ids in ids.chunks(50) {
            let answer = self.batch(client, ids).unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

/// Asserts that the database at `url` holds what the clients were promised.
#[track_caller]
pub(crate) fn check(history: &History, url: &str) -> Report {
    let report = mercurio_history::check(history, url).unwrap();
    assert!(report.is_clean(), "{report}");
    report
}
