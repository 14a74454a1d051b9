//! Receivers with TLS, trusted and not. The gate runs these with `--features tls`.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mercurio_domain::testing::at;
use mercurio_forwarding::testing::Receiver;
use mercurio_forwarding::{Batch, BatchFormat, DeliveryError, HttpSender, Target};

/// URL that `trusted_receiver_is_reached` runs itself with.
const URL: &str = "MERCURIO_TEST_TLS_URL";

/// Answers each POST with a 204, over TLS.
const SERVER: &str = "import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers['content-length']))
        self.send_response(204)
        self.end_headers()
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()";

struct TlsReceiver {
    child: Child,
    port: u16,
    certificate: PathBuf,
}

impl TlsReceiver {
    /// With a certificate for `localhost` that signs itself.
    fn start(folder: &Path) -> Self {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl runs").success());
        let mut child = Command::new("python3")
            .args(["-c", SERVER])
            .args([&certificate, &key])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        Self { child, port: line.trim().parse().expect("a port"), certificate }
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/", self.port)
    }
}

impl Drop for TlsReceiver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn post(url: &str) -> Result<(), DeliveryError> {
    let target = Target::parse(url).expect("valid");
    let sender = HttpSender::new(target, None, Duration::from_secs(10)).expect("valid");
    let batch = Batch::of(&[], BatchFormat::Json).expect("valid");
    sender.post(&batch, at("2026-11-29T10:00:00Z"))
}

#[test]
fn unknown_certificate_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = TlsReceiver::start(folder.path());
    let error = post(&receiver.url("localhost")).unwrap_err();
    assert!(matches!(&error, DeliveryError::Tls(_)), "{error:?}");
    assert!(error.to_string().contains("certificate verify failed"), "{error}");
}

#[test]
fn receiver_without_tls_is_refused() {
    let receiver = Receiver::with_status(200);
    let error = post(&receiver.url().replace("http:", "https:")).unwrap_err();
    let is_refused = matches!(&error, DeliveryError::Tls(_) | DeliveryError::NoAnswer(_));
    assert!(is_refused, "{error:?}");
}

/// Certificates are read from the environment, so this runs itself in processes of their own.
#[test]
fn trusted_receiver_is_reached_by_its_name_alone() {
    if let Ok(url) = env::var(URL) {
        return post(&url).unwrap_or_else(|error| panic!("{error}"));
    }
    let folder = tempfile::tempdir().unwrap();
    let receiver = TlsReceiver::start(folder.path());
    for (host, expected) in [("localhost", true), ("127.0.0.1", false)] {
        let run = Command::new(env::current_exe().unwrap())
            .args(["--exact", "tls::trusted_receiver_is_reached_by_its_name_alone"])
            .env("SSL_CERT_FILE", &receiver.certificate)
            .env(URL, receiver.url(host))
            .output()
            .expect("it runs");
        assert_eq!(run.status.success(), expected, "{}", String::from_utf8_lossy(&run.stdout));
    }
}
