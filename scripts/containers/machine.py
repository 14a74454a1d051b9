"""Runs the services of a Compose file as containers without Docker: each has its own root, network address and host name.

They use the same kernel features as Docker: overlays, network namespaces joined by a bridge, no capabilities, a read-only root.
Not implemented: separate networks (all services share one) and the images' start scripts, except for PostgreSQL's creation of a
database.
"""

import ctypes
import json
import os
import pwd
import signal
import subprocess
import time
from pathlib import Path

from .compose import seconds
from .dockerfile import mount, overlay

LIBC = ctypes.CDLL(None)
# Constants of linux/prctl.h.
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
BRIDGE = "172.31.250.1"
# Local programs that replace images, and their command prefix.
STAND_INS = {"postgres": [], "redis": [], "haproxy": [], "prom/prometheus": ["prometheus"]}
# Users of the replacements, as in the images.
USERS = {"postgres": "postgres", "redis": "redis", "haproxy": "haproxy", "prom/prometheus": "prometheus"}


class Machine:
    """A network bridge, host names, and the containers on it."""

    def __init__(self, compose, image, scratch, say):
        self.compose, self.image, self.scratch, self.say = compose, image, Path(scratch), say
        self.containers, self.addresses = {}, {}
        free = iter(range(100, 200))
        for name in compose.services:
            self.addresses[name] = compose.address(name) or f"172.31.250.{next(free)}"
        (self.scratch / "hosts").write_text(
            "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in self.addresses.items())
        )
        (self.scratch / "resolv.conf").write_text(f"nameserver {BRIDGE}\n")
        ip = ["ip", "link"]
        subprocess.run([*ip, "set", "lo", "up"], check=True)
        subprocess.run([*ip, "add", "bridge", "type", "bridge"], check=True)
        subprocess.run(["ip", "addr", "add", f"{BRIDGE}/24", "dev", "bridge"], check=True)
        subprocess.run([*ip, "set", "bridge", "up"], check=True)
        # Programs that resolve names by DNS only, without /etc/hosts, need a name server, as Docker provides.
        subprocess.Popen(
            ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", f"--addn-hosts={self.scratch}/hosts",
             f"--listen-address={BRIDGE}", "--bind-interfaces", "--user=root", "--pid-file="],
        )

    def root_of(self, name, service):
        """Builds a container's root with its volumes; read-only if the file says so."""
        own = service["image"].startswith("mercurio:")
        folder = self.scratch / f"{name}-{time.monotonic_ns()}"
        root = overlay(self.image.root if own else "/", folder)
        (root / "etc").mkdir(exist_ok=True)
        for file in ("hosts", "resolv.conf"):
            (root / "etc" / file).unlink(missing_ok=True)
            (root / "etc" / file).write_text((self.scratch / file).read_text())
        user = USERS.get(service["image"].split(":")[0])
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            inside = root / target.lstrip("/")
            if source.startswith("."):
                source = (self.compose.folder / source).resolve()
                if source.is_dir():
                    inside.mkdir(parents=True, exist_ok=True)
                else:
                    inside.parent.mkdir(parents=True, exist_ok=True)
                    inside.touch()
            else:
                source = self.scratch / "volumes" / source
                source.mkdir(parents=True, exist_ok=True)
                inside.mkdir(parents=True, exist_ok=True)
                subprocess.run(["chown", user, source], check=True)
            mount("--bind", source, inside)
            if mode == ["ro"]:
                mount("-o", "remount,bind,ro", inside)
        for target in service.get("tmpfs", []):
            (root / target.lstrip("/")).mkdir(parents=True, exist_ok=True)
            mount("-t", "tmpfs", "tmpfs", root / target.lstrip("/"))
        if service.get("read_only"):
            mount("-o", "remount,ro", root)
        return root

    def environment(self, service):
        """Returns a container's environment: the file's variables override the image's."""
        own = service["image"].startswith("mercurio:")
        base = dict(self.image.env) if own else {"PATH": os.environ["PATH"]}
        return {**base, **{name: str(value) for name, value in service.get("environment", {}).items()}}

    def command(self, service, arguments):
        """Returns the program and its arguments."""
        if service["image"].startswith("mercurio:"):
            return service.get("entrypoint", self.image.entrypoint) + (arguments or service.get("command", []))
        return STAND_INS[service["image"].split(":")[0]] + service["command"]

    def user(self, service):
        """Returns the user and group ids of a service."""
        name = service["image"].split(":")[0]
        if name == "mercurio":
            return tuple(int(part) for part in self.image.user.split(":"))
        entry = pwd.getpwnam(USERS[name])
        return entry.pw_uid, entry.pw_gid

    def start(self, name, arguments=()):
        """Starts a service, or its program with `arguments`, and returns the container."""
        service = self.compose.services[name]
        if service["image"].split(":")[0] not in (*STAND_INS, "mercurio"):
            self.say(f"{name}: skipped, no local replacement for {service['image']}")
            return None
        root = self.root_of(name, service)
        container = Container(self, name, service, root, arguments)
        if not arguments:
            self.containers[name] = container
        return container


