//! Hostile requests, each with a bound on the CPU time and the memory it costs the server.
//!
//! A request that is cheap for its client and costly for the server takes it away from everybody.
//! To add one, add a row to [`rows`].

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mercurio_api::testing::{HostileBody, hostile_bodies};
use mercurio_domain::testing::{at, provisioning};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::client::Client;
use crate::server::{Deployment, Server, command};

const MEBIBYTE: usize = 1024 * 1024;

/// A debug build takes this much longer.
const SLOWNESS: u32 = if cfg!(debug_assertions) { 12 } else { 1 };

/// A machine that builds and tests at once takes this much longer.
const BUSYNESS: u32 = if cfg!(debug_assertions) { 4 } else { 1 };

/// The default limit of a body.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// A hostile request and its bounds.
struct Row {
    name: String,
    request: Vec<u8>,
    /// The code of the problem.
    code: &'static str,
    /// Maximum CPU time in a release build.
    cpu: Duration,
    /// Maximum growth of the resident memory.
    memory: usize,
}

impl Row {
    fn new(name: impl Into<String>, request: Vec<u8>, code: &'static str) -> Self {
        let (cpu, memory) = (Duration::from_millis(10), 8 * MEBIBYTE);
        Self { name: name.into(), request, code, cpu, memory }
    }

    fn cpu(self, cpu: Duration) -> Self {
        Self { cpu, ..self }
    }
}

