"""Steps of scripts/try-documents: one shell runs the documents' blocks and stops at the first failure."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .dockerfile import mount, overlay

# Replaces the machine's boot and provides the documents' prerequisites.
BEFORE = r"""
set -euo pipefail
ip link set lo up
mkdir -p /etc/ssl/mercurio && cd /etc/ssl/mercurio
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=ca 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost 2>/dev/null
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1' > extensions
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile extensions -out server.crt 2>/dev/null
cd "$ROOT"
pg_ctlcluster 15 main start
rm -rf data && mkdir data
DATABASE_URL=sqlite://data/mercurio.db MERCURIO_ADDR=127.0.0.1:18090 target/release/mercurio-ingest >/dev/null 2>&1 &
redis-server --port 6379 --save '' >/dev/null &
wait_for() { for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "timed out waiting for: $*" >&2; exit 1; }
"""

# Replaces `systemctl enable --now mercurio-ingest`: the unit's command with the unit's settings file.
STARTED = r"""
(set -a; . "$(sed -n 's/^EnvironmentFile=//p' deploy/systemd/mercurio-ingest.service)"
 MERCURIO_REDIS_URL=redis://127.0.0.1:6379/0 exec $(sed -n 's/^ExecStart=//p' deploy/systemd/mercurio-ingest.service)) >/tmp/server.log 2>&1 &
wait_for mercurio-ingest --healthcheck
"""

# Before the runbooks: Prometheus, and traffic for their queries.
TRAFFIC = r"""
export MERCURIO=http://127.0.0.1:9091 PROMETHEUS=http://127.0.0.1:9090 PUBLIC_ADDRESS=localhost:443
export MERCURIO_REDIS_URL=redis://127.0.0.1:6379/0
mkdir /tmp/prometheus
sed "s#dns_sd_configs:#static_configs: [{targets: ['127.0.0.1:9091']}]#; /names:/,/refresh_interval/d; s/15s/1s/" \
    deploy/prometheus/prometheus.yml >/tmp/prometheus/prometheus.yml
cp deploy/prometheus/rules.yml deploy/prometheus/alerts.yml /tmp/prometheus
prometheus --config.file=/tmp/prometheus/prometheus.yml --storage.tsdb.path=/tmp/prometheus/data >/tmp/prometheus.log 2>&1 &
send() {
    curl -sS http://127.0.0.1:8080/v1/events/batch -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "$1" >/dev/null
}
for i in $(seq 20); do
    send '{"events":[{"event_id":"'"$i"'","event_name":"n","user_id":"u"},{"event_id":"same","event_name":"n","user_id":"u"},{"event_nam":"x"}]}'
    sleep 0.2
done
wait_for curl -fsS http://127.0.0.1:9090/-/ready
"""


def blocks(text):
    """Returns the blocks marked `sh` or `console`, without the indentation of their fence."""
    found = re.findall(r"^( *)```(sh|console)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [(kind, re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)) for indent, kind, block in found]


def script(root):
    """Joins all blocks into one script."""
    parts, count = [BEFORE], 0
    for path in [root / "docs/deployment.md", *sorted((root / "docs/runbooks").glob("Mercurio*.md"))]:
        if path.parent.name == "runbooks" and TRAFFIC not in parts:
            parts.append(TRAFFIC)
        for kind, block in blocks(path.read_text()):
            if kind == "sh":
                count += 1
                first = block.splitlines()[0]
                parts.append(f"printf '%s\\n' {sh_quote(f'== {path.relative_to(root)}: {first}')}\n{block}")
            elif "systemctl enable --now mercurio-ingest" in block:
                parts.append(STARTED)
    parts.append(f"echo '== ran {count} blocks'")
    return "\n".join(parts)


def sh_quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


def main():
    root = Path(sys.argv[1])
    scratch = Path(tempfile.mkdtemp(prefix="mercurio-documents."))
    try:
        mount("-t", "tmpfs", "tmpfs", scratch)
        scratch.chmod(0o755)
        machine = overlay("/", scratch / "machine")
        release = machine / str(root / "target/release").lstrip("/")
        release.mkdir(parents=True, exist_ok=True)
        mount("--bind", root / "target/containers/src-target/release", release)
        mount("-t", "tmpfs", "tmpfs", machine / "tmp")
        (machine / "tmp").chmod(0o1777)
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "ROOT": str(root),
            "HOME": "/tmp",
            "LC_ALL": "C.UTF-8",
        }
        ended = subprocess.run(["chroot", machine, "bash", "-c", script(root)], env=environment, stdin=subprocess.DEVNULL)
        print(f"try-documents: {'done' if ended.returncode == 0 else 'a block failed'}")
        return ended.returncode
    finally:
        os.system(f"umount -R -l {scratch}; rmdir {scratch}")


sys.exit(main())
