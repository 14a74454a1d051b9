// Sends events with @amplitude/analytics-node.

import { setTimeout as sleep } from "node:timers/promises";

const PATHS = { events: "/2/httpapi", batch: "/batch" };
const PATIENCE_MS = 40000;

export function sender(task, errors, require) {
    const { Identify, Revenue, createInstance } = require("@amplitude/analytics-node");
    const client = createInstance();
    client.init(task.key, { serverUrl: task.host + PATHS[task.variant], flushIntervalMillis: 200, logLevel: 0 });
    const started = Date.now();
    let open = 0;

    const identify = (payload) => Object.entries(payload).reduce((all, [name, value]) => all.set(name, value), new Identify());
    const kinds = {
        track: ({ name, payload, attributes }, options) => client.track({ event_type: name, event_properties: payload, ...attributes, ...options }),
        identify: ({ payload }, options) => client.identify(identify(payload), options),
        group: ({ payload }, options) => client.groupIdentify("company", "acme", identify(payload), options),
        "set group": (_call, options) => client.setGroup("company", "acme", options),
        revenue: ({ payload }, options) => client.revenue(new Revenue().setPrice(9.5).setEventProperties(payload), options),
    };

    async function deliver(call) {
        const time = call.time && { time: Date.parse(call.time) };
        const { code, message } = await kinds[call.call](call, { user_id: call.user, insert_id: call.id, ...time }).promise;
        // Without a connection the client gives up at once, and its caller sends the event again, with the same id.
        if (code === 0 && Date.now() < started + PATIENCE_MS) {
            await sleep(200);
            return deliver(call);
        }
        open -= 1;
        if (code !== 200) {
            errors.push(`${code}: ${message}`);
        }
    }

    async function flush() {
        const deadline = Date.now() + PATIENCE_MS;
        while (open > 0 && Date.now() < deadline) {
            await sleep(20);
        }
    }

    return {
        send(call) {
            open += 1;
            deliver(call);
        },
        flush,
        close: flush,
    };
}
