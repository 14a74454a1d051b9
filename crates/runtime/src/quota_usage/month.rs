//! The usage of one tenant in one month, as one server knows it. Pure arithmetic: no clock, no
//! lock, no store.
//!
//! A read of the store contains every submission settled before its start, and none admitted after
//! its end. It may or may not contain the others: they are counted apart, as `around` the read.

/// Events admitted by this server.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    /// Events of unsettled submissions.
    in_flight: u64,
    /// Events stored.
    stored: u64,
}

impl Tally {
    fn sum(self) -> u64 {
        self.in_flight + self.stored
    }
}

/// Usage by the last read, and the events admitted since.
#[derive(Debug, Default)]
pub(super) struct MonthUsage {
    /// Events by the last read.
    read: u64,
    /// Number of finished reads.
    reads: u64,
    /// Submissions outside the last read: admitted after its end.
    since: Tally,
    /// Submissions perhaps in the last read.
    around: Tally,
    /// Events stored since the start of the running read.
    stored_during_read: u64,
}

/// Whether events fit into a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// They fit in any case.
    Fits,
    /// They do not fit in any case.
    Exceeds {
        /// Events used.
        used: u64,
    },
    /// It depends on the submissions around the last read.
    Unclear {
        /// Events used at most.
        used: u64,
    },
}

/// A submission in flight, by its size and the number of reads before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admitted {
    events: u64,
    reads: u64,
}

impl MonthUsage {
    pub(super) fn fit(&self, events: u64, limit: u64) -> Fit {
        let certain = self.read + self.since.sum();
        let possible = certain + self.around.sum();
        if possible.saturating_add(events) <= limit {
            Fit::Fits
        } else if certain.saturating_add(events) > limit {
            Fit::Exceeds { used: certain }
        } else {
            Fit::Unclear { used: possible }
        }
    }

    /// Returns the events used by the last read.
    pub(super) fn last_read(&self) -> u64 {
        self.read
    }

    /// Counts a submission as in flight.
    pub(super) fn admit(&mut self, events: u64) -> Admitted {
        self.since.in_flight += events;
        Admitted { events, reads: self.reads }
    }

    /// Ends a submission. Its transaction has ended, and stored `stored` of its events.
    pub(super) fn settle(&mut self, admitted: Admitted, stored: u64) {
        debug_assert!(stored <= admitted.events, "{stored} of {admitted:?}");
        let tally = self.take_from_flight(admitted);
        tally.stored += stored;
        self.stored_during_read += stored;
    }

    /// Ends a submission with an unknown outcome. Its events count as stored until the end of a
    /// read started after now.
    pub(super) fn settle_unknown(&mut self, admitted: Admitted) {
        self.take_from_flight(admitted);
        self.around.stored += admitted.events;
        self.stored_during_read += admitted.events;
    }

    fn take_from_flight(&mut self, admitted: Admitted) -> &mut Tally {
        let is_since = admitted.reads == self.reads;
        let tally = if is_since { &mut self.since } else { &mut self.around };
        debug_assert!(tally.in_flight >= admitted.events, "{tally:?} lacks {admitted:?}");
        tally.in_flight -= admitted.events;
        tally
    }

    /// A read starts.
    pub(super) fn start_read(&mut self) {
        self.stored_during_read = 0;
    }

    /// The running read has finished.
    pub(super) fn finish_read(&mut self, used: u64) {
        self.read = used;
        self.reads += 1;
        self.around = Tally {
            in_flight: self.around.in_flight + self.since.in_flight,
            stored: self.stored_during_read,
        };
        self.since = Tally::default();
    }

