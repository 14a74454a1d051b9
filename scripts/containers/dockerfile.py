"""Runs the instructions of a Dockerfile without Docker.

Base images are unavailable, so this machine replaces the image of the build stage: each stage is an overlay over `/`, discarded
at the end. `FROM scratch` is an empty folder. An unknown instruction is an error, so no line of the file is skipped.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Image:
    """Result of a stage: a root, and how its containers start."""

    root: Path
    env: dict = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: list = field(default_factory=list)
    healthcheck: list = field(default_factory=list)
    stop_signal: str = "SIGTERM"
    ports: list = field(default_factory=list)


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def overlay(lower, base):
    """Mounts a writable root over `lower`, with the kernel's file systems."""
    for part in ("upper", "work", "root"):
        (base / part).mkdir(parents=True)
    root = base / "root"
    mount("-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={base}/upper,workdir={base}/work", root)
    for kernel in ("proc", "dev"):
        (root / kernel).mkdir(exist_ok=True)
        mount("--rbind", f"/{kernel}", root / kernel)
    return root


def instructions(text):
    """Returns (instruction, arguments). A backslash continues a line; comments in between are ignored."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.strip().split(None, 1)) for line in joined.splitlines() if line.strip()]


def options(rest):
    """Splits leading `--name=value` options from the arguments."""
    found = []
    while rest.startswith("--"):
        word, rest = rest.split(None, 1)
        found.append(tuple(word[2:].split("=", 1)))
    return found, rest


class Build:
    """One run through a Dockerfile."""

    def __init__(self, context, scratch, caches, say):
        self.context, self.scratch, self.caches, self.say = Path(context), Path(scratch), Path(caches), say
        self.stages, self.current = {}, None
        # The arguments before the first FROM, which later ones may name.
        self.arguments = {}

    def run(self, dockerfile):
        """Runs the file and returns the last stage."""
        for word, rest in instructions(Path(dockerfile).read_text()):
            self.say(f"{word} {' '.join(rest.split())}"[:160])
            getattr(self, f"on_{word.lower()}")(rest)
        return self.current

    def on_arg(self, rest):
        name, default = rest.split("=", 1)
        if self.current:
            self.current.env[name] = default
        else:
            self.arguments[name] = default

    def on_from(self, rest):
        for name, value in self.arguments.items():
            rest = rest.replace(f"${{{name}}}", value)
        base, *alias = re.split(r"\s+as\s+", rest, flags=re.IGNORECASE)
        folder = self.scratch / f"stage-{len(self.stages)}"
        if base == "scratch":
            folder.mkdir()
            self.current = Image(folder)
        else:
            self.current = Image(overlay("/", folder))
            self.same_release(base)
        self.stages[alias[0] if alias else str(len(self.stages))] = self.current

    def same_release(self, base):
        """Checks that this machine has the Rust and the Debian release of the base image's tag."""
        name, version, release = re.fullmatch(r"(\w+):([\d.]+)-(\w+)", base).groups()
        assert name == "rust", f"no replacement for {base}"
        rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout
        assert rustc.split()[1].startswith(version), f"the Dockerfile wants {base}; this machine has {rustc}"
        here = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
        if here.get("VERSION_CODENAME") != release:
            self.say(f"  note: this machine is {here.get('PRETTY_NAME')}, the image would be Debian {release}")

    def on_workdir(self, rest):
        self.current.workdir = rest
        (self.current.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def on_copy(self, rest):
        opts, rest = options(rest)
        opts = dict(opts)
        source, target = rest.split()
        into = self.current.root / os.path.join(self.current.workdir, target).lstrip("/")
        into.mkdir(parents=True, exist_ok=True)
        if "from" in opts:
            source = self.stages[opts["from"]].root / source.lstrip("/")
        else:
            assert source == ".", "only the whole context is copied"
            return self.copy_context(into)
        subprocess.run(["cp", "-a", f"{source}/.", into], check=True)
        if "chown" in opts:
            subprocess.run(["chown", "-R", opts["chown"], into], check=True)
        return None

    def copy_context(self, into):
        """Copies the entries that .dockerignore allows; it excludes everything but a list of names."""
        lines = [line for line in (self.context / ".dockerignore").read_text().splitlines() if line]
        rules = [line for line in lines if not line.startswith("#")]
        assert rules[0] == "*" and all(rule.startswith("!") for rule in rules[1:]), "a whitelist of names"
        for rule in rules[1:]:
            subprocess.run(["cp", "-a", self.context / rule[1:], into], check=True)

    def on_run(self, rest):
        opts, command = options(rest)
        root = self.current.root
        for name, value in opts:
            assert name == "mount"
            wanted = dict(part.split("=", 1) for part in value.split(","))
            assert wanted["type"] == "cache"
            cache = self.caches / wanted["target"].strip("/").replace("/", "-")
            cache.mkdir(parents=True, exist_ok=True)
            target = root / wanted["target"].lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            mount("--bind", cache, target)
        script = f"cd {shlex.quote(self.current.workdir)} && {command}"
        subprocess.run(["chroot", root, "/bin/sh", "-c", script], check=True, env={**os.environ, **self.current.env})
        for _, value in opts:
            target = dict(part.split("=", 1) for part in value.split(","))["target"]
            subprocess.run(["umount", root / target.lstrip("/")], check=True)

    def on_env(self, rest):
        self.current.env.update(word.split("=", 1) for word in shlex.split(rest))

    def on_user(self, rest):
        self.current.user = rest

    def on_expose(self, rest):
        self.current.ports = rest.split()

    def on_stopsignal(self, rest):
        self.current.stop_signal = rest

    def on_entrypoint(self, rest):
        self.current.entrypoint = json.loads(rest)

    def on_healthcheck(self, rest):
        _, rest = options(rest)
        self.current.healthcheck = json.loads(rest.removeprefix("CMD").strip())


def weigh(root):
    """Returns the total bytes below a root, and the files with their sizes, largest first."""
    files = [path for path in Path(root).rglob("*") if path.is_file() and not path.is_symlink()]
    sizes = sorted(((path.stat().st_size, str(path.relative_to(root))) for path in files), reverse=True)
    return sum(size for size, _ in sizes), sizes


def remove(folder):
    """Deletes a folder of stages."""
    shutil.rmtree(folder, ignore_errors=True)
