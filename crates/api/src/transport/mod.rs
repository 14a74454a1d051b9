//! Listening: sockets, workers, timeouts, and the end of all that.
//!
//! [`Servers`] runs one actix server for each address. It differs from actix's own `HttpServer` in that every connection
//! is counted, and in that a request refused before the app sees it (not HTTP, too large a head, too slow a head) gets a
//! problem too: see [`connection`]. HTTP/1.1 only; what terminates TLS in front speaks it to the server.
//! Not here: signals, routes.

pub mod connection;
#[cfg(test)]
mod tests;

use actix_http::{HttpService, Protocol, Request, Response};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, ServerHandle, Service};
use actix_web::rt::net::TcpStream;
use connection::{Connection, Shared};
use mercurio_domain::ids::IdGenerator;
use mercurio_observability::Metrics;
use mercurio_runtime::system::UuidV7Ids;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

/// How a server treats its connections.
#[derive(Clone)]
pub struct Options {
    /// Threads that serve requests, for each address; at least one.
    pub workers: usize,
    /// The longest the head of a connection's first request may take.
    pub head_timeout: Duration,
    /// How long a connection may stay open between requests. Longer than the idle timeout of the load balancers in
    /// front (60 seconds, most often), or they send requests into connections that are just being closed.
    pub keep_alive: Duration,
    /// The longest a connection may go without a byte of an answer, whatever it is sent meanwhile. Longer than `keep_alive`
    /// and than any request may take. It ends clients that send the head of a later request byte by byte, for which
    /// `head_timeout` does not hold, and those that don't read.
    pub answer_timeout: Duration,
    /// How long a connection that is being closed still takes what the client is sending, so that the client gets to
    /// read the answer.
    pub linger: Duration,
    /// The most connections of a worker; more wait to be accepted.
    pub max_connections: usize,
    /// How long requests that are under way may go on once the server is told to stop.
    pub shutdown_timeout: Duration,
    /// Where ids of requests come from that are refused below the app.
    pub ids: Arc<dyn IdGenerator>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            head_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            answer_timeout: Duration::from_secs(150),
            linger: Duration::from_secs(3),
            max_connections: 25_000,
            shutdown_timeout: Duration::from_secs(30),
            ids: Arc::new(UuidV7Ids),
        }
    }
}

/// The running servers of a process.
#[derive(Default)]
pub struct Servers {
    handles: Vec<ServerHandle>,
}

impl Servers {
    /// Binds `addr` and serves `app` on it from now on, on threads of its own; returns the address, whose port is the
    /// system's choice where it was 0. Must be called in a Tokio runtime.
    ///
    /// # Errors
    /// Where the address can't be bound.
    pub fn start<F, I, S, B>(
        &mut self,
        addr: SocketAddr,
        options: Options,
        metrics: Arc<Metrics>,
        app: F,
    ) -> io::Result<SocketAddr>
    where
        F: Fn() -> I + Send + Clone + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<Request, Config = AppConfig> + 'static,
        S::Error: Into<actix_web::Error> + 'static,
        S::InitError: fmt::Debug,
        S::Response: Into<Response<B>> + 'static,
        <S::Service as Service<Request>>::Future: 'static,
        S::Service: 'static,
        B: MessageBody + 'static,
    {
        // Bound by std, which lets a restarted server have the port that its predecessor just left.
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let builder = Server::build()
            .workers(options.workers.max(1))
            .max_concurrent_connections(options.max_connections)
            .shutdown_timeout(options.shutdown_timeout.as_secs())
            .disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        let shared = Shared::new(metrics, &options);
        let server = builder
            .listen(format!("http-{addr}"), listener, move || {
                let stopping = stopping.clone();
                let shared = shared.clone();
                let app =
                    app().into_factory().map_err(|error: S::Error| error.into().error_response());
                let http = HttpService::build()
                    .graceful_shutdown_signal(move || {
                        let stopping = stopping.clone();
                        async move { stopping.notified().await }
                    })
                    .keep_alive(options.keep_alive)
                    .client_request_timeout(options.head_timeout)
                    .client_disconnect_timeout(options.linger)
                    .local_addr(addr)
                    .finish(map_config(app, |()| AppConfig::default()));
                fn_service(move |io: TcpStream| {
                    let shared = shared.clone();
                    async move {
                        // Answers are small and written at once: waiting for more to send would only delay them.
                        let _ = io.set_nodelay(true);
                        let peer = io.peer_addr().ok();
                        Ok((Connection::new(io, shared), Protocol::Http1, peer))
                    }
                })
                .and_then(http)
            })?
            .run();
        self.handles.push(server.handle());
        tokio::spawn(server);
        Ok(addr)
    }

    /// Takes no new connections from now on, and returns when the requests under way are answered, or their time is
    /// over.
    pub async fn stop(self) {
        // The first to be polled stops accepting, so does the last: none waits for another.
        let stopping: Vec<_> =
            self.handles.iter().map(|handle| tokio::spawn(handle.stop(true))).collect();
        for stopped in stopping {
            // The task does nothing that could panic, and nobody cancels it.
            let _ = stopped.await;
        }
    }
}
