"""Steps of scripts/try-browsers: clients of other services send from pages in Chromium to a real server on another origin, and the rows
of the database are compared with what they sent.

    python3 -m scripts.browsers.trial PROGRAMS PAGES CLIENT…

PROGRAMS is the folder with mercurio-ingest and mercurio-admin, PAGES that with the scripts of the pages. CHROMIUM and NODE_TOOLS are
those of driver.mjs. The steps run on SQLite, and with MERCURIO_TEST_POSTGRES_URL on PostgreSQL at the same time.
"""

import contextlib
import os
import re
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.browsers.browser import Browser
from scripts.browsers.clients import CLIENTS, differences, filled
from scripts.browsers.proxy import HOLD, LOSE, PASS, REFUSE, Proxy
from scripts.browsers.visit import SECONDS, Visit, slowly, tracks
from scripts.sdks.server import Postgres, Server, Sqlite, until


def say(text):
    print(f"try-browsers: {text}", flush=True)


def at_once(work, parts):
    """Does the work for all parts, and raises all errors."""
    with ThreadPoolExecutor(len(parts)) as pool:
        runs = [pool.submit(work, part) for part in parts]
        errors = [error for run in runs if (error := run.exception())]
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(parts)} failed", errors)


class Trial:
    def __init__(self, server, browser, clients, unknown_key):
        self.server, self.browser, self.clients, self.unknown_key = server, browser, clients, unknown_key

    def visit(self, client, step, **options):
        return Visit(self.server, self.browser, client, step, **options)

    def each(self, step):
        """Runs a step for all clients at once."""
        at_once(step, self.clients)

    # Steps of one client.

    def every_type(self, client):
        """Every type of event becomes the expected row, and the page has no other error."""
        with self.visit(client, "types") as visit:
            known = next(index for index, (call, _) in enumerate(client.calls) if call and call["call"] == "identify")
            # Segment's client names the person in what it has not sent yet.
            for last, calls in ((known, client.calls[:known]), (None, client.calls[known:])):
                visit.send([call for call, _ in calls if call])
                rows = visit.stored(sum(bool(row) for _, row in client.calls[:last]))
            for expected in [row for _, row in client.calls if row]:
                expected = filled(expected, visit.anonymous, visit.user)
                kind = expected["type"], expected["event_name"]
                found = [row for row in rows if (row["type"], row["event_name"]) == kind]
                assert len(found) == 1, f"{visit.user}: {len(found)} rows of {kind}"
                assert not (parts := differences(expected, found[0])), f"{visit.user}, {kind}: {parts}"
            visit.person.report()
            assert visit.person.complaints == visit.person.call("errors") == [], (visit.user, visit.person.complaints)
            if client.page == "posthog":
                assert any(is_gzip_as_text(request) for request in visit.person.requests), f"{visit.user}: nothing was compressed"
            others = [request["url"] for request in visit.person.requests if not request["url"].startswith(self.server.host)]
            assert not others, f"{visit.user}: the page asked {others}"

    def bad_event(self, client):
        """A bad event costs the others nothing."""
        with self.visit(client, "bad") as visit:
            calls = tracks(6)
            visit.send([*calls[:3], {**calls[0], "name": "x" * 300}, *calls[3:]])
            visit.tracks_stored(6)
            expected = {200, 422} if client.is_alone else {200}
            visit.until(lambda: set(visit.statuses()) == expected, f"not {expected}")

    def wrong_key(self, client):
        """The page sees a wrong key and a key for other pages, as far as the client reports it."""
        for key, status in ((self.unknown_key, 401), (self.server.key_for_pages(client.name, "https://shop.example"), 403)):
            with self.visit(client, "key", key=key) as visit:
                visit.send(tracks(1))
                visit.until(lambda: status in visit.statuses(), f"no {status}")
                if client.reports:
                    errors = visit.until(lambda: visit.person.call("errors"), "the client reported nothing")
                    assert str(status) in str(errors), (visit.user, errors)
                # Some clients write it to the console too.
                others = [text for text in visit.person.report().complaints if not re.search(rf"[Ss]tatus (of )?{status}", text)]
                assert not others, (visit.user, others)

    def lost_answers(self, client):
        """The event is stored, its answer is lost, and the browser or the client sends it again."""
        with self.proxy() as proxy, self.visit(client, "lost", host=proxy.host) as visit:
            visit.send(tracks(1))
            visit.tracks_stored(1)
            visit.until(lambda: len(visit.statuses()) == proxy.posts, "an answer is missing")
            posts, proxy.mode = proxy.posts, LOSE
            visit.send(tracks(6, 1))
            visit.tracks_stored(7)
            visit.until(lambda: proxy.lost, "no answer was lost")
            proxy.mode = PASS
            if client.repeats:
                visit.until(lambda: visit.flush() or proxy.posts - posts > proxy.lost, "nothing was repeated")
            visit.tracks_stored(7)
            # Chromium itself repeats a request on a connection that worked before. This client uses one at once.
            if client.name == "segment":
                assert proxy.posts > len(visit.statuses()), f"{visit.user}: Chromium repeated nothing"

    def left_page(self, client):
        """The page is left and opened again, with requests in flight, and with requests that failed if the client keeps them."""
        with self.proxy() as proxy, self.visit(client, "left", host=proxy.host) as visit:
            proxy.mode = HOLD
            visit.send(tracks(3))
            visit.tracks_stored(3)
            if client.keeps:
                proxy.mode = REFUSE
                visit.send(tracks(3, 3))
                visit.until(lambda: visit.flush() or proxy.refused, "no request was refused")
            visit.person.leave()
            proxy.mode = PASS
            visit.open()
            visit.tracks_stored(6 if client.keeps else 3)

    def leaving(self, client):
        """Leaving the page sends its events, or the next page does."""
        with self.visit(client, "leaving", wait=5_000) as visit:
            # Chromium sends nothing on leaving that would need a preflight first.
            visit.send(tracks(10))
            visit.tracks_stored(10)
            visit.send([*tracks(2, 10), {"call": "sleep", "seconds": 0.2}])
            visit.person.leave()
            if client.keeps:
                visit.open()
            visit.tracks_stored(12)
            if client.page == "posthog":
                # The last event, in a beacon.
                visit.until(lambda: any(row["event_name"] == "$pageleave" for row in visit.rows()), "no beacon")

    def example(self, client):
        """The example of docs/clients.md, with host and key in place, stores its event."""
        title, expected = client.example
        before = {row["event_id"] for row in self.server.rows(client.name)}
        is_stored = lambda row: row["event_id"] not in before and not differences(expected, row)
        person = self.browser.person(f"example-{title}")
        _, address = self.server.host.split("//")
        key = self.server.keys[client.name]
        person.open([
            ("https://events.example.com", self.server.host), ("events.example.com", address), ('"https"', '"http"'),
            ("mk_ID:SECRET", ":".join(key.rsplit("_", 1))), ("mk_…", key),
        ])
        until(lambda: any(is_stored(row) for row in self.server.rows(client.name)), SECONDS, f"{client.name}: the example's event is not stored")
        assert person.report().complaints == [], (client.name, person.complaints)
        person.end()

    def limited(self, client):
        """The client waits for the rate limit and loses nothing, and another page may read when to come back."""
        with self.visit(client, "refused") as other, self.visit(client, "limit") as visit:
            refused(other, client.limited)
            count = 0
            while client.repeats and client.limited not in visit.statuses():
                visit.send([*tracks(1, count), {"call": "sleep", "seconds": 0.1}])
                other.ask()
                count += 1
            visit.tracks_stored(count)

    # Steps of all clients.

    def restarts(self):
        """The server restarts twice while pages send."""
        with self.sending("restart", 30):
            for _ in range(2):
                time.sleep(1)
                self.server.restart()

    def database_away(self):
        """The database is away for five seconds while pages send."""
        with self.sending("away", 20):
            time.sleep(0.5)
            with self.server.database.away():
                back = time.monotonic() + 5
                self.each(self.unavailable)
                time.sleep(max(0, back - time.monotonic()))

    def rate_limit(self):
        """Each client waits for the rate limit and loses nothing."""
        self.server.restart(MERCURIO_REQUESTS_PER_SECOND="1", MERCURIO_REQUESTS_BURST="1")
        self.each(self.limited)
        self.server.restart()

    def no_key_is_kept(self):
        """No key is in a column of an event or in the log, and neither is the secret of one."""
        kept = {"events": self.server.database.dump(), "log": self.server.log()}
        for key in [*self.server.keys.values(), self.unknown_key]:
            for name, text in kept.items():
                assert key.rsplit("_", 1)[1] not in text, f"a key is in the {name}"

    def unavailable(self, client):
        with self.visit(client, "refused") as visit:
            refused(visit, 503)

    @contextlib.contextmanager
    def sending(self, step, count):
        """All clients that repeat send `count` events slowly. Afterwards all are stored."""
        is_over = threading.Event()

        def send(client):
            if not client.repeats:
                return
            with self.visit(client, step) as visit:
                visit.send(slowly(tracks(count)))
                is_over.wait()
                visit.tracks_stored(count)

        with ThreadPoolExecutor(1) as pool:
            sent = pool.submit(self.each, send)
            try:
                yield
            finally:
                is_over.set()
            sent.result()

    def nothing_is_stored_twice(self):
        """No repeat that arrived after its step stored an event again."""
        for client in self.clients:
            numbers = [(row["anonymous_id"], row["properties"]["number"]) for row in self.server.rows(client.name) if "number" in (row["properties"] or {})]
            assert len(set(numbers)) == len(numbers), f"{client.name}: {sorted(number for number in numbers if numbers.count(number) > 1)}"

    @contextlib.contextmanager
    def proxy(self):
        with contextlib.closing(Proxy(self.server.port)) as proxy:
            yield proxy

    def run(self):
        of_one = [self.every_type, self.bad_event, self.wrong_key, self.lost_answers, self.left_page, self.leaving, self.example]
        of_all = [self.restarts, self.database_away, self.rate_limit, self.nothing_is_stored_twice, self.no_key_is_kept]
        for step in [*of_one, *of_all]:
            start = time.monotonic()
            if step in of_one:
                self.each(step)
            else:
                step()
            say(f"{self.server.database.name}: {step.__name__} ({time.monotonic() - start:.1f} s)")


