//! Faults of the Mercurio servers. One at a time has one; the other serves.

use rustix::process::Signal;

use super::kind::{Done, Fault, pause};
use crate::server::Server;
use crate::site::Site;

pub(super) const FAULTS: &[Fault] = &[
    Fault { name: "server killed", weight: 5, run: kill },
    Fault { name: "server frozen", weight: 4, run: freeze },
    Fault { name: "server stopped", weight: 2, run: stop },
    Fault { name: "server's clock moved", weight: 3, run: move_clock },
];

/// Offsets for the clock: over an hour, a day and a month, and back.
const OFFSETS: [&str; 8] = ["-40d", "-2d", "-1h", "-20s", "+20s", "+1h", "+2d", "+40d"];

fn one<'a>(site: &'a Site, random: &mut fastrand::Rng) -> &'a Server {
    &site.servers[random.usize(0..site.servers.len())]
}

fn kill(site: &Site, random: &mut fastrand::Rng) -> Done {
    let server = one(site, random);
    server.kill();
    pause(random, 0..1_500);
    server.start()?;
    Ok(Some(format!("server {}", server.number)))
}

fn freeze(site: &Site, random: &mut fastrand::Rng) -> Done {
    let server = one(site, random);
    server.signal(Signal::STOP);
    pause(random, 200..4_000);
    server.signal(Signal::CONT);
    Ok(Some(format!("server {}", server.number)))
}

fn stop(site: &Site, random: &mut fastrand::Rng) -> Done {
    let server = one(site, random);
    // Any status will do: the database may have been away for the whole grace period.
    if server.stop().is_none() {
        site.journal.violation(format!("server {} does not stop", server.number));
    }
    server.start()?;
    Ok(Some(format!("server {}", server.number)))
}

fn move_clock(site: &Site, random: &mut fastrand::Rng) -> Done {
    let server = one(site, random);
    let offset = OFFSETS[random.usize(0..OFFSETS.len())];
    if !server.set_clock(offset)? {
        return Ok(None);
    }
    pause(random, 1_000..4_000);
    server.set_clock("+0")?;
    Ok(Some(format!("server {} by {offset} and back", server.number)))
}
