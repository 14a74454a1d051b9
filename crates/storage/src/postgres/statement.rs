//! Statements of constant text. diesel prepares a query with a static
//! [`QueryId`](diesel::query_builder::QueryId) once per connection, so PostgreSQL also plans it
//! once. A `sql_query` would be prepared on each call.

/// Defines a type for a statement: its text, with the parameters in between.
macro_rules! statement {
    (
        $(#[$meta:meta])*
        $visible:vis $name:ident $(-> $row:ty)? =
        $head:literal, $($field:ident: $rust:ty => $sql:ty, $text:literal),+ $(,)?
    ) => {
        $(#[$meta])*
        #[derive(Debug, diesel::query_builder::QueryId)]
        $visible struct $name {
            $($visible $field: $rust,)+
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut pass: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                // No `unsafe_to_cache_prepared`: the text never depends on the values.
                pass.push_sql($head);
                $(
                    pass.push_bind_param::<$sql, _>(&self.$field)?;
                    pass.push_sql($text);
                )+
                Ok(())
            }
        }

        $(
            impl diesel::query_builder::Query for $name {
                type SqlType = $row;
            }
        )?

        impl diesel::RunQueryDsl<diesel::PgConnection> for $name {}
    };
}

pub(super) use statement;
