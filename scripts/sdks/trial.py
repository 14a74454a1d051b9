"""Steps of scripts/try-clients: real clients of other services send to a real server, and the rows of the database are compared
with what they sent.

    python3 -m scripts.sdks.trial PROGRAMS TOOLS [--all] [CLIENT …]

PROGRAMS is the folder with mercurio-ingest and mercurio-admin, TOOLS the one with the clients. With MERCURIO_TEST_POSTGRES_URL the
steps run on SQLite, and then on PostgreSQL. Without names, the clients of the gate; with --all, all of them.
"""

import argparse
import base64
import contextlib
import importlib
import json
import os
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from scripts.sdks.clients import CLIENTS
from scripts.sdks.events import compare, event, events, numbers, slowly, with_flushes
from scripts.sdks.server import Postgres, Server, Sqlite, until

ROOT = Path(__file__).parents[2]
# Longer than any client goes on sending in these steps.
CLIENT_SECONDS = 60
# So long a caller repeats a call, if its client never does.
REPEAT_SECONDS = 20
LOG_SECONDS = 5


def say(text):
    print(f"try-clients: {text}", flush=True)


class Runner:
    """The process of a client, which takes one task after another."""

    def __init__(self, client, tools, folder):
        self.client = client
        python = [tools / "venv/bin/python", "-m", "scripts.sdks.client"]
        program = python if client.language == "python" else ["node", "scripts/sdks/client.mjs"]
        environment = {"PATH": os.environ["PATH"], "CLIENTS_FOLDER": str(tools / "node"), **client.environment}
        self.log = Path(folder) / f"{client.name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*program, client.family], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def run(self, task):
        """Returns the errors that the client reported."""
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"{self.client.name} ended: {self.log.read_text(encoding='utf-8')[-2000:]}"
        return json.loads(line)["errors"]

    def end(self):
        self.process.kill()
        self.process.wait()


