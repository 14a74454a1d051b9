// Sends events with posthog-node. The environment selects the first or the second capture API.

export function sender(task, errors, require) {
    const { PostHog } = require("posthog-node");
    const client = new PostHog(task.key, {
        host: task.host,
        flushInterval: 200,
        disableCompression: task.variant === "none",
    });
    client.on("error", (error) => errors.push(`${error.name}: ${error.message ?? error}`));

    const kinds = {
        track: ({ id, user, name, payload, time }) =>
            client.capture({ uuid: id, distinctId: user, event: name, properties: payload, ...(time && { timestamp: new Date(time) }) }),
        exception: ({ id, user, payload }) => client.captureException(new Error("broken"), user, payload, id),
        identify: ({ user, payload }) => client.identify({ distinctId: user, properties: payload }),
        group: ({ user, payload }) =>
            client.groupIdentify({ groupType: "company", groupKey: "acme", properties: payload, distinctId: user }),
        alias: ({ user }) => client.alias({ distinctId: user, alias: "old-1" }),
        flags: ({ user }) => client.getAllFlags(user),
    };
    kinds.ai = kinds.track;
    return {
        send: (call) => kinds[call.call](call),
        flush: () => client.flush().catch(() => {}),
        close: () => client.shutdown(30000),
    };
}
