//! Live tails over several servers, on both databases: what one server stores, a tail on another
//! shows. And tails that never read, that come and go, and that servers outlive.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use mercurio_api::testing::{SseMessage, SseParser};
use mercurio_domain::ApiKeyId;
use mercurio_domain::testing::at;
use mercurio_storage::testing::wait_until;

use crate::client::Client;
use crate::server::{Deployment, Server, command};

/// Longer than any message takes, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tail on a connection of its own.
struct Tail {
    status: String,
    reader: BufReader<TcpStream>,
    parser: SseParser,
    ready: VecDeque<SseMessage>,
}

impl Tail {
    fn open(addr: SocketAddr, key: &str, query: &str, last_id: &str) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let resume = match last_id {
            "" => String::new(),
            id => format!("last-event-id: {id}\r\n"),
        };
        // Without chunks, as old clients get it.
        let request =
            format!("GET /v1/tail{query} HTTP/1.0\r\nauthorization: Bearer {key}\r\n{resume}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).unwrap();
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "a whole head");
        }
        Self { status, reader, parser: SseParser::default(), ready: VecDeque::new() }
    }

    /// Opens a tail, and waits for its begin.
    fn begin(addr: SocketAddr, key: &str, query: &str, last_id: &str) -> Self {
        let mut tail = Self::open(addr, key, query, last_id);
        assert!(tail.status.contains(" 200 "), "{}", tail.status);
        while tail.parser.last_id.is_empty() {
            assert!(tail.read(), "a begin");
        }
        tail
    }

    /// Reads what has arrived. Returns whether the response goes on.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 16_384];
        let read = match self.reader.read(&mut bytes) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        self.ready.extend(self.parser.push(&bytes[..read]));
        read > 0
    }

    /// Waits for the next message; `None` at the end.
    fn next(&mut self) -> Option<SseMessage> {
        while self.ready.is_empty() {
            if !self.read() {
                return None;
            }
        }
        self.ready.pop_front()
    }

    /// Waits for the end, and returns the comments.
    fn end(mut self) -> Vec<String> {
        while self.next().is_some() {}
        self.parser.comments
    }
}

fn open_tails(server: &Server) -> String {
    let metrics = Client::connect(server.addr).unwrap().get("/metrics", "").unwrap().body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("mercurio_tails_open "));
    line.unwrap().to_owned()
}

/// Ids that no other call returns, in a batch of `count`.
fn ids(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{name} {number}")).collect()
}

/// Events on `there` appear in a tail on `here`.
fn check_verdicts(deployment: &Deployment, here: &Server, there: &Server) {
    let key = &deployment.key;
    let mut tail = Tail::begin(here.addr, key, "", "");
    let mut client = Client::connect(there.addr).unwrap();
    // The other server may not have heard of the tail yet. Announcements are repeated after 10 s.
    let heard = wait_for_notice(&mut tail, &mut client, key);
    assert!(heard < Duration::from_secs(9), "{heard:?}");
    // The best of several: a busy machine may take longer.
    let mut best = PATIENCE;
    for round in 0..5 {
        let begin = Instant::now();
        client.batch(&[format!("new {round}"), "known".to_owned()], key).unwrap();
        let body = format!(r#"{{"events":[{{"event_id":"bad {round}","user_id":"u"}}]}}"#);
        assert_eq!(client.post("/v1/events/batch", key, &body).unwrap().status, 422);
        let mut found = BTreeSet::new();
        while found.len() < 3 {
            found.insert(tail.next().unwrap().summary());
        }
        best = best.min(begin.elapsed());
        let (new, bad) = (format!("accepted new {round}"), format!("rejected bad {round}"));
        assert_eq!(found, BTreeSet::from([new, "duplicate known".to_owned(), bad]));
    }
    assert!(best < Duration::from_secs(1), "{best:?}");
}

/// Sends a known event until the tail shows that it is one. Returns the time until then.
fn wait_for_notice(tail: &mut Tail, client: &mut Client, key: &str) -> Duration {
    let begin = Instant::now();
    client.batch(&["known".to_owned()], key).unwrap();
    assert_eq!(tail.next().unwrap().summary(), "accepted known");
    tail.reader.get_ref().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut byte = [0];
    loop {
        client.batch(&["known".to_owned()], key).unwrap();
        match tail.reader.get_ref().peek(&mut byte) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        assert!(begin.elapsed() < PATIENCE, "the servers hear of each other");
    }
    tail.reader.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let heard = begin.elapsed();
    // All that were on their way are shown before a marker.
    client.batch(&["marker".to_owned()], key).unwrap();
    while tail.next().unwrap().summary() != "accepted marker" {}
    heard
}

#[test]
fn tail_shows_verdicts_of_another_server_within_a_second() {
    let deployment = Deployment::postgres();
    let (here, there) = (deployment.start(), deployment.start());
    check_verdicts(&deployment, &here, &there);
}

#[test]
fn tail_shows_verdicts_within_a_second_on_sqlite() {
    let deployment = Deployment::sqlite();
    let server = deployment.start();
    check_verdicts(&deployment, &server, &server);
}

/// Follows a tail from server to server while each is killed, and clients write all the time.
#[test]
fn tail_over_killed_servers_shows_each_event_once() {
    const ROUNDS: usize = 4;
    const BATCHES: usize = 30;
    let deployment = Deployment::postgres();
    let writing_to = deployment.start();
    let (mut seen, mut last_id) = (Vec::new(), String::new());
    for round in 0..ROUNDS {
        let server = deployment.start();
        let mut tail = Tail::begin(server.addr, &deployment.key, "?verdict=accepted", &last_id);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut client = Client::connect(writing_to.addr).unwrap();
                for batch in 0..BATCHES {
                    let ids = ids(&format!("{round} {batch}"), 7);
                    assert_eq!(client.batch(&ids, &deployment.key).unwrap().json["accepted"], 7);
                }
            });
            // In the middle of a batch, in the middle of the writing.
            for _ in 0..BATCHES * 7 / 2 + round {
                seen.push(tail.next().unwrap());
            }
            server.kill();
        });
        last_id = seen.last().unwrap().last_id.clone();
    }
    let server = deployment.start();
    let mut tail = Tail::begin(server.addr, &deployment.key, "?verdict=accepted", &last_id);
    while seen.len() < ROUNDS * BATCHES * 7 {
        seen.push(tail.next().unwrap());
    }
    // Nothing follows: the next one is new.
    let mut client = Client::connect(writing_to.addr).unwrap();
    client.batch(&["end".to_owned()], &deployment.key).unwrap();
    assert_eq!(tail.next().unwrap().summary(), "accepted end");
    let unique: BTreeSet<_> = seen.iter().map(SseMessage::summary).collect();
    assert_eq!(unique.len(), seen.len(), "nothing twice");
    for round in 0..ROUNDS {
        for id in (0..BATCHES).flat_map(|batch| ids(&format!("{round} {batch}"), 7)) {
            assert!(unique.contains(&format!("accepted {id}")), "{id} is missing");
        }
    }
}