class Trial:
    def __init__(self, server, clients, tools, folder):
        self.server, self.clients = server, clients
        self.mappings = {client.name: importlib.import_module(f"scripts.sdks.{client.family}.mapping") for client in clients}
        self.runners = {client.name: Runner(client, tools, folder) for client in clients}
        self.pool = ThreadPoolExecutor(len(clients))
        self.seen = {client.name: set() for client in clients}
        self.failures = []

    def end(self):
        for runner in self.runners.values():
            runner.end()
        self.pool.shutdown()

    def start(self, client, calls, variant=None, key=None, repeat_seconds=0):
        task = {
            "client": client.name,
            "host": self.server.host,
            "key": key or self.server.keys[client.name],
            "variant": variant or client.variants[0],
            "calls": calls,
            "repeat_seconds": 0 if client.repeats else repeat_seconds,
        }
        return self.pool.submit(self.runners[client.name].run, task)

    def run(self, calls_of, clients=None, **options):
        """Runs clients at once, and returns the errors of each."""
        runs = {client: self.start(client, calls_of(client), **options) for client in (self.clients if clients is None else clients)}
        errors = {}
        for client, run in runs.items():
            try:
                errors[client] = run.result(CLIENT_SECONDS)
            except TimeoutError:
                raise AssertionError(f"{client.name} goes on after {CLIENT_SECONDS} s") from None
        return errors

    def new_rows(self, client):
        """The rows since the last look."""
        rows = [row for row in self.server.rows(client.name) if row["event_id"] not in self.seen[client.name]]
        self.seen[client.name].update(row["event_id"] for row in rows)
        return rows

    def check_stored(self, client, calls, answers_lost=False):
        """Fails unless each of the calls was stored once, and nothing else. After a lost answer, a client with other ids at each
        try may store an event twice."""
        found, sent = (Counter(source) for source in (numbers(self.new_rows(client), "properties"), numbers(calls, "payload")))
        if answers_lost and not (client.repeats or client.keeps_ids):
            found = Counter(set(found))
        assert found == sent, f"missing {list(sent - found)}, stored twice or not sent {list(found - sent)}"

    @contextlib.contextmanager
    def judging(self, client):
        """Notes what a client got wrong, so that the others are judged too."""
        try:
            yield
        except AssertionError as error:
            self.failures.append(f"{client.name}: {error}")
            say(f"    {self.failures[-1]}")

    def requests(self, client):
        return self.server.requests(client.name)

    # The steps.

    def every_type(self):
        """Every type of event, with each compression that the client has."""
        for turn in range(max(len(client.variants) for client in self.clients)):
            clients = [client for client in self.clients if turn < len(client.variants)]
            cases = {client: self.mappings[client.name].every_type(client.name, f"types-{turn}") for client in clients}
            runs = {}
            for client in clients:
                calls = [call for call, _ in cases[client] if call]
                runs[client] = self.start(client, calls, client.variants[turn])
            for client, run in runs.items():
                with self.judging(client):
                    quiet(run.result(CLIENT_SECONDS))
                    self.check_rows(client, [timed(call, row) for call, row in cases[client] if row])

    def check_rows(self, client, expected):
        rows = self.new_rows(client)
        for wanted in expected:
            found = [row for row in rows if is_meant(row, wanted)]
            assert len(found) == 1, f"{wanted['event_name']} is stored {len(found)} times, with {[row['event_name'] for row in rows]}"
            compare(found[0], wanted, wanted["event_name"])
            rows.remove(found[0])
        assert not rows, f"it did not send {[(row['type'], row['event_name']) for row in rows]}"

    def bad_events(self):
        """Bad events in a batch cost nobody else, and are counted. Sent alone, one is refused."""
        before = {client: len(self.requests(client)) for client in self.clients}
        errors = self.run(lambda client: self.in_one_batch(client, between(events(client.name, "bad", 5), bad(client))))
        for client in self.clients:
            with self.judging(client):
                self.check_stored(client, events(client.name, "bad", 5))
                self.check_rejections(client, before[client], len(bad(client)))
                if client.reports_rejections:
                    assert errors[client], "it reported no error"
                else:
                    quiet(errors[client])

    def check_rejections(self, client, before, expected):
        """Fails unless the log counts so many rejected events, in requests that succeeded if the client sends batches."""
        # Lines of the log come after the response.
        rejected = lambda: sum(request.get("rejected", 0) for request in self.requests(client)[before:])
        until(lambda: rejected() >= expected, LOG_SECONDS, f"{rejected()} rejected")
        requests = self.requests(client)[before:]
        assert rejected() == expected, f"{requests}"
        statuses = {request["status"] for request in requests}
        assert not client.batches or statuses <= {200, 204}, f"{statuses}"

    def in_one_batch(self, client, calls):
        batch = getattr(self.mappings[client.name], "batch", None)
        return [batch(calls)] if batch else calls

    def wrong_key(self, key):
        """A wrong key is reported to the owner of the client in its own words, and not tried again."""
        before = len(self.server.requests())
        errors = self.run(lambda client: events(client.name, "key", 1), key=key)
        for client in self.clients:
            with self.judging(client):
                assert client.refuses(errors[client]), f"it does not report a wrong key: {errors[client]}"
                self.check_stored(client, [])
        until(lambda: len(self.server.requests()) >= before + len(self.clients), LOG_SECONDS, "requests are not logged")
        statuses = [request["status"] for request in self.server.requests()[before:]]
        assert len(statuses) == len(self.clients) and set(statuses) <= {400, 401}, statuses

    def again(self):
        """The same events sent again are stored once, and the rest are duplicates."""
        clients = [client for client in self.clients if client.keeps_ids]
        # More than a batch, unless each event is a request.
        calls = lambda client: events(client.name, "again", 120 if client.repeats else 20)
        before = {client: len(self.requests(client)) for client in clients}
        errors = [self.run(calls, clients) for _ in range(2)]
        for client in clients:
            with self.judging(client):
                quiet(errors[0][client] + errors[1][client])
                self.check_stored(client, calls(client))
                duplicates = lambda: sum(request.get("duplicates", 0) for request in self.requests(client)[before[client] :])
                until(lambda: duplicates() == len(calls(client)), LOG_SECONDS, f"{duplicates()} duplicates")

    def restarts(self):
        """The server restarts twice while clients send."""
        calls = lambda client: slowly(events(client.name, "restart", 60), 0.05)
        with background(lambda: self.run(calls, repeat_seconds=REPEAT_SECONDS)) as sending:
            for _ in range(2):
                time.sleep(1)
                self.server.restart(**self.server.settings)
        self.check_delivery(sending.result(), "restart", 60, answers_lost=True)

    def rate_limit(self):
        """429 with Retry-After: each client waits and loses nothing."""
        self.server.restart(MERCURIO_REQUESTS_PER_SECOND="1", MERCURIO_REQUESTS_BURST="1")
        before = {client: len(self.requests(client)) for client in self.clients}
        calls = lambda client: with_flushes(events(client.name, "limit", 4))
        self.check_delivery(self.run(calls, repeat_seconds=REPEAT_SECONDS), "limit", 4)
        for client in self.clients:
            limited = lambda: [request for request in self.requests(client)[before[client] :] if request["status"] in (429, 503)]
            with self.judging(client):
                until(limited, LOG_SECONDS, "it met no limit")
        self.server.restart()

    def database_away(self):
        """The database is away for five seconds while clients send."""
        before = {client: len(self.requests(client)) for client in self.clients}
        calls = lambda client: slowly(events(client.name, "away", 24), 0.25)
        with background(lambda: self.run(calls, repeat_seconds=REPEAT_SECONDS)) as sending:
            time.sleep(0.5)
            with self.server.database.away():
                time.sleep(5)
        self.check_delivery(sending.result(), "away", 24, answers_lost=True)
        statuses = {request["status"] for client in self.clients for request in self.requests(client)[before[client] :]}
        # SQLite waits for its lock instead.
        assert 503 in statuses or self.server.database.waits, f"no request met a database that is away: {statuses}"

    def check_delivery(self, errors, step, count, answers_lost=False):
        for client in self.clients:
            with self.judging(client):
                quiet(errors[client])
                self.check_stored(client, events(client.name, step, count), answers_lost)

    def no_key(self, wrong_key):
        """No key is in a row or in the server's log, neither as sent nor encoded."""
        places = {"a row": self.server.database.dump(), "the log": self.server.log()}
        for key in [*self.server.keys.values(), wrong_key]:
            _, _, secret = key.split("_")
            basic = base64.b64encode(f"{key}:".encode()).decode()
            for place, text in places.items():
                assert secret not in text and basic not in text, f"{place} has a key"
        assert "mk_" not in places["a row"], "a row has the id of a key"


