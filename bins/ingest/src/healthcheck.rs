//! The client of `--healthcheck`: asks a running server whether it is ready. A container image
//! without a shell or an HTTP client uses it as its health check.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::reachable::reachable;

/// Maximum time for the whole check. The server answers within 2 seconds, even if the database
/// hangs.
const TIMEOUT: Duration = Duration::from_secs(4);
/// Length of `HTTP/1.1 200`. The rest of the response is not read.
const STATUS_LINE_BYTES: usize = 12;

/// The server is not ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotReady {
    #[error("{addr} does not answer")]
    NoAnswer {
        addr: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("{addr} answers `{line}`")]
    WrongAnswer { addr: SocketAddr, line: String },
}

/// Asks `GET /health/ready` at `addr`, the public address, which always serves readiness. Blocks
/// for at most 4 seconds.
///
/// # Errors
/// [`NotReady`] unless the status is 200.
pub(crate) fn check(addr: SocketAddr) -> Result<(), NotReady> {
    let addr = reachable(addr);
    let line = status_line(addr).map_err(|source| NotReady::NoAnswer { addr, source })?;
    if line.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(NotReady::WrongAnswer { addr, line })
    }
}

fn status_line(addr: SocketAddr) -> std::io::Result<String> {
    let deadline = Instant::now() + TIMEOUT;
    let mut stream = TcpStream::connect_timeout(&addr, TIMEOUT)?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request =
        format!("GET /health/ready HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut line, mut filled) = ([0; STATUS_LINE_BYTES], 0);
    while filled < line.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        // A timeout of zero is an error of `set_read_timeout`.
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut line[filled..])? {
            // Closed early: the error shows the short line.
            0 => break,
            read => filled += read,
        }
    }
    Ok(String::from_utf8_lossy(&line[..filled]).trim_end().to_owned())
}
