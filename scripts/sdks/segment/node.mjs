// Sends events with @segment/analytics-node and @rudderstack/rudder-sdk-node.

import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE_MS = 40000;

function message({ call, id, user, name, payload, time }) {
    const common = { userId: user, messageId: id, ...(time && { timestamp: new Date(time) }) };
    switch (call) {
        case "track":
            return { ...common, event: name, properties: payload };
        case "identify":
            return { ...common, traits: payload };
        case "page":
        case "screen":
            return { ...common, name, category: "Docs", properties: payload };
        case "group":
            return { ...common, groupId: "g-1", traits: payload };
        case "alias":
            return { ...common, previousId: "old-1" };
    }
}

function segment(task, errors, require) {
    const { Analytics } = require("@segment/analytics-node");
    const client = new Analytics({ writeKey: task.key, host: task.host, flushInterval: 200 });
    client.on("error", (error) => errors.push(`${error.code}: ${error.reason?.message ?? error.reason}`));
    return {
        send: (call) => client[call.call](message(call)),
        flush: () => client.flush({ timeout: 30000 }),
        close: () => client.closeAndFlush({ timeout: 30000 }),
    };
}

function rudder(task, errors, require) {
    const Client = require("@rudderstack/rudder-sdk-node");
    const client = new Client(task.key, {
        dataPlaneUrl: task.host,
        gzip: task.variant === "gzip",
        flushInterval: 200,
        logLevel: "none",
        // Without it, a timer's flush that fails ends the process.
        errorHandler() {},
    });
    const deadline = Date.now() + PATIENCE_MS;
    let open = 0;
    function deliver(call) {
        client[call.call](message(call), async (error) => {
            // Without an answer it gives up after 1.5 seconds, and its caller sends the event again, with the same id.
            if (error && !error.response && Date.now() < deadline) {
                await sleep(200);
                return deliver(call);
            }
            open -= 1;
            if (error) {
                errors.push(error.message);
            }
        });
    }
    const flush = async () => {
        while (open > 0) {
            await client.flush().catch(() => {});
            await sleep(50);
        }
    };
    return {
        send(call) {
            open += 1;
            deliver(call);
        },
        flush,
        close: flush,
    };
}

export function sender(task, ...rest) {
    return { "segment-node": segment, "rudder-node": rudder }[task.client](task, ...rest);
}
