// Sends events with mixpanel for Node. Each call is a request.

import { promisify } from "node:util";

export function sender(task, errors, require) {
    const Mixpanel = require("mixpanel");
    const { hostname, port } = new URL(task.host);
    const client = Mixpanel.init(task.key, { host: hostname, port, protocol: "http", key: "any" });
    const properties = ({ id, user, payload, time }) => ({
        ...payload,
        distinct_id: user,
        $insert_id: id,
        ...(time && { time: new Date(time) }),
    });
    const kinds = {
        track: (call, done) => client.track(call.name, properties(call), done),
        import: (call, done) => client.import(call.name, new Date(call.time), properties(call), done),
        people: ({ user, payload }, done) => client.people.set(user, payload, done),
        group: ({ payload }, done) => client.groups.set("company", "acme", payload, done),
        batch({ events }, done) {
            const list = events.map((call) => ({ event: call.name, properties: properties(call) }));
            client.track_batch(list, (failures) => done(failures?.[0]));
        },
    };
    return {
        send: (call) => promisify(kinds[call.call])(call),
        flush() {},
        close() {},
    };
}
