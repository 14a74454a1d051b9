//! A thousand slow bodies of clients not known yet, all from one address.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::abuse::{Process, Times, gauge};
use crate::client::Client;
use crate::server::{Deployment, Server};

const MEBIBYTE: usize = 1024 * 1024;

/// Connections of the slow client.
const SLOW: usize = 1_000;

/// Those whose body is almost complete: twice as many as all unknown clients together have room for.
const HEAVY: usize = 64;

/// Size of a body with its key inside: eight of them fill the room of an address.
const BODY_BYTES: usize = 512 * 1024;

/// A body with its key inside must arrive in this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

fn head(bytes: usize) -> String {
    format!("POST /v1/b HTTP/1.1\r\nhost: test\r\ncontent-length: {bytes}\r\n\r\n")
}

/// Connects from an address of this machine.
fn connect_from(source: Ipv4Addr, addr: SocketAddr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from((source, 0))).unwrap();
    rustix::net::connect(&socket, &addr).unwrap();
    socket.into()
}

/// Sends the first bytes of a body.
fn begin(server: &Server, bytes: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).unwrap();
    let request = [head(BODY_BYTES).as_bytes(), &vec![b' '; bytes]].concat();
    // Fails if the server has refused the body by then.
    stream.write_all(&request).ok();
    stream
}

/// Sends a byte of each body, once a second, until `end` is closed.
fn trickle(streams: &mut [TcpStream], end: &Receiver<()>) {
    let pause = Duration::from_secs(1) / SLOW as u32;
    loop {
        for stream in &mut *streams {
            // Fails on the bodies that were refused.
            stream.write_all(b" ").ok();
            if end.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }
}

/// Sends batches of 60 KiB as a browser does, for two seconds.
fn browse(client: &mut Client, key: &str) -> Times {
    let mut times = Times::default();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        let event = format!(
            r#"{{"type":"track","event":"e","userId":"{:?}","properties":{{"text":"{}"}}}}"#,
            start.elapsed(),
            "x".repeat(20 * 1024)
        );
        let body = format!(r#"{{"batch":[{event},{event},{event}],"writeKey":"{key}"}}"#);
        let request = [head(body.len()), body].concat();
        times.add(|| {
            let response = client.send(request.as_bytes()).unwrap();
            assert_eq!(response.status, 200, "{}", response.body);
        });
    }
    times
}

/// Checks that the bodies take their part of the room, and no more.
fn check_room(server: &Server, memory_before: usize) {
    let metrics = Client::connect(server.addr).unwrap().get("/metrics", "").unwrap().body;
    let in_flight = gauge(&metrics, "mercurio_bodies_in_flight_bytes ");
    let reserved = Process::of(server).memory("VmData") - memory_before;
    eprintln!("{in_flight} bytes in flight, {} MiB reserved", reserved / MEBIBYTE);
    // A sixteenth of 64 MiB.
    let part = (4 * MEBIBYTE) as f64;
    assert!((part / 2.0..=part).contains(&in_flight), "{in_flight}");
    assert!(gauge(&metrics, "mercurio_bodies_refused_total{limit=\"network\"} ") > 0.0);
    assert_eq!(gauge(&metrics, "mercurio_bodies_refused_total{limit=\"unknown\"} "), 0.0);
    // The bodies announce 500 MiB. Each connection has buffers of its own.
    assert!(reserved < 200 * MEBIBYTE, "{} MiB", reserved / MEBIBYTE);
}

#[test]
fn slow_bodies_of_one_address_stop_no_other() {
    let limit = getrlimit(Resource::Nofile);
    // For this process, and for the server as its child.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let deployment = Deployment::sqlite();
    let server = deployment.start();
    let browser = connect_from(Ipv4Addr::new(127, 0, 0, 2), server.addr);
    let mut browser = Client::over(browser, server.addr).unwrap();
    let mut alone = browse(&mut browser, &deployment.key);
    let before = Process::of(&server).memory("VmData");
    let began = Instant::now();
    let mut streams: Vec<_> = (0..HEAVY).map(|_| begin(&server, BODY_BYTES - 1024)).collect();
    streams.extend((HEAVY..SLOW).map(|_| begin(&server, 1)));
    let last = streams.last().unwrap().try_clone().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut last = BufReader::new(last).lines();
    let mut slowed = std::thread::scope(|scope| {
        let (going, end) = channel();
        let streams = &mut streams;
        scope.spawn(move || trickle(streams, &end));
        let slowed = browse(&mut browser, &deployment.key);
        check_room(&server, before);
        // Bytes now and then do not extend the time.
        assert_eq!(last.next().unwrap().unwrap(), "HTTP/1.1 408 Request Timeout");
        assert!(began.elapsed() >= BODY_TIMEOUT);
        drop(going);
        slowed
    });
    eprintln!("p50 of the other address: {:.1?}, then {:.1?}", alone.median(), slowed.median());
    assert!(slowed.median() <= (alone.median() * 10).max(Duration::from_millis(100)));
}
