//! Monthly quotas over two servers on one database: the sum, and what is left of a count when a server is killed.

use mercurio_domain::limits::{LimitName, Month};
use mercurio_domain::store::TenantRef;
use mercurio_domain::tenant::Name;
use mercurio_domain::{Clock, TenantId};
use mercurio_runtime::system::SystemClock;

use crate::client::{Client, stored_ids};
use crate::server::{Deployment, Server, command};

fn limit(deployment: &Deployment, events: u64) -> TenantId {
    let store = deployment.database.store();
    let which = TenantRef::Name(Name::parse("acme").unwrap());
    let tenant_id = store.tenant(&which).unwrap().unwrap().0.id;
    store.set_limits(tenant_id, &[(LimitName::MonthlyEvents, Some(events))]).unwrap();
    tenant_id
}

/// Sends batches of 1 to 7 until the quota is used up to the last event; how many events were accepted.
fn send_until_full(server: &Server, key: &str, name: &str) -> u64 {
    let mut client = Client::connect(server.addr).unwrap();
    let (mut accepted, mut batch) = (0, 7);
    for number in 0.. {
        let ids: Vec<_> = (0..batch).map(|event| format!("{name}-{number}-{event}")).collect();
        let answer = client.batch(&ids, key).unwrap();
        match answer.status {
            200 => accepted += answer.json["accepted"].as_u64().unwrap(),
            429 => {
                assert_eq!(answer.json["code"], "quota_exceeded");
                assert!(
                    answer.json["renews_at"].as_str().unwrap().ends_with("-01T00:00:00.000000Z"),
                    "{}",
                    answer.json
                );
                assert_eq!(
                    answer.retry_after,
                    Some(answer.json["retry_after_seconds"].to_string())
                );
                if batch == 1 {
                    break;
                }
                batch -= 1;
            }
            status => panic!("{status}: {}", answer.json),
        }
    }
    accepted
}

#[test]
fn two_servers_store_exactly_the_quota() {
    const QUOTA: u64 = 2_003;
    let deployment = Deployment::postgres();
    limit(&deployment, QUOTA);
    let servers = [(); 2].map(|()| {
        let mut command = command(&deployment.database.url_text());
        Server::with(command.env("MERCURIO_WRITER_THREADS", "4"))
    });
    let accepted: u64 = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|number| {
                let (server, key) = (&servers[number % 2], &deployment.key);
                scope.spawn(move || send_until_full(server, key, &number.to_string()))
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    assert_eq!(accepted, QUOTA);
    assert_eq!(stored_ids(servers[0].addr, &deployment.key).len() as u64, QUOTA);
    for server in &servers {
        let told =
            Client::connect(server.addr).unwrap().get("/v1/limits", &deployment.key).unwrap().json;
        let quota = &told["remaining"]["monthly_events"];
        assert_eq!(
            (quota["used"].as_u64(), quota["remaining"].as_u64()),
            (Some(QUOTA), Some(0)),
            "{told}"
        );
    }
}

#[test]
fn a_server_that_is_killed_leaves_a_count_that_is_what_is_stored() {
    for deployment in [Deployment::postgres(), Deployment::sqlite()] {
        let tenant_id = limit(&deployment, 1_000_000);
        let server = deployment.start();
        let (sender, progress) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            for number in 0..3 {
                let (addr, key, sender) = (server.addr, &deployment.key, sender.clone());
                scope.spawn(move || {
                    crate::client::send_until_gone(addr, key, &number.to_string(), &sender)
                });
            }
            for _ in 0..20 {
                progress.recv().unwrap();
            }
            server.kill();
        });
        let used = |events: u64| {
            let month = Month::of(SystemClock.now());
            assert_eq!(
                deployment.database.store().monthly_usage(tenant_id, month).unwrap(),
                events
            );
        };
        let server = deployment.start();
        let stored = stored_ids(server.addr, &deployment.key).len() as u64;
        used(stored);
        // The quota is lowered to what is stored and one event more.
        limit(&deployment, stored + 1);
        drop(server);
        let server = deployment.start();
        assert_eq!(send_until_full(&server, &deployment.key, "after"), 1);
        used(stored + 1);
    }
}

#[test]
fn the_quota_of_the_settings_is_that_of_every_tenant_without_one() {
    let deployment = Deployment::sqlite();
    let mut command = command(&deployment.database.url_text());
    let server = Server::with(command.env("MERCURIO_MONTHLY_EVENTS", "4"));
    assert_eq!(send_until_full(&server, &deployment.key, "a"), 4);
    limit(&deployment, 6);
    drop(server);
    let server = Server::with(command.env("MERCURIO_MONTHLY_EVENTS", "4"));
    assert_eq!(send_until_full(&server, &deployment.key, "b"), 2);
}
