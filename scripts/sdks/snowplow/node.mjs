// Sends events with @snowplow/node-tracker.

import { setTimeout as sleep } from "node:timers/promises";

const PATIENCE_MS = 40000;

export function sender(task, errors, require) {
    const snowplow = require("@snowplow/node-tracker");
    let open = 0;
    const client = snowplow.newTracker(
        { namespace: "trial", appId: "shop", encodeBase64: task.variant === "get" },
        {
            endpoint: task.host,
            eventMethod: task.variant,
            bufferSize: 5,
            customHeaders: { Authorization: `Bearer ${task.key}` },
            onRequestSuccess(batch) {
                open -= batch.length;
            },
            onRequestFailure({ events, status, message, willRetry }) {
                if (!willRetry) {
                    open -= events.length;
                    errors.push(`${status} ${message}`);
                }
            },
        },
    );

    const build = {
        track: ({ name, payload }) =>
            snowplow.buildSelfDescribingEvent({ event: { schema: `iglu:com.example/${name}/jsonschema/1-0-0`, data: payload } }),
        structured: ({ name }) =>
            snowplow.buildStructEvent({ category: "shop", action: name, label: "label-1", property: "property-1", value: 9.5 }),
        page: ({ name }) => snowplow.buildPageView({ pageUrl: "https://example.com/", pageTitle: name }),
        ping: ({ name }) => snowplow.buildPagePing({ pageUrl: "https://example.com/", pageTitle: name }),
        screen: ({ name }) => snowplow.buildScreenView({ id: "0193a5c0-7a5b-7e7c-9a55-3f0f6b1e2d4c", name }),
    };

    // It sends again what failed only when it sends another event, or is asked to.
    async function flush() {
        const deadline = Date.now() + PATIENCE_MS;
        while (open > 0 && Date.now() < deadline) {
            await client.flush();
            await sleep(100);
        }
    }
    return {
        send(call) {
            open += 1;
            client.setUserId(call.user);
            client.track(build[call.call](call), [], call.time && Date.parse(call.time));
        },
        flush,
        close: flush,
    };
}
