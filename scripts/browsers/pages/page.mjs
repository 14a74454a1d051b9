// The functions of a page, as the trial calls them: `start` makes the client, `send` makes calls one after the other, and `errors`
// returns those that the client reported.

const errors = [];
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
let client;

export function report(error) {
  errors.push(String(error?.message ?? error));
}

export function expose(make) {
  globalThis.start = async (task) => {
    client = await make(task);
  };
  globalThis.send = async (calls) => {
    for (const call of calls) {
      if (call.call === "sleep") await sleep(call.seconds);
      else await client.send(call);
    }
  };
  globalThis.flush = () => client.flush();
  globalThis.person = () => client.person();
  globalThis.errors = () => errors;
  // The page's own request, to see what a page may read.
  globalThis.ask = async ({ url, ...request }) => {
    const answer = await fetch(url, request);
    return { status: answer.status, retryAfter: answer.headers.get("Retry-After"), body: await answer.text() };
  };
}
