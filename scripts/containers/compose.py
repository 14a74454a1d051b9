"""Reads a Compose file: variables, profiles, and the order in which services start."""

import re
from pathlib import Path

import yaml


def environment_of(path):
    """Returns the variables of an --env-file."""
    lines = [line.strip() for line in Path(path).read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def interpolate(text, variables):
    """Expands `${NAME}`, `${NAME:-default}` and `${NAME:?message}` as Compose does; a missing variable is an error."""

    def value(match):
        name, kind, rest = match.group(1), match.group(2), match.group(3)
        if variables.get(name):
            return variables[name]
        if kind == ":-":
            return rest
        raise KeyError(f"{name}: {rest or 'is not set'}")

    return re.sub(r"\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, text)


class Compose:
    """The services of a file that the given profiles enable."""

    def __init__(self, path, variables, profiles):
        self.folder = Path(path).parent
        # Comments may contain a `${…}` without a value.
        lines = [line for line in Path(path).read_text().splitlines() if not line.lstrip().startswith("#")]
        self.document = yaml.safe_load(interpolate("\n".join(lines), variables))
        self.services = {
            name: service
            for name, service in self.document["services"].items()
            if not service.get("profiles") or set(service["profiles"]) & set(profiles)
        }

    def order(self):
        """Returns the service names, each after its dependencies."""
        done = []

        def visit(name):
            needs = self.services[name].get("depends_on", {})
            for need in needs:
                assert need in self.services, f"{name} needs {need}, but no profile enables it"
                visit(need)
            if name not in done:
                done.append(name)

        for name in self.services:
            visit(name)
        return done

    def conditions(self, name):
        """Returns the dependencies of a service as (name, condition)."""
        needs = self.services[name].get("depends_on", {})
        if isinstance(needs, list):
            return [(need, "service_started") for need in needs]
        return [(need, rule["condition"]) for need, rule in needs.items()]

    def address(self, name):
        """Returns the fixed address of a service, if it has one."""
        networks = self.services[name].get("networks", {})
        if isinstance(networks, dict):
            for rule in networks.values():
                if rule and "ipv4_address" in rule:
                    return rule["ipv4_address"]
        return None


def seconds(text):
    """Parses a duration such as `45s`."""
    return float(text.removesuffix("s"))
