//! Trace export to a collector that runs inside the tests: HTTP with protobuf.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use mercurio_observability::logging::request_line::EventCounts;
use mercurio_observability::{TraceParent, TraceSettings, Traces};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use slog::{Discard, Logger, o};
use support::lines_of;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const GRACE: Duration = Duration::from_secs(10);

/// An export request.
struct Sent {
    path: String,
    service: String,
    spans: Vec<Span>,
}

/// Starts a collector that accepts everything.
fn collector() -> (SocketAddr, Receiver<Sent>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let sender = sender.clone();
            std::thread::spawn(move || take(connection.expect("a connection"), &sender));
        }
    });
    (addr, receiver)
}

fn take(connection: TcpStream, sender: &Sender<Sent>) {
    let mut reader = BufReader::new(connection);
    // The exporter sends several batches over one connection.
    loop {
        let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
        // A line of two bytes is empty and ends the head.
        while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
            let lower = line.to_ascii_lowercase();
            if let Some(request) = line.strip_prefix("POST ") {
                path = request.split(' ').next().unwrap_or_default().to_owned();
            } else if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            line.clear();
        }
        let mut body = vec![0; length];
        // The exporter closed the connection.
        if path.is_empty() || reader.read_exact(&mut body).is_err() {
            return;
        }
        let request = ExportTraceServiceRequest::decode(&*body).expect("protobuf");
        for resource_spans in request.resource_spans {
            let attributes = resource_spans.resource.expect("a resource").attributes;
            let service = text_of(&attributes, "service.name").expect("a name");
            let spans =
                resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
            sender.send(Sent { path: path.clone(), service, spans }).ok();
        }
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        reader.get_mut().write_all(answer).expect("an answer");
    }
}

fn value_of(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone()?.value
}

fn text_of(attributes: &[KeyValue], key: &str) -> Option<String> {
    match value_of(attributes, key)? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

fn number_of(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match value_of(attributes, key)? {
        Value::IntValue(number) => Some(number),
        other => panic!("{key} is {other:?}"),
    }
}

fn settings(addr: SocketAddr, sample_ratio: f64) -> TraceSettings {
    TraceSettings {
        endpoint: format!("http://{addr}/"),
        sample_ratio,
        service_name: "mercurio-ingest",
        service_version: "1.2.3",
    }
}

fn traces(addr: SocketAddr, sample_ratio: f64) -> Traces {
    let log = Logger::root(Discard, o!());
    Traces::start(&settings(addr, sample_ratio), log).expect("an exporter")
}

fn caller(sampled: bool) -> TraceParent {
    TraceParent::parse(&format!("00-{TRACE}-{PARENT}-0{}", u8::from(sampled))).expect("a header")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name} in {spans:?}"))
}

#[test]
fn request_and_stages_reach_the_collector_in_the_callers_trace() {
    let (addr, sent) = collector();
    // With a share of 0, only the caller's flag can sample the request.
    let traces = traces(addr, 0.0);
    let span = traces.begin(Some(&caller(true))).expect("sampled by the caller");
    assert_eq!(span.trace_id(), TRACE);
    let began = Instant::now();
    span.stage("parse", began, Duration::from_millis(3));
    span.stage("commit", began + Duration::from_millis(3), Duration::from_millis(7));
    let events = EventCounts { accepted: 2, duplicates: 1, rejected: 0 };
    span.end("POST", Some("/v1/events/batch"), 200, Some(events));
    traces.close(GRACE);

    let Sent { path, service, spans } = sent.recv_timeout(GRACE).expect("spans");
    assert_eq!((path.as_str(), service.as_str()), ("/v1/traces", "mercurio-ingest"));
    assert_eq!(spans.len(), 3);
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let request = named(&spans, "POST /v1/events/batch");
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(text_of(&request.attributes, "http.route").as_deref(), Some("/v1/events/batch"));
    assert_eq!(number_of(&request.attributes, "http.response.status_code"), Some(200));
    assert_eq!(number_of(&request.attributes, "mercurio.events.accepted"), Some(2));
    for (name, millis) in [("parse", 3), ("commit", 7)] {
        let stage = named(&spans, name);
        assert_eq!(stage.parent_span_id, request.span_id);
        assert_eq!(
            stage.end_time_unix_nano - stage.start_time_unix_nano,
            millis * 1_000_000,
            "{name}"
        );
        assert!(stage.start_time_unix_nano >= request.start_time_unix_nano, "{name}");
    }
    let (parse, commit) = (named(&spans, "parse"), named(&spans, "commit"));
    assert!(commit.start_time_unix_nano > parse.start_time_unix_nano);
}

#[test]
fn sampling_follows_the_caller_or_the_share() {
    let (addr, _sent) = collector();
    for (ratio, parent, expected) in [
        (1.0, None, true),
        (0.0, None, false),
        (1.0, Some(caller(false)), false),
        (0.0, Some(caller(true)), true),
    ] {
        let traces = traces(addr, ratio);
        assert_eq!(traces.begin(parent.as_ref()).is_some(), expected, "{ratio} {parent:?}");
    }
    let traces = traces(addr, 0.25);
    let sampled = (0..4_000).filter(|_| traces.begin(None).is_some()).count();
    // The mean is 1,000 and the deviation 27, so 300 are more than ten deviations.
    assert!((700..1_300).contains(&sampled), "{sampled}");
}

#[test]
fn span_without_a_route_is_named_by_its_method() {
    let (addr, sent) = collector();
    let traces = traces(addr, 1.0);
    traces.begin(None).expect("sampled").end("GET", None, 503, None);
    traces.close(GRACE);
    let Sent { spans, .. } = sent.recv_timeout(GRACE).expect("spans");
    assert_eq!((spans[0].name.as_str(), spans[0].parent_span_id.len()), ("GET", 0));
    // STATUS_CODE_ERROR of OTLP is 2.
    assert_eq!(spans[0].status.as_ref().map(|status| status.code), Some(2), "an error");
}

#[test]
fn every_lost_span_is_counted_in_the_log() {
    const SPANS: u64 = 10_000;
    let absent =
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let lines = lines_of(|log| {
        let traces = Traces::start(&settings(absent, 1.0), log.clone()).expect("an exporter");
        for _ in 0..SPANS {
            traces.begin(None).expect("sampled").end("GET", None, 200, None);
        }
        traces.close(GRACE);
    });
    // Those beyond the queue, and those of failed exports.
    let lost = lines.iter().filter_map(|line| line.get("dropped_spans")?.as_u64());
    assert_eq!(lost.sum::<u64>(), SPANS);
}

#[test]
fn hanging_or_absent_collector_delays_no_request() {
    // Accepts connections and never answers.
    let hanging = TcpListener::bind("127.0.0.1:0").expect("a port");
    // The listener is dropped at once, so its port refuses connections.
    let absent =
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    for addr in [hanging.local_addr().expect("an address"), absent] {
        let traces = traces(addr, 1.0);
        let start = Instant::now();
        // 20,000 spans exceed the queue of the exporter, so most are lost.
        for _ in 0..10_000 {
            let span = traces.begin(None).expect("sampled");
            span.stage("parse", Instant::now(), Duration::ZERO);
            span.end("POST", Some("/v1/events/batch"), 200, None);
        }
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?} for 20,000 spans without a collector");
        let start = Instant::now();
        traces.close(Duration::from_millis(300));
        assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    }
}
