// Sends events with a client for Node: node client.mjs NAME < task.json > result.json
//
// The task has `host`, `key`, `gzip` and `calls`. The result has `errors`: those that the client reported.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.CLIENTS_FOLDER}/package.json`);
const task = JSON.parse(readFileSync(0));
const errors = [];
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

function message({ call, id, user, name, payload }) {
    const common = { userId: user, messageId: id };
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

function segment() {
    const { Analytics } = require("@segment/analytics-node");
    const client = new Analytics({ writeKey: task.key, host: task.host, flushInterval: 200 });
    client.on("error", (error) => errors.push(`${error.code}: ${error.reason?.message ?? error.reason}`));
    return {
        send: (call) => client[call.call](message(call)),
        flush: () => client.flush({ timeout: 30000 }),
        close: () => client.closeAndFlush({ timeout: 30000 }),
    };
}

function rudder() {
    const Client = require("@rudderstack/rudder-sdk-node");
    const client = new Client(task.key, {
        dataPlaneUrl: task.host,
        gzip: task.gzip,
        flushInterval: 200,
        logLevel: "none",
        // Without it, a timer's flush that fails ends the process.
        errorHandler: (error) => errors.push(error.message),
    });
    let open = 0;
    const flush = async () => {
        while (open > 0) {
            await client.flush().catch(() => {});
            await sleep(0.05);
        }
    };
    return {
        send(call) {
            open += 1;
            client[call.call](message(call), () => {
                open -= 1;
            });
        },
        flush,
        close: flush,
    };
}

const client = { "segment-node": segment, "rudder-node": rudder }[process.argv[2]]();
for (const call of task.calls) {
    if (call.call === "sleep") {
        await sleep(call.seconds);
    } else if (call.call === "flush") {
        await client.flush();
    } else {
        client.send(call);
    }
}
await client.close();
console.log(JSON.stringify({ errors }));
process.exit(0);
