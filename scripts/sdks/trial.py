"""Steps of scripts/try-clients: real clients of other services send to a real server, and the rows of the database are compared
with what they sent.

    python3 -m scripts.sdks.trial PROGRAMS TOOLS

PROGRAMS is the folder with mercurio-ingest and mercurio-admin, TOOLS the one with the clients. With MERCURIO_TEST_POSTGRES_URL the
steps run on SQLite, and then on PostgreSQL.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.sdks.server import Postgres, Server, Sqlite

CLIENTS = ["segment-python", "segment-node", "rudder-python", "rudder-node"]
HERE = Path(__file__).parent
# Longer than any client goes on sending in these steps.
CLIENT_SECONDS = 60


def say(text):
    print(f"try-clients: {text}", flush=True)


class Trial:
    def __init__(self, server, tools):
        self.server, self.tools = server, Path(tools).resolve()

    def run(self, client, calls, gzip=True, key=None):
        """Runs a client in a process of its own, and returns the errors it told."""
        is_python = client.endswith("python")
        program = [self.tools / "venv/bin/python", HERE / "client.py"] if is_python else ["node", HERE / "client.mjs"]
        task = {"host": self.server.host, "key": key or self.server.keys[client], "gzip": gzip, "calls": calls}
        environment = {"PATH": os.environ["PATH"], "CLIENTS_FOLDER": str(self.tools / "node")}
        done = subprocess.run(
            [*program, client], input=json.dumps(task), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=CLIENT_SECONDS
        )
        assert done.returncode == 0, (client, done.stdout, done.stderr)
        return json.loads(done.stdout)["errors"]

    def run_all(self, calls_of, **options):
        """Runs all clients at once, and returns the errors of each."""
        with ThreadPoolExecutor(len(CLIENTS)) as pool:
            runs = {client: pool.submit(self.run, client, calls_of(client), **options) for client in CLIENTS}
            return {client: run.result() for client, run in runs.items()}

    def stored(self, client, step, expected):
        """Compares the stored ids of a step with the expected ones, and returns the rows by id."""
        rows = self.server.database.rows(prefix(client, step))
        ids = sorted(row["event_id"] for row in rows)
        assert ids == sorted(expected), f"{client}, {step}: {len(ids)} of {len(expected)} stored: {sorted(set(expected) - set(ids))[:5]}"
        return {row["event_id"]: row for row in rows}

    # The steps.

    def every_type(self):
        """Every type of event, with the client's compression and without."""
        for step, gzip in (("gzip", True), ("plain", False)):
            quiet(self.run_all(lambda client: every_type(client, step), gzip=gzip))
            for client in CLIENTS:
                calls = every_type(client, step)
                rows = self.stored(client, step, ids(calls))
                for call in calls:
                    check_fields(client, call, rows[call["id"]])

    def bad_event(self):
        """A bad event in a batch costs nobody else, and no client sends the batch again."""
        before = len(self.server.requests())
        quiet(self.run_all(lambda client: [*tracks(client, "bad", 5), track(client, "bad", 5, user="u" * 300)]))
        for client in CLIENTS:
            self.stored(client, "bad", ids(tracks(client, "bad", 5)))
        statuses = self.server.requests()[before:]
        # A client that sends its first event alone may send the bad one alone too.
        assert set(statuses) <= {200}, statuses

    def wrong_key(self, key):
        """A wrong key is told to the owner of the client, and not tried again."""
        before = len(self.server.requests())
        errors = self.run_all(lambda client: tracks(client, "key", 1), key=key)
        for client in CLIENTS:
            assert errors[client], f"{client} told nobody of a wrong key"
            self.stored(client, "key", [])
        statuses = self.server.requests()[before:]
        assert statuses == [401] * len(CLIENTS), statuses

    def again(self):
        """The same events sent again are stored once."""
        for _ in range(2):
            quiet(self.run_all(lambda client: tracks(client, "again", 120)))
        for client in CLIENTS:
            self.stored(client, "again", ids(tracks(client, "again", 120)))

    def restarts(self):
        """The server restarts twice while clients send."""
        calls = lambda client: slowly(tracks(client, "restart", 60), 0.05)
        with background(lambda: self.run_all(calls)) as sending:
            for _ in range(2):
                time.sleep(1)
                self.server.restart(**self.server.settings)
        quiet(sending.result())
        for client in CLIENTS:
            self.stored(client, "restart", ids(calls(client)))

    def rate_limit(self):
        """429 with Retry-After: each client waits and loses nothing."""
        self.server.restart(MERCURIO_REQUESTS_PER_SECOND="1", MERCURIO_REQUESTS_BURST="1")
        before = len(self.server.requests())
        calls = lambda client: with_flushes(tracks(client, "limit", 4))
        quiet(self.run_all(calls))
        for client in CLIENTS:
            self.stored(client, "limit", ids(calls(client)))
        assert 429 in self.server.requests()[before:]
        self.server.restart()

    def database_away(self):
        """The database is away for five seconds while clients send."""
        before = len(self.server.requests())
        calls = lambda client: slowly(tracks(client, "away", 20), 0.1)
        with background(lambda: self.run_all(calls)) as sending:
            time.sleep(0.8)
            with self.server.database.away():
                time.sleep(5)
        quiet(sending.result())
        for client in CLIENTS:
            self.stored(client, "away", ids(calls(client)))
        say(f"    statuses while the database was away: {sorted(set(self.server.requests()[before:]))}")


