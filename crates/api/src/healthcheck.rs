//! A client of readiness: asks a running server whether it is ready. A container image without a
//! shell or an HTTP client uses it as its health check.

use std::fmt::Display;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::transport::reachable;

/// Maximum time for the whole check. The server answers within 2 seconds, even if the database
/// hangs.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Length of `HTTP/1.1 200`. The rest of the response is not read.
const STATUS_LINE_BYTES: usize = 12;

/// The server is not ready.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NotReady {
    #[error("cannot resolve {address}")]
    Unresolved {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{addr} does not answer")]
    NoAnswer {
        addr: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("{addr} answers `{line}`")]
    WrongAnswer { addr: SocketAddr, line: String },
}

/// Asks `GET /health/ready` at the public address, which always serves readiness. Blocks for at most
/// 4 seconds, and for the resolution of a name.
///
/// # Errors
/// [`NotReady`] unless the status is 200 at one of its addresses.
pub fn check(address: &(impl ToSocketAddrs + Display)) -> Result<(), NotReady> {
    let unresolved = |source| NotReady::Unresolved { address: address.to_string(), source };
    let addrs = address.to_socket_addrs().map_err(unresolved)?;
    let deadline = Instant::now() + TIMEOUT;
    let mut result = Err(unresolved(std::io::ErrorKind::NotFound.into()));
    for addr in addrs {
        result = check_one(reachable(addr), deadline);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn check_one(addr: SocketAddr, deadline: Instant) -> Result<(), NotReady> {
    let line = status_line(addr, deadline).map_err(|source| NotReady::NoAnswer { addr, source })?;
    if line.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(NotReady::WrongAnswer { addr, line })
    }
}

fn status_line(addr: SocketAddr, deadline: Instant) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&addr, left(deadline)?)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request =
        format!("GET /health/ready HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut line, mut filled) = ([0; STATUS_LINE_BYTES], 0);
    while filled < line.len() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut line[filled..])? {
            // Closed early: the error shows the short line.
            0 => break,
            read => filled += read,
        }
    }
    Ok(String::from_utf8_lossy(&line[..filled]).trim_end().to_owned())
}

/// Returns the time until the deadline. A timeout of zero would be an error of the socket.
fn left(deadline: Instant) -> std::io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(std::io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
