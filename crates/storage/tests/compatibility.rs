//! Schemas of newer releases. The database holds the minimum version that a program must know.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use mercurio_domain::store::{SchemaState, StoreError};
use mercurio_storage::testing::TestDatabase;

fn both() -> [TestDatabase; 2] {
    [TestDatabase::sqlite(), TestDatabase::postgres()]
}

fn unknown() -> Vec<String> {
    vec![TestDatabase::NEWER.to_owned()]
}

#[test]
fn newer_schema_is_compatible_until_the_minimum_rises() {
    for database in both() {
        let store = database.store();
        assert_eq!(store.schema_state().unwrap(), SchemaState::Current);
        database.apply_newer_migration();
        assert_eq!(store.schema_state().unwrap(), SchemaState::Compatible(unknown()));
        database.require_newer_program();
        assert_eq!(store.schema_state().unwrap(), SchemaState::Newer(unknown()));
        // Like the migration's down.sql.
        database.execute("UPDATE schema_compatibility SET minimum_version = '20261128000000'");
        assert_eq!(store.schema_state().unwrap(), SchemaState::Compatible(unknown()));
    }
}

#[test]
fn newer_schema_without_a_minimum_version_is_refused() {
    for database in both() {
        let store = database.store();
        database.apply_newer_migration();
        database.execute("DELETE FROM schema_compatibility");
        assert_eq!(store.schema_state().unwrap(), SchemaState::Newer(unknown()));
        database.execute("DROP TABLE schema_compatibility");
        assert_eq!(store.schema_state().unwrap(), SchemaState::Newer(unknown()));
    }
}

#[test]
fn schema_with_missing_and_unknown_migrations_is_newer() {
    for database in both() {
        database.apply_newer_migration();
        database.execute("DELETE FROM __diesel_schema_migrations WHERE version = '20261128000000'");
        assert_eq!(database.store().schema_state().unwrap(), SchemaState::Newer(unknown()));
    }
}

#[test]
fn minimum_version_is_one_valid_version() {
    for database in both() {
        let store = database.store();
        // The row is the only guard of older programs, so constraints protect it from typing
        // errors.
        for wrong in [
            "UPDATE schema_compatibility SET minimum_version = 'newest'",
            "INSERT INTO schema_compatibility VALUES (2, '20261128000000')",
        ] {
            let refused =
                // `execute` panics on a failed statement.
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| database.execute(wrong)));
            assert!(refused.is_err(), "{wrong}");
        }
        assert_eq!(store.schema_state().unwrap(), SchemaState::Current);
    }
}

#[test]
fn unknown_migration_is_not_reverted() {
    for database in both() {
        database.apply_newer_migration();
        let refused = database.store().revert().unwrap_err();
        assert!(
            matches!(&refused, StoreError::Internal(cause) if cause.to_string().contains(TestDatabase::NEWER)),
            "{refused:?}"
        );
        assert_eq!(database.store().schema_state().unwrap(), SchemaState::Compatible(unknown()));
        assert_eq!(database.store().migrate().unwrap(), Vec::<String>::new());
    }
}
