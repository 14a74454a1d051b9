//! The parameters of libpq, by name (manual, "Parameter Key Words", and `PQconninfoOptions` in its
//! source). Without `sslkeylogfile`, which writes the keys of TLS sessions to a file.

/// Parameters whose values are printed: they name machines, times and modes.
const SHOWN: [&str; 22] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "gssencmode",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "port",
    "require_auth",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Parameters whose values are secret, or may contain a secret as `options` does.
const HIDDEN: [&str; 27] = [
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "max_protocol_version",
    "min_protocol_version",
    "oauth_client_id",
    "oauth_client_secret",
    "oauth_issuer",
    "oauth_scope",
    "options",
    "passfile",
    "password",
    "replication",
    "requirepeer",
    "scram_client_key",
    "scram_server_key",
    "service",
    "sslcert",
    "sslcertmode",
    "sslcompression",
    "sslcrl",
    "sslcrldir",
    "sslkey",
    "sslpassword",
    "sslsni",
];

pub(super) fn is_known(name: &str) -> bool {
    is_shown(name) || HIDDEN.contains(&name)
}

pub(super) fn is_shown(name: &str) -> bool {
    SHOWN.contains(&name)
}
