//! Faults, in three lanes that run at the same time: network, servers, database.
//!
//! The seed decides the sequence of each lane. Their interleaving is up to the machine.

mod database;
mod kind;
mod network;
mod servers;

use std::time::Instant;

use kind::{Fault, choose, pause};

use crate::site::Site;

/// Pause after each fault of a lane. On average one fault a second comes from the three, and in
/// between the servers find back to their full rate.
const PAUSE_MILLIS: std::ops::Range<u64> = 300..3_300;

const LANES: [&[Fault]; 3] = [network::FAULTS, servers::FAULTS, database::FAULTS];

/// The names of all faults.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    LANES.into_iter().flatten().map(|fault| fault.name)
}

/// Causes faults until the end of the run. `only` limits their kinds, unless it is empty.
pub(crate) fn run_all(site: &Site, seed: u64, only: &[String]) {
    std::thread::scope(|scope| {
        for (number, lane) in LANES.into_iter().enumerate() {
            let is_wanted =
                |fault: &&Fault| only.is_empty() || only.iter().any(|name| name == fault.name);
            let faults: Vec<_> = lane.iter().filter(is_wanted).collect();
            // Lanes differ, or they would choose in step.
            let random = fastrand::Rng::with_seed(seed.wrapping_add(number as u64 + 1));
            if !faults.is_empty() {
                scope.spawn(move || run_lane(site, &faults, random));
            }
        }
    });
}

fn run_lane(site: &Site, faults: &[&Fault], mut random: fastrand::Rng) {
    while !site.is_over() {
        let fault = choose(faults, &mut random);
        let begun = Instant::now();
        match (fault.run)(site, &mut random) {
            Ok(Some(details)) => {
                let took = begun.elapsed().as_secs_f64();
                site.journal.fault(fault.name, format_args!("{details} ({took:.1} s)"));
            }
            // Nothing to hit, or root or a library is missing.
            Ok(None) => {}
            Err(error) => {
                site.journal.say(format_args!("{} failed: {error}", fault.name));
                if let Err(error) = site.cluster.heal() {
                    site.journal.violation(format!("the databases do not start again: {error}"));
                    return;
                }
            }
        }
        pause(&mut random, PAUSE_MILLIS);
    }
}
