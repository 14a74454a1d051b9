# Recipes for developers. `just` lists them; CI runs `just check`.

set dotenv-load
set positional-arguments

sqlite := "sqlite://data/mercurio.db"
# Passwords of the containers. Production sets COMPOSE_ENV_FILE to its own file.
compose := "docker compose --env-file " + env("COMPOSE_ENV_FILE", "deploy/development.env") + " -f deploy/compose.yml"

# List the recipes
default:
    @just --list --unsorted

# Run the ingest server on SQLite in data/, whatever .env says
dev *ARGS:
    @mkdir -p data
    DATABASE_URL={{ sqlite }} MERCURIO_AUTO_MIGRATE=true cargo run -p mercurio-ingest -- "$@"

# Run the gate: format, lints, layers, documents, all tests
check:
    scripts/check

# Run tests with a private PostgreSQL, for example: just test -p mercurio-storage
test *ARGS:
    scripts/with-postgres cargo test "$@"

# Format all code
fmt:
    cargo fmt --all

# Run clippy; warnings are errors
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Check layers, import cycles, manifests, and documents against code
tidy:
    cargo run -q --locked -p xtask -- tidy

# Build the documentation of the workspace into target/doc
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Migrate the database of DATABASE_URL (default: SQLite in data/) to the newest schema
migrate *ARGS:
    @mkdir -p data
    cargo run -q -p mercurio-admin -- migrate "$@"

# Create a tenant, a workspace and a key, for example: just provision --tenant Acme
provision *ARGS:
    @mkdir -p data
    cargo run -q -p mercurio-admin -- provision "$@"

# Open psql on DATABASE_URL, or on an empty temporary server
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

# Stop the containers and keep their volumes; to delete them: just down --volumes
down *ARGS:
    {{ compose }} --profile scaled --profile monitoring down "$@"

# Follow the containers' logs, for example: just logs server
logs *ARGS:
    {{ compose }} --profile scaled --profile monitoring logs --follow "$@"

# Show the health of a running server, at MERCURIO_MANAGEMENT_ADDR or MERCURIO_ADDR
health:
    @curl -fsS "http://${MERCURIO_MANAGEMENT_ADDR:-${MERCURIO_ADDR:-127.0.0.1:8080}}/health" | python3 -m json.tool

# Create an empty migration for both databases
migration NAME:
    #!/usr/bin/env bash
    set -euo pipefail
    if [[ ! $1 =~ ^[a-z][a-z0-9_]*$ ]]; then
        echo "$1 is not a migration name: use lower-case letters, digits and _, and begin with a letter" >&2
        exit 64
    fi
    stamp=$(date -u +%Y-%m-%d-%H%M%S)
    for database in postgres sqlite; do
        folder=migrations/$database/${stamp}_$1
        mkdir -p "$folder"
        echo "-- Purpose of this migration." >"$folder/up.sql"
        echo "-- Reverts up.sql." >"$folder/down.sql"
        echo "$folder"
    done

# Measure line coverage by crate; fails below 85 % in total
coverage:
    scripts/coverage

# Simulate the group writer with SEEDS seeds in each test; the gate takes 5,000
simulate SEEDS="100000":
    MERCURIO_SIM_SEEDS="$1" cargo test -p mercurio-simulation

# Break servers, network and database under load for SECONDS, for example: just chaos 60 --seed 4711; see docs/testing.md
chaos *ARGS:
    scripts/try-chaos "$@"

# Fuzz one target or all, for SECONDS each, for example: just fuzz decode 300. Needs cargo-fuzz (cargo install cargo-fuzz --locked) and a C++ compiler
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

# Try the Dockerfile and the Compose file without Docker, as root; see the script
try-containers:
    scripts/try-containers

# Try an upgrade with a migration under load, and the rollback, as root; see the script
try-upgrade:
    scripts/try-upgrade

# Fill the disk of PostgreSQL while a server writes to it, as root; see the script
try-full-disk:
    scripts/try-full-disk

# Fail over from a PostgreSQL primary to its standby under load; see the script
try-failover:
    scripts/try-failover

# Send events with clients of other services to a real server, on SQLite and PostgreSQL: those of the gate, some by name, or --all
try-clients *ARGS:
    scripts/try-clients "$@"

# Send events with clients of other services from pages in Chromium: those of the gate, or --all
try-browsers *ARGS:
    scripts/try-browsers "$@"

# Run the shell blocks of docs/deployment.md and the runbooks on a disposable machine, as root
try-documents:
    scripts/try-documents

# Audit licences, bans, sources and advisories of all dependencies by deny.toml (needs cargo-deny)
audit:
    scripts/audit

# Build a release into target/dist: programs, licences, bills of materials, checksums (needs cargo-cyclonedx, perl and make)
release:
    scripts/release

# Measure the write path against a PostgreSQL baseline; see docs/benchmarks.md
bench *ARGS:
    cargo build --release --bin mercurio-ingest --bin mercurio-bench
    scripts/with-postgres --durable target/release/mercurio-bench "$@"
