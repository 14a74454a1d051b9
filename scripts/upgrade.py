"""Steps of scripts/try-upgrade: an upgrade across a migration and back, under load, and a migration that excludes older servers.

    python3 -m scripts.upgrade next FOLDER          writes the migration of the next release into a copy of the tree
    python3 -m scripts.upgrade breaking FOLDER      writes a migration that excludes older releases
    python3 -m scripts.upgrade run ROOT PROGRAMS    runs the steps, in a network namespace, with a PostgreSQL server
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

from .load import Load, ask, until

# The addresses of deploy/haproxy/haproxy.cfg.
ADDRESSES = {"one": ("172.31.250.11", 8080), "two": ("172.31.250.12", 8080)}
BALANCER = ("127.0.0.1", 8000)
CLIENTS = 8
# How long a reader blocks the migration.
LONG_SECONDS = 6

# Later than any real migration.
NEXT, BREAKING = "2999-01-01-000000_next", "2999-01-02-000000_breaking"
VERSION = {name: name.split("_")[0].replace("-", "") for name in (NEXT, BREAKING)}
MIGRATIONS = {
    NEXT: (
        "ALTER TABLE events ADD COLUMN later text NOT NULL DEFAULT '';\nCREATE TABLE latecomers (id int PRIMARY KEY);\n",
        "DROP TABLE latecomers;\nALTER TABLE events DROP COLUMN later;\n",
    ),
    BREAKING: (
        f"UPDATE schema_compatibility SET minimum_version = '{VERSION[BREAKING]}';\n"
        "ALTER TABLE events RENAME COLUMN session_id TO visit_id;\n",
        "ALTER TABLE events RENAME COLUMN visit_id TO session_id;\n"
        "UPDATE schema_compatibility SET minimum_version = '20261128000000';\n",
    ),
}
SHARED = "newer schema accepted"
NOT_OURS = "schema incompatible"


def say(text):
    print(f"try-upgrade: {text}", flush=True)


def write(name, tree):
    """Writes a migration into a tree."""
    up, down = MIGRATIONS[name]
    for database in ("postgres", "sqlite"):
        folder = Path(tree) / "migrations" / database / name
        folder.mkdir(parents=True)
        (folder / "up.sql").write_text(f"-- Made by scripts/try-upgrade.\n\n{up}")
        (folder / "down.sql").write_text(f"-- Made by scripts/try-upgrade.\n\n{down}")


def own_network():
    """Adds the servers' addresses to this process's network namespace."""
    for command in (["link", "set", "lo", "up"], *(["addr", "add", f"{host}/32", "dev", "lo"] for host, _ in ADDRESSES.values())):
        subprocess.run(["ip", *command], check=True)


class Site:
    """A database, a log folder, and the programs of each release."""

    def __init__(self, root, programs, scratch, tablespace=""):
        self.root, self.programs, self.scratch = Path(root), Path(programs), Path(scratch)
        server = os.environ["MERCURIO_TEST_POSTGRES_URL"]
        subprocess.run(["psql", "-qX", server, "-c", f"CREATE DATABASE upgrade {tablespace}"], check=True)
        self.url = urllib.parse.urlsplit(server)._replace(path="/upgrade").geturl()
        self.servers = {}

    def environment(self, **more):
        return {"PATH": os.environ["PATH"], "DATABASE_URL": self.url, "MERCURIO_LOG_FORMAT": "json", **more}

    def admin(self, release, *arguments):
        """Runs a release's mercurio-admin and returns its JSON output."""
        program = self.programs / release / "mercurio-admin"
        ended = subprocess.run([program, *arguments], env=self.environment(), stdout=subprocess.PIPE, check=True)
        return json.loads(ended.stdout)

    def start(self, name, release):
        server = Server(self, name, release)
        self.servers[name] = server
        until(f"{name} is ready", server.readiness, 200)
        return server

    def replace(self, release):
        """Replaces both servers, one after the other."""
        for name in ADDRESSES:
            before = self.servers[name]
            code = before.stop()
            assert code == 0, f"{name} exited with {code}"
            self.start(name, release)
            say(f"  {name}: {before.release} exited with 0, {release} is ready")
            # The load balancer needs two successful checks, half a second apart.
            time.sleep(2)