class Container:
    """A process with its own root and network."""

    def __init__(self, machine, name, service, root, arguments):
        self.machine, self.name, self.service, self.root = machine, name, service, root
        self.environment = machine.environment(service)
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        address = machine.addresses[name] if not arguments else "172.31.250.250"
        self.wire(address)
        self.log = machine.scratch / f"{name}.log"
        if service["image"].startswith("postgres:"):
            self.new_database()
        out = subprocess.PIPE if arguments else self.log.open("ab")
        self.process = self.spawn(machine.command(service, list(arguments)), stdout=out, stderr=None if arguments else out)

    def wire(self, address):
        pid = self.holder.pid
        namespace = Path(f"/proc/{pid}/ns/net")
        here = os.readlink("/proc/self/ns/net")
        while os.readlink(namespace) == here:
            time.sleep(0.01)
        outer = f"v{pid}"
        run = lambda *arguments: subprocess.run(arguments, check=True)  # noqa: E731
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        run("ip", "link", "set", outer, "master", "bridge", "up")
        inside = ("nsenter", "-t", str(pid), "-n", "ip")
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "addr", "add", f"{address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")

    def spawn(self, command, **more):
        """Runs a program in the container's network and root, as its user, with the file's restrictions."""
        network = os.open(f"/proc/{self.holder.pid}/ns/net", os.O_RDONLY)
        uid, gid = self.machine.user(self.service)
        drops = "ALL" in self.service.get("cap_drop", [])
        gains_nothing = "no-new-privileges:true" in self.service.get("security_opt", [])

        def enter():
            LIBC.setns(network, 0)
            os.chroot(self.root)
            os.chdir("/")
            if drops:
                for capability in range(64):
                    LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            if gains_nothing:
                LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

        try:
            return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, preexec_fn=enter, **more)
        finally:
            os.close(network)

    def new_database(self):
        """Initializes an empty volume, as the image's start script does."""
        binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))[-1]
        self.environment["PATH"] = f"{binaries}:{os.environ['PATH']}"
        self.environment["PGDATA"] = "/var/lib/postgresql/data"
        if (self.machine.scratch / "volumes/postgres/PG_VERSION").exists():
            return
        user, password = self.environment["POSTGRES_USER"], self.environment["POSTGRES_PASSWORD"]
        script = (
            f"umask 077; echo {password} >/tmp/pw; initdb -U {user} --pwfile=/tmp/pw -A scram-sha-256 -E UTF8 --locale=C.UTF-8"
            " >/dev/null && echo 'host all all all scram-sha-256' >>$PGDATA/pg_hba.conf"
            " && pg_ctl -w start -o '-c listen_addresses= -c unix_socket_directories=/tmp' >/dev/null"
            f" && PGPASSWORD={password} createdb -h /tmp -U {user} {self.environment['POSTGRES_DB']} && pg_ctl -w stop >/dev/null"
        )
        assert self.spawn(["bash", "-c", script]).wait() == 0, "the new database"

    def healthy(self):
        """Runs the service's health check at the file's interval until it succeeds or its retries are used up."""
        check = self.service.get("healthcheck")
        test = check["test"]
        assert test[0] == "CMD", test
        deadline = time.monotonic() + seconds(check.get("start_period", "0s")) + check["retries"] * seconds(check["interval"])
        while True:
            try:
                if self.spawn(test[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).wait(seconds(check["timeout"])) == 0:
                    return True
            except subprocess.TimeoutExpired:
                pass
            if time.monotonic() > deadline or self.process.poll() is not None:
                return False
            time.sleep(0.5)

    def status(self):
        """Returns the fields of the process's /proc/…/status."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return {name: value.split() for name, value in (line.split(":", 1) for line in lines)}

    def stop(self):
        """Stops the process as `docker stop` does, and returns the exit code."""
        grace = seconds(self.service.get("stop_grace_period", "10s"))
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(grace)
        self.holder.kill()
        self.holder.wait()
        return code

    def output(self):
        """Waits for the process to exit, and returns its output as JSON."""
        text, _ = self.process.communicate()
        assert self.process.returncode == 0, text
        self.holder.kill()
        return json.loads(text)