@contextlib.contextmanager
def background(work):
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


def timed(call, row):
    return {**row, "timestamp": datetime.fromisoformat(call["time"])} if call and "time" in call else row


def is_meant(row, expected):
    """By id, or by type and name if the server makes the id."""
    by_id = isinstance(expected["event_id"], str)
    return all(row[name] == expected[name] for name in (("event_id",) if by_id else ("type", "event_name")))


def bad(client):
    """Events that are rejected. Clients without batches do not take a user with each event either."""
    long_name = event(client.name, "bad", 5, name="n" * 300)
    return [long_name, event(client.name, "bad", 6, user="u" * 300)] if client.batches else [long_name]


def between(good, bad):
    """Bad events between good ones, so that a client that divides them still sends no request of bad ones alone."""
    return [*good[:2], *bad[:1], *good[2:4], *bad[1:], *good[4:]]


def quiet(errors):
    assert not errors, f"it reported {errors}"


def unknown_key(programs, folder):
    """Returns a well-formed key of another database."""
    other = Path(folder) / "other"
    other.mkdir()
    return next(iter(Server(programs, Sqlite(other), other, ["other"]).keys.values()))


def trial(clients, programs, tools, database, folder):
    server = Server(programs, database, folder, [client.name for client in clients])
    key = unknown_key(programs, folder)
    server.start()
    steps = Trial(server, clients, Path(tools).resolve(), folder)
    try:
        for name, step in (
            ("every type", steps.every_type),
            ("bad events", steps.bad_events),
            ("a wrong key", lambda: steps.wrong_key(key)),
            ("the same again", steps.again),
            ("restarts", steps.restarts),
            ("rate limit", steps.rate_limit),
            ("database away", steps.database_away),
            ("no key", lambda: steps.no_key(key)),
        ):
            start = time.monotonic()
            step()
            say(f"{database.name}: {name} ({time.monotonic() - start:.1f} s)")
        assert not steps.failures, f"{len(steps.failures)} failures, see above"
    finally:
        steps.end()
        if server.process.poll() is None:
            server.stop()


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("programs")
    parser.add_argument("tools")
    parser.add_argument("clients", nargs="*")
    parser.add_argument("--all", action="store_true")
    return parser.parse_args()


def main():
    options = arguments()
    clients = [client for client in CLIENTS if client.name in options.clients or options.all or (client.in_gate and not options.clients)]
    with tempfile.TemporaryDirectory() as folder:
        trial(clients, options.programs, options.tools, Sqlite(folder), folder)
    if url := os.environ.get("MERCURIO_TEST_POSTGRES_URL"):
        with tempfile.TemporaryDirectory() as folder:
            trial(clients, options.programs, options.tools, Postgres(url), folder)


if __name__ == "__main__":
    main()
