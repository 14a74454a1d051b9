//! TLS to a real PostgreSQL server with a certificate, from clients that trust it or not.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "common/server.rs"]
mod server;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Bool;
use mercurio_domain::store::StoreError;
use mercurio_domain::testing::{at, provisioning, submission};
use mercurio_domain::verdict::Outcome;
use mercurio_storage::{DatabaseUrl, StoreOptions, open};

use server::Server;

fn openssl(folder: &Path, arguments: &str) {
    let output =
        Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(
        output.status.success(),
        "openssl {arguments}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Creates a certificate authority `{name}.crt`, and a certificate for `host` signed by it with its
/// key: `{name}-server.*`.
fn authority(folder: &Path, name: &str, host: &str) {
    // Elliptic curves, because RSA keys take long to generate.
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        folder,
        &format!("req -x509 {key} -keyout {name}.key -out {name}.crt -days 2 -subj /CN={name}"),
    );
    openssl(
        folder,
        &format!("req {key} -keyout {name}-server.key -out {name}.csr -subj /CN={host}"),
    );
    fs::write(folder.join("extensions"), format!("subjectAltName = DNS:{host}")).unwrap();
    let sign = "-CAcreateserial -days 2 -extfile extensions";
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA {name}.crt -CAkey {name}.key {sign} -out {name}-server.crt"
        ),
    );
}

/// A server that accepts only TLS, with a certificate for `localhost`.
struct TlsServer {
    server: Server,
    folder: tempfile::TempDir,
}

impl TlsServer {
    fn start() -> Self {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        authority(folder.path(), "trusted", "localhost");
        // An authority that signed nothing the server uses.
        authority(folder.path(), "stranger", "localhost");
        let server = Server::start("");
        server.install("server.crt", &folder.path().join("trusted-server.crt"));
        server.install("server.key", &folder.path().join("trusted-server.key"));
        server.add_settings("ssl = on");
        server
            // No line for plain connections, so the server refuses them.
            .replace_access("hostssl all all 127.0.0.1/32 trust\nhostssl all all ::1/128 trust\n");
        // The lines apply at the next start.
        server.crash();
        server.resume();
        Self { server, folder }
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        format!("{}?{parameters}", self.server.url().replace("127.0.0.1", host))
    }

    /// Parameters that verify the server by the authority `certificate`.
    fn trusting(&self, certificate: &str) -> String {
        let path = self.folder.path().join(certificate);
        format!("sslmode=verify-full&sslrootcert={}", path.display())
    }

    fn ping(&self, host: &str, parameters: &str) -> Result<(), StoreError> {
        let options =
            StoreOptions { connect_timeout: Duration::from_secs(2), ..StoreOptions::default() };
        open(&DatabaseUrl::parse(&self.url(host, parameters)).unwrap(), &options).unwrap().ping()
    }

    /// The cause of a failed ping.
    fn refusal(&self, host: &str, parameters: &str) -> String {
        let error = self.ping(host, parameters).unwrap_err();
        assert!(error.is_unavailable(), "{error:?}");
        std::error::Error::source(&error).unwrap().to_string()
    }
}

#[test]
fn store_works_over_an_encrypted_connection() {
    let tls = TlsServer::start();
    let url = tls.url("127.0.0.1", "sslmode=require");
    let store = open(&DatabaseUrl::parse(&url).unwrap(), &StoreOptions::default()).unwrap();
    store.migrate().unwrap();
    let now = at("2026-11-22T10:00:00Z");
    let owner = store.provision(&provisioning("Acme", 1, now).0).unwrap().api_key.owner;
    assert_eq!(store.append(&[submission(owner, now, &["a"])]).unwrap(), [[Outcome::Accepted]]);
    let mut other = PgConnection::establish(&url).unwrap();
    let all = "(SELECT bool_and(ssl) AND count(*) > 1 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
               WHERE application_name = 'mercurio' OR pid = pg_backend_pid())";
    assert!(diesel::select(diesel::dsl::sql::<Bool>(all)).get_result::<bool>(&mut other).unwrap());
}

#[test]
fn server_certificate_is_verified_if_the_url_says_so() {
    let tls = TlsServer::start();
    tls.ping("localhost", &tls.trusting("trusted.crt")).unwrap();
    let stranger = tls.refusal("localhost", &tls.trusting("stranger.crt"));
    assert!(stranger.contains("certificate verify failed"), "{stranger}");
    // The authority is trusted, but the certificate is for another name.
    let elsewhere = tls.refusal("127.0.0.1", &tls.trusting("trusted.crt"));
    assert!(elsewhere.contains("does not match host name"), "{elsewhere}");
    // `verify-ca` checks the signature and ignores the name.
    tls.ping("127.0.0.1", &tls.trusting("trusted.crt").replace("verify-full", "verify-ca"))
        .unwrap();
    let plain = tls.refusal("127.0.0.1", "sslmode=disable");
    assert!(plain.contains("no encryption"), "{plain}");
}
