//! The server that is measured: the binary beside this one, in a process of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mercurio_domain::api_key::{ENTROPY_BYTES, NewApiKey, Scopes, SecretKey};
use mercurio_domain::store::Provisioning;
use mercurio_domain::tenant::Name;
use mercurio_domain::{Clock, Timestamp};
use mercurio_storage::{DatabaseUrl, StoreOptions};
use tempfile::TempDir;

use crate::Failure;
use crate::events::Random;

/// The writer's groups since the server's start.
#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
pub struct Groups {
    /// How many were committed.
    pub committed: u64,
    /// With so many events in all.
    pub events: u64,
    /// And so many in the largest.
    pub largest: u64,
    /// How many took the slower way.
    pub fallbacks: u64,
}

/// A running server. Dropping it stops it.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
    keys: Vec<SecretKey>,
    _folder: TempDir,
}

struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = since.map_or(0, |since| since.as_micros() as i64);
        Timestamp::from_micros(micros).unwrap_or_else(|| unreachable!("the present is in range"))
    }
}

impl Server {
    /// Migrates the database, makes `tenants` tenants in it, and starts a server on it.
    ///
    /// # Errors
    /// What failed first.
    pub fn start(database_url: &str, tenants: usize) -> Result<Self, Failure> {
        Self::with_quota(database_url, tenants, 0)
    }

    /// The same with a quota of a month for each tenant; 0: none.
    ///
    /// # Errors
    /// What failed first.
    pub fn with_quota(
        database_url: &str,
        tenants: usize,
        monthly_events: u64,
    ) -> Result<Self, Failure> {
        let store =
            mercurio_storage::open(&DatabaseUrl::parse(database_url)?, &StoreOptions::default())?;
        store.migrate()?;
        let mut random = Random::fresh(1);
        let mut keys = Vec::new();
        for _ in 0..tenants {
            let new = NewApiKey::generate(&std::array::from_fn::<u8, ENTROPY_BYTES, _>(|_| {
                random.number() as u8
            }));
            let name = format!("bench {}", new.id);
            store.provision(&Provisioning {
                tenant: Name::parse(&name)?,
                workspace: Name::parse("bench")?,
                key_name: Name::parse("bench")?,
                key_id: new.id,
                secret_hash: new.secret_hash,
                scopes: Scopes::all(),
                samples: Vec::new(),
                created_at: Now.now(),
            })?;
            keys.push(new.key);
        }
        drop(store);
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let child = Command::new(binary()?)
            .env("DATABASE_URL", database_url)
            .env("MERCURIO_ADDR", "127.0.0.1:0")
            .env("MERCURIO_LOG_FORMAT", "json")
            .env("MERCURIO_SHUTDOWN_DELAY_SECONDS", "0")
            .env("MERCURIO_MONTHLY_EVENTS", monthly_events.to_string())
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .spawn()?;
        let mut server = Self { child, addr: ([127, 0, 0, 1], 0).into(), keys, _folder: folder };
        server.addr = server.wait_until_listening(&log)?;
        Ok(server)
    }

    fn wait_until_listening(&mut self, log: &PathBuf) -> Result<SocketAddr, Failure> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
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
        Err("the server does not listen".into())
    }

    /// A key for each of `tenants` tenants, fewer where it has fewer.
    #[must_use]
    pub fn keys(&self, tenants: usize) -> Vec<String> {
        self.keys.iter().take(tenants).map(|key| key.expose().to_owned()).collect()
    }

    /// The writer's groups so far, as the server itself tells.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn groups(&self) -> Result<Groups, Failure> {
        let mut stream = TcpStream::connect(self.addr)?;
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) =
            answer.split_once("\r\n\r\n").ok_or("the server does not tell how it is")?;
        let health: serde_json::Value = serde_json::from_str(body)?;
        Ok(serde_json::from_value(health["summary"]["groups"].clone())?)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn binary() -> Result<PathBuf, Failure> {
    let path = std::env::current_exe()?.with_file_name("mercurio-ingest");
    if !path.exists() {
        return Err(format!("{} is not there: build it in the same profile", path.display()).into());
    }
    Ok(path)
}
