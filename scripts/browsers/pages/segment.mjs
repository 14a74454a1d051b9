// Segment's client, with one request an event or with batches.

import { AnalyticsBrowser } from "@segment/analytics-next";

import { expose, report } from "./page.mjs";

expose(async ({ host, key, wait, batching }) => {
  const { host: address, protocol } = new URL(host);
  const deliveryStrategy = batching && { strategy: "batching", config: { size: 10, timeout: wait } };
  const server = { apiKey: key, apiHost: `${address}/v1`, protocol: protocol.slice(0, -1), ...(batching && { deliveryStrategy }) };
  const analytics = AnalyticsBrowser.load({
    writeKey: key,
    cdnSettings: { integrations: { "Segment.io": server }, metrics: { sampleRate: 0 } },
  });
  analytics.on("error", ({ code, reason }) => report(`${code}: ${reason?.message ?? reason}`));
  await analytics.ready();
  return {
    send({ call, id, name, payload }) {
      const options = id ? { messageId: id } : {};
      // Not awaited: the promise waits for the delivery.
      switch (call) {
        case "track":
          return void analytics.track(name, payload, options);
        case "identify":
          return void analytics.identify(name, payload, options);
        case "page":
          return void analytics.page("Docs", name, payload, options);
        case "screen":
          return void analytics.screen("Docs", name, payload, options);
        case "group":
          return void analytics.group(name, payload, options);
        case "alias":
          return void analytics.alias(name, "old-1", options);
      }
    },
    async person() {
      const user = await analytics.user();
      return { user: user.id() ?? null, anonymous: user.anonymousId() };
    },
  };
});
