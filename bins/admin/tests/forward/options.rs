//! Invalid options, secrets and receivers: exit codes, and no secret in a message.

use std::io::Write;

use mercurio_forwarding::testing::Receiver;

use crate::program::{SECRET, Workspace, stderr_of};

/// Runs the command without the secret of the environment. Returns the exit code and stderr.
fn refused(workspace: &Workspace, url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = workspace.forward(url, arguments);
    let output = command.env_remove("MERCURIO_WEBHOOK_SECRET").output().expect("the program runs");
    (output.status.code(), stderr_of(&output))
}

#[test]
fn invalid_option_is_a_usage_error() {
    let [workspace, _] = Workspace::on_both();
    for (url, arguments, expected) in [
        ("hunter2", &[][..], "--to: not a URL of a receiver"),
        ("ftp://a:hunter2@b/", &[], "--to: only http:// and https://"),
        ("http://b/", &["--batch", "0"], "--batch: \"0\" is not a whole number from 1 to 1000"),
        ("http://b/", &["--timeout", "11m"], "--timeout: \"11m\" is not a time from 1s to 10m"),
        ("http://b/", &["--format", "xml"], "--format: \"xml\" is not one of json, cloudevents"),
        ("http://b/", &["--from", "new"], "--from: \"new\" is not one of oldest, now"),
        ("http://b/", &["--secret-file", "/nowhere"], "--secret-file: /nowhere: No such file"),
        ("http://b/", &["--secret-file", "/dev/null"], "--secret-file: no secret"),
    ] {
        let (code, err) = refused(&workspace, url, arguments);
        assert_eq!(code, Some(64), "{arguments:?} {err}");
        assert!(err.contains(expected) && !err.contains("hunter2"), "{err}");
    }
    let (code, err) = refused(&workspace, "http://b/", &["--workspace", "Elsewhere"]);
    assert_eq!(code, Some(4), "{err}");
}

#[test]
fn secret_comes_from_a_file_or_the_setting() {
    let [workspace, _] = Workspace::on_both();
    workspace.append(&["a"]);
    let receiver = Receiver::with_status(200);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{SECRET}\n{SECRET}").expect("written");
    let path = file.path().display().to_string();
    let output = workspace.forward(&receiver.url(), &["--once", "--secret-file", &path]).output();
    let both = output.expect("the program runs");
    assert_eq!(both.status.code(), Some(64));
    assert!(stderr_of(&both).contains("MERCURIO_WEBHOOK_SECRET is also set"));
    let (code, err) = refused(&workspace, &receiver.url(), &["--once", "--secret-file", &path]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(receiver.requests()[0].header("webhook-signature").split(' ').count(), 2);
    let (code, err) = refused(&workspace, &receiver.url(), &["--once", "--name", "other"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("requests are not signed"), "{err}");
    assert_eq!(receiver.requests()[1].header("webhook-signature"), "");
}

#[test]
fn failures_show_host_and_status_alone() {
    let [workspace, _] = Workspace::on_both();
    workspace.append(&["a"]);
    let receiver = Receiver::with_status(500);
    let host = receiver.url().replace("http://", "");
    let url = format!("http://alice:hunter2@{host}/hunter2?key=hunter2");
    let (code, err) = refused(&workspace, &url, &["--give-up-after", "1s"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(&format!("forwarding to http://{host} under")), "{err}");
    assert!(err.contains("failed: status 500"), "{err}");
    assert!(err.contains("nothing is lost"), "{err}");
    assert!(!err.contains("hunter2") && !err.contains("alice"), "{err}");
    let request = &receiver.requests()[0];
    assert_eq!(request.header("authorization"), "Basic YWxpY2U6aHVudGVyMg==");
    let (code, err) = refused(&workspace, &Receiver::with_status(410).url(), &[]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("410 Gone"), "{err}");
}

#[test]
#[cfg(not(feature = "tls"))]
fn https_needs_a_build_with_tls() {
    let [workspace, _] = Workspace::on_both();
    let (code, err) = refused(&workspace, "https://example.com/", &["--once"]);
    assert_eq!(code, Some(64), "{err}");
    assert!(err.contains("--to: this build has no TLS"), "{err}");
}
