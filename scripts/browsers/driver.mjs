// Drives Chromium for scripts/browsers/trial.py: a command a line on standard input, an answer a line on standard output.
//
//   node driver.mjs PAGES
//
// PAGES is a folder with a script for each page, NAME.js; the driver serves them on an origin of its own. CHROMIUM is the browser,
// NODE_TOOLS the folder of its driver. A context has a storage of its own, as a person has. What its pages complain about and ask of
// other origins is kept until `report` takes it; a request without an answer has status 0.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join, normalize } from "node:path";
import { createInterface } from "node:readline";

const require = createRequire(`${process.env.NODE_TOOLS}/package.json`);
const { chromium } = require("playwright-core");
const folder = process.argv[2];

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname.endsWith(".js")) {
    const script = await readFile(join(folder, normalize(pathname))).catch(() => undefined);
    response.writeHead(script ? 200 : 404, { "content-type": "text/javascript" }).end(script);
    return;
  }
  const name = pathname.slice(1);
  const script = name && `<script type="module" src="/${name}.js"></script>`;
  response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
  response.end(`<!doctype html><title>Größe</title><link rel="icon" href="data:,">${script}`);
});
await new Promise((resolve) => server.listen(0, "localhost", resolve));
const origin = `http://localhost:${server.address().port}`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    // PostHog's client sends nothing for a bot, and these two identify one.
    "--disable-blink-features=AutomationControlled",
    "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
  ],
});
const contexts = new Map();
const pages = new Map();

function record(context, page) {
  const { complaints, requests } = contexts.get(context);
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  page.on("response", (response) => keep(response.request(), response.status()));
  page.on("requestfailed", (request) => keep(request, 0));

  async function keep(request, status) {
    if (request.url().startsWith(origin)) return;
    const headers = await request.allHeaders().catch(() => request.headers());
    const body = request.postDataBuffer()?.toString("base64") ?? "";
    requests.push({ method: request.method(), url: request.url(), headers, body, status });
  }
}

const commands = {
  async context({ context }) {
    const opened = await browser.newContext();
    contexts.set(context, { opened, complaints: [], requests: [] });
  },
  // `replace` has pairs of texts to replace in the page's script.
  async open({ context, page, name, replace }) {
    const opened = await contexts.get(context).opened.newPage();
    record(context, opened);
    pages.set(page, opened);
    await opened.route(`${origin}/${name}.js`, async (route) => {
      const response = await route.fetch();
      const replaced = replace.reduce((text, [from, to]) => text.replaceAll(from, to), await response.text());
      await route.fulfill({ response, body: replaced });
    });
    await opened.goto(`${origin}/${name}?utm_source=letter`);
  },
  // Calls a function of the page.
  call: ({ page, name, argument }) => pages.get(page).evaluate(([name, argument]) => globalThis[name](argument), [name, argument]),
  async leave({ page }) {
    await pages.get(page).goto(`${origin}/`);
  },
  async report({ context }) {
    const { complaints, requests } = contexts.get(context);
    return { complaints: complaints.splice(0), requests: requests.splice(0) };
  },
  async end({ context }) {
    await contexts.get(context).opened.close();
    contexts.delete(context);
  },
};

const write = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
write({ origin });
for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...rest } = JSON.parse(line);
  commands[command](rest).then(
    (result = null) => write({ id, result }),
    (error) => write({ id, error: String(error.stack) }),
  );
}
await browser.close();
server.close();
