// PostHog's client, with its defaults but for the time between batches.

import posthog from "posthog-js";

import { expose, report } from "./page.mjs";

expose(({ host, key, wait }) => new Promise((resolve) => {
  const client = {
    send({ call, name, payload }) {
      switch (call) {
        case "track":
          return void posthog.capture(name, payload);
        case "identify":
          return void posthog.identify(name, payload, { first: "letter" });
        case "set":
          return void posthog.setPersonProperties(payload);
        case "group":
          return void posthog.group("company", name, payload);
        case "alias":
          return void posthog.alias(name);
      }
    },
    person: () => ({ anonymous: posthog.get_property("$device_id") }),
  };
  posthog.init(key, {
    api_host: host,
    request_queue_config: { flush_interval_ms: wait },
    on_request_error: ({ statusCode, text }) => report(`${statusCode}: ${text}`),
    loaded: () => resolve(client),
  });
}));
