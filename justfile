# The work of a developer, by name. `just` lists the recipes; `just check` is what CI runs.

set dotenv-load
set positional-arguments

sqlite := "sqlite://data/mercurio.db"
# Which passwords the containers get: production names a file of its own.
compose := "docker compose --env-file " + env("COMPOSE_ENV_FILE", "deploy/development.env") + " -f deploy/compose.yml"

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

# Build and start the containers, for example: COMPOSE_PROFILES=scaled,monitoring just up
up *ARGS:
    {{ compose }} up --build --detach --wait "$@"

# Stop the containers; their volumes stay, unless: just down --volumes
down *ARGS:
    {{ compose }} --profile scaled --profile monitoring down "$@"

# Follow the containers' logs, for example: just logs server
logs *ARGS:
    {{ compose }} --profile scaled --profile monitoring logs --follow "$@"

# Ask a running server how it is, at MERCURIO_MANAGEMENT_ADDR or MERCURIO_ADDR
health:
    @curl -fsS "http://${MERCURIO_MANAGEMENT_ADDR:-${MERCURIO_ADDR:-127.0.0.1:8080}}/health" | python3 -m json.tool

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

# Lines that the tests reach, by crate; fails below 85 % of all
coverage:
    scripts/coverage

# Random input for what strangers send, of one target of fuzz/ or of all, for so many seconds each, for example: just fuzz decode 300. Needs cargo-fuzz (cargo install cargo-fuzz --locked) and a C++ compiler
fuzz TARGET="all" SECONDS="60":
    #!/usr/bin/env bash
    set -euo pipefail
    export RUSTC_BOOTSTRAP=1
    targets=$1
    if [[ $targets == all ]]; then
        targets=$(cargo fuzz list)
    fi
    for target in $targets; do
        mkdir -p "fuzz/corpus/$target"
        echo "==> $target" >&2
        cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
            -max_total_time="$2" -max_len=8192 -timeout=10 -rss_limit_mb=1024
    done

# Carry out the Dockerfile and the Compose file step by step without Docker, as root; see the script
try-containers:
    scripts/try-containers

# Upgrade under load to a next release with a migration, and roll back from it, as root; see the script
try-upgrade:
    scripts/try-upgrade

# Fill the disk under a PostgreSQL while a server writes to it, as root; see the script
try-full-disk:
    scripts/try-full-disk

# Run the shell blocks of the deployment's documents and of the runbooks on a machine that is thrown away, as root
try-documents:
    scripts/try-documents

# Build both programs for release, with TLS to PostgreSQL (needs perl and make)
release:
    cargo build --release --locked -p mercurio-ingest -p mercurio-admin --features tls

# Measure the write path against the raw floor of PostgreSQL; see docs/benchmarks.md
bench *ARGS:
    cargo build --release --bin mercurio-ingest --bin mercurio-bench
    scripts/with-postgres --durable target/release/mercurio-bench "$@"
