"""Steps of scripts/try-failover: a standby is cut off, the primary dies and returns, then dies for good; the standby takes over.

    python3 -m scripts.failover POSTGRES_PROGRAMS MERCURIO_PROGRAMS
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from .load import ask, until

CLIENTS = 8
# How long a request waits for its commit, in seconds.
COMMIT_TIMEOUT = 2


def say(text):
    print(f"try-failover: {text}", flush=True)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Postgres:
    """A PostgreSQL server with its own data folder."""

    def __init__(self, programs, folder, name):
        self.programs, self.folder, self.data, self.port = Path(programs), folder, f"{folder}/{name}", free_port()

    def run(self, program, *arguments):
        # PostgreSQL refuses to run as root.
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        done = subprocess.run([*user, self.programs / program, *arguments], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, (program, done.stdout.decode())

    def configure(self, *lines):
        with open(f"{self.data}/postgresql.conf", "a", encoding="utf-8") as file:
            file.write("\n".join([f"port = {self.port}", "listen_addresses = '127.0.0.1'", f"unix_socket_directories = '{self.folder}'", *lines, ""]))

    def start(self):
        self.run("pg_ctl", "start", "-w", "-D", self.data, "-l", f"{self.data}.log")

    def kill(self):
        self.run("pg_ctl", "stop", "-m", "immediate", "-D", self.data)

    def query(self, sql):
        address = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        return subprocess.run(["psql", "-qXAt", *address, "-c", sql], stdout=subprocess.PIPE, check=True).stdout.decode().split()


class Senders:
    """Clients that send each batch until it gets a 200, to one server after the other, and keep the verdicts."""

    def __init__(self, addresses, key):
        self.addresses, self.key, self.stop = addresses, key, False
        self.verdicts, self.statuses, self.lock = {}, {}, threading.Lock()
        # Whether the next 200 is awaited, and when it came.
        self.awaited, self.first = False, None
        self.paused, self.resting = False, 0
        self.threads = [threading.Thread(target=self.send, args=(number,)) for number in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def send(self, number):
        address, batch = self.addresses[number % len(self.addresses)], 0
        connection = http.client.HTTPConnection(*address, timeout=60)
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        while not self.stop:
            if self.paused:
                self.rest()
            events = [{"event_id": f"{number}-{batch}-{i}", "event_name": "n", "user_id": "u"} for i in range(10)]
            connection.request("POST", "/v1/events/batch", json.dumps({"events": events}), headers)
            answer = connection.getresponse()
            body = json.loads(answer.read())
            with self.lock:
                self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                if answer.status == 200:
                    if self.awaited and self.first is None:
                        self.first = time.monotonic()
                    self.verdicts.update({result["event_id"]: result["status"] for result in body["results"]})
            if answer.status == 200:
                batch += 1
            else:
                time.sleep(0.05)

    def rest(self):
        with self.lock:
            self.resting += 1
        while self.paused and not self.stop:
            time.sleep(0.05)
        with self.lock:
            self.resting -= 1

    def pause(self):
        self.paused = True
        until("the clients rest", lambda: self.resting, CLIENTS)

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join()


def start_servers(programs, folder, url, *names):
    """Starts servers and returns their processes and addresses once they are ready."""
    servers = []
    for name in names:
        port = free_port()
        environment = {
            "PATH": os.environ["PATH"], "DATABASE_URL": url, "MERCURIO_ADDR": f"127.0.0.1:{port}", "MERCURIO_LOG_FORMAT": "json",
            "MERCURIO_COMMIT_TIMEOUT_SECONDS": str(COMMIT_TIMEOUT), "MERCURIO_SHUTDOWN_DELAY_SECONDS": "0",
        }
        with open(f"{folder}/{name}.log", "wb") as log:
            process = subprocess.Popen([programs / "mercurio-ingest"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        servers.append((process, ("127.0.0.1", port)))
    for _, address in servers:
        until("the server is ready", lambda: readiness(address), 200)
    return servers


def readiness(address):
    try:
        return ask(address, "GET", "/health/ready")[0]
    except OSError:
        return None


def admin(programs, url, *arguments):
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": url}
    return json.loads(subprocess.run([programs / "mercurio-admin", *arguments], env=environment, stdout=subprocess.PIPE, check=True).stdout)


def trial(postgres_programs, programs, folder, synchronous_commit):
    primary, standby = (Postgres(postgres_programs, folder, name) for name in ("a", "b"))
    primary.run("initdb", "-D", primary.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    primary.configure(f"synchronous_commit = {synchronous_commit}")
    primary.start()
    source = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby"
    standby.run("pg_basebackup", "-d", source, "-D", standby.data, "-R", "-c", "fast", "--no-sync")
    standby.configure()
    standby.start()
    url = f"postgres://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres?target_session_attrs=read-write"
    admin(programs, url, "migrate")
    key = admin(programs, url, "provision", "--tenant", "Acme")["api_key"]["key"]
    # Not in the file that the standby copied: after its promotion it must not wait for a standby of its own.
    primary.query("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    primary.query("SELECT pg_reload_conf()")
    until("the standby is synchronous", lambda: primary.query("SELECT sync_state FROM pg_stat_replication"), ["sync"])
    servers = start_servers(programs, folder, url, "one", "two")
    senders = Senders([address for _, address in servers], key)
    try:
        time.sleep(2)
        say(f"synchronous_commit = {synchronous_commit}: {len(senders.verdicts)} events acknowledged in 2 s")
        event = {"event_id": "x", "event_name": "n", "user_id": "u"}

        def track(server=0):
            return ask(servers[server][1], "POST", "/v1/events/track", key, event)

        # Otherwise their groups would wait in all connections, and x would wait for one.
        senders.pause()
        standby.kill()
        answers = [track()[0] for _ in range(2)]
        say(f"the standby is cut off: x gets {answers}")
        assert answers == [503, 503], answers
        senders.paused = False
        primary.kill()
        primary.start()
        rows = primary.query("SELECT count(*) FROM events WHERE event_id = 'x'")
        # The others know of the outage and refuse at once. This one asks the database.
        servers += start_servers(programs, folder, url, "three")
        answers = [track(server)[0] for server in (0, 2, 2)]
        say(f"the primary was killed and restarted: it has {rows[0]} x, which gets {answers}; readiness {readiness(servers[0][1])}")
        assert rows == ["1"] and set(answers) == {503}, (rows, answers)

        primary.kill()
        standby.start()
        senders.awaited, begun = True, time.monotonic()
        standby.run("pg_ctl", "promote", "-w", "-D", standby.data)
        promoted = time.monotonic() - begun
        until("a batch gets 200", lambda: senders.first is not None, True)
        say(f"the primary is lost; the promotion took {promoted:.2f} s, the first 200 came {senders.first - begun:.2f} s after its begin")
        status, answer = track()
        say(f"x gets {status} {answer.get('status')}")
        assert (status, answer["status"]) == (200, "accepted"), (status, answer)
        time.sleep(1)
        senders.end()
        stored = standby.query("SELECT event_id FROM events")
        lost = set(senders.verdicts) - set(stored)
        say(f"answers {senders.statuses}; acknowledged {len(senders.verdicts) + 1}, stored {len(stored)}, lost {len(lost)}")
        assert not lost and len(stored) == len(set(stored)), sorted(lost)[:10]
        assert set(senders.statuses) <= {200, 503}, senders.statuses
    finally:
        senders.stop = True
        for process, _ in servers:
            process.send_signal(signal.SIGKILL)
            process.wait()
        for server in (primary, standby):
            if Path(f"{server.data}/postmaster.pid").exists():
                server.kill()


def main():
    postgres_programs, programs = sys.argv[1], Path(sys.argv[2]).resolve()
    for synchronous_commit in ("on", "remote_apply"):
        # In /tmp: socket paths are limited in length, and the server's user needs access.
        with tempfile.TemporaryDirectory(prefix="mercurio-failover.", dir="/tmp") as folder:
            if os.geteuid() == 0:
                subprocess.run(["chown", "postgres:", folder], check=True)
            trial(postgres_programs, programs, folder, synchronous_commit)
    say("done")


main()
