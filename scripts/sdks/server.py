"""The server of the trials of clients, and its two databases: SQLite in a file, and a database of its own on a PostgreSQL server."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

COLUMNS = ["event_id", "type", "event_name", "user_id", "anonymous_id", "session_id", "properties", "traits", "context"]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    # Commits wait while it is away, shorter than their timeout.
    waits = True

    def __init__(self, folder):
        self.path = f"{folder}/mercurio.db"
        self.url = f"sqlite://{self.path}"

    def rows(self, tenant):
        """The events of a tenant, and their times."""
        rows = self.query(f"SELECT {', '.join(COLUMNS)}, occurred_at FROM events WHERE tenant_id = ?", tenant)
        for row in rows:
            for payload in ("properties", "traits", "context"):
                row[payload] = json.loads(row[payload]) if row[payload] else None
            row["timestamp"] = EPOCH + timedelta(microseconds=row["occurred_at"])
        return rows

    def dump(self):
        """Every column of every event, as text."""
        return str(self.query("SELECT * FROM events"))

    def query(self, sql, *arguments):
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        with contextlib.closing(database):
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(sql, arguments)]

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
    waits = False

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

    def rows(self, tenant):
        """The events of a tenant, and their times."""
        select = f"SELECT {', '.join(COLUMNS)}, occurred_at FROM events WHERE tenant_id = {tenant}"
        rows = json.loads(self.query(self.database, f"SELECT coalesce(json_agg(row), '[]') FROM ({select}) AS row"))
        for row in rows:
            row["timestamp"] = datetime.fromisoformat(row["occurred_at"])
        return rows

    def dump(self):
        """Every column of every event, as text."""
        return self.query(self.database, "SELECT row_to_json(events) FROM events")

    @contextlib.contextmanager
    def away(self):
        """No connection is left, and no new one succeeds."""
        self.query("postgres", f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS false")
        self.query("postgres", f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database}'")
        yield
        self.query("postgres", f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS true")


class Server:
    """A server on one port, with a tenant and key for each client, and its log in the folder."""

    def __init__(self, programs, database, folder, clients):
        self.programs, self.database, self.folder = Path(programs).resolve(), database, folder
        self.port, self.process, self.settings = free_port(), None, {}
        self.admin("migrate", "up")
        self.keys, self.tenants = {}, {}
        for client in clients:
            made = json.loads(self.admin("provision", "--tenant", client, "--workspace", "Trial", "--scopes", "events:write"))
            self.keys[client], self.tenants[client] = made["api_key"]["key"], made["tenant"]["id"]

    @property
    def host(self):
        return f"http://127.0.0.1:{self.port}"

    def environment(self):
        return {"PATH": os.environ["PATH"], "DATABASE_URL": self.database.url}

    def admin(self, *arguments):
        done = subprocess.run(
            [self.programs / "mercurio-admin", *arguments],
            env=self.environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def key_for_pages(self, client, origin):
        """Creates a key for the pages of one origin."""
        return json.loads(self.admin("key", "create", "--tenant", client, "--workspace", "Trial", "--origins", origin))["key"]

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
        assert self.process.poll() is None, self.log()[-2000:]
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

    def rows(self, client):
        return self.database.rows(self.tenants[client])

    def log(self):
        return Path(f"{self.folder}/log").read_text(encoding="utf-8")

    def requests(self, client=None):
        """The log's lines about requests: those of a client, or those whose key was refused."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        tenant = client and self.tenants[client]
        requests = [line for line in lines if line["msg"] == "request" and not line.get("route", "").startswith("/health")]
        return [line for line in requests if line.get("tenant_id") == tenant]
