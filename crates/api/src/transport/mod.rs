//! Listening: sockets, HTTP threads, timeouts and shutdown.
//!
//! [`Servers`] runs one actix server per socket. Unlike actix's `HttpServer`, it counts
//! connections, limits the time of heads, pauses and responses, and sends a problem for requests refused before
//! they reach the app (`bare_response`). HTTP/1.1 only: a proxy terminates TLS. Not here: signals,
//! routes.

mod activity;
mod bare_response;
mod connection;
mod continuation;
mod listen;
mod options;
mod shared;
#[cfg(test)]
mod tests;
mod tls_hello;

pub(crate) use activity::ConnectionActivity;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Server, ServerHandle, Service};
use actix_web::rt::net::TcpStream;
use connection::Connection;
pub(crate) use continuation::Continuation;
pub use listen::{ListenError, bind, reachable};
use mercurio_observability::Metrics;
pub use options::ServerOptions;
use shared::SharedState;
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

/// The running servers of a process.
#[derive(Default)]
pub struct Servers {
    handles: Vec<ServerHandle>,
}

impl Servers {
    /// Serves `app` on a socket of [`bind`], on threads of its own. Must run inside a Tokio runtime.
    /// Clients that connected before are served too.
    ///
    /// # Errors
    /// If the system refuses to use the socket.
    pub fn start<F, I, S, B>(
        &mut self,
        listener: TcpListener,
        options: ServerOptions,
        metrics: Arc<Metrics>,
        app: F,
    ) -> io::Result<()>
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
        let addr = listener.local_addr()?;
        let builder = Server::build()
            // actix panics without threads.
            .workers(options.threads.max(1))
            .max_concurrent_connections(options.max_connections)
            .shutdown_timeout(options.shutdown_timeout.as_secs())
            // Start-up handles signals: it drains first.
            .disable_signals();
        let stopping = builder.graceful_shutdown_signal();
        let shared = SharedState::new(metrics, &options);
        let server = builder
            .listen(format!("http-{addr}"), listener, move || {
                let stopping = stopping.clone();
                let shared = shared.clone();
                let app =
                    app().into_factory().map_err(|error: S::Error| error.into().error_response());
                let app = apply_fn_factory(app, activity::track);
                let http = HttpService::build()
                    // Idle keep-alive connections close at once instead of delaying the shutdown.
                    .graceful_shutdown_signal(move || {
                        let stopping = stopping.clone();
                        async move { stopping.notified().await }
                    })
                    .keep_alive(options.keep_alive)
                    // Covers only the first head; `Connection` limits each.
                    .client_request_timeout(Duration::ZERO)
                    .on_connect_ext(|connection: &Connection, data| {
                        data.insert(connection.activity());
                        data.insert(connection.continuation());
                    })
                    // Also enables actix's own lingering close after a refused body.
                    .client_disconnect_timeout(options.linger)
                    .local_addr(addr)
                    .finish(map_config(app, |()| AppConfig::default()));
                fn_service(move |io: TcpStream| {
                    let shared = shared.clone();
                    async move {
                        // Responses are small and written at once: Nagle's algorithm would only
                        // delay them.
                        let _ = io.set_nodelay(true);
                        // Fails if the client has gone already.
                        let peer = io.peer_addr().ok();
                        Ok((Connection::new(io, peer, shared), Protocol::Http1, peer))
                    }
                })
                .and_then(http)
            })?
            .run();
        self.handles.push(server.handle());
        // Ends with `stop`; its handle is kept for that.
        tokio::spawn(server);
        Ok(())
    }

    /// Stops accepting connections. Returns after the requests in progress, or after
    /// `shutdown_timeout`.
    pub async fn stop(self) {
        // Spawned together: all servers stop accepting at once.
        let stopping: Vec<_> =
            // `true` waits for requests in progress.
            self.handles.iter().map(|handle| tokio::spawn(handle.stop(true))).collect();
        for stopped in stopping {
            // The task cannot panic and is never cancelled.
            let _ = stopped.await;
        }
    }
}
