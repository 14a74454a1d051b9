"""Steps of scripts/try-containers: builds and checks the image, then runs and uses the services of the Compose file."""

import ctypes
import json
import os
import sys
import tempfile
import time
import urllib.parse
from pathlib import Path

from ..deploy_files import VARIABLES, panels
from ..load import Load, ask, until
from .compose import Compose, environment_of
from .dockerfile import Build, mount, weigh
from .machine import Machine

MOST_IMAGE_BYTES = 60_000_000
CLONE_NEWNET = 0x40000000


def say(text):
    print(f"try-containers: {text}", flush=True)


def build(root, scratch):
    """Builds and checks the image of deploy/Dockerfile."""
    image = Build(root, scratch, root / "target/containers", say).run(root / "deploy/Dockerfile")
    total, sizes = weigh(image.root)
    say(f"the image has {len(sizes)} files and {total / 1e6:.1f} MB")
    for size, file in sizes[:6]:
        say(f"  {size / 1e6:7.2f} MB  {file}")
    assert total < MOST_IMAGE_BYTES
    assert image.user.split(":")[0] not in ("0", "root"), "the image runs as root"
    names = {Path(file).name for _, file in sizes}
    assert {"mercurio-ingest", "mercurio-admin"} <= names and not names & {"sh", "bash", "dash", "apt-get", "perl"}, names
    return image


def start_all(machine):
    """Starts every service in the file's order, with the file's conditions."""
    for name in machine.compose.order():
        for need, condition in machine.compose.conditions(name):
            other = machine.containers.get(need)
            if other is None:
                continue
            if condition == "service_healthy":
                assert other.healthy(), f"{need} is not healthy: {other.log.read_text()[-2000:]}"
                say(f"{need} is healthy, by {' '.join(other.service['healthcheck']['test'][1:])}")
            elif condition == "service_completed_successfully":
                assert other.process.wait() == 0, other.log.read_text()[-2000:]
        say(f"start {name}")
        machine.start(name)


def confined(container):
    """Checks that a server has no privileges and cannot write to its root."""
    status = container.status()
    assert status["Uid"][0] != "0" and int(status["CapEff"][0], 16) == 0, status
    assert int(status["CapBnd"][0], 16) == 0 and status["NoNewPrivs"] == ["1"], status
    try:
        (Path(f"/proc/{container.process.pid}/root") / "written").touch()
    except OSError as error:
        assert error.errno == 30, error
    else:
        raise AssertionError("the root is not read-only")
    say(f"{container.name}: uid {status['Uid'][0]}, no capabilities, no new privileges, root read-only")


def replace_servers(machine, key):
    """Replaces both servers, one after the other, under load, and checks that no request is lost."""
    balancer = (machine.addresses["load-balancer"], 8000)
    load = Load(balancer, key, 8)
    time.sleep(3)
    for name in ("server", "server-2"):
        code = machine.containers[name].stop()
        assert code == 0, f"{name} exited with {code}"
        say(f"{name} stopped on SIGTERM and exited with 0")
        time.sleep(1)
        machine.start(name)
        assert machine.containers[name].healthy()
        time.sleep(3)
    load.end()
    say(f"responses while both servers were replaced under load: {load.answers}, broken connections: {len(load.broken)}")
    assert set(load.answers) == {200} and not load.broken, load.broken[:3]
    return load.events


# Panels for SQLite or for tenants with a quota: empty in this trial.
EMPTY_HERE = {"Free disk space (SQLite)", "Quota used"}


def look_at_dashboards(prometheus):
    """Checks that every panel shows data."""
    empty, count = [], 0
    for dashboard, title, query in panels():
        for name, value in {**VARIABLES, "$__rate_interval": "2m", "$tenant": "1"}.items():
            query = query.replace(name, value)
        status, answer = ask(prometheus, "GET", "/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        assert status == 200, (query, answer)
        count += 1
        if not answer["data"]["result"] and title not in EMPTY_HERE:
            empty.append(f"{dashboard}: {title}: {query}")
    assert not empty, "\n".join(empty)
    say(f"all {count} dashboard queries return data, except {', '.join(sorted(EMPTY_HERE))}")


def use(machine):
    """Uses the deployment as an operator and a client would."""
    made = machine.start("migrate", ["provision", "--tenant", "Acme", "--output", "json"]).output()
    key = made["api_key"]["key"]
    server, balancer = (machine.addresses["server"], 8080), (machine.addresses["load-balancer"], 8000)
    batch = {"events": [{"event_id": "a", "event_name": "n", "user_id": "u"}]}
    assert ask(server, "POST", "/v1/events/batch", key, batch)[1]["accepted"] == 1
    assert ask(balancer, "POST", "/v1/events/batch", key, batch)[1]["duplicates"] == 1
    assert ask(server, "GET", "/metrics")[0] == 404, "operator endpoints must not be public"
    management = (machine.addresses["server"], 9091)
    until("both servers share rate limits", lambda: ask(management, "GET", "/health")[1]["checks"]["redis"].get("servers"), 2)
    prometheus = (machine.addresses["prometheus"], 9090)
    until(
        "Prometheus sees both servers",
        lambda: [target["health"] for target in ask(prometheus, "GET", "/api/v1/targets")[1]["data"]["activeTargets"]],
        ["up", "up"],
    )
    rules = ask(prometheus, "GET", "/api/v1/rules")[1]["data"]["groups"]
    say(f"Prometheus scrapes both servers and has {sum(len(group['rules']) for group in rules)} rules")
    for name in ("server", "server-2"):
        confined(machine.containers[name])
    sent = replace_servers(machine, key)
    # A rate appears once a counter grows between two scrapes, 15 seconds apart.
    for _ in range(3):
        assert ask(server, "POST", "/v1/events/batch", key, {"events": [{"event_nam": "n"}]})[0] == 422
        assert ask(server, "POST", "/v1/events/batch", key + "0", batch)[0] == 401
        assert ask(server, "GET", "/v1/events?limit=1", key)[0] == 200
        time.sleep(16)
    look_at_dashboards(prometheus)
    counted = machine.start("migrate", ["events", "count", "--tenant", "Acme", "--output", "json"]).output()
    say(f"accepted under load: {sent}; in the database: {json.dumps(counted)}")
    return sent + 1, counted


def main():
    root = Path(sys.argv[1])
    scratch = Path(tempfile.mkdtemp(prefix="mercurio-containers."))
    try:
        mount("-t", "tmpfs", "tmpfs", scratch)
        scratch.chmod(0o755)
        image = build(root, scratch)
        ctypes.CDLL(None).unshare(CLONE_NEWNET)
        variables = environment_of(root / "deploy/development.env")
        compose = Compose(root / "deploy/compose.yml", variables, ["scaled", "monitoring"])
        machine = Machine(compose, image, scratch, say)
        start_all(machine)
        expected, counted = use(machine)
        assert counted["events"] == expected, (counted, expected)
        for name in reversed(compose.order()):
            container = machine.containers.get(name)
            if container and container.process.poll() is None:
                say(f"{name} exited with {container.stop()}")
        say("done")
    finally:
        # This process's mount namespace ends with it, and so do the mounts.
        os.system(f"umount -R -l {scratch}; rmdir {scratch}")


main()
