#!/usr/bin/env python3
"""Sends the earthquakes of a USGS GeoJSON file to Mercurio in batches, and sums up the verdicts.

Needs only Python 3.9 or newer. See README.md in this folder.
"""

import argparse
import datetime
import json
import os
import sys
import time
import urllib.error
import urllib.request

RETRIES = 5


def event_of(quake):
    """Converts a quake to an event. The quake's id becomes the event_id, so a repeated run stores nothing twice."""
    properties = {key: value for key, value in quake["properties"].items() if key != "time"}
    properties["longitude"], properties["latitude"], properties["depth_km"] = quake["geometry"]["coordinates"]
    happened = datetime.datetime.fromtimestamp(quake["properties"]["time"] / 1000, tz=datetime.timezone.utc)
    return {
        "event_id": quake["id"],
        "event_name": "earthquake",
        "timestamp": happened.isoformat(timespec="milliseconds"),
        "anonymous_id": "usgs-" + quake["properties"]["net"],
        "properties": properties,
    }


def send(url, key, events):
    """Sends a batch and retries on temporary errors. With the same ids, nothing is stored twice."""
    body = json.dumps({"events": events}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    for attempt in range(RETRIES):
        try:
            request = urllib.request.Request(f"{url}/v1/events/batch", data=body, headers=headers)
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            answer = error.read().decode()
            if error.code not in (408, 429, 500, 503) or attempt == RETRIES - 1:
                sys.exit(f"HTTP {error.code}: {answer}")
            time.sleep(float(error.headers.get("Retry-After", 1)))
        except urllib.error.URLError as error:
            if attempt == RETRIES - 1:
                sys.exit(f"{url}: {error.reason}")
            time.sleep(2**attempt / 2)
    raise AssertionError("every attempt returns or exits")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", help="a USGS GeoJSON file, such as data/earthquakes.json of vega-datasets")
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="base URL of the server (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=50, help="events per batch (default: %(default)s)")
    arguments = parser.parse_args()
    key = os.environ.get("MERCURIO_API_KEY") or sys.exit("set MERCURIO_API_KEY to an API key with the scope events:write")

    with open(arguments.file, encoding="utf-8") as file:
        events = [event_of(quake) for quake in json.load(file)["features"]]
    total = {"accepted": 0, "duplicates": 0, "rejected": 0}
    start = time.monotonic()
    for first in range(0, len(events), arguments.batch):
        answer = send(arguments.url, key, events[first : first + arguments.batch])
        for verdict in total:
            total[verdict] += answer[verdict]
        for result in answer["results"]:
            if result["status"] == "rejected":
                print(f"rejected {result['event_id']}: {result['errors']}", file=sys.stderr)
    total.update(total=len(events), seconds=round(time.monotonic() - start, 3))
    print(json.dumps(total))


if __name__ == "__main__":
    main()
