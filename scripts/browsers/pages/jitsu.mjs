// Jitsu's client for browsers.

import { jitsuAnalytics } from "@jitsu/js";

import { expose, report } from "./page.mjs";

expose(({ host, key }) => {
  const [, id, secret] = key.split("_");
  const analytics = jitsuAnalytics({ host, writeKey: `mk_${id}:${secret}`, errorPolicy: report });
  return {
    send({ call, name, payload }) {
      switch (call) {
        case "track":
          return void analytics.track(name, payload);
        case "identify":
          return void analytics.identify(name, payload);
        case "page":
          return void analytics.page(name, payload);
        case "group":
          return void analytics.group(name, payload);
      }
    },
    person: async () => ({ anonymous: (await analytics.user()).anonymousId }),
  };
});
