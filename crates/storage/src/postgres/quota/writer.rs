//! A writer as it is known in this process: what is reserved for it, and the keys of its groups.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use mercurio_domain::TenantId;
use mercurio_domain::limits::Month;
use mercurio_domain::store::Account;
use uuid::Uuid;

/// Groups after which what a writer has counted is added up, so that whoever reads it finds little.
const MAX_GROUPS: u16 = 1_000;
/// After so long too. Far less than the silence after which a writer is given to somebody else.
const MAX_AGE: Duration = Duration::from_secs(30);
/// Accounts of which a writer keeps in mind what is reserved. What is forgotten is found again in the database.
const MAX_ACCOUNTS: usize = 100_000;

/// Where a writer is in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) id: i64,
    pub(super) owner: Uuid,
    pub(super) epoch: i64,
}

impl Seat {
    pub(super) fn series(self) -> Series {
        Series { writer_id: self.id, epoch: self.epoch }
    }
}

/// Whose groups they are: those of a writer in one of its epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) writer_id: i64,
    pub(super) epoch: i64,
}

impl Series {
    /// The key of the group of that number, or of another row of the same group. Five bytes for the writer, eight for the epoch, two for
    /// the number, one for the row: so all keys of a series lie beside each other, in the order of numbers.
    pub(super) fn key(self, number: u16, row: u8) -> Uuid {
        let writer = (self.writer_id.unsigned_abs() as u128) << 88;
        let epoch = u128::from(self.epoch.unsigned_abs()) << 24;
        Uuid::from_u128(writer | epoch | u128::from(number) << 8 | u128::from(row))
    }

    /// The first and the last key that one can have.
    pub(super) fn keys(self) -> (Uuid, Uuid) {
        (self.key(0, 0), self.key(u16::MAX, u8::MAX))
    }

    /// The number of the group that has this key.
    pub(super) fn number_of(key: Uuid) -> u16 {
        (key.as_u128() >> 8) as u16
    }
}

/// What is left of a reservation, which was made of a quota of `limit` events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reserved {
    limit: u64,
    left: u64,
    /// Whether that is another number than when all was added up.
    is_changed: bool,
}

/// A writer: it stores one group at a time.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) seat: Option<Seat>,
    /// The connection by which it looked at the database last. Another one may lead to another server, which has taken the place of the
    /// first and may lack the last things that were committed there.
    connection: u64,
    /// Whether the database agrees with what follows, as far as is known.
    is_trusted: bool,
    /// By account. Of what is missing here nothing was counted that is not added up.
    reserved: HashMap<(TenantId, Month), Reserved>,
    /// The number of its next group in this epoch.
    number: u16,
    added_up_at: Instant,
}

impl Default for Writer {
    fn default() -> Self {
        let reserved = HashMap::new();
        Self {
            seat: None,
            connection: 0,
            is_trusted: false,
            reserved,
            number: 0,
            added_up_at: Instant::now(),
        }
    }
}

impl Writer {
    /// The events of the account that it may count without asking.
    pub(super) fn left(&self, account: &Account) -> u64 {
        let reserved =
            self.reserved.get(&account.key()).filter(|reserved| reserved.limit == account.limit);
        reserved.map_or(0, |reserved| reserved.left)
    }

    /// What is left, of whichever limit. `None`: all that is reserved and was not added up is left.
    pub(super) fn left_of_any_limit(&self, account: &Account) -> Option<u64> {
        self.reserved.get(&account.key()).map(|reserved| reserved.left)
    }

    /// So much is left for it now.
    pub(super) fn reserve(&mut self, account: &Account, left: u64) {
        self.reserved
            .insert(account.key(), Reserved { limit: account.limit, left, is_changed: true });
    }

    /// Nothing is reserved for it any more, and nothing was counted of the account that is not added up.
    pub(super) fn give_back(&mut self, account: &Account) {
        self.reserved.remove(&account.key());
    }

    /// The transaction that counted these was committed.
    pub(super) fn counted(&mut self, events: impl Iterator<Item = (Account, u64)>) {
        for (account, events) in events {
            if let Some(reserved) = self.reserved.get_mut(&account.key()) {
                reserved.left = reserved.left.saturating_sub(events);
                reserved.is_changed |= events > 0;
            }
        }
        self.number += 1;
    }

    /// What is left of those of which something else was left when all was added up.
    pub(super) fn changed(&self) -> impl Iterator<Item = ((TenantId, Month), u64)> {
        let changed = self.reserved.iter().filter(|(_, reserved)| reserved.is_changed);
        changed.map(|(key, reserved)| (*key, reserved.left))
    }

    /// It must look at the database before it counts again.
    pub(super) fn distrust(&mut self) {
        self.is_trusted = false;
        self.reserved.clear();
    }

    /// Whether what it knows is right, as far as it knows.
    pub(super) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// Whether it used this connection.
    pub(super) fn is_of(&self, connection: u64) -> bool {
        self.connection == connection
    }

    /// The number of its next group.
    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Its seat, where it need not be looked at before the next group.
    pub(super) fn ready(&self) -> Option<Seat> {
        let is_due =
            self.number >= MAX_GROUPS || (self.number > 0 && self.added_up_at.elapsed() >= MAX_AGE);
        self.seat.filter(|_| self.is_trusted && !is_due)
    }

    /// It has this seat, whose epoch has just begun: all that it has counted is added up. `is_same`: nothing that is reserved for it
    /// changed without its knowing.
    pub(super) fn seated(&mut self, seat: Seat, is_same: bool) {
        if !is_same || self.reserved.len() > MAX_ACCOUNTS {
            self.reserved.clear();
        }
        self.seat = Some(seat);
        self.is_trusted = true;
        self.number = 0;
        self.added_up_at = Instant::now();
        // What is over, or nearly used up.
        self.reserved.retain(|_, reserved| reserved.left > 0);
        self.reserved.values_mut().for_each(|reserved| reserved.is_changed = false);
    }
}

/// The writers of this process that are not storing anything just now.
#[derive(Debug, Default)]
pub(super) struct Writers(Vec<Writer>);

impl Writers {
    /// The one that used this connection before, or else the one whose connection is the oldest, and so probably gone, or a new one.
    pub(super) fn take(&mut self, connection: u64) -> Writer {
        if let Some(place) = self.0.iter().position(|writer| writer.connection == connection) {
            return self.0.swap_remove(place);
        }
        let oldest = (0..self.0.len()).min_by_key(|place| self.0[*place].connection);
        let mut writer = oldest.map(|place| self.0.swap_remove(place)).unwrap_or_default();
        writer.distrust();
        writer.connection = connection;
        writer
    }

    pub(super) fn put_back(&mut self, writer: Writer) {
        self.0.push(writer);
    }
}
