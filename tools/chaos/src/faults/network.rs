//! Faults between the servers and the databases, and between the databases.

use std::time::Duration;

use super::kind::{Done, Fault, pause};
use crate::proxy::{Flow, Proxy};
use crate::site::Site;

pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "answers to COMMIT swallowed", weight: 8, run: swallow_commits },
    Fault { name: "COMMIT dropped", weight: 4, run: drop_commits },
    Fault { name: "connections cut", weight: 6, run: cut },
    Fault { name: "network slow", weight: 3, run: delay },
    Fault { name: "network black-holed", weight: 3, run: hold },
    Fault { name: "connections refused", weight: 2, run: refuse },
    Fault { name: "replication cut", weight: 2, run: cut_replication },
    Fault { name: "replication black-holed", weight: 2, run: hold_replication },
];

fn swallow_commits(site: &Site, random: &mut fastrand::Rng) -> Done {
    let commits = random.u32(1..8);
    disturb_commits(site, random, commits, Proxy::swallow_commits)
}

fn drop_commits(site: &Site, random: &mut fastrand::Rng) -> Done {
    let commits = random.u32(1..8);
    disturb_commits(site, random, commits, Proxy::drop_commits)
}

fn disturb_commits(
    site: &Site,
    random: &mut fastrand::Rng,
    commits: u32,
    disturb: fn(&Proxy, u32),
) -> Done {
    for proxy in site.cluster.proxies() {
        disturb(proxy, commits);
    }
    pause(random, 100..800);
    let spared: u32 = site.cluster.proxies().iter().map(Proxy::spare_commits).sum();
    // No COMMIT passes the proxy of the standby.
    let hit = (2 * commits).saturating_sub(spared);
    Ok((hit > 0).then(|| format!("{hit} of {commits}")))
}

fn cut(site: &Site, _random: &mut fastrand::Rng) -> Done {
    for proxy in site.cluster.proxies() {
        proxy.cut();
    }
    Ok(Some("all connections".to_owned()))
}

fn delay(site: &Site, random: &mut fastrand::Rng) -> Done {
    let delay = Duration::from_millis(random.u64(1..100));
    set_flow(site.cluster.proxies(), Flow::Delayed(delay));
    pause(random, 200..2_000);
    set_flow(site.cluster.proxies(), Flow::Open);
    Ok(Some(format!("{delay:?} for each packet")))
}

fn hold(site: &Site, random: &mut fastrand::Rng) -> Done {
    Ok(Some(hold_one(site.cluster.proxies(), random)))
}

fn hold_one(proxies: &[Proxy], random: &mut fastrand::Rng) -> String {
    set_flow(proxies, Flow::Held);
    pause(random, 200..4_000);
    let is_cut = random.bool();
    if is_cut {
        for proxy in proxies {
            proxy.cut();
        }
    }
    set_flow(proxies, Flow::Open);
    if is_cut { "then cut" } else { "then delivered" }.to_owned()
}

fn refuse(site: &Site, random: &mut fastrand::Rng) -> Done {
    set_flow(site.cluster.proxies(), Flow::Refused);
    cut(site, random)?;
    pause(random, 200..1_000);
    set_flow(site.cluster.proxies(), Flow::Open);
    Ok(Some("and all cut".to_owned()))
}

fn cut_replication(site: &Site, _random: &mut fastrand::Rng) -> Done {
    for proxy in site.cluster.replication() {
        proxy.cut();
    }
    Ok(Some("between the databases".to_owned()))
}

fn hold_replication(site: &Site, random: &mut fastrand::Rng) -> Done {
    Ok(Some(hold_one(site.cluster.replication(), random)))
}

fn set_flow(proxies: &[Proxy], flow: Flow) {
    for proxy in proxies {
        proxy.set_flow(flow);
    }
}
