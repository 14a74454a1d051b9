//! A writer as it is known in this process: what is reserved for it, and the statement by which it counts from that.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::{Duration, Instant};

use mercurio_domain::TenantId;
use mercurio_domain::limits::Month;
use mercurio_domain::store::Account;
use uuid::Uuid;

/// What PostgreSQL says where a writer may not count: its row is held by somebody else, or changed without its knowing. A query can't
/// raise an error of its own: these words stand in for a number there, and are none.
pub(in crate::postgres) const NOT_FREE: &str = "the writer is not free to count";

/// What PostgreSQL names where it lacks [`PREPARE`], or has forgotten it: a connection that is older than the schema.
pub(super) const NOT_PREPARED: &str = "mercurio_count";

/// Prepares what [`Writer::counting`] executes. It waits for nobody.
pub(in crate::postgres) const PREPARE: &str = "
    PREPARE mercurio_count (bigint, bigint, bigint, bigint[], bigint[]) AS
    INSERT INTO quota_log (writer_id, month, tenant_ids, events)
    VALUES (coalesce((
        SELECT writer_id FROM quota_writers WHERE writer_id = $1 AND epoch = $2
        FOR NO KEY UPDATE SKIP LOCKED)::text, 'the writer is not free to count')::bigint, $3, $4, $5)";

/// Groups after which what a writer has counted is added up, so that whoever reads it finds little.
const MAX_LOGGED: u32 = 1_000;
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

/// What is left of a reservation, which was made of a quota of `limit` events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reserved {
    limit: u64,
    left: u64,
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
    /// By account. Of what is missing here nothing stands in the log.
    reserved: HashMap<(TenantId, Month), Reserved>,
    logged: u32,
    added_up_at: Instant,
}

impl Default for Writer {
    fn default() -> Self {
        let reserved = HashMap::new();
        Self { seat: None, connection: 0, is_trusted: false, reserved, logged: 0, added_up_at: Instant::now() }
    }
}

impl Writer {
    /// The events of the account that it may count without asking.
    pub(super) fn left(&self, account: &Account) -> u64 {
        let reserved = self.reserved.get(&account.key()).filter(|reserved| reserved.limit == account.limit);
        reserved.map_or(0, |reserved| reserved.left)
    }

    /// What is left, of whichever limit. `None`: all that is reserved and was not added up is left.
    pub(super) fn left_of_any_limit(&self, account: &Account) -> Option<u64> {
        self.reserved.get(&account.key()).map(|reserved| reserved.left)
    }

    /// So much is left for it now.
    pub(super) fn reserve(&mut self, account: &Account, left: u64) {
        self.reserved.insert(account.key(), Reserved { limit: account.limit, left });
    }

    /// Nothing is reserved for it any more, and of the account nothing stands in the log.
    pub(super) fn give_back(&mut self, account: &Account) {
        self.reserved.remove(&account.key());
    }

    /// The transaction that counted these was committed.
    pub(super) fn counted(&mut self, events: &BTreeMap<Account, u64>) {
        for (account, events) in events {
            if let Some(reserved) = self.reserved.get_mut(&account.key()) {
                reserved.left = reserved.left.saturating_sub(*events);
            }
        }
        self.logged += 1;
    }

    /// It must look at the database before it counts again.
    pub(super) fn distrust(&mut self) {
        self.is_trusted = false;
        self.reserved.clear();
    }

    /// Whether it used this connection.
    pub(super) fn is_of(&self, connection: u64) -> bool {
        self.connection == connection
    }

    /// Its seat, where it need not be looked at before the next group.
    pub(super) fn ready(&self) -> Option<Seat> {
        let is_due = self.logged >= MAX_LOGGED || (self.logged > 0 && self.added_up_at.elapsed() >= MAX_AGE);
        self.seat.filter(|_| self.is_trusted && !is_due)
    }

    /// It has this seat, and nothing of it stands in the log.
    pub(super) fn seated(&mut self, seat: Seat) {
        if !self.is_trusted || self.seat != Some(seat) || self.reserved.len() > MAX_ACCOUNTS {
            self.reserved.clear();
        }
        *self = Self {
            seat: Some(seat),
            connection: self.connection,
            is_trusted: true,
            reserved: std::mem::take(&mut self.reserved),
            logged: 0,
            added_up_at: Instant::now(),
        };
        // What is over, or nearly used up.
        self.reserved.retain(|_, reserved| reserved.left > 0);
    }

    /// The statements that count these events: one for each month. It fails with [`NOT_FREE`].
    pub(super) fn counting(seat: Seat, events: &BTreeMap<Account, u64>) -> String {
        let mut months: BTreeMap<Month, (String, String)> = BTreeMap::new();
        for (account, events) in events {
            let (tenants, counts) = months.entry(account.month).or_default();
            let comma = if tenants.is_empty() { "" } else { "," };
            // Writing to a String can't fail.
            write!(tenants, "{comma}{}", account.tenant_id.0).ok();
            write!(counts, "{comma}{events}").ok();
        }
        let mut sql = String::new();
        for (month, (tenants, counts)) in months {
            let (Seat { id, epoch, .. }, month) = (seat, month.number());
            write!(sql, "; EXECUTE mercurio_count ({id}, {epoch}, {month}, '{{{tenants}}}', '{{{counts}}}')").ok();
        }
        sql
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
