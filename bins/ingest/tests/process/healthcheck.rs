//! `--healthcheck`: the binary asks the server of its own settings whether it is ready.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;

use crate::server::{House, command};

/// Exit code and stderr of a check of the server at `addr`.
fn check(addr: &str) -> (i32, String) {
    let Output { status, stdout, stderr } = command("sqlite://never-opened.db")
        .arg("--healthcheck")
        .env("MERCURIO_ADDR", addr)
        .output()
        .unwrap();
    assert!(stdout.is_empty(), "a check says nothing on stdout");
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// Answers one connection with `answer`, and closes it.
fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0, "a request came");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    addr
}

#[test]
fn a_server_that_can_store_is_healthy_until_it_is_told_to_stop() {
    let house = House::sqlite();
    let server = house.start();
    assert_eq!(check(&server.addr.to_string()), (0, String::new()));
    // A container listens everywhere and asks itself on loopback.
    assert_eq!(check(&format!("0.0.0.0:{}", server.addr.port())), (0, String::new()));
    let addr = server.addr;
    server.signal("INT");
    server.wait();
    let (code, told) = check(&addr.to_string());
    assert_eq!(code, 1, "{told}");
    assert!(told.contains(&format!("{addr} does not answer")), "{told}");
}

#[test]
fn an_answer_other_than_200_is_told_and_unhealthy() {
    let check = |answer: &'static str, expected: &str| {
        let (code, told) = check(&answering(answer).to_string());
        assert_eq!(code, 1, "{told}");
        assert!(told.contains(expected), "{told}");
    };
    check("HTTP/1.1 503 Service Unavailable\r\n\r\n", "answers `HTTP/1.1 503`");
    check("SSH-2.0-a\r\n", "answers `SSH-2.0-a");
    check("", "answers ``");
}

#[test]
fn a_check_with_settings_that_no_server_starts_with_is_wrong_usage() {
    let (code, told) = check("nowhere");
    assert_eq!(code, 64, "{told}");
    assert!(told.contains("MERCURIO_ADDR"), "{told}");
}
