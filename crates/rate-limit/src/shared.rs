//! The buckets that several servers share through Redis, and how a server lives without them.
//!
//! A request asks once, in one round trip, for all its tokens. Where Redis does not answer in time, the connection is given
//! up at once, and until a new one answers in time every request is decided by the server alone, with its share of the limit.
//! A task keeps the connection: it makes it, and says every second that this server is there, so that all know how many share.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::RedisUrl;
use mercurio_domain::TenantId;
use mercurio_domain::limits::{Bucket, Limits};
use mercurio_observability::{chain, keys};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Script};
use slog::{Logger, info, warn};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::shares::{Debt, Told};
use super::{Answer, Exceeded, Level, RateLimitState};

/// How often a server says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a server that does not say so counts.
const SERVER_LIFETIME_SECONDS: u32 = 10;
/// How long the task waits before it tries again to reach Redis.
const RETRY: Duration = Duration::from_millis(500);
/// The servers that share buckets.
const SERVERS_KEY: &str = "mercurio:servers";

/// The buckets in Redis.
pub struct SharedBuckets {
    connection: RwLock<Option<MultiplexedConnection>>,
    /// Wakes the task that keeps the connection.
    lost: Notify,
    closing: AtomicBool,
    take: Script,
    timeout: Duration,
    /// How many servers there were when Redis last told.
    servers: AtomicU32,
    fallbacks: AtomicU64,
    log: Logger,
}

impl SharedBuckets {
    /// Buckets that are not reached yet; an answer that takes longer than `timeout` counts as none.
    #[must_use]
    pub fn new(timeout: Duration, log: Logger) -> Self {
        Self {
            connection: RwLock::new(None),
            lost: Notify::new(),
            closing: AtomicBool::new(false),
            take: Script::new(include_str!("take.lua")),
            timeout,
            servers: AtomicU32::new(1),
            fallbacks: AtomicU64::new(0),
            log,
        }
    }

    /// Whether Redis decides.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.connection().is_some()
    }

    /// Servers that share the limits, this one among them, as far as is known.
    #[must_use]
    pub fn servers(&self) -> u32 {
        self.servers.load(Ordering::Relaxed)
    }

    /// Requests that this server decided alone.
    #[must_use]
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    /// Takes so many tokens of each of the tenant's buckets, of requests and of events, or none at all; counts the debts in either
    /// case. `None`: Redis does not tell.
    pub(super) async fn take(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        tokens: [u32; 2],
        debts: [Debt; 2],
    ) -> Option<(Answer, [Option<Told>; 2])> {
        let buckets = [limits.requests_bucket(), limits.events_bucket()];
        let mut script = self.take.prepare_invoke();
        for (index, name) in ["requests", "events"].into_iter().enumerate() {
            if let Some(Bucket { per_second, burst }) = buckets[index] {
                script.key(format!("mercurio:rate:{{{}}}:{name}", tenant_id.0)).arg(tokens[index]);
                let Debt { full_at, taken, passed, lacking } = debts[index];
                script.arg(per_second).arg(burst).arg(full_at).arg(taken).arg(passed).arg(lacking);
            }
        }
        let Some(mut connection) = self.connection() else {
            self.fallbacks.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let answer =
            match timeout(self.timeout, script.invoke_async::<Vec<u64>>(&mut connection)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => return self.give_up(&chain(&error)),
                Err(_) => return self.give_up("it did not answer in time"),
            };
        let mut answer = answer.into_iter();
        let wait_micros = answer.next()?;
        let told = buckets.map(|bucket| {
            let bucket = bucket?;
            let remaining = u32::try_from(answer.next()?).unwrap_or(u32::MAX);
            let level = Level { bucket, remaining };
            Some(Told { level, full_at: answer.next()?, taken: answer.next()? })
        });
        let [requests, events] = told.map(|told| told.map(|told| told.level));
        let state = RateLimitState { requests, events };
        let taken = match wait_micros {
            0 => Ok(()),
            micros => Err(Exceeded { retry_after_seconds: micros.div_ceil(1_000_000) }),
        };
        Some(((state, taken), told))
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        self.connection.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_connection(
        &self,
        connection: Option<MultiplexedConnection>,
    ) -> Option<MultiplexedConnection> {
        let mut current = self.connection.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *current, connection)
    }

    /// From now on the server decides alone, until the task has a new connection.
    fn give_up<T>(&self, why: &str) -> Option<T> {
        self.fallbacks.fetch_add(1, Ordering::Relaxed);
        // Of the requests that wait at the same time one tells.
        if self.set_connection(None).is_some() {
            warn!(self.log, "redis does not answer: rate limits are this server's share";
                keys::ERROR => why, keys::SERVERS => self.servers());
            self.lost.notify_one();
        }
        None
    }

    /// Keeps the connection for as long as the server runs.
    pub async fn keep(self: Arc<Self>, url: RedisUrl, server_id: String) {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout.max(RETRY)))
            .set_response_timeout(Some(self.timeout));
        let register = Script::new(include_str!("register.lua"));
        let mut told = false;
        while !self.closing.load(Ordering::Relaxed) {
            let ended =
                match url.client().get_multiplexed_async_connection_with_config(&config).await {
                    Ok(connection) => self.keep_one(connection, &register, &server_id).await,
                    Err(error) => Ended::NeverServed(error),
                };
            if let Ended::NeverServed(error) = &ended
                && !told
            {
                warn!(self.log, "redis can't be reached: rate limits are this server's share";
                    keys::ERROR => chain(error), keys::SERVERS => self.servers());
            }
            // Whoever gave up the connection has told.
            told = true;
            timeout(RETRY, self.lost.notified()).await.ok();
        }
    }

    /// Says that this server is there until nobody answers.
    async fn keep_one(
        &self,
        mut connection: MultiplexedConnection,
        register: &Script,
        server_id: &str,
    ) -> Ended {
        let mut serves = false;
        loop {
            let mut beat = register.prepare_invoke();
            beat.key(SERVERS_KEY).arg(server_id).arg(SERVER_LIFETIME_SECONDS);
            match beat.invoke_async::<u32>(&mut connection).await {
                Ok(servers) => self.servers.store(servers.max(1), Ordering::Relaxed),
                Err(error) if serves => {
                    self.give_up::<()>(&chain(&error));
                    return Ended::Served;
                }
                Err(error) => return Ended::NeverServed(error),
            }
            if !serves {
                // Once it has answered in time, and not before.
                self.set_connection(Some(connection.clone()));
                info!(self.log, "redis decides rate limits"; keys::SERVERS => self.servers());
                serves = true;
            }
            if timeout(HEARTBEAT, self.lost.notified()).await.is_ok() {
                if self.closing.load(Ordering::Relaxed) {
                    let gone: Result<(), RedisError> = redis::cmd("ZREM")
                        .arg(SERVERS_KEY)
                        .arg(server_id)
                        .query_async(&mut connection)
                        .await;
                    gone.ok();
                }
                return Ended::Served;
            }
        }
    }

    /// Ends the task; the others need not wait to learn that this server is gone.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        self.lost.notify_one();
    }
}

/// How a connection ended.
enum Ended {
    /// It was good for requests until somebody gave it up, and told.
    Served,
    /// It was good for none.
    NeverServed(RedisError),
}
