"""Steps of scripts/try-clients: real clients of other services send to a real server, and the rows of the database are compared
with what they sent.

    python3 -m scripts.sdks.trial PROGRAMS TOOLS

PROGRAMS is the folder with mercurio-ingest and mercurio-admin, TOOLS the one with the clients. With MERCURIO_TEST_POSTGRES_URL the
steps run on SQLite, and then on PostgreSQL.
"""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CLIENTS = ["segment-python", "segment-node", "rudder-python", "rudder-node"]
HERE = Path(__file__).parent
# Longer than any client goes on sending in these steps.
CLIENT_SECONDS = 60
COLUMNS = ["event_id", "type", "event_name", "user_id", "anonymous_id", "properties", "traits", "context"]


def say(text):
    print(f"try-clients: {text}", flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f"after {seconds} s: {what}")


class Sqlite:
    name = "SQLite"

    def __init__(self, folder):
        self.path = f"{folder}/mercurio.db"
        self.url = f"sqlite://{self.path}"

    def rows(self, prefix):
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        with contextlib.closing(database):
            select = f"SELECT {', '.join(COLUMNS)} FROM events WHERE event_id LIKE ?"
            found = database.execute(select, [f"{prefix}%"]).fetchall()
        rows = [dict(zip(COLUMNS, row)) for row in found]
        for row in rows:
            for payload in ("properties", "traits", "context"):
                row[payload] = json.loads(row[payload]) if row[payload] else None
        return rows

    @contextlib.contextmanager
    def away(self):
        """Another process writes, and no commit succeeds."""
        database = sqlite3.connect(self.path, isolation_level=None)
        with contextlib.closing(database):
            database.execute("BEGIN IMMEDIATE")
            yield
            database.execute("ROLLBACK")


class Postgres:
    name = "PostgreSQL"

    def __init__(self, server):
        self.server = server
        self.database = f"clients_{os.getpid()}"
        self.query("postgres", f"CREATE DATABASE {self.database}")
        self.url = f"{server.rsplit('/', 1)[0]}/{self.database}"

    def query(self, database, sql):
        url = f"{self.server.rsplit('/', 1)[0]}/{database}"
        done = subprocess.run(["psql", "-qXAt", url, "-c", sql], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def rows(self, prefix):
        select = f"SELECT {', '.join(COLUMNS)} FROM events WHERE event_id LIKE '{prefix}%'"
        return json.loads(self.query(self.database, f"SELECT coalesce(json_agg(row), '[]') FROM ({select}) AS row"))

    @contextlib.contextmanager
    def away(self):
        """No connection is left, and no new one succeeds."""
        self.query("postgres", f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS false")
        self.query("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database}'")
        yield
        self.query("postgres", f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS true")


class Server:
    """A server on one port, with a tenant and key for each client."""

    def __init__(self, programs, database, folder):
        self.programs, self.database, self.folder = Path(programs).resolve(), database, folder
        self.port, self.process, self.settings = free_port(), None, {}
        self.admin("migrate", "up")
        provision = lambda name: json.loads(self.admin("provision", "--tenant", name, "--workspace", "Trial"))
        self.keys = {name: provision(name)["api_key"]["key"] for name in CLIENTS}

    @property
    def host(self):
        return f"http://127.0.0.1:{self.port}"

    def environment(self):
        return {"PATH": os.environ["PATH"], "DATABASE_URL": self.database.url}

    def admin(self, *arguments):
        done = subprocess.run(
            [self.programs / "mercurio-admin", *arguments], env=self.environment(), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def start(self, **settings):
        self.settings = settings
        environment = {
            **self.environment(),
            "MERCURIO_ADDR": f"127.0.0.1:{self.port}",
            "MERCURIO_LOG_FORMAT": "json",
            # A restart takes less than a second: the shortest time that a client goes on.
            "MERCURIO_SHUTDOWN_DELAY_SECONDS": "0",
            **settings,
        }
        with open(f"{self.folder}/log", "ab") as log:
            self.process = subprocess.Popen([self.programs / "mercurio-ingest"], env=environment, cwd=self.folder, stdout=log, stderr=log)
        until(self.is_ready, 20, "the server is not ready")

    def is_ready(self):
        assert self.process.poll() is None, Path(f"{self.folder}/log").read_text(encoding="utf-8")[-2000:]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
        return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0

    def restart(self, **settings):
        self.stop()
        self.start(**settings)

    def requests(self):
        """Statuses of all requests to write, from the log."""
        lines = Path(f"{self.folder}/log").read_text(encoding="utf-8").splitlines()
        lines = [json.loads(line) for line in lines if line.startswith("{")]
        return [line["status"] for line in lines if str(line.get("route", "")).startswith("/v1/batch")]


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
    return next(iter(Server(programs, Sqlite(other), other).keys.values()))


def trial(programs, tools, database, folder):
    server = Server(programs, database, folder)
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


main()
