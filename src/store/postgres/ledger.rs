//! A batch as it is: its row, its slice of the plan, and the answers that are not in its sheet yet.
//!
//! Answers are appended as rows (`outcomes`) and folded into the sheet when the batch is given back, amended or claimed
//! again. Who folds holds the batch's row lock (FOR UPDATE); who appends holds it shared: nothing is folded twice or
//! passed over. The order of locks is batch, plan, total, post.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row as _};

use super::posts;
use super::session::Fault;
use super::values::{column, identifier, number};
use crate::domain::id::PostId;
use crate::domain::ledger::{Counts, PlannedRecipient};
use crate::domain::post::{Post, PostState};
use crate::store::sheet::{Noted, Sheet, shift};
use crate::store::{BatchKey, Result, record};

/// Parts of the total counts.
pub(super) const PARTS: u64 = 16;

/// A batch, with everything that was noted.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) key: BatchKey,
    /// Nanoseconds since 1970.
    pub(super) planned_at: i64,
    pub(super) tries: i32,
    pub(super) holder: i64,
    pub(super) closed: bool,
    /// As in its row, without the answers that are not folded.
    pub(super) folded: Counts,
    pub(super) plan: Vec<PlannedRecipient>,
    /// With all answers.
    pub(super) sheet: Sheet,
    pub(super) unfolded: bool,
}

/// Its columns.
struct Row {
    post: i64,
    number: i32,
    planned_at: i64,
    tries: i32,
    holder: i64,
    closed: bool,
    counts: Vec<u8>,
    sheet: Option<Vec<u8>>,
    plan: Vec<u8>,
    noted: Option<Vec<Vec<u8>>>,
}

impl<'r> FromRow<'r, PgRow> for Row {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            post: row.try_get("post")?,
            number: row.try_get("number")?,
            planned_at: row.try_get("planned_at")?,
            tries: row.try_get("tries")?,
            holder: row.try_get("holder")?,
            closed: row.try_get("closed")?,
            counts: row.try_get("counts")?,
            sheet: row.try_get("sheet")?,
            plan: row.try_get("plan")?,
            noted: row.try_get("noted")?,
        })
    }
}

/// One batch by post and number, of one instant.
const ONE: &str = "SELECT b.post, b.number, b.planned_at, b.tries, b.due, b.holder, b.closed, b.counts, b.sheet, s.plan, \
    (SELECT array_agg(o.noted ORDER BY o.place, o.node) FROM outcomes o WHERE o.post = b.post AND o.number = b.number) AS noted \
    FROM batches b JOIN slices s ON s.post = b.post AND s.planner = b.planner AND s.number = b.number \
    WHERE b.post = $1 AND b.number = $2";
/// All with answers that are not folded, of a post or of all.
const UNFOLDED: &str = "SELECT b.post, b.number, b.planned_at, b.tries, b.due, b.holder, b.closed, b.counts, b.sheet, s.plan, \
    (SELECT array_agg(o.noted ORDER BY o.place, o.node) FROM outcomes o WHERE o.post = b.post AND o.number = b.number) AS noted \
    FROM (SELECT DISTINCT post, number FROM outcomes WHERE $1::bigint IS NULL OR post = $1) u \
    JOIN batches b ON b.post = u.post AND b.number = u.number \
    JOIN slices s ON s.post = b.post AND s.planner = b.planner AND s.number = b.number";

impl TryFrom<Row> for Batch {
    type Error = crate::store::StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let key = BatchKey { post: PostId(identifier(row.post)), number: row.number.cast_unsigned() };
        let what = format!("batch {} of post {}", key.number, key.post);
        let plan: Vec<PlannedRecipient> = record::decode(&what, &row.plan)?;
        let mut sheet = match &row.sheet {
            Some(sheet) => record::decode(&what, sheet)?,
            None => Sheet::new(&plan),
        };
        if sheet.len() != plan.len() {
            return Err(record::damaged(&what, "plan and outcomes differ in length"));
        }
        let noted = row.noted.unwrap_or_default();
        for some in &noted {
            for one in &record::decode::<Vec<Noted>>(&what, some)? {
                sheet.note(one);
            }
        }
        Ok(Self {
            key,
            planned_at: row.planned_at,
            tries: row.tries,
            holder: row.holder,
            closed: row.closed,
            folded: record::decode(&what, &row.counts)?,
            plan,
            sheet,
            unfolded: !noted.is_empty(),
        })
    }
}

/// Reads a batch.
pub(super) async fn read(connection: &mut PgConnection, key: BatchKey) -> std::result::Result<Option<Batch>, Fault> {
    let row: Option<Row> = sqlx::query_as(ONE).bind(column(key.post.0)).bind(number(key.number)).fetch_optional(connection).await?;
    Ok(row.map(Batch::try_from).transpose()?)
}

/// Waits for the batch's lock, then reads it. What is read cannot change before the transaction ends.
pub(super) async fn lock(connection: &mut PgConnection, key: BatchKey) -> std::result::Result<Option<Batch>, Fault> {
    let query = sqlx::query("SELECT post FROM batches WHERE post = $1 AND number = $2 FOR UPDATE");
    let found = query.bind(column(key.post.0)).bind(number(key.number)).fetch_optional(&mut *connection).await?;
    // A statement of its own: what was appended while we waited is only seen by one that begins afterwards.
    if found.is_some() { read(connection, key).await } else { Ok(None) }
}

