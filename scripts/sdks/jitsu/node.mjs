// Sends events with @jitsu/js outside of browsers. Each call is a request.

export function sender(task, errors, require) {
    const { jitsuAnalytics } = require("@jitsu/js");
    // The client insists on a colon between the key's id and its secret.
    const writeKey = task.key.replace(/^(mk_[^_]*)_/, "$1:");
    let failure;
    const client = jitsuAnalytics({
        host: task.host,
        writeKey,
        s2s: task.variant !== "browser path",
        fetch,
        errorPolicy: (message) => {
            failure ??= message;
        },
    });
    client.setAnonymousId("anonymous-1");

    const kinds = {
        track: ({ name, payload }) => client.track(name, payload),
        identify: ({ user, payload }) => client.identify(user, payload),
        page: ({ name, payload }) => client.page({ ...payload, name }),
        group: ({ payload }) => client.group("g-1", payload),
    };
    return {
        async send(call) {
            failure = undefined;
            await kinds[call.call](call);
            if (failure) {
                throw new Error(failure);
            }
        },
        flush() {},
        close() {},
    };
}
