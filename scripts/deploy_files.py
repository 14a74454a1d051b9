"""What scripts/check-deploy asks of files that no tool of theirs asks.

    python -m scripts.deploy_files expressions        prints the dashboards' queries as a file of rules, for promtool
    python -m scripts.deploy_files kubernetes FILE    faults of built manifests
"""

import json
import re
import sys
from pathlib import Path

import yaml

# What Grafana puts in place of its variables, as far as the syntax of a query cares.
VARIABLES = {"$__rate_interval": "5m", "$instance": ".*", "$tenant": "1"}


def dashboards():
    """The dashboards, by the name of their file."""
    return {path.name: json.loads(path.read_text()) for path in sorted(Path("deploy/grafana/dashboards").glob("*.json"))}


def panels():
    """Every query of a panel, as it stands: triples of dashboard, title and query."""
    return [
        (name, panel["title"], target["expr"])
        for name, dashboard in dashboards().items()
        for panel in dashboard["panels"]
        for target in panel.get("targets", [])
    ]


def expressions():
    """Every query of every dashboard, its variables filled in."""
    found = []
    for path, dashboard in dashboards().items():
        queries = [query for name, _, query in panels() if name == path]
        queries += [annotation["expr"] for annotation in dashboard["annotations"]["list"]]
        for query in queries:
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            assert "$" not in re.sub(r"\$[^_a-z]", "", query), f"{path}: an unknown variable: {query}"
            found.append(query)
        ids = [panel["id"] for panel in dashboard["panels"]]
        assert len(ids) == len(set(ids)), f"{path}: two panels have one id"
    return found


def kubernetes(path):
    """Selectors that meet no pod, pods that ask for too much, and volumes and settings that nobody has."""
    documents = [document for document in yaml.safe_load_all(Path(path).read_text()) if document]
    pods = {}
    for document in documents:
        if "template" in document.get("spec", {}):
            template = document["spec"]["template"]
            pods[document["metadata"]["name"]] = (template["metadata"].get("labels", {}), template["spec"])
    assert len(pods) == 2, sorted(pods)

    def meets(selector):
        return any(selector.items() <= labels.items() for labels, _ in pods.values())

    faults = []
    built = any(document["kind"] == "Namespace" for document in documents)
    for document in documents:
        spec, name = document.get("spec", {}), f"{document['kind']} {document['metadata']['name']}"
        selector = spec.get("podSelector", spec.get("selector", {}))
        selector = selector.get("matchLabels", selector)
        # Without its kustomization the base lacks the labels that that adds.
        if selector and built and not meets(selector):
            faults.append(f"{name}: selects no pod: {selector}")
    for name, (_, pod) in pods.items():
        if not pod["securityContext"].get("runAsNonRoot") or pod.get("automountServiceAccountToken", True):
            faults.append(f"{name}: as root, or with a token")
        for container in pod["containers"]:
            context = container["securityContext"]
            if context["allowPrivilegeEscalation"] or not context["readOnlyRootFilesystem"]:
                faults.append(f"{name}: may gain privileges, or write to its root")
            if context["capabilities"]["drop"] != ["ALL"] or "memory" not in container["resources"]["limits"]:
                faults.append(f"{name}: keeps capabilities, or has no limit of memory")
            missing = {mount["name"] for mount in container["volumeMounts"]} - {volume["name"] for volume in pod["volumes"]}
            if missing:
                faults.append(f"{name}: mounts what is no volume: {missing}")
    return faults


if __name__ == "__main__":
    if sys.argv[1] == "expressions":
        rules = [{"record": f"dashboard:query:{number}", "expr": query} for number, query in enumerate(expressions())]
        print(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    else:
        found = kubernetes(sys.argv[2])
        print("\n".join(found))
        sys.exit(bool(found))