#[test]
fn tail_outlasts_an_outage_of_the_database() {
    let deployment = Deployment::postgres();
    let server = deployment.start();
    let mut tail = Tail::begin(server.addr, &deployment.key, "", "");
    let mut client = Client::connect(server.addr).unwrap();
    client.batch(&["before".to_owned()], &deployment.key).unwrap();
    assert_eq!(tail.next().unwrap().summary(), "accepted before");
    // All connections break, those that listen included, several times.
    for round in 0..3 {
        deployment.database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        let id = format!("after {round}");
        wait_until("the server stores again", || {
            client.batch(std::slice::from_ref(&id), &deployment.key).unwrap().status == 200
        });
        // It may have been stored by an attempt that failed.
        loop {
            let shown = tail.next().unwrap().summary();
            if shown == format!("accepted {id}") {
                break;
            }
            assert!(shown.starts_with("duplicate"), "{shown}");
        }
    }
}

#[test]
fn revoked_key_ends_its_tail_within_seconds() {
    for deployment in [Deployment::sqlite(), Deployment::postgres()] {
        let server = deployment.start();
        let tail = Tail::begin(server.addr, &deployment.key, "", "");
        let id = ApiKeyId::new(deployment.key.split('_').nth(1).unwrap());
        let begin = Instant::now();
        deployment.database.store().revoke_api_key(&id, at("2026-11-22T10:00:00Z")).unwrap();
        assert_eq!(tail.end(), ["the API key is no longer valid"]);
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    }
}

#[test]
fn server_with_open_tails_stops_at_once() {
    for deployment in [Deployment::sqlite(), Deployment::postgres()] {
        let server = deployment.start();
        let tails: Vec<_> =
            (0..5).map(|_| Tail::begin(server.addr, &deployment.key, "", "")).collect();
        let begin = Instant::now();
        server.signal("INT");
        let (status, _, _) = server.wait();
        assert_eq!(status.code(), Some(0));
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        for tail in tails {
            assert_eq!(tail.end(), ["the server is shutting down: connect again"]);
        }
    }
}