@contextlib.contextmanager
def background(work):
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


def quiet(errors):
    told = {client: told for client, told in errors.items() if told}
    assert not told, f"clients told of errors: {told}"


def prefix(client, step):
    return f"{client}:{step}:"


def track(client, step, number, **changes):
    call = {"call": "track", "id": f"{prefix(client, step)}{number}", "user": "user-1", "name": "Order Completed", "payload": {"price": 9.5, "note": "größer"}}
    return {**call, **changes}


def tracks(client, step, count):
    return [track(client, step, number) for number in range(count)]


def every_type(client, step):
    kinds = ["track", "identify", "page", "screen", "group", "alias"]
    names = {"track": "Order Completed", "page": "Home", "screen": "Main"}
    return [track(client, step, number, call=kind, name=names.get(kind)) for number, kind in enumerate(kinds)]


def slowly(calls, seconds):
    return [part for call in calls for part in (call, {"call": "sleep", "seconds": seconds})]


def with_flushes(calls):
    return [part for call in calls for part in (call, {"call": "flush"})]


def ids(calls):
    return [call["id"] for call in calls if "id" in call]


def check_fields(client, call, row):
    kind = call["call"]
    assert (row["type"], row["event_name"]) == (kind, call["name"] or kind), row
    assert row["user_id"] == "user-1" and row["anonymous_id"] == ("old-1" if kind == "alias" else None), row
    payload = "traits" if kind in ("identify", "group") else "properties"
    for name, value in (call["payload"] if kind != "alias" else {}).items():
        assert row[payload][name] == value, row
    context = row["context"]
    assert context["library"]["name"], row
    kept = context.get("segment", {})
    assert kept.get("groupId") == ("g-1" if kind == "group" else None), row
    assert kept.get("previousId") == ("old-1" if kind == "alias" else None), row
    assert kept.get("channel") == ("server" if client.startswith("rudder") else None), row
    assert "mk_" not in json.dumps(row), row


def unknown_key(programs, folder):
    """Returns a well-formed key of another database."""
    other = Path(folder) / "other"
    other.mkdir()
    return next(iter(Server(programs, Sqlite(other), other, ["other"]).keys.values()))


def trial(programs, tools, database, folder):
    server = Server(programs, database, folder, CLIENTS)
    key = unknown_key(programs, folder)
    server.start()
    steps = Trial(server, tools)
    try:
        for step in (
            steps.every_type,
            steps.bad_event,
            lambda: steps.wrong_key(key),
            steps.again,
            steps.restarts,
            steps.rate_limit,
            steps.database_away,
        ):
            start = time.monotonic()
            step()
            name = getattr(step, "__name__", "")
            say(f"{database.name}: {'wrong_key' if name == '<lambda>' else name} ({time.monotonic() - start:.1f} s)")
    finally:
        if server.process.poll() is None:
            server.stop()


def main():
    programs, tools = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        trial(programs, tools, Sqlite(folder), folder)
    if url := os.environ.get("MERCURIO_TEST_POSTGRES_URL"):
        with tempfile.TemporaryDirectory() as folder:
            trial(programs, tools, Postgres(url), folder)


if __name__ == "__main__":
    main()
