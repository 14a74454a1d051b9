//! Faults of the databases. One at a time: a failover needs a standby that works.

use super::kind::{Done, Fault, pause};
use crate::cluster::Failover;
use crate::error::Error;
use crate::process::signal;
use crate::site::Site;

pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "connections terminated", weight: 8, run: terminate },
    Fault { name: "statements cancelled", weight: 4, run: cancel },
    Fault { name: "backend killed", weight: 3, run: kill_backend },
    Fault { name: "postmaster killed", weight: 2, run: kill_postmaster },
    Fault { name: "database restarted", weight: 2, run: restart },
    Fault { name: "standby killed", weight: 2, run: kill_standby },
    Fault { name: "table locked", weight: 4, run: lock },
    Fault { name: "disk filled", weight: 2, run: fill_disk },
    Fault { name: "failover", weight: 3, run: fail_over },
];

/// The tables that requests write and read.
const TABLES: [&str; 7] =
    ["events", "event_keys", "count_log", "event_counts", "tenant_usage", "api_keys", "tenants"];

/// Calls a function for some of the servers' connections, and returns their number.
fn for_some(site: &Site, random: &mut fastrand::Rng, function: &str) -> Result<u32, Error> {
    end_synchronous_part(site)?;
    let share = if random.bool() { 1.0 } else { 0.5 };
    let hit = site.cluster.primary().text(&format!(
        "SELECT count({function}(pid)) FROM pg_stat_activity
         WHERE datname = 'mercurio' AND random() < {share}"
    ))?;
    Ok(hit.parse()?)
}

/// In the second part of the run, the standby is asynchronous. Changed here, because both databases
/// run between the faults of this lane.
fn end_synchronous_part(site: &Site) -> Result<(), Error> {
    if site.cluster.is_synchronous() && site.journal.elapsed() > site.synchronous {
        site.cluster.set_synchronous(false)?;
        site.journal.say("from now on the standby is asynchronous");
    }
    Ok(())
}

fn terminate(site: &Site, random: &mut fastrand::Rng) -> Done {
    let terminated = for_some(site, random, "pg_terminate_backend")?;
    Ok((terminated > 0).then(|| terminated.to_string()))
}

fn cancel(site: &Site, random: &mut fastrand::Rng) -> Done {
    let mut cancelled = 0;
    // Like an impatient script: the second one may hit what the first one led to.
    for _ in 0..random.u8(1..6) {
        cancelled += for_some(site, random, "pg_cancel_backend")?;
        pause(random, 50..700);
    }
    Ok((cancelled > 0).then(|| cancelled.to_string()))
}

fn kill_backend(site: &Site, _random: &mut fastrand::Rng) -> Done {
    let primary = site.cluster.primary();
    let pid = primary.text(
        "SELECT coalesce(min(pid), 0) FROM (
            SELECT pid FROM pg_stat_activity WHERE datname = 'mercurio'
            ORDER BY state = 'active' DESC, random() LIMIT 1) AS one",
    )?;
    let pid: u32 = pid.parse()?;
    if pid == 0 {
        return Ok(None);
    }
    signal(pid, rustix::process::Signal::KILL);
    primary.start()?;
    Ok(Some(format!("of {}", primary.name)))
}

fn kill_postmaster(site: &Site, random: &mut fastrand::Rng) -> Done {
    let primary = site.cluster.primary();
    // Alone, or with everything.
    let how = if random.bool() {
        primary.kill_postmaster()?;
        "alone"
    } else {
        primary.kill()?;
        "with all backends"
    };
    pause(random, 0..1_000);
    primary.start()?;
    Ok(Some(format!("of {}, {how}", primary.name)))
}

fn restart(site: &Site, random: &mut fastrand::Rng) -> Done {
    let primary = site.cluster.primary();
    let mode = if random.bool() { "fast" } else { "immediate" };
    primary.stop(mode)?;
    pause(random, 0..500);
    primary.start()?;
    Ok(Some(format!("{}, in mode {mode}", primary.name)))
}

fn kill_standby(site: &Site, random: &mut fastrand::Rng) -> Done {
    let standby = site.cluster.standby();
    standby.kill()?;
    pause(random, 0..1_500);
    standby.start()?;
    Ok(Some(standby.name.to_owned()))
}

fn lock(site: &Site, random: &mut fastrand::Rng) -> Done {
    let table = TABLES[random.usize(0..TABLES.len())];
    let seconds = f64::from(random.u32(2..40)) / 10.0;
    let locked = site.cluster.primary().execute_in(
        "mercurio",
        &format!(
            "BEGIN; SET LOCAL lock_timeout = '5s'; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;
             SELECT pg_sleep({seconds}); COMMIT"
        ),
    );
    // The lock may not be had in time, or its connection be lost.
    Ok(locked.is_ok().then(|| table.to_owned()))
}

fn fill_disk(site: &Site, random: &mut fastrand::Rng) -> Done {
    let is_standby = random.u8(0..4) == 0;
    let node = if is_standby { site.cluster.standby() } else { site.cluster.primary() };
    if !node.disk.fill()? {
        return Ok(None);
    }
    pause(random, 1_000..4_000);
    node.disk.free()?;
    // PostgreSQL panics if it cannot write its WAL.
    site.cluster.heal()?;
    let role = if is_standby { "standby" } else { "primary" };
    Ok(Some(format!("of {}, the {role}", node.name)))
}

fn fail_over(site: &Site, _random: &mut fastrand::Rng) -> Done {
    end_synchronous_part(site)?;
    Ok(match site.cluster.fail_over()? {
        Failover::Done(details) => Some(details),
        Failover::NotNow(reason) => {
            site.journal.say(format_args!("no failover: {reason}"));
            None
        }
    })
}
