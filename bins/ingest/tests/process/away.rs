//! A database that goes away and comes back: told at once, found again, nothing acknowledged lost.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::client::{Client, stored_ids};
use crate::server::House;

/// Runs SQL on another database of the same server.
fn psql(house: &House, sql: &str) {
    let url = house.database.url_text();
    let (server, name) = url.rsplit_once('/').unwrap();
    let sql = sql.replace("$NAME", name.split('?').next().unwrap());
    let output = Command::new("psql")
        .args(["-v", "ON_ERROR_STOP=1", "-qc", &sql])
        .arg(format!("{server}/postgres"))
        .output();
    let output = output.expect("psql is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn ids(name: &str) -> Vec<String> {
    (0..10).map(|event| format!("{name}-{event}")).collect()
}

#[test]
fn a_database_that_goes_away_is_told_and_found_again() {
    let house = House::postgres();
    let server = house.start();
    let mut client = Client::connect(server.addr).unwrap();
    assert_eq!(client.batch(&ids("before"), &house.key).unwrap().json["accepted"], 10);

    psql(&house, r#"ALTER DATABASE "$NAME" WITH ALLOW_CONNECTIONS false"#);
    psql(&house, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$NAME'");
    let away = client.batch(&ids("during"), &house.key).unwrap();
    assert_eq!(
        (away.status, away.json["code"].as_str()),
        (503, Some("storage_unavailable")),
        "{away:?}"
    );
    assert!(away.retry_after.is_some());
    assert_eq!(client.get("/health/ready", "").unwrap().status, 503);
    assert_eq!(client.get("/health/live", "").unwrap().status, 200);
    let health = client.get("/health", "").unwrap();
    assert_eq!(
        (health.status, health.json["status"].as_str()),
        (503, Some("unavailable")),
        "{health:?}"
    );

    psql(&house, r#"ALTER DATABASE "$NAME" WITH ALLOW_CONNECTIONS true"#);
    let deadline = Instant::now() + Duration::from_secs(30);
    while client.get("/health/ready", "").unwrap().status != 200 {
        assert!(Instant::now() < deadline, "the server finds the database again");
        std::thread::yield_now();
    }
    let again = client.batch(&ids("during"), &house.key).unwrap();
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(stored_ids(server.addr, &house.key).len(), 20);
}