def is_gzip_as_text(request):
    """Only the first bytes show the compression."""
    headers = request["headers"]
    return headers.get("content-type") == "text/plain" and "content-encoding" not in headers and request["body"].startswith(b"\x1f\x8b")


def refused(visit, status):
    """Asks until a request is refused: the page itself may read when to come back."""
    answer = visit.until(lambda: next((answer for answer in [visit.ask()] if answer["status"] != 200), None), "no request was refused")
    assert answer["status"] == status and int(answer["retryAfter"]) > 0, (visit.user, answer)


def unknown_key(programs, folder):
    """Returns a well-formed key of another database."""
    other = Path(folder) / "other"
    other.mkdir()
    return Server(programs, Sqlite(other), other, ["other"]).keys["other"]


def trial(programs, make_database, browser, clients):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(programs, make_database(folder), folder, [client.name for client in clients])
        # As docs/clients.md recommends for browsers.
        server.keys = {client.name: server.key_for_pages(client.name, browser.origin) for client in clients}
        server.start()
        try:
            Trial(server, browser, clients, unknown_key(programs, folder)).run()
        finally:
            if server.process.poll() is None:
                server.stop()


def main():
    programs, pages, *names = sys.argv[1:]
    clients = [client for client in CLIENTS if client.name in names]
    databases = [Sqlite]
    if url := os.environ.get("MERCURIO_TEST_POSTGRES_URL"):
        databases.append(lambda _: Postgres(url))
    with contextlib.closing(Browser(pages)) as browser:
        # The clients wait most of the time.
        at_once(lambda database: trial(programs, database, browser, clients), databases)


main()