    /// Whether a submission is unsettled.
    pub(super) fn is_in_flight(&self) -> bool {
        self.since.in_flight + self.around.in_flight > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(used: u64) -> MonthUsage {
        let mut usage = MonthUsage::default();
        usage.start_read();
        usage.finish_read(used);
        usage
    }

    #[test]
    fn events_fit_up_to_the_limit() {
        let usage = read(7);
        assert_eq!(usage.fit(3, 10), Fit::Fits);
        assert_eq!(usage.fit(4, 10), Fit::Exceeds { used: 7 });
        assert_eq!(usage.fit(0, 7), Fit::Fits);
        assert_eq!(usage.fit(1, 5), Fit::Exceeds { used: 7 }, "a quota below the usage");
        assert_eq!(usage.fit(u64::MAX, 10), Fit::Exceeds { used: 7 });
    }

    #[test]
    fn submission_counts_whole_in_flight_and_settled_as_stored() {
        let mut usage = read(0);
        let admitted = usage.admit(6);
        assert_eq!(usage.fit(4, 10), Fit::Fits);
        assert_eq!(usage.fit(5, 10), Fit::Exceeds { used: 6 });
        usage.settle(admitted, 2);
        assert_eq!(usage.fit(8, 10), Fit::Fits);
        assert_eq!(usage.fit(9, 10), Fit::Exceeds { used: 2 });
        assert!(!usage.is_in_flight());
    }

    #[test]
    fn read_contains_what_was_settled_before_it_started() {
        let mut usage = read(0);
        let admitted = usage.admit(6);
        usage.settle(admitted, 6);
        usage.start_read();
        usage.finish_read(6);
        assert_eq!(usage.fit(4, 10), Fit::Fits);
        assert_eq!(usage.fit(5, 10), Fit::Exceeds { used: 6 });
    }

    #[test]
    fn submission_settled_during_a_read_leaves_it_unclear() {
        for used in [0, 6] {
            let mut usage = read(0);
            let admitted = usage.admit(6);
            usage.start_read();
            usage.settle(admitted, 6);
            usage.finish_read(used);
            assert_eq!(usage.fit(14 - used, 20), Fit::Fits);
            assert_eq!(usage.fit(15 - used, 20), Fit::Unclear { used: used + 6 });
            assert_eq!(usage.fit(20 - used, 20), Fit::Unclear { used: used + 6 });
            assert_eq!(usage.fit(21 - used, 20), Fit::Exceeds { used });
            usage.start_read();
            usage.finish_read(6);
            assert_eq!(usage.fit(14, 20), Fit::Fits);
            assert_eq!(usage.fit(15, 20), Fit::Exceeds { used: 6 });
        }
    }

    #[test]
    fn submission_in_flight_over_a_read_is_unclear_until_the_next() {
        let mut usage = read(0);
        let admitted = usage.admit(6);
        usage.start_read();
        usage.finish_read(0);
        assert!(usage.is_in_flight());
        assert_eq!(usage.fit(5, 10), Fit::Unclear { used: 6 });
        usage.settle(admitted, 6);
        assert_eq!(usage.fit(5, 10), Fit::Unclear { used: 6 });
        usage.start_read();
        usage.finish_read(6);
        assert_eq!(usage.fit(5, 10), Fit::Exceeds { used: 6 });
    }

    #[test]
    fn submission_admitted_during_a_read_may_be_in_it() {
        let mut usage = read(0);
        usage.start_read();
        let admitted = usage.admit(6);
        usage.settle(admitted, 6);
        usage.finish_read(0);
        assert_eq!(usage.fit(4, 10), Fit::Fits);
        assert_eq!(usage.fit(5, 10), Fit::Unclear { used: 6 });
    }

    #[test]
    fn unknown_outcome_counts_as_stored_until_a_later_read() {
        let mut usage = read(0);
        let (first, second) = (usage.admit(3), usage.admit(3));
        usage.settle_unknown(first);
        usage.start_read();
        usage.settle_unknown(second);
        assert_eq!(usage.fit(4, 10), Fit::Fits);
        assert_eq!(usage.fit(5, 10), Fit::Unclear { used: 6 });
        usage.finish_read(3);
        assert_eq!(usage.fit(4, 10), Fit::Fits);
        assert_eq!(usage.fit(5, 10), Fit::Unclear { used: 6 });
        usage.start_read();
        usage.finish_read(3);
        assert_eq!(usage.fit(7, 10), Fit::Fits);
    }

    #[test]
    fn failed_read_changes_nothing() {
        let mut usage = read(2);
        let admitted = usage.admit(4);
        usage.start_read();
        usage.settle(admitted, 4);
        // No finish_read.
        assert_eq!(usage.fit(5, 10), Fit::Exceeds { used: 6 });
        usage.start_read();
        usage.finish_read(6);
        assert_eq!(usage.fit(4, 10), Fit::Fits);
    }
}
