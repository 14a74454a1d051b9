# Starts a server of this build on an empty SQLite database and a free port. Sourced by check-api, check-clients and check-docs-page.
#
# Sets `addr`, `key` (with both scopes), `server` (its process) and `scratch`, a folder for the caller too. At exit the server ends, and
# the folder is deleted. The caller defines `say`, and runs in the root of the repository.
# shellcheck shell=bash

# With the options of the tests, so that it is built once.
cargo build -q --workspace --locked --bin mercurio-ingest
scratch=$(mktemp -d)
server=
finish() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$scratch"
}
trap finish EXIT

# The loop below may read both before the server starts.
touch "$scratch/log" "$scratch/greeting"
# No settings from the developer's environment. A limit of reads would refuse most of them.
env -i PATH="$PATH" DATABASE_URL="sqlite://$scratch/mercurio.db" MERCURIO_ADDR=127.0.0.1:0 MERCURIO_LOG_FORMAT=json \
    MERCURIO_READS_PER_SECOND=0 \
    "${CARGO_TARGET_DIR:-target}/debug/mercurio-ingest" >"$scratch/log" 2>"$scratch/greeting" &
server=$!
for _ in {1..300}; do
    addr=$(sed -n 's/.*"msg":"listening".*"addr":"\([^"]*\)".*/\1/p; s/.*"addr":"\([^"]*\)".*"msg":"listening".*/\1/p' "$scratch/log")
    key=$(grep -om1 'mk_[a-z0-9]*_[a-z0-9]*' "$scratch/greeting" || true)
    [[ -n $addr && -n $key ]] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
if [[ -z ${addr:-} || -z ${key:-} ]]; then
    cat "$scratch/greeting" >&2
    say "the server did not start"
    exit 1
fi
