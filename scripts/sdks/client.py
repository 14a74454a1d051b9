"""Runs a client for Python: python3 -m scripts.sdks.client FAMILY

Reads tasks from standard input, a line each, and writes a result for each. A task has `client`, `host`, `key`, `variant`,
`calls` and `repeat_seconds`: so long the caller repeats a call that failed, for clients that never do. The result has `errors`:
all that the client reported, by its own means.
"""

import importlib
import json
import os
import sys
import time


def send(sender, call, repeat_seconds, errors):
    deadline = time.monotonic() + repeat_seconds
    while True:
        try:
            return sender.send(call)
        except Exception as error:
            if time.monotonic() > deadline:
                errors.append(f"{type(error).__name__}: {error}")
                return
            time.sleep(0.2)


def run(module, task):
    errors = []
    sender = module.Sender(task, errors)
    for call in task["calls"]:
        if call["call"] == "sleep":
            time.sleep(call["seconds"])
        elif call["call"] == "flush":
            sender.flush()
        else:
            send(sender, call, task["repeat_seconds"], errors)
    sender.close()
    return {"errors": errors}


def main():
    module = importlib.import_module(f"scripts.sdks.{sys.argv[1]}.python")
    # Clients may print.
    results = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(run(module, json.loads(line))), file=results, flush=True)


main()