#[test]
fn tails_that_connect_again_leave_nothing() {
    let deployment = Deployment::postgres();
    let url = deployment.database.url_text();
    let server = Server::with(command(&url).env("MERCURIO_READS_PER_SECOND", "0"));
    let before = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    for round in 0..1_000 {
        let tail = Tail::open(server.addr, &deployment.key, "", "");
        // No more of them are open than a tenant may have: each end is noticed at once.
        assert!(tail.status.contains(" 200 ") || tail.status.contains(" 429 "), "{}", tail.status);
        if round % 2 == 0 {
            tail.reader.get_ref().shutdown(Shutdown::Write).unwrap();
        }
    }
    wait_until("every tail ends", || open_tails(&server) == "0");
    let tail = Tail::begin(server.addr, &deployment.key, "", "");
    assert_eq!(open_tails(&server), "1");
    drop(tail);
    wait_until("no file is left open", || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
        // Connections to the database are kept.
        files <= before + 12
    });
    let read = Client::connect(server.addr).unwrap().get("/v1/events", &deployment.key).unwrap();
    assert_eq!(read.status, 200, "{:?}", read.json);
}

#[test]
fn number_of_tails_is_limited_by_tenant_and_server() {
    let deployment = Deployment::sqlite();
    let url = deployment.database.url_text();
    let server = Server::with(command(&url).env("MERCURIO_TAIL_SUBSCRIBERS", "10"));
    let tails: Vec<_> =
        (0..10).map(|_| Tail::begin(server.addr, &deployment.key, "", "")).collect();
    let mut refused = Client::connect(server.addr).unwrap();
    let refused = refused.get("/v1/tail", &deployment.key).unwrap();
    assert_eq!(
        (refused.status, refused.json["code"].as_str(), refused.retry_after.as_deref()),
        (429, Some("too_many_reads"), Some("5"))
    );
    let (request, other) =
        mercurio_domain::testing::provisioning("other", 9, at("2026-11-22T10:00:00Z"));
    deployment.database.store().provision(&request).unwrap();
    let mut client = Client::connect(server.addr).unwrap();
    let refused = client.get("/v1/tail", other.expose()).unwrap();
    assert_eq!((refused.status, refused.json["code"].as_str()), (503, Some("overloaded")));
    drop(tails);
    wait_until("a tail can begin", || {
        Tail::open(server.addr, &deployment.key, "", "").status.contains(" 200 ")
    });
}

/// A subscriber that never reads: cut off after its buffers are full, while others go on, and with
/// little memory.
fn check_unread_tail(deployment: &Deployment) {
    const MIB: u64 = 1024 * 1024;
    let server = deployment.start();
    let stuck: Vec<_> = (0..5).map(|_| Tail::begin(server.addr, &deployment.key, "", "")).collect();
    let mut reading = Tail::begin(server.addr, &deployment.key, "?event_name=end", "");
    let mut client = Client::connect(server.addr).unwrap();
    let before = server.memory("VmRSS");
    let payload = "x".repeat(30_000);
    let begin = Instant::now();
    let mut sent = 0;
    // More than the buffers of the system hold.
    while open_tails(&server) != "1" {
        let events: Vec<_> = (0..8)
            .map(|number| {
                format!(
                    r#"{{"event_id":"{sent} {number}","event_name":"n","user_id":"u","properties":{{"p":"{payload}"}}}}"#
                )
            })
            .collect();
        let body = format!("{{\"events\":[{}]}}", events.join(","));
        let response = client.post("/v1/events/batch", &deployment.key, &body).unwrap();
        assert_eq!(response.status, 200, "{:?}", response.json);
        sent += 1;
        assert!(begin.elapsed() < PATIENCE, "{} tails are open", open_tails(&server));
    }
    let peak = server.memory("VmHWM");
    assert!(peak < before + 192 * MIB, "{peak} bytes after {before}");
    let body = r#"{"events":[{"event_id":"end","event_name":"end","user_id":"u"}]}"#;
    client.post("/v1/events/batch", &deployment.key, body).unwrap();
    assert_eq!(reading.next().unwrap().summary(), "accepted end");
    drop(stuck);
}

#[test]
fn unread_tail_is_cut_off_on_sqlite() {
    check_unread_tail(&Deployment::sqlite());
}

#[test]
fn unread_tail_is_cut_off_on_postgres() {
    check_unread_tail(&Deployment::postgres());
}

/// The cursor passes events that the filter withholds, and arrives with a heartbeat. Meanwhile the
/// key stays valid, and the connection open.
#[test]
fn heartbeat_brings_the_cursor_past_filtered_events() {
    let deployment = Deployment::sqlite();
    let server = deployment.start();
    let mut tail = Tail::begin(server.addr, &deployment.key, "?event_name=other", "");
    let begin = tail.parser.last_id.clone();
    let mut client = Client::connect(server.addr).unwrap();
    client.batch(&["a".to_owned(), "b".to_owned()], &deployment.key).unwrap();
    while tail.parser.comments.is_empty() || tail.parser.last_id == begin {
        assert!(tail.read(), "the response goes on");
    }
    assert_eq!(tail.parser.comments[0], "heartbeat");
    let mut resumed = Tail::begin(server.addr, &deployment.key, "", &tail.parser.last_id);
    client.batch(&["c".to_owned()], &deployment.key).unwrap();
    assert_eq!(resumed.next().unwrap().summary(), "accepted c");
}
