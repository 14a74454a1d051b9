"""Calls of clients, and the comparison of stored rows with them. A call is an object that a client's sender understands."""

import re
import uuid
from datetime import UTC, datetime, timedelta

TIME_LAG = timedelta(hours=1)
# The correction of a clock moves a time by what the request was under way: seconds on a busy machine.
TIME_TOLERANCE = timedelta(seconds=60)

MADE_BY_SERVER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
DERIVED_BY_SERVER = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ANY = re.compile(r".+", re.DOTALL)


def event(client, step, number, call="track", **fields):
    """Returns a call with the fields that most clients know. The id is a UUID, and the same at every run of the step."""
    number_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{client}:{step}:{number}"))
    payload = {"step": step, "number": number, "price": 9.5, "note": "größer"}
    return {"call": call, "id": number_id, "user": "user-1", "name": "Order Completed", "payload": payload, **fields}


def events(client, step, count):
    return [event(client, step, number) for number in range(count)]


def an_hour_ago():
    return (datetime.now(UTC) - TIME_LAG).isoformat(timespec="milliseconds")


def slowly(calls, seconds):
    return [part for call in calls for part in (call, {"call": "sleep", "seconds": seconds})]


def with_flushes(calls):
    return [part for call in calls for part in (call, {"call": "flush"})]


def numbers(objects, payload):
    return [each[payload]["number"] for each in objects]


def compare(row, expected, where):
    """Fails unless the row has everything expected: a member that is None is absent, a pattern matches the text."""
    for name, value in expected.items():
        compare_value(row.get(name), value, f"{where}: {name}")


def compare_value(found, expected, where):
    if isinstance(expected, dict):
        assert found is None or isinstance(found, dict), f"{where} is {found!r}, not an object"
        compare(found or {}, expected, where)
    elif isinstance(expected, re.Pattern):
        assert isinstance(found, str) and expected.fullmatch(found), f"{where} is {found!r}, not {expected.pattern}"
    elif isinstance(expected, datetime):
        assert abs(found - expected) < TIME_TOLERANCE, f"{where} is {found}, not {expected}"
    else:
        assert found == expected, f"{where} is {found!r}, not {expected!r}"
