//! PgBouncer in front of a PostgreSQL server, for one test.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use mercurio_storage::testing::wait_until;
use tempfile::TempDir;

use super::server::Server;

/// A running PgBouncer, ended on drop.
pub(crate) struct Pooler {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Pooler {
    /// Starts PgBouncer in a pool mode such as `transaction`. All clients become the superuser.
    pub(crate) fn start(server: &Server, mode: &str) -> Self {
        let folder = TempDir::with_prefix_in("mercurio-pooler-", "/tmp").unwrap();
        // Another process may take the port, but rarely does.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let settings = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nauth_type = any\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\npool_mode = {mode}\n",
            server.port()
        );
        fs::write(&settings, text).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new("pgbouncer");
        // It refuses to run as root, and becomes another user by itself.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "postgres"]);
        }
        let process =
            command.arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect(
                "pgbouncer runs. On Debian or Ubuntu, install it with apt-get install pgbouncer",
            );
        let pooler = Self { process, port, _folder: folder };
        wait_until("the pooler listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        pooler
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).ok();
    }
}