/// What answers that are not folded change in the counts, of a post or of all.
pub(super) async fn unfolded(connection: &mut PgConnection, post: Option<PostId>, counts: &mut Counts) -> std::result::Result<(), Fault> {
    let rows: Vec<Row> = sqlx::query_as(UNFOLDED).bind(post.map(|post| column(post.0))).fetch_all(connection).await?;
    for row in rows {
        let batch = Batch::try_from(row)?;
        shift(counts, &batch.folded, &batch.sheet.counts());
    }
    Ok(())
}

/// What becomes of a batch when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Whoever holds it keeps it.
    Stays,
    /// Nobody holds it; due at that millisecond.
    Waits(i64),
    /// Somebody has it: holder, node, end of the lease in milliseconds.
    Held(i64, i64, i64),
    /// Nobody is open in it.
    Closed,
}

/// Folds everything into the batch's row and the counts; with its last open batch the post is done.
pub(super) async fn write(connection: &mut PgConnection, batch: &Batch, fate: Fate) -> std::result::Result<(), Fault> {
    let counts = batch.sheet.counts();
    let (post, numbered) = (column(batch.key.post.0), number(batch.key.number));
    let sheet = record::encode(&batch.sheet)?;
    let text = match fate {
        Fate::Stays => "UPDATE batches SET sheet = $3, counts = $4, open = $5 WHERE post = $1 AND number = $2",
        Fate::Waits(_) => {
            "UPDATE batches SET sheet = $3, counts = $4, open = $5, holder = 0, due = $6, ready = $6 WHERE post = $1 AND number = $2"
        }
        Fate::Held(..) => {
            "UPDATE batches SET sheet = $3, counts = $4, open = $5, ready = $6, holder = $7, node = $8, tries = tries + 1 \
             WHERE post = $1 AND number = $2"
        }
        Fate::Closed => "UPDATE batches SET sheet = $3, counts = $4, open = $5, holder = 0, closed = true WHERE post = $1 AND number = $2",
    };
    let open = i32::try_from(counts.open()).unwrap_or(i32::MAX);
    let query = sqlx::query(text).bind(post).bind(numbered).bind(sheet).bind(record::encode(&counts)?).bind(open);
    let query = match fate {
        Fate::Stays | Fate::Closed => query,
        Fate::Waits(due) => query.bind(due),
        Fate::Held(holder, node, end) => query.bind(end).bind(holder).bind(node),
    };
    query.execute(&mut *connection).await?;
    if batch.unfolded {
        let query = sqlx::query("DELETE FROM outcomes WHERE post = $1 AND number = $2");
        query.bind(post).bind(numbered).execute(&mut *connection).await?;
    }
    let closes = fate == Fate::Closed && !batch.closed;
    if closes || counts != batch.folded {
        add_up(connection, batch, &counts, closes).await?;
    }
    Ok(())
}

async fn add_up(connection: &mut PgConnection, batch: &Batch, after: &Counts, closes: bool) -> std::result::Result<(), Fault> {
    let id = batch.key.post;
    let query = sqlx::query_as("SELECT open_batches, counts FROM plans WHERE post = $1 FOR UPDATE");
    let (open, counts): (i32, Vec<u8>) = query.bind(column(id.0)).fetch_one(&mut *connection).await?;
    let mut counts: Counts = record::decode("the counts of a plan", &counts)?;
    shift(&mut counts, &batch.folded, after);
    let open = open - i32::from(closes);
    let query = sqlx::query("UPDATE plans SET open_batches = $2, counts = $3 WHERE post = $1");
    query.bind(column(id.0)).bind(open).bind(record::encode(&counts)?).execute(&mut *connection).await?;
    total(connection, id, &batch.folded, after).await?;
    if closes && open == 0 {
        finish(connection, id).await?;
    }
    Ok(())
}

/// Changes the counts over all posts.
pub(super) async fn total(connection: &mut PgConnection, id: PostId, before: &Counts, after: &Counts) -> std::result::Result<(), Fault> {
    if before == after {
        return Ok(());
    }
    let part = i32::try_from(id.0 % PARTS).unwrap_or(0);
    let query = sqlx::query_scalar("SELECT counts FROM totals WHERE part = $1 FOR UPDATE");
    let row: Option<Vec<u8>> = query.bind(part).fetch_optional(&mut *connection).await?;
    let mut counts: Counts = row.as_ref().map(|row| record::decode("the total counts", row)).transpose()?.unwrap_or_default();
    shift(&mut counts, before, after);
    let query = if row.is_some() {
        sqlx::query("UPDATE totals SET counts = $2 WHERE part = $1")
    } else {
        // Two that insert the first one conflict, and one of them begins again.
        sqlx::query("INSERT INTO totals (part, counts) VALUES ($1, $2)")
    };
    query.bind(part).bind(record::encode(&counts)?).execute(connection).await?;
    Ok(())
}

async fn finish(connection: &mut PgConnection, id: PostId) -> std::result::Result<(), Fault> {
    let Some(post) = posts::lock(connection, id).await? else { return Ok(()) };
    if post.state == PostState::Planned {
        posts::write(connection, Some(&post), &Post { state: PostState::Done, ..post.clone() }).await?;
    }
    Ok(())
}
