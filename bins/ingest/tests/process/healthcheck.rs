//! `--healthcheck`: the binary asks the server with the same settings whether it is ready.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Output;

use crate::server::{Deployment, command};

/// Checks the server at `addr`. Returns the exit code and stderr.
fn check(addr: &str) -> (i32, String) {
    let Output { status, stdout, stderr } = command("sqlite://never-opened.db")
        .arg("--healthcheck")
        .env("MERCURIO_ADDR", addr)
        .output()
        .unwrap();
    assert!(stdout.is_empty(), "a check prints nothing to stdout");
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

/// Sends `answer` to one connection, and closes it.
fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        assert!(stream.read(&mut [0; 1024]).unwrap() > 0, "a request arrived");
        stream.write_all(answer.as_bytes()).unwrap();
    });
    addr
}

#[test]
fn server_is_healthy_until_it_stops() {
    let deployment = Deployment::sqlite();
    let server = deployment.start();
    assert_eq!(check(&server.addr.to_string()), (0, String::new()));
    // A container listens on all interfaces and asks itself on loopback.
    assert_eq!(check(&format!("0.0.0.0:{}", server.addr.port())), (0, String::new()));
    let addr = server.addr;
    server.signal("INT");
    server.wait();
    let (code, stderr) = check(&addr.to_string());
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains(&format!("{addr} does not answer")), "{stderr}");
}

#[test]
fn answer_other_than_200_is_shown_and_unhealthy() {
    for (answer, expected) in [
        ("HTTP/1.1 503 Service Unavailable\r\n\r\n", "answers `HTTP/1.1 503`"),
        // Another service on the port.
        ("SSH-2.0-a\r\n", "answers `SSH-2.0-a"),
        ("", "answers ``"),
    ] {
        let (code, stderr) = check(&answering(answer).to_string());
        assert_eq!(code, 1, "{stderr}");
        assert!(stderr.contains(expected), "{stderr}");
    }
}

#[test]
fn check_with_invalid_settings_is_wrong_usage() {
    let (code, stderr) = check("nowhere");
    assert_eq!(code, 64, "{stderr}");
    assert!(stderr.contains("MERCURIO_ADDR"), "{stderr}");
}
