//! Statements whose text never changes, and which diesel therefore prepares once a connection: PostgreSQL plans them once, too. (diesel
//! keeps what has a static [`QueryId`](diesel::query_builder::QueryId); what is built by `sql_query` it prepares each time.)

/// Makes a type of a statement: its text, and between the parts of that its parameters.
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
