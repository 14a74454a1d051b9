//! Whether the server of these settings is ready, asked from outside of it: the health check of a container whose image
//! holds no shell and no HTTP client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::reachable;

/// How long the whole question may take. The server itself answers within its 2 seconds whatever the database does.
const PATIENCE: Duration = Duration::from_secs(4);
/// Enough for a status line; the rest is not looked at.
const STATUS_LINE_BYTES: usize = 12;

/// Why a server does not count as ready.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// Nobody answered in time.
    #[error("{addr} does not answer")]
    Silent {
        /// Where it was asked.
        addr: SocketAddr,
        /// Why there was no answer.
        #[source]
        source: std::io::Error,
    },
    /// The answer was not 200.
    #[error("{addr} answers `{line}`")]
    Refused {
        /// Where it was asked.
        addr: SocketAddr,
        /// The beginning of the answer.
        line: String,
    },
}

/// Asks `/health/ready` of the server that listens at `addr`, the public address: readiness is served there always. Blocks
/// for 4 seconds at most.
///
/// # Errors
/// [`NotReady`] unless the answer is 200.
pub fn probe(addr: SocketAddr) -> Result<(), NotReady> {
    let addr = reachable(addr);
    let line = ask(addr).map_err(|source| NotReady::Silent { addr, source })?;
    if line.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(NotReady::Refused { addr, line }) }
}

fn ask(addr: SocketAddr) -> std::io::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request =
        format!("GET /health/ready HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut line, mut filled) = ([0; STATUS_LINE_BYTES], 0);
    while filled < line.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut line[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(String::from_utf8_lossy(&line[..filled]).trim_end().to_owned())
}
