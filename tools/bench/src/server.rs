//! The measured server: the binary next to this one, in a process of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mercurio_domain::Clock;
use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes, SecretKey};
use mercurio_domain::store::Provisioning;
use mercurio_domain::tenant::Name;
use mercurio_runtime::system::SystemClock;
use mercurio_storage::{DatabaseUrl, StoreOptions};
use tempfile::TempDir;

use crate::error::Error;
use crate::events::Random;

/// The groups of the writer since the server's start, from `/health`.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
pub(crate) struct Groups {
    pub(crate) committed: u64,
    /// Events in all groups.
    pub(crate) events: u64,
    /// Events in the largest group.
    pub(crate) largest: u64,
    /// Groups with an unexpected duplicate.
    pub(crate) fallbacks: u64,
}

/// A running server. Dropping it kills the process.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    keys: Vec<SecretKey>,
    _folder: TempDir,
}

impl Server {
    /// Migrates the database, creates tenants with one key each, and starts a server. Returns when the server listens.
    pub(crate) fn start(database_url: &str, tenants: usize) -> Result<Self, Error> {
        Self::with_quota(database_url, tenants, 0)
    }

    /// Does the same with a monthly quota for each tenant. 0 disables it.
    pub(crate) fn with_quota(
        database_url: &str,
        tenants: usize,
        monthly_events: u64,
    ) -> Result<Self, Error> {
        let store =
            mercurio_storage::open(&DatabaseUrl::parse(database_url)?, &StoreOptions::default())?;
        store.migrate()?;
        let mut random = Random::fresh(1);
        let mut keys = Vec::new();
        for _ in 0..tenants {
            // Random numbers are good enough: the keys exist for one run.
            let entropy: [u8; ENTROPY_BYTES] = std::array::from_fn(|_| random.number() as u8);
            let new = NewApiKey::generate(&entropy);
            let name = format!("bench {}", new.id);
            store.provision(&Provisioning {
                tenant: Name::parse(&name)?,
                workspace: Name::parse("bench")?,
                key_name: Name::parse("bench")?,
                key_id: new.id,
                secret_hash: new.secret_hash,
                scopes: Scopes::all(),
                samples: Vec::new(),
                created_at: SystemClock.now(),
            })?;
            keys.push(new.key);
        }
        // SQLite's file is closed before the server opens it.
        drop(store);
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let child = Command::new(binary()?)
            .env("DATABASE_URL", database_url)
            // The system chooses a free port, and the log has it.
            .env("MERCURIO_ADDR", "127.0.0.1:0")
            .env("MERCURIO_LOG_FORMAT", "json")
            // No load balancer needs time to notice the end.
            .env("MERCURIO_SHUTDOWN_DELAY_SECONDS", "0")
            .env("MERCURIO_MONTHLY_EVENTS", monthly_events.to_string())
            .stdin(Stdio::null())
            // A file, because a full pipe would drop log lines.
            .stdout(File::create(&log)?)
            .spawn()?;
        let mut server = Self { child, addr: ([127, 0, 0, 1], 0).into(), keys, _folder: folder };
        server.addr = server.wait_until_listening(&log)?;
        Ok(server)
    }

    fn wait_until_listening(&mut self, log: &PathBuf) -> Result<SocketAddr, Error> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            // The last line may be incomplete: it fails to parse and is read again.
            let text = fs::read_to_string(log)?;
            let lines = text
                .lines()
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
            let mut addrs = lines.filter(|line| line["msg"] == "listening");
            if let Some(addr) = addrs.find_map(|line| line["addr"].as_str()?.parse().ok()) {
                return Ok(addr);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended: {status}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err("the server does not listen after 30 seconds".into())
    }

    /// Returns the keys of the first `tenants` tenants.
    pub(crate) fn keys(&self, tenants: usize) -> Vec<String> {
        self.keys.iter().take(tenants).map(|key| key.expose().to_owned()).collect()
    }

    pub(crate) fn groups(&self) -> Result<Groups, Error> {
        let mut stream = TcpStream::connect(self.addr)?;
        // The server closes the connection, so the response ends with the stream.
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("/health has no body")?;
        let health: serde_json::Value = serde_json::from_str(body)?;
        Ok(serde_json::from_value(health["summary"]["groups"].clone())?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL, because an orderly stop would delay the next case.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn binary() -> Result<PathBuf, Error> {
    let path = std::env::current_exe()?.with_file_name("mercurio-ingest");
    if !path.exists() {
        return Err(format!(
            "{} does not exist: build mercurio-ingest in the same profile",
            path.display()
        )
        .into());
    }
    Ok(path)
}
