// RudderStack's client, with its parts in one file and its configuration in place.

import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

import { expose } from "./page.mjs";

expose(({ host, key }) => new Promise((resolve) => {
  const analytics = new RudderAnalytics();
  const client = {
    send({ call, name, payload }) {
      switch (call) {
        case "track":
          return analytics.track(name, payload);
        case "identify":
          return analytics.identify(name, payload);
        case "page":
          return analytics.page("Docs", name, payload);
        case "group":
          return analytics.group(name, payload);
        case "alias":
          return analytics.alias(name, "old-1");
      }
    },
    person: () => ({ anonymous: analytics.getAnonymousId() }),
  };
  const source = { id: "page", config: {}, destinations: [], enabled: true, workspaceId: "page" };
  analytics.load(key, host, {
    getSourceConfig: () => ({ source }),
    onLoaded: () => resolve(client),
  });
}));