/// Every hostile request.
fn rows(key: &str) -> Vec<Row> {
    let mut rows: Vec<_> =
        hostile_bodies().into_iter().map(|body| compressed(key, &body)).collect();
    let batch = |body: &str| post("/v1/events/batch", key, "", body.as_bytes());
    let track = |body: &str| post("/v1/events/track", key, "", body.as_bytes());
    let many_errors = r#"{"a":1,"b":1,"c":1},"#.repeat(50);
    rows.extend([
        Row::new("16,000 parameters", get("/v1/events", key, 16_000), "invalid_query")
            .cpu(Duration::from_millis(1)),
        Row::new(
            "16,000 parameters of a write",
            post(&format!("/v1/events/batch?{}", parameters(16_000)), key, "", b"{}"),
            "invalid_event",
        )
        .cpu(Duration::from_millis(1)),
        Row::new("250,000 open arrays", track(&"[".repeat(250_000)), "malformed_json"),
        Row::new("250,000 open objects", batch(&r#"{"a":"#.repeat(50_000)), "malformed_json"),
        Row::new("20,000 unknown keys", track(&object(20_000, "")), "invalid_event"),
        Row::new(
            "the same key 20,000 times",
            track(&format!("{{{}\"a\":1}}", r#""a":1,"#.repeat(20_000))),
            "invalid_event",
        ),
        Row::new(
            "a property 2,000 times",
            track(&format!(r#"{{"event_name":"n","properties":{}}}"#, object(2_000, "a"))),
            "invalid_event",
        ),
        Row::new(
            "60,000 events",
            batch(&format!(r#"{{"events":[{}{{}}]}}"#, "{},".repeat(60_000))),
            "batch_too_large",
        ),
        Row::new(
            "50 events of 3 errors",
            batch(&format!(r#"{{"events":[{}]}}"#, many_errors.trim_end_matches(','))),
            "invalid_event",
        ),
        Row::new(
            "40,000 escapes",
            track(&format!(r#"{{"event_name":"{}"}}"#, r"\u00e9".repeat(40_000))),
            "invalid_event",
        ),
        Row::new(
            "a number of 250,000 digits",
            track(&format!(r#"{{"event_name":{}}}"#, "9".repeat(250_000))),
            "invalid_event",
        ),
        Row::new(
            "90 headers of 1 KiB",
            post("/v1/events/track", key, &headers(90, 1024), b"{"),
            "malformed_json",
        ),
        Row::new(
            "a header of 400 KiB",
            post("/v1/events/track", key, &headers(1, 400 * 1024), b"{"),
            "request_header_fields_too_large",
        ),
    ]);
    rows
}

fn compressed(key: &str, body: &HostileBody) -> Row {
    let HostileBody { name, coding, bytes, code } = body;
    let header = format!("content-encoding: {coding}\r\n");
    let request = post("/v1/events/track", key, &header, bytes);
    Row::new(format!("{coding}: {name}"), request, code)
}

fn post(path: &str, key: &str, header: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n{header}\
         content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn get(path: &str, key: &str, count: usize) -> Vec<u8> {
    let query = parameters(count);
    format!("GET {path}?{query} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {key}\r\n\r\n")
        .into_bytes()
}

/// Different unknown names of three letters. A URL has room for 64 KiB.
fn parameters(count: usize) -> String {
    let mut query = String::new();
    for number in 0..count {
        let letter = |place: usize| char::from(b'a' + (number / place % 26) as u8);
        write!(query, "{}{}{}&", letter(1), letter(26), letter(26 * 26)).unwrap();
    }
    query
}

/// An object with keys that are numbers, or all the same.
fn object(keys: usize, name: &str) -> String {
    let mut object = String::from("{");
    for number in 0..keys {
        let number = if name.is_empty() { number.to_string() } else { String::new() };
        write!(object, r#""{name}{number}":1,"#).unwrap();
    }
    object.pop();
    object.push('}');
    object
}

fn headers(count: usize, bytes: usize) -> String {
    let mut headers = String::new();
    for number in 0..count {
        write!(headers, "x-{number}: {}\r\n", "x".repeat(bytes)).unwrap();
    }
    headers
}

/// Reads `/proc` of a server.
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn of(server: &Server) -> Self {
        Self(server.pid())
    }

    /// Returns the CPU time of each of its threads, in nanoseconds.
    fn threads(&self) -> HashMap<OsString, u64> {
        let mut threads = HashMap::new();
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0)).unwrap().flatten() {
            // A thread may have ended.
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            if let Some(nanos) = text.split(' ').next().and_then(|nanos| nanos.parse().ok()) {
                threads.insert(task.file_name(), nanos);
            }
        }
        threads
    }

    /// Returns the CPU time since `before`. Threads that ended since are left out.
    fn cpu_since(&self, before: &HashMap<OsString, u64>) -> Duration {
        let threads = self.threads();
        let nanos = threads.iter().map(|(id, nanos)| nanos - before.get(id).unwrap_or(&0));
        Duration::from_nanos(nanos.sum())
    }

    /// Returns a size from `status`, in bytes.
    pub(crate) fn memory(&self, name: &str) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let kibibytes = line.trim_matches([':', ' ', '\t']).trim_end_matches(" kB");
        kibibytes.parse::<usize>().unwrap() * 1024
    }

    pub(crate) fn resident(&self) -> usize {
        self.memory("VmRSS")
    }

    /// Makes `VmHWM` start again from the current size.
    fn reset_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.0), "5").unwrap();
    }
}

/// Returns the peak of the server's memory above its size before the request, and the CPU time.
fn cost(server: &Server, client: &mut Client, row: &Row) -> (usize, Duration) {
    let process = Process::of(server);
    process.reset_peak();
    let (before, resident) = (process.threads(), process.resident());
    let response = client.send(&row.request).unwrap();
    let code = response.json["code"].as_str().unwrap_or_default();
    assert_eq!(code, row.code, "{}: {}", row.name, response.body);
    assert!((400..500).contains(&response.status), "{}: {}", row.name, response.body);
    assert!(response.body.len() < 32 * 1024, "{}: {}", row.name, response.body);
    (process.memory("VmHWM").saturating_sub(resident), process.cpu_since(&before))
}

#[test]
fn hostile_request_costs_little() {
    let (deployment, other) = (Deployment::sqlite(), Deployment::sqlite());
    let fast = deployment.start();
    // Returns freed memory to the system at once, so that each request shows all it takes.
    let lean =
        Server::with(command(&other.database.url_text()).env("MALLOC_MMAP_THRESHOLD_", "32768"));
    // Before the clients connect: a server closes connections that send nothing for long.
    let rows = rows(&deployment.key);
    let mut fast_client = Client::connect(fast.addr).unwrap();
    let mut lean_client = Client::connect(lean.addr).unwrap();
    let mut table = String::new();
    let mut is_over = false;
    for row in rows {
        let (mut memory, mut cpu) = (0, Duration::MAX);
        for _ in 0..3 {
            memory = memory.max(cost(&lean, &mut lean_client, &row).0);
            // The best: background threads run at times.
            cpu = cpu.min(cost(&fast, &mut fast_client, &row).1);
        }
        let row_is_over = cpu > row.cpu * SLOWNESS || memory > row.memory;
        is_over |= row_is_over;
        let mark = if row_is_over { "  over" } else { "" };
        writeln!(table, "{:45} {cpu:>10.1?} {:>5} KiB{mark}", row.name, memory / 1024).unwrap();
    }
    // `--no-capture` shows it for a passing test too.
    eprintln!("{table}");
    assert!(!is_over, "{table}");
}

/// Provisions a second tenant and returns its key.
fn second_key(deployment: &Deployment) -> String {
    let (request, key) = provisioning("other", 2, at("2026-11-22T10:00:00Z"));
    deployment.database.store().provision(&request).unwrap();
    key.expose().to_owned()
}

#[test]
fn bodies_in_flight_stay_within_their_memory() {
    const CLIENTS: usize = 1_500;
    let limit = getrlimit(Resource::Nofile);
    // For this process, and for the server as its child.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let deployment = Deployment::sqlite();
    let other_key = second_key(&deployment);
    let server = deployment.start();
    let process = Process::of(&server);
    let before = process.resident();
    // All but the last byte, so that the body stays in flight.
    let mut request = post("/v1/events/batch", &deployment.key, "", &[b' '; MAX_BODY_BYTES]);
    request.pop();
    let mut open: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut stream = TcpStream::connect(server.addr).unwrap();
            // Fails if the server has refused the body and closed by then.
            stream.write_all(&request).ok();
            stream
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(60);
    while open.len() > 128 {
        assert!(Instant::now() < deadline, "{} bodies are in flight", open.len());
        open.retain_mut(|stream| !is_answered(stream));
    }
    let metrics = Client::connect(server.addr).unwrap().get("/metrics", "").unwrap().body;
    let grown = process.resident() - before;
    eprintln!("{} of {CLIENTS} in flight, grown by {} MiB", open.len(), grown / MEBIBYTE);
    // Bodies refused in their midst may have taken a part of the tenant's half.
    assert!(open.len() >= 64, "{} in flight", open.len());
    // Half of 64 MiB is for this tenant. The rest are the connections and their buffers: about 100
    // KiB each. Without a limit it is 600 MiB and more.
    let max = 32 * MEBIBYTE + CLIENTS * 160 * 1024;
    assert!(grown <= max, "grown by {} MiB", grown / MEBIBYTE);
    assert!(gauge(&metrics, "mercurio_bodies_in_flight_bytes ") <= 32.0 * 1024.0 * 1024.0);
    // Another tenant gets through, and so does this one afterwards.
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(client.batch(&["other".to_owned()], &other_key).unwrap().status, 200);
    let refusal = client.post("/v1/events/batch", &deployment.key, &" ".repeat(MAX_BODY_BYTES));
    let refusal = refusal.unwrap();
    assert_eq!((refusal.status, &*refusal.json["code"].to_string()), (503, "\"overloaded\""));
    assert_eq!(refusal.retry_after.as_deref(), Some("1"));
    drop(open);
    let deadline = Instant::now() + Duration::from_secs(30);
    while client.batch(&["own".to_owned()], &deployment.key).unwrap().status != 200 {
        assert!(Instant::now() < deadline, "the memory is not given back");
    }
}

/// Whether the server has answered, or closed the connection.
fn is_answered(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    !matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

pub(crate) fn gauge(metrics: &str, name: &str) -> f64 {
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    value.parse().unwrap()
}

#[test]
fn body_without_a_valid_key_is_not_asked_for() {
    let deployment = Deployment::sqlite();
    let server = deployment.start();
    let unknown = provisioning("other", 2, at("2026-11-22T10:00:00Z")).1;
    for (key, expected) in [
        ("", "HTTP/1.1 401 Unauthorized"),
        ("mk_x", "HTTP/1.1 401 Unauthorized"),
        (unknown.expose(), "HTTP/1.1 401 Unauthorized"),
        // Twice: first the key comes from the database, then from the cache.
        (&*deployment.key, "HTTP/1.1 100 Continue"),
        (&*deployment.key, "HTTP/1.1 100 Continue"),
    ] {
        let mut stream = TcpStream::connect(server.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let body = br#"{"event_name":"n","user_id":"u"}"#;
        let request = post("/v1/events/track", key, "expect: 100-continue\r\n", body);
        let head = request.len() - body.len();
        stream.write_all(&request[..head]).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().unwrap(), expected, "{key}");
        if expected.ends_with("Continue") {
            stream.write_all(body).unwrap();
            assert_eq!(lines.nth(1).unwrap(), "HTTP/1.1 200 OK");
        }
    }
}

/// The sorted times of a request, sent again and again.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn add(&mut self, request: impl FnOnce()) {
        let start = Instant::now();
        request();
        self.0.push(start.elapsed());
    }

    pub(crate) fn median(&mut self) -> Duration {
        self.0.sort();
        self.0[self.0.len() / 2]
    }

    fn max(&self) -> Duration {
        self.0.iter().max().copied().unwrap()
    }
}

#[test]
fn flood_of_hostile_bodies_delays_no_other_tenant() {
    let deployment = Deployment::sqlite();
    let other_key = second_key(&deployment);
    let server = deployment.start();
    let requests: Vec<_> = hostile_bodies()
        .iter()
        .map(|body| compressed(&deployment.key, body))
        .filter(|row| row.name.contains("tables") || row.name.contains("blocks"))
        .collect();
    let mut quiet = other_tenant(server.addr, &other_key);
    let is_over = AtomicBool::new(false);
    let mut flooded = std::thread::scope(|scope| {
        for client in 0..32 {
            let (requests, is_over) = (&requests, &is_over);
            scope.spawn(move || flood(server.addr, &requests[client % requests.len()], is_over));
        }
        let flooded = other_tenant(server.addr, &other_key);
        is_over.store(true, Ordering::Relaxed);
        flooded
    });
    eprintln!("alone: {}\nin the flood: {}", quiet.describe(), flooded.describe());
    // A debug build that decodes on the HTTP threads takes 2.6 s on an idle machine.
    let max = (quiet.events.median() * 10).max(milliseconds(20) * BUSYNESS);
    assert!(flooded.events.median() <= max, "{:?}", flooded.events.median());
    assert!(flooded.live.max() <= milliseconds(100) * BUSYNESS, "{:?}", flooded.live.max());
    // Waits for a body in progress: in a debug build on a busy machine, for seconds.
    let max = (quiet.compressed.median() * 10).max(milliseconds(20) * SLOWNESS * BUSYNESS);
    assert!(flooded.compressed.median() <= max, "{:?}", flooded.compressed.median());
}

/// In a build of this profile.
fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds) * SLOWNESS
}

/// The times of a tenant that sends nothing hostile, and of the probe of a supervisor.
#[derive(Default)]
struct OtherTenant {
    events: Times,
    compressed: Times,
    live: Times,
}

fn other_tenant(addr: SocketAddr, key: &str) -> OtherTenant {
    let mut client = Client::connect(addr).unwrap();
    let mut times = OtherTenant::default();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        let event = format!(r#"{{"event_name":"n","user_id":"{:?}"}}"#, start.elapsed());
        let plain = post("/v1/events/track", key, "", event.as_bytes());
        // A stored block of raw deflate.
        let length = event.len() as u16;
        let lengths = [length.to_le_bytes(), (!length).to_le_bytes()].concat();
        let deflated = [&[1], &lengths[..], event.as_bytes()].concat();
        let deflated = post("/v1/events/track", key, "content-encoding: deflate\r\n", &deflated);
        for (times, request) in [(&mut times.events, plain), (&mut times.compressed, deflated)] {
            times.add(|| assert_eq!(client.send(&request).unwrap().status, 200));
        }
        times.live.add(|| assert_eq!(client.get("/health/live", "").unwrap().status, 200));
    }
    times
}

impl OtherTenant {
    /// Describes the times for the output of the test.
    fn describe(&mut self) -> String {
        let Self { events, compressed, live } = self;
        [("events", events), ("compressed events", compressed), ("/health/live", live)]
            .map(|(name, times)| {
                format!("{name}: p50 {:.1?}, max {:.1?}", times.median(), times.max())
            })
            .join("; ")
    }
}

fn flood(addr: SocketAddr, row: &Row, is_over: &AtomicBool) {
    let mut client = Client::connect(addr).unwrap();
    while !is_over.load(Ordering::Relaxed) {
        let response = client.send(&row.request).unwrap();
        assert!([400, 413, 503].contains(&response.status), "{}", response.body);
    }
}
