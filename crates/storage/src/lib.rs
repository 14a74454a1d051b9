//! All of Mercurio that knows SQL: PostgreSQL and SQLite behind the ports of the domain.