class Server:
    """A server of one release, and its log."""

    def __init__(self, site, name, release):
        self.name, self.release, self.address = name, release, ADDRESSES[name]
        self.log = site.scratch / f"{name}-{time.monotonic_ns()}.log"
        host, port = self.address
        environment = site.environment(MERCURIO_ADDR=f"{host}:{port}", MERCURIO_SHUTDOWN_DELAY_SECONDS="3")
        program = site.programs / release / "mercurio-ingest"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([program], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def readiness(self):
        try:
            return ask(self.address, "GET", "/health/ready")[0]
        except OSError:
            return None

    def logged(self, message):
        """Returns the log lines with this message."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["msg"] == message]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class ReadinessMonitor:
    """Checks the readiness of both addresses ten times a second, and counts the times neither was ready."""

    def __init__(self):
        self.checks, self.none_ready, self.stop = 0, 0, False
        self.thread = threading.Thread(target=self.check)
        self.thread.start()

    def check(self):
        while not self.stop:
            ready = 0
            for address in ADDRESSES.values():
                try:
                    ready += ask(address, "GET", "/health/ready")[0] == 200
                except OSError:
                    pass
            self.checks += 1
            self.none_ready += ready == 0
            time.sleep(0.1)

    def end(self):
        self.stop = True
        self.thread.join()


def timed(what, work):
    begun = time.monotonic()
    done = work()
    say(f"{what}: {time.monotonic() - begun:.2f} s")
    return done


def long_reader(site, seconds):
    """Opens a transaction and keeps it open after a read of events, as an export does."""
    read = f"BEGIN; SELECT FROM events LIMIT 1; SELECT pg_sleep({seconds}); COMMIT"
    reader = subprocess.Popen(["psql", "-qX", site.url, "-c", read], stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    return reader


def forth_and_back(site, key):
    """Migrates, upgrades, rolls back and reverts, under load."""
    load, monitor = Load(BALANCER, key, CLIENTS), ReadinessMonitor()
    time.sleep(3)
    reader = long_reader(site, LONG_SECONDS)
    migrate = lambda: site.admin("next", "migrate")["applied"]  # noqa: E731
    applied = timed(f"`migrate` of the next release, under load, with a transaction open for {LONG_SECONDS} s", migrate)
    assert applied == [NEXT] and reader.wait() == 0, applied
    for server in site.servers.values():
        until(f"{server.name} logs the warning", lambda server=server: len(server.logged(SHARED)), 1)
        assert server.logged(SHARED)[0]["migrations"] == [VERSION[NEXT]] and server.readiness() == 200
    say("both servers of the present release log a warning and stay ready over the newer schema")
    time.sleep(3)
    say("replace the servers with the next release:")
    site.replace("next")
    say("roll the servers back to the present release, over the newer schema:")
    site.replace("present")
    state = site.admin("present", "migrate")["state"]
    assert state == "compatible", state
    reverted = timed("`migrate down` of the next release, under load", lambda: site.admin("next", "migrate", "down", "--yes"))
    assert reverted["reverted"] == NEXT, reverted
    time.sleep(3)
    load.end()
    monitor.end()
    requests = sum(load.answers.values())
    say(f"{requests} requests, by status: {load.answers}; broken connections: {len(load.broken)}; the slowest took {load.slowest:.2f} s")
    say(f"readiness: {monitor.checks} checks, {monitor.none_ready} without a ready server")
    assert set(load.answers) == {200} and not load.broken, load.broken[:3]
    assert monitor.none_ready == 0
    stored = site.admin("present", "events", "count", "--tenant", "Acme")["events"]
    say(f"events accepted: {load.events}; in the database: {stored}")
    assert stored == load.events == 10 * requests, (stored, load.events, requests)
    counted = site.admin("present", "tenant", "show", "Acme")["usage"]["events"]
    say(f"counted for the month: {counted}")
    assert counted == stored, (counted, stored)


def shut_out(site, key):
    """A breaking migration makes older servers not ready; reverting it makes them ready again."""
    site.admin("breaking", "migrate")
    for server in site.servers.values():
        until(f"{server.name} is not ready", server.readiness, 503)
        line = server.logged(NOT_OURS)[0]
        assert line["migrations"] == [VERSION[NEXT], VERSION[BREAKING]] and line["level"] == "error", line
    batch = {"events": [{"event_id": "while shut out", "event_name": "n", "user_id": "u"}]}
    until("the load balancer has no server left", lambda: ask(BALANCER, "POST", "/v1/events/batch", key, batch)[0], 503)
    one = site.servers["one"]
    assert one.stop() == 0
    again = Server(site, "one", "present")
    code = again.process.wait(60)
    assert code == 78, code
    say(f"a breaking migration: both servers are not ready and log the reason; a restart exits with 78: {again.log.read_text().splitlines()[-1]}")
    for name in (BREAKING, NEXT):
        assert site.admin("breaking", "migrate", "down", "--yes")["reverted"] == name
    site.start("one", "present")
    until("two is ready again", site.servers["two"].readiness, 200)
    until("events are stored again", lambda: ask(BALANCER, "POST", "/v1/events/batch", key, batch)[0], 200)
    say("after its revert both servers are ready and store events")


def run(root, programs):
    own_network()
    with tempfile.TemporaryDirectory(prefix="mercurio-upgrade.") as scratch:
        site = Site(root, programs, scratch)
        site.admin("present", "migrate")
        key = site.admin("present", "provision", "--tenant", "Acme")["api_key"]["key"]
        balancer = subprocess.Popen(
            ["haproxy", "-f", site.root / "deploy/haproxy/haproxy.cfg"],
            stdout=(site.scratch / "haproxy.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        try:
            for name in ADDRESSES:
                site.start(name, "present")
            until("the load balancer has both servers", lambda: ask(BALANCER, "GET", "/health/live")[0], 200)
            time.sleep(2)
            forth_and_back(site, key)
            shut_out(site, key)
            for server in site.servers.values():
                assert server.stop() == 0
        finally:
            for process in [balancer, *(server.process for server in site.servers.values())]:
                process.kill()
    say("done")


def main():
    match sys.argv[1:]:
        case ["next", tree]:
            write(NEXT, tree)
        case ["breaking", tree]:
            write(BREAKING, tree)
        case ["run", root, programs]:
            run(root, programs)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
