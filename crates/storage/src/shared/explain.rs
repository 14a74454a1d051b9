//! Query plans, for tests.

use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};

use super::values::{EXPLAIN, PlanColumns};
use super::{Db, DbConnection};

/// Asks for the plan of a query, with its parameters bound.
pub(crate) struct Explain<Q>(pub(crate) Q);

impl<Q: QueryFragment<Db>> QueryFragment<Db> for Explain<Q> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Db>) -> QueryResult<()> {
        // A test explains each query once, so diesel need not keep the statement.
        pass.unsafe_to_cache_prepared();
        pass.push_sql(EXPLAIN);
        self.0.walk_ast(pass.reborrow())
    }
}

impl<Q> QueryId for Explain<Q> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Q> Query for Explain<Q> {
    type SqlType = PlanColumns;
}

impl<Q> RunQueryDsl<DbConnection> for Explain<Q> {}
