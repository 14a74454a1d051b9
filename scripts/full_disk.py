"""Steps of scripts/try-full-disk: the database's disk fills up, stays full, and gets space again."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .load import ask, until
from .upgrade import ADDRESSES, Site, own_network

DISK_BYTES = 48_000_000


def say(text):
    print(f"try-full-disk: {text}", flush=True)


def send(number, key):
    """Sends a batch of 50 events and returns the status."""
    events = [{"event_id": f"{number}-{i}", "event_name": "n", "user_id": "u", "properties": {"text": "x" * 500}} for i in range(50)]
    return ask(ADDRESSES["one"], "POST", "/v1/events/batch", key, {"events": events})[0]


def trial(root, programs, scratch):
    own_network()
    disk = Path(scratch) / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=700,uid=postgres,gid=postgres", "tmpfs", disk], check=True)
    os.chmod(scratch, 0o755)
    subprocess.run(["psql", "-qX", os.environ["MERCURIO_TEST_POSTGRES_URL"], "-c", f"CREATE TABLESPACE small LOCATION '{disk}'"], check=True)
    site = Site(root, programs, scratch, "TABLESPACE small")
    site.admin("present", "migrate")
    key = site.admin("present", "provision", "--tenant", "Acme")["api_key"]["key"]
    server = site.start("one", "present")
    try:
        sent = 0
        while (status := send(sent, key)) == 200:
            sent += 1
        assert status == 503, (status, server.log.read_text()[-1000:])
        say(f"after {50 * sent} events the disk is full, and a batch gets 503")
        looks, refused = [], []
        for _ in range(30):
            looks.append(server.readiness())
            refused.append(send(sent, key))
            time.sleep(0.2)
        say(f"for 6 s: readiness {sorted(set(looks))}, batches {sorted(set(refused))}, live {ask(server.address, 'GET', '/health/live')[0]}")
        assert set(looks) == {503} and set(refused) == {503}, (looks, refused)
        # An operator enlarges the disk; the server is not involved.
        subprocess.run(["mount", "-o", f"remount,size={2 * DISK_BYTES}", disk], check=True)
        begun = time.monotonic()
        until("the server is ready again", server.readiness, 200)
        say(f"with free space the server was ready after {time.monotonic() - begun:.1f} s")
        assert send(sent, key) == 200
        stored = site.admin("present", "events", "count", "--tenant", "Acme")["events"]
        say(f"events answered 200: {50 * (sent + 1)}; in the database: {stored}")
        assert stored == 50 * (sent + 1)
        assert server.stop() == 0
    finally:
        server.process.kill()
        # PostgreSQL still has open files there.
        subprocess.run(["umount", "-l", disk], check=True)
    say("done")


with tempfile.TemporaryDirectory(prefix="mercurio-full-disk.") as scratch:
    trial(sys.argv[1], sys.argv[2], scratch)
