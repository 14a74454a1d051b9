//! A database outage under a running server: reported at once, over without a restart, without
//! losing an acknowledged event.

use std::process::Command;

use mercurio_storage::testing::wait_until;

use crate::client::{Client, stored_ids};
use crate::server::Deployment;

/// Runs SQL from another database of the same PostgreSQL server.
fn psql(deployment: &Deployment, sql: &str) {
    let url = deployment.database.url_text();
    // `postgres` accepts connections while the database of the test refuses them.
    let (server, name) = url.rsplit_once('/').unwrap();
    let sql = sql.replace("$NAME", name.split('?').next().unwrap());
    let output = Command::new("psql")
        .args(["-v", "ON_ERROR_STOP=1", "-qc", &sql])
        .arg(format!("{server}/postgres"))
        .output();
    let output = output.expect("psql is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn ids(name: &str) -> Vec<String> {
    (0..10).map(|event| format!("{name}-{event}")).collect()
}

#[test]
fn database_outage_is_reported_and_recovered_from() {
    let deployment = Deployment::postgres();
    let server = deployment.start();
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(client.batch(&ids("before"), &deployment.key).unwrap().json["accepted"], 10);

    psql(&deployment, r#"ALTER DATABASE "$NAME" WITH ALLOW_CONNECTIONS false"#);
    psql(
        &deployment,
        // ALLOW_CONNECTIONS does not end open connections.
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$NAME'",
    );
    let unavailable = client.batch(&ids("during"), &deployment.key).unwrap();
    assert_eq!(
        (unavailable.status, unavailable.json["code"].as_str()),
        (503, Some("storage_unavailable")),
        "{unavailable:?}"
    );
    assert!(unavailable.retry_after.is_some());
    assert_eq!(client.get("/health/ready", "").unwrap().status, 503);
    assert_eq!(client.get("/health/live", "").unwrap().status, 200);
    let health = client.get("/health", "").unwrap();
    assert_eq!(
        (health.status, health.json["status"].as_str()),
        (503, Some("unavailable")),
        "{health:?}"
    );

    psql(&deployment, r#"ALTER DATABASE "$NAME" WITH ALLOW_CONNECTIONS true"#);
    wait_until("the server reconnects", || client.get("/health/ready", "").unwrap().status == 200);
    let again = client.batch(&ids("during"), &deployment.key).unwrap();
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(stored_ids(server.addr, &deployment.key).len(), 20);
}
