//! How a writer comes by what it counts from, each step in a short transaction.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use mercurio_domain::TenantId;
use mercurio_domain::store::Account;
use uuid::Uuid;

use super::super::schema::{quota_writers, tenant_usage};
use super::rows::{self, Row};
use super::writer::{Seat, Series, Writer};
use super::{keys, moved};
use crate::error::Error;
use crate::transaction;

/// Of what is left, a writer gets as many parts as if so many more than those that have some wanted one too.
const PARTS_KEPT: u64 = 3;

/// Begins a transaction that need not be on the disk when it ends: it is before the first group is that counts from what was reserved, or
/// taken back, and lost together with it. No writer counts by another connection from what it has in mind.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL synchronous_commit = off";

/// Sees to it that the writer has a seat and may count what is needed, and returns the accounts of which there is too little left to
/// reserve any.
///
/// # Errors
/// [`ErrorKind::QuotaMoved`](crate::error::ErrorKind::QuotaMoved) where others were faster.
pub(super) fn prepare(
    connection: &mut PgConnection,
    writer: &mut Writer,
    needs: &BTreeMap<Account, u64>,
) -> Result<Vec<Account>, Error> {
    let scarce = look_after(connection, writer, needs);
    if scarce.is_err() {
        // What was committed of it is not known.
        writer.distrust();
    }
    scarce
}

fn look_after(
    connection: &mut PgConnection,
    writer: &mut Writer,
    needs: &BTreeMap<Account, u64>,
) -> Result<Vec<Account>, Error> {
    let seat = match writer.ready() {
        Some(seat) => seat,
        None => {
            let (seat, is_same) =
                transaction::within(connection, BEGIN, |connection| sit(connection, writer))?;
            writer.seated(seat, is_same);
            seat
        }
    };
    let is_lacking = |(account, events): &(&Account, &u64)| writer.left(account) < **events;
    let lacking: BTreeMap<Account, u64> =
        needs.iter().filter(is_lacking).map(|(account, events)| (*account, *events)).collect();
    if lacking.is_empty() {
        return Ok(Vec::new());
    }
    let short = match reserve(connection, writer, seat, &lacking)? {
        Outcome::Reserved { short } => short,
        Outcome::Missing(accounts) => {
            rows::make(connection, &accounts)?;
            match reserve(connection, writer, seat, &lacking)? {
                Outcome::Reserved { short } => short,
                Outcome::Missing(_) => return Err(moved()),
            }
        }
    };
    let mut scarce = Vec::new();
    for account in short {
        if !call_in(connection, writer, seat, account, lacking[&account])? {
            scarce.push(account);
        }
    }
    Ok(scarce)
}

/// Begins a new epoch in the seat, or takes another one, where everything is added up that was counted before. And tells whether nothing
/// changed that is reserved for it, as far as it knew.
fn sit(connection: &mut PgConnection, writer: &Writer) -> Result<(Seat, bool), Error> {
    use quota_writers::{epoch, number, owner, seen_at, table, writer_id};
    let Some(known) = writer.seat else { return Ok((another(connection)?, false)) };
    let row =
        table.filter(writer_id.eq(known.id)).filter(owner.eq(known.owner)).select((epoch, number));
    let Some((found, first)) =
        row.for_no_key_update().first::<(i64, i64)>(connection).optional()?
    else {
        return Ok((another(connection)?, false));
    };
    let now = Seat { epoch: found, ..known };
    let is_same = now == known && writer.is_trusted();
    if is_same {
        keys::settle(connection, known.series(), writer)?;
    } else {
        if now == known {
            // What it stored last may not have come to an end yet.
            keys::fence(connection, known.series(), short(first))?;
        }
        // A database that has lost its last moments, or a standby that has taken its place, may be in an epoch before.
        let first = Seat { epoch: found.min(known.epoch), ..known };
        keys::add_up(connection, first.series(), now.series(), true)?;
    }
    let next = Seat { epoch: found + 1, ..known };
    let begun = (epoch.eq(next.epoch), number.eq(0), seen_at.eq(diesel::dsl::now));
    diesel::update(table.find(next.id)).set(begun).execute(connection)?;
    Ok((next, is_same))
}

