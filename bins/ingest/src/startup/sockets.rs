//! The sockets of a server. They are bound before anything has an effect, so that a used port ends
//! the start in time, and served when everything is ready. Clients that connect in between wait.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::web::Data;
use mercurio_api::app::app;
use mercurio_api::routes::Surface;
use mercurio_api::state::AppState;
use mercurio_api::transport::{self, ListenError, ServerOptions, Servers, reachable};
use mercurio_config::{Config, ListenAddress};
use mercurio_runtime::first_run::Links;
use mercurio_runtime::{RequestSettings, raise_file_limit};
use slog::Logger;

use super::error::StartError;

/// A bound socket.
pub(super) struct Socket {
    listener: TcpListener,
    surface: Surface,
}

/// Binds the public address and, if set, the management address. The public one comes first.
///
/// # Errors
/// [`ListenError`] with the setting and the way out.
pub(super) fn bind(config: &Config) -> Result<Vec<Socket>, ListenError> {
    // Without a management address, clients and operators share one.
    let is_shared = config.management_addr.is_none();
    let surface = if is_shared { Surface::Whole } else { Surface::Public };
    let mut sockets = bind_surface(surface, "MERCURIO_ADDR", &config.addr)?;
    if let Some(addr) = &config.management_addr {
        let setting = "MERCURIO_MANAGEMENT_ADDR";
        sockets.extend(bind_surface(Surface::Management, setting, addr)?);
    }
    Ok(sockets)
}

fn bind_surface(
    surface: Surface,
    setting: &'static str,
    address: &ListenAddress,
) -> Result<Vec<Socket>, ListenError> {
    let listeners = transport::bind(setting, address)?.into_iter();
    Ok(listeners.map(|listener| Socket { listener, surface }).collect())
}

impl Socket {
    pub(super) fn addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }
}

/// Returns addresses for a client on this machine; `None` without any.
pub(super) fn links(sockets: &[Socket], settings: &RequestSettings) -> Option<Links> {
    let api = sockets.first().and_then(Socket::addr).map(reachable)?;
    let management = sockets.iter().find(|socket| socket.surface == Surface::Management);
    let health = management.and_then(Socket::addr).map_or(api, reachable);
    Some(Links { api, docs: if settings.public_docs { api } else { health }, health })
}

/// Serves the sockets.
///
/// # Errors
/// The operating system refuses to use one.
pub(super) fn serve(
    sockets: Vec<Socket>,
    config: &Config,
    state: &Data<AppState>,
    log: &Logger,
) -> Result<Servers, StartError> {
    let mut options =
        ServerOptions { shutdown_timeout: config.shutdown_grace, ..ServerOptions::default() };
    // The transport's own timeout must not end a request within the time its settings allow.
    let settings = &config.settings;
    let longest = settings.request_timeout + settings.commit_timeout + options.keep_alive;
    options.answer_timeout = options.answer_timeout.max(longest);
    options.threads = config.http_threads.unwrap_or(options.threads);
    options.refusals = Arc::clone(&state.refusals);
    options.client_ip = config.client_ip;
    options.trusted_proxies = settings.trusted_proxies.clone();
    if let Some(files) = raise_file_limit(log) {
        options.fit_files(files, sockets.len());
    }
    let mut servers = Servers::default();
    for Socket { listener, surface } in sockets {
        let (app_state, app_log) = (state.clone(), log.clone());
        let app = move || app(app_state.clone(), app_log.clone(), surface);
        let mut options = options.clone();
        if surface == Surface::Management {
            // Operators have no keys.
            options.stranger_keep_alive = options.keep_alive;
        }
        servers
            .start(listener, options, Arc::clone(&state.metrics), app)
            .map_err(|source| StartError::io("cannot serve a socket", source))?;
    }
    Ok(servers)
}
