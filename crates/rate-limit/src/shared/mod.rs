//! The buckets that servers share through Redis.
//!
//! A request takes all its tokens in one round trip. If Redis fails or exceeds the timeout, the
//! connection is dropped at once, and every request falls back without waiting until a new
//! connection has answered. [`SharedBuckets::run`] keeps the connection and counts the servers:
//! each one sends a heartbeat every second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use mercurio_domain::limits::Limits;
use mercurio_domain::{Clock, TenantId};
use mercurio_observability::{chain, keys};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Script};
use slog::{Logger, info, warn};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::buckets::BucketSizes;
use crate::decision::{
    BucketLevel, BucketName, RateLimitDecision, RateLimitExceeded, RateLimitState,
};
use crate::redis_url::RedisUrl;

/// Time between two heartbeats of a server.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Time after which a server without a heartbeat no longer counts.
const SERVER_LIFETIME_SECONDS: u32 = 10;
/// Pause before the next attempt to reach Redis.
const RETRY: Duration = Duration::from_millis(500);
/// The Redis key of the set of servers.
const SERVERS_KEY: &str = "mercurio:servers";

/// Tokens to take from each bucket.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tokens {
    pub(crate) requests: u32,
    pub(crate) events: u32,
}

/// The buckets in Redis.
pub struct SharedBuckets {
    /// The connection while Redis decides. `None`: this server decides alone.
    connection: watch::Sender<Option<MultiplexedConnection>>,
    server_id: String,
    timeout: Duration,
    /// A clock for the scripts in place of Redis's own. Only tests set it.
    clock: Option<Arc<dyn Clock>>,
    take: Script,
    register: Script,
    /// Number of servers in the last answer of Redis. A Redis that comes back empty reports fewer
    /// for a second, until every server has sent a heartbeat.
    servers: AtomicU32,
    fallbacks: AtomicU64,
    log: Logger,
}

impl SharedBuckets {
    /// Returns buckets without a connection yet. `timeout` is the maximum time for an answer of
    /// Redis.
    #[must_use]
    pub fn new(server_id: String, timeout: Duration, log: Logger) -> Self {
        Self {
            connection: watch::Sender::new(None),
            server_id,
            timeout,
            clock: None,
            take: Script::new(include_str!("take.lua")),
            register: Script::new(include_str!("register.lua")),
            servers: AtomicU32::new(1),
            fallbacks: AtomicU64::new(0),
            log,
        }
    }