/// The seat of a writer that has long been silent, with what is reserved for it, or a new one.
fn another(connection: &mut PgConnection) -> Result<Seat, Error> {
    use quota_writers::{owner, seen_at, table, writer_id};
    let mine = Uuid::new_v4();
    let is_silent = diesel::dsl::sql::<Bool>("seen_at < now() - interval '5 minutes'");
    let silent = table
        .filter(is_silent)
        .order(writer_id)
        .select(writer_id)
        .for_no_key_update()
        .skip_locked();
    if let Some(id) = silent.first::<i64>(connection).optional()? {
        let epoch = call(connection, id)?.ok_or_else(moved)?;
        diesel::update(table.find(id))
            .set((owner.eq(mine), seen_at.eq(diesel::dsl::now)))
            .execute(connection)?;
        return Ok(Seat { id, owner: mine, epoch });
    }
    // The numbers may begin anew, where the schema was taken back and came again.
    let epoch = diesel::dsl::sql::<BigInt>("(random() * 1e15)::bigint");
    let values = (owner.eq(mine), quota_writers::epoch.eq(epoch), seen_at.eq(diesel::dsl::now));
    let new =
        diesel::insert_into(table).values(values).returning((writer_id, quota_writers::epoch));
    let (id, epoch) = new.get_result(connection)?;
    Ok(Seat { id, owner: mine, epoch })
}

