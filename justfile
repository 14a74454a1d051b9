# The work of a developer, by name. `just` lists the recipes; `just check` is what CI runs.

set dotenv-load
set positional-arguments

sqlite := "sqlite://data/mercurio.db"

# List the recipes
default:
    @just --list --unsorted

# Run the ingest server on SQLite in data/, whatever .env says
dev *ARGS:
    @mkdir -p data
    DATABASE_URL={{ sqlite }} MERCURIO_AUTO_MIGRATE=true cargo run -p mercurio-ingest -- "$@"

# The gate: format, lints, documentation, all tests
check:
    scripts/check

# Run tests with a PostgreSQL of their own, for example: just test -p mercurio-storage
test *ARGS:
    scripts/with-postgres cargo test "$@"

# Format all code
fmt:
    cargo fmt --all

# Show what clippy has to say
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Build the documentation of our crates into target/doc
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Bring the database of DATABASE_URL (default: SQLite in data/) to the newest schema
migrate *ARGS:
    @mkdir -p data
    cargo run -q -p mercurio-admin -- migrate "$@"

# Make a tenant, a workspace and a key, for example: just provision --tenant Acme
provision *ARGS:
    @mkdir -p data
    cargo run -q -p mercurio-admin -- provision "$@"

# Open psql on DATABASE_URL, or on an empty server that ends with it
psql *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    case "${DATABASE_URL:-}" in
        postgres://* | postgresql://*) exec psql "$DATABASE_URL" "$@" ;;
        *) exec scripts/with-postgres sh -c 'exec psql "$MERCURIO_TEST_POSTGRES_URL" "$@"' psql "$@" ;;
    esac

# Start a migration: the same up.sql and down.sql for both databases, to be filled in
migration NAME:
    #!/usr/bin/env bash
    set -euo pipefail
    if [[ ! $1 =~ ^[a-z][a-z0-9_]*$ ]]; then
        echo "a migration's name has small letters, digits and _: $1" >&2
        exit 64
    fi
    stamp=$(date -u +%Y-%m-%d-%H%M%S)
    for database in postgres sqlite; do
        folder=migrations/$database/${stamp}_$1
        mkdir -p "$folder"
        echo "-- What this migration brings, and why." >"$folder/up.sql"
        echo "-- How it is undone." >"$folder/down.sql"
        echo "$folder"
    done

# Build both programs for release, with TLS to PostgreSQL (needs perl and make)
release:
    cargo build --release --locked -p mercurio-ingest -p mercurio-admin --features tls

# Measure the write path against the raw floor of PostgreSQL; see docs/benchmarks.md.
bench *ARGS:
    cargo build --release --bin mercurio-ingest --bin mercurio-bench
    scripts/with-postgres --durable target/release/mercurio-bench {{ ARGS }}