    /// Whether Redis decides now.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.connection.borrow().is_some()
    }

    /// Returns the number of servers that share the limits, as Redis last reported it; 1 before the
    /// first report.
    #[must_use]
    pub fn servers(&self) -> u32 {
        self.servers.load(Ordering::Relaxed)
    }

    /// Returns the number of decisions made without Redis.
    #[must_use]
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    /// Takes tokens from the tenant's buckets: all of them or none. `None`: Redis is unavailable.
    pub(crate) async fn take(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        tokens: Tokens,
    ) -> Option<RateLimitDecision> {
        let decision = self.ask(tenant_id, limits, tokens).await;
        if decision.is_none() {
            self.fallbacks.fetch_add(1, Ordering::Relaxed);
        }
        decision
    }

    async fn ask(
        &self,
        tenant_id: TenantId,
        limits: &Limits,
        tokens: Tokens,
    ) -> Option<RateLimitDecision> {
        // A multiplexed connection serves many requests at once, and clones share it.
        let mut connection = self.connection.borrow().clone()?;
        let sizes = BucketSizes::of(limits);
        let mut script = self.take.prepare_invoke();
        for (name, bucket, tokens) in [
            (BucketName::Requests, sizes.requests, tokens.requests),
            (BucketName::Events, sizes.events, tokens.events),
        ] {
            if let Some(bucket) = bucket {
                // The braces put both buckets of a tenant on one node of a Redis cluster.
                script.key(format!("mercurio:rate:{{{}}}:{}", tenant_id.0, name.as_str()));
                // A request larger than the bucket takes a full one. Only the bucket of this
                // server keeps the rest as a debt.
                script.arg(tokens.min(bucket.burst)).arg(bucket.per_second).arg(bucket.burst);
            }
        }
        script.arg(self.now_micros());
        match timeout(self.timeout, script.invoke_async::<Vec<u64>>(&mut connection)).await {
            Ok(Ok(answer)) => decision(&answer, sizes),
            Ok(Err(error)) => {
                self.disconnect(&chain(&error));
                None
            }
            Err(_) => {
                self.disconnect("no answer in time");
                None
            }
        }
    }

    /// The time for the scripts. `None` adds no argument.
    fn now_micros(&self) -> Option<i64> {
        self.clock.as_ref().map(|clock| clock.now().as_micros())
    }

    /// Drops the connection: this server decides alone until [`Self::run`] has a new one.
    fn disconnect(&self, reason: &str) {
        // Requests may fail at the same time; the first one logs.
        if self.connection.send_replace(None).is_some() {
            warn!(self.log, "redis unavailable"; keys::ERROR => reason, keys::SERVERS => self.servers());
        }
    }

    /// Connects to Redis, again after each loss, and sends heartbeats. Never returns.
    pub async fn run(self: Arc<Self>, url: RedisUrl) {
        let config = AsyncConnectionConfig::new()
            // A connection takes several round trips, so it may take longer than one answer.
            .set_connection_timeout(Some(self.timeout.max(RETRY)))
            .set_response_timeout(Some(self.timeout));
        let mut logged = false;
        loop {
            match self.connect(&url, &config).await {
                Ok(connection) => self.send_heartbeats(connection).await,
                // A lost connection is logged by `disconnect`; further attempts are not worth a
                // line.
                Err(error) if !logged => {
                    warn!(self.log, "redis unavailable"; keys::ERROR => chain(&error), keys::SERVERS => self.servers());
                }
                Err(_) => {}
            }
            logged = true;
            sleep(RETRY).await;
        }
    }

    /// Makes a connection, and lets Redis decide once it has answered in time.
    async fn connect(
        &self,
        url: &RedisUrl,
        config: &AsyncConnectionConfig,
    ) -> Result<MultiplexedConnection, RedisError> {
        let mut connection =
            url.client().get_multiplexed_async_connection_with_config(config).await?;
        self.register(&mut connection).await?;
        self.connection.send_replace(Some(connection.clone()));
        info!(self.log, "redis available"; keys::SERVERS => self.servers());
        Ok(connection)
    }

    /// Sends heartbeats until the connection is lost.
    async fn send_heartbeats(&self, mut connection: MultiplexedConnection) {
        let mut state = self.connection.subscribe();
        // The end of the wait is a lost connection; its timeout is the next heartbeat.
        while timeout(HEARTBEAT, state.wait_for(Option::is_none)).await.is_err() {
            if let Err(error) = self.register(&mut connection).await {
                self.disconnect(&chain(&error));
            }
        }
    }

    async fn register(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let mut script = self.register.prepare_invoke();
        script.key(SERVERS_KEY).arg(&self.server_id).arg(SERVER_LIFETIME_SECONDS);
        let servers: u32 = script.arg(self.now_micros()).invoke_async(connection).await?;
        // At least 1, because the limits are divided by it.
        self.servers.store(servers.max(1), Ordering::Relaxed);
        Ok(())
    }

    /// Removes this server from the count, so that the others need not wait for its heartbeat to
    /// expire. Call it after [`Self::run`] was aborted.
    pub async fn leave(&self) {
        // Requests that still run decide alone from now on.
        let Some(mut connection) = self.connection.send_replace(None) else { return };
        let removed: Result<(), RedisError> = redis::cmd("ZREM")
            .arg(SERVERS_KEY)
            .arg(&self.server_id)
            .query_async(&mut connection)
            .await;
        // Without an answer the entry expires by itself.
        removed.ok();
    }
}

/// Reads the answer of `take.lua`. `None` if it is too short.
fn decision(answer: &[u64], sizes: BucketSizes) -> Option<RateLimitDecision> {
    // The script answers in the order of its keys.
    let (wait_micros, mut remaining) = (answer.first()?, answer.iter().skip(1));
    let mut state = RateLimitState::default();
    for (bucket, level) in
        [(sizes.requests, &mut state.requests), (sizes.events, &mut state.events)]
    {
        if let Some(bucket) = bucket {
            let remaining = u32::try_from(*remaining.next()?).unwrap_or(u32::MAX);
            *level = Some(BucketLevel { bucket, remaining });
        }
    }
    if *wait_micros == 0 {
        return Some(RateLimitDecision { state, result: Ok(()) });
    }
    // The script takes all tokens or none, so a bucket with enough of them still has them.
    let no_request_left = state.requests.is_some_and(|level| level.remaining == 0);
    let bucket = if no_request_left { BucketName::Requests } else { BucketName::Events };
    let retry_after_seconds = wait_micros.div_ceil(1_000_000);
    Some(RateLimitDecision {
        state,
        result: Err(RateLimitExceeded { bucket, retry_after_seconds }),
    })
}

#[cfg(test)]
mod tests;
