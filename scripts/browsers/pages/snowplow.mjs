// Snowplow's client for browsers.

import { flushBuffer, newTracker, setUserId, trackPageView, trackSelfDescribingEvent, trackStructEvent } from "@snowplow/browser-tracker";

import { expose, report } from "./page.mjs";

expose(({ host, key }) => {
  const tracker = newTracker("page", host, {
    appId: "page",
    // A wildcard of allowed origins answers no request with credentials.
    credentials: "omit",
    customHeaders: { Authorization: `Bearer ${key}` },
    onRequestFailure: ({ status, message }) => report(`${status}: ${message}`),
  });
  return {
    send({ call, name, payload }) {
      switch (call) {
        case "track":
          return trackSelfDescribingEvent({ event: { schema: `iglu:com.example/${name.replaceAll(" ", "_")}/jsonschema/1-0-0`, data: payload } });
        case "struct":
          return trackStructEvent({ category: "Docs", action: name, label: "more", property: "size", value: 9.5 });
        case "identify":
          return setUserId(name);
        case "page":
          return trackPageView({ title: name });
      }
    },
    flush: () => flushBuffer(),
    person: () => ({ anonymous: tracker.getDomainUserId() }),
  };
});
