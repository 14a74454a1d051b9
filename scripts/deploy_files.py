"""Checks of scripts/check-deploy beyond those of the official tools.

    python -m scripts.deploy_files expressions        prints the dashboards' queries as a rules file for promtool
    python -m scripts.deploy_files kubernetes FILE    prints the errors of built manifests
"""

import ipaddress
import json
import re
import sys
from pathlib import Path

import yaml

# Values for Grafana's variables, sufficient for the syntax of a query.
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*", "$tenant": "1"}


def dashboards():
    """Returns the dashboards by file name."""
    return {path.name: json.loads(path.read_text()) for path in sorted(Path("deploy/grafana/dashboards").glob("*.json"))}


def panels():
    """Returns every panel query, unchanged, as (dashboard, title, query)."""
    return [
        (name, panel["title"], target["expr"])
        for name, dashboard in dashboards().items()
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]


def expressions():
    """Returns every query of every dashboard, with its variables filled in."""
    found = []
    for path, dashboard in dashboards().items():
        queries = [query for name, _, query in panels() if name == path]
        queries += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
        for query in queries:
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            assert "$" not in re.sub(r"\$[^_a-z]", "", query), f"{path}: unknown variable in {query}"
            found.append(query)
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids)), f"{path}: two panels share an id"
    return found


def wide_networks(settings):
    """Returns errors: trusted networks that contain more than an ingress controller."""
    networks = [text.strip() for text in settings.get("MERCURIO_TRUSTED_PROXIES", "").split(",") if text.strip()]
    errors = []
    for network in map(ipaddress.ip_network, networks):
        # A node usually has a /24 of the pod network, or a /64.
        if network.prefixlen < (24 if network.version == 4 else 64):
            errors.append(f"MERCURIO_TRUSTED_PROXIES: {network} lets other pods invent client addresses")
    return errors


def kubernetes(path):
    """Returns errors: selectors without pods, wide trusted networks, pods with too many privileges, mounts without volumes."""
    documents = [document for document in yaml.safe_load_all(Path(path).read_text()) if document]
    pods = {}
    for document in documents:
        if "template" in document.get("spec", {}):
            template = document["spec"]["template"]
            pods[document["metadata"]["name"]] = (template["metadata"].get("labels", {}), template["spec"])
    assert len(pods) == 2, sorted(pods)

    def matches(selector):
        return any(selector.items() <= labels.items() for labels, _ in pods.values())

    errors = []
    built = any(document["kind"] == "Namespace" for document in documents)
    for document in documents:
        spec, name = document.get("spec", {}), f"{document['kind']} {document['metadata']['name']}"
        selector = spec.get("podSelector", spec.get("selector", {}))
        selector = selector.get("matchLabels", selector)
        # The base alone lacks the labels added by its kustomization.
        if selector and built and not matches(selector):
            errors.append(f"{name}: no pod matches the selector {selector}")
    for document in documents:
        if document["kind"] == "ConfigMap":
            errors += wide_networks(document["data"])
    for name, (_, pod) in pods.items():
        if not pod["securityContext"].get("runAsNonRoot") or pod.get("automountServiceAccountToken", True):
            errors.append(f"{name}: runs as root, or mounts a service account token")
        for container in pod["containers"]:
            context = container["securityContext"]
            if context["allowPrivilegeEscalation"] or not context["readOnlyRootFilesystem"]:
                errors.append(f"{name}: may gain privileges, or has a writable root")
            if context["capabilities"]["drop"] != ["ALL"] or "memory" not in container["resources"]["limits"]:
                errors.append(f"{name}: keeps capabilities, or has no memory limit")
            missing = {mount["name"] for mount in container["volumeMounts"]} - {volume["name"] for volume in pod["volumes"]}
            if missing:
                errors.append(f"{name}: mounts undefined volumes: {missing}")
    return errors


if __name__ == "__main__":
    if sys.argv[1] == "expressions":
        rules = [{"record": f"dashboard:query:{number}", "expr": query} for number, query in enumerate(expressions())]
        print(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    else:
        found = kubernetes(sys.argv[2])
        print("\n".join(found))
        sys.exit(bool(found))