/// As it stands in the database, where no larger one comes to be.
fn short(number: i64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// Holds the writer's row, and tells whether nothing that is reserved for it changed.
fn hold(connection: &mut PgConnection, seat: Seat) -> Result<bool, Error> {
    use quota_writers::{epoch, table};
    let held = table
        .find(seat.id)
        .select(epoch)
        .for_no_key_update()
        .first::<i64>(connection)
        .optional()?;
    Ok(held == Some(seat.epoch))
}

/// Holds another writer's row, adds up what it has counted, and makes it look before it counts again. Waits for the group that it is
/// storing. Returns its new epoch. `None`: there is no such writer.
pub(super) fn call(connection: &mut PgConnection, writer: i64) -> Result<Option<i64>, Error> {
    use quota_writers::{epoch, number, table};
    let held = table.find(writer).select((epoch, number)).for_no_key_update();
    let Some((found, first)) = held.first::<(i64, i64)>(connection).optional()? else {
        return Ok(None);
    };
    let series = Series { writer_id: writer, epoch: found };
    keys::fence(connection, series, short(first))?;
    keys::add_up(connection, series, series, false)?;
    diesel::update(table.find(writer))
        .set((epoch.eq(found + 1), number.eq(0)))
        .execute(connection)?;
    Ok(Some(found + 1))
}

/// Adds up what the writer itself has counted, whose row is held and has not changed. Its epoch goes on.
fn add_up_own(connection: &mut PgConnection, own: Seat, next: u16) -> Result<(), Error> {
    use quota_writers::{number, table};
    keys::add_up(connection, own.series(), own.series(), false)?;
    diesel::update(table.find(own.id)).set(number.eq(i64::from(next))).execute(connection)?;
    Ok(())
}

/// A writer's part of what is left, where it is enough.
fn part(left: u64, writers: u64, needed: u64) -> Option<u64> {
    let part = left / (writers + PARTS_KEPT);
    (part >= needed).then_some(part)
}

/// What came of [`reserve`].
enum Outcome {
    /// Something of all accounts but these, which have too little that is not reserved.
    Reserved { short: Vec<Account> },
    /// Nothing, since these have no rows yet.
    Missing(Vec<Account>),
}

/// Reserves of each account what is needed or more.
fn reserve(
    connection: &mut PgConnection,
    writer: &mut Writer,
    seat: Seat,
    lacking: &BTreeMap<Account, u64>,
) -> Result<Outcome, Error> {
    let accounts: Vec<Account> = lacking.keys().copied().collect();
    let (lefts, outcome) = transaction::within(connection, BEGIN, |connection| {
        let missing = rows::lock(connection, &accounts)?;
        if !missing.is_empty() {
            return Ok((Vec::new(), Outcome::Missing(missing)));
        }
        if !hold(connection, seat)? {
            return Err(moved());
        }
        let (mut shares, mut lefts, mut short) = (Vec::new(), Vec::new(), Vec::new());
        for (account, rows) in rows::read(connection, &accounts)? {
            let (mine, others): (Vec<&Row>, Vec<&Row>) =
                rows.iter().partition(|row| row.writer_id == seat.id);
            let (share, used) = mine.first().map_or((0, 0), |row| (row.share(), row.used()));
            // What is left to it is given back and shared out with the rest.
            let left = writer.left_of_any_limit(&account).unwrap_or(share.saturating_sub(used));
            let counted = share.saturating_sub(left);
            let taken: u64 = others.iter().map(|row| row.share()).sum::<u64>() + counted;
            let free = account.limit.saturating_sub(taken);
            let needed = lacking[&account];
            if (needed..=free).contains(&left) {
                // It had only forgotten.
                lefts.push((account, left));
                continue;
            }
            // Writers: all rows but the account's own, and this one.
            let part = part(free, others.len() as u64, needed);
            shares.push((account, counted + part.unwrap_or(0)));
            lefts.push((account, part.unwrap_or(0)));
            short.extend(part.is_none().then_some(account));
        }
        if !shares.is_empty() {
            rows::reserve(connection, seat.id, &shares)?;
        }
        Ok((lefts, Outcome::Reserved { short }))
    })?;
    lefts.iter().for_each(|(account, left)| writer.reserve(account, *left));
    Ok(outcome)
}

/// Takes back what is reserved of the account, for whomever, and reserves anew. `false`: there is too little left.
fn call_in(
    connection: &mut PgConnection,
    writer: &mut Writer,
    seat: Seat,
    account: Account,
    needed: u64,
) -> Result<bool, Error> {
    let part = transaction::within(connection, BEGIN, |connection| {
        if !rows::lock(connection, &[account])?.is_empty() {
            return Err(moved());
        }
        let closed = close(connection, writer, seat, &[account], true)?;
        if !closed.is_own_unchanged {
            return Err(moved());
        }
        let rows = &closed.rows[&account];
        let mine = rows.iter().find(|row| row.writer_id == seat.id);
        let others = rows.len() - usize::from(mine.is_some());
        let part = part(account.limit.saturating_sub(rows::sum_used(rows)), others as u64, needed);
        if let Some(part) = part {
            rows::reserve(connection, seat.id, &[(account, mine.map_or(0, Row::used) + part)])?;
        }
        Ok(part)
    })?;
    writer.reserve(&account, part.unwrap_or(0));
    Ok(part.is_some())
}

/// What was found where all that is reserved was taken back.
pub(super) struct Closed {
    /// The rows of each account. What is used of them is exact: as long as this transaction lasts, nobody else counts anything.
    pub(super) rows: BTreeMap<Account, Vec<Row>>,
    /// Whether nothing that is reserved for the writer itself was changed by others before, as far as it was looked at.
    pub(super) is_own_unchanged: bool,
}

/// Takes back what is reserved of accounts whose own rows are held. Holds the writer's own row too, where `holds_own`.
pub(super) fn close(
    connection: &mut PgConnection,
    writer: &Writer,
    own: Seat,
    accounts: &[Account],
    holds_own: bool,
) -> Result<Closed, Error> {
    let mut rows = rows::read(connection, accounts)?;
    let open = rows.values().flatten().filter(|row| row.is_open()).map(|row| row.writer_id);
    let mut writers: Vec<i64> = open.chain(holds_own.then_some(own.id)).collect();
    writers.sort_unstable();
    writers.dedup();
    let mut is_own_unchanged = true;
    for id in &writers {
        let is_own = *id == own.id;
        if is_own && hold(connection, own)? {
            add_up_own(connection, own, writer.number())?;
        } else {
            // Also its own seat: it may be somebody else's now.
            call(connection, *id)?;
            is_own_unchanged &= !is_own;
        }
    }
    if !writers.is_empty() {
        rows::take_back(connection, accounts)?;
        rows = rows::read(connection, accounts)?;
    }
    Ok(Closed { rows, is_own_unchanged })
}

/// Forgets what was counted of a tenant, and makes the writers look that have something reserved of it.
pub(in crate::postgres) fn forget(
    connection: &mut PgConnection,
    tenant_id: TenantId,
) -> Result<(), Error> {
    use tenant_usage::{month, share, table, used, writer_id};
    let mine = tenant_usage::tenant_id.eq(tenant_id.0);
    let own = table.filter(mine).filter(writer_id.eq(rows::NOBODY)).order(month).select(month);
    own.for_no_key_update().load::<i64>(connection)?;
    let open =
        table.filter(mine).filter(share.gt(used)).select(writer_id).distinct().order(writer_id);
    let called = open.load::<i64>(connection)?;
    for writer in &called {
        call(connection, *writer)?;
    }
    let gone = diesel::delete(table.filter(mine)).returning((writer_id, share.gt(used)));
    let gone: Vec<(i64, bool)> = gone.get_results(connection)?;
    // Somebody began a month and reserved of it just now.
    let is_unknown = gone.iter().any(|(writer, is_open)| *is_open && !called.contains(writer));
    let left: i64 = table.filter(mine).filter(share.gt(used)).count().get_result(connection)?;
    if is_unknown || left > 0 {
        return Err(moved());
    }
    Ok(())
}
