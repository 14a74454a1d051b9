// Reads and tries /docs in Chromium: light and dark, on a phone and on a desk, with a key that survives a reload.
//
// CHROMIUM is the browser, SCREENSHOTS a folder for pictures, if set.
import assert from "node:assert/strict";

import { type BrowserContext, chromium, type Page } from "playwright-core";

const url = new URL(process.env.MERCURIO_URL ?? "");
const key = process.env.MERCURIO_API_KEY ?? "";
const screenshots = process.env.SCREENSHOTS;

const colours = ["light", "dark"] as const;
const sizes = { phone: { width: 390, height: 844 }, desk: { width: 1280, height: 900 } };

// Errors of scripts, refusals by the content policy, requests to other servers.
const complaints: string[] = [];

async function newPage(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  // A loaded machine is slow.
  page.setDefaultTimeout(120_000);
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(`console: ${message.text()}`);
  });
  page.on("request", (request) => {
    const { protocol, host } = new URL(request.url());
    if (protocol !== "data:" && host !== url.host) complaints.push(`request: ${request.url()}`);
  });
  return page;
}

async function open(page: Page) {
  await page.goto(new URL("docs", url).href);
  await page.locator("#operations-Writing-sendBatch").waitFor();
}

async function picture(page: Page, name: string, fullPage: boolean) {
  if (screenshots) await page.screenshot({ path: `${screenshots}/${name}.png`, fullPage });
}

// Brightness from 0 to 1, of the background and of the title on it.
async function brightness(page: Page): Promise<{ background: number; title: number }> {
  const [background, title] = await page.evaluate(() => {
    const shown = getComputedStyle(document.documentElement).backgroundColor;
    return [shown, getComputedStyle(document.querySelector(".info .title")!).color];
  });
  return { background: brightnessOf(background), title: brightnessOf(title) };
}

function brightnessOf(colour: string): number {
  const [red = 0, green = 0, blue = 0, alpha = 1] = (colour.match(/[\d.]+/g) ?? []).map(Number);
  // Nothing is behind a transparent page but white.
  return 1 - alpha * (1 - (red + green + blue) / (3 * 255));
}

async function authorize(page: Page) {
  await page.locator(".scheme-container button.authorize").click();
  const dialog = page.locator(".dialog-ux");
  assert.equal(await dialog.locator(".auth-container").count(), 1, "one way to authorize");
  assert.match(await dialog.innerText(), /^\s*Available authorizations\s+bearer/i);
  await picture(page, "authorize", false);
  await dialog.locator("input").fill(`Bearer ${key}`);
  await dialog.locator("button[type=submit]").click();
  await dialog.locator("button.btn-done").click();
}

// Sends the prepared request. Returns the status and the text of the response as shown.
async function execute(page: Page, operation: string): Promise<{ status: number; shown: string }> {
  const block = page.locator(`#operations-${operation}`);
  if (!(await block.getAttribute("class"))?.includes("is-open")) await block.locator(".opblock-summary-control").click();
  const tryIt = block.locator("button.try-out__btn");
  if ((await tryIt.innerText()) !== "Cancel") await tryIt.click();
  const answered = page.waitForResponse((response) => new URL(response.url()).pathname.startsWith("/v1/"));
  await block.locator("button.execute").click();
  const status = (await answered).status();
  const response = block.locator(".live-responses-table .response", { hasText: String(status) });
  return { status, shown: await response.innerText() };
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
  ],
});
try {
  for (const colorScheme of colours) {
    for (const [size, viewport] of Object.entries(sizes)) {
      const context = await browser.newContext({ colorScheme, viewport });
      const page = await newPage(context);
      await open(page);
      const { background, title } = await brightness(page);
      const contrast = colorScheme === "dark" ? title - background : background - title;
      assert(contrast > 0.6, `${colorScheme}: ${title} on ${background}`);
      await picture(page, `${colorScheme}-${size}`, true);

      await page.locator("#operations-Writing-sendBatch .opblock-summary-control").click();
      const tabs = page.locator("#operations-Writing-sendBatch .response[data-code='200'] .tab .active");
      assert.match(await tabs.innerText(), /example/i, "an example before the model");
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert(width <= viewport.width, `${size}: ${width} of ${viewport.width} pixels`);
      await tabs.scrollIntoViewIfNeeded();
      await picture(page, `${colorScheme}-${size}-open`, false);
      await context.close();
    }
  }

  const context = await browser.newContext({ colorScheme: "dark", viewport: sizes.desk });
  const page = await newPage(context);
  await open(page);
  await authorize(page);
  const sent = await execute(page, "Writing-sendBatch");
  assert.equal(sent.status, 200);
  assert.match(sent.shown, /"accepted": 2/);
  await page.reload();
  await page.locator("#operations-Writing-sendBatch").waitFor();
  const listed = await execute(page, "Reading-listEvents");
  assert.equal(listed.status, 200, "still authorized");
  assert.match(listed.shown, /order-4711/);
  await picture(page, "tried", false);
  // Every part of the viewer works under the content policy.
  await page.locator("#operations-Reading-listEvents .response[data-code='200'] button", { hasText: "Schema" }).click();
  await page.locator("section.models h4 button").click();
  await page.locator("section.models .json-schema-2020-12-accordion").first().click();
  await picture(page, "models", false);

  const stored = await page.evaluate(() => [localStorage.length, sessionStorage.length]);
  assert.deepEqual(stored, [0, 1], "the key is in session storage alone");
  const other = await newPage(context);
  await open(other);
  assert.equal(await other.evaluate(() => sessionStorage.length), 0, "another tab has no key");

  await page.locator(".scheme-container button.authorize").click();
  await page.locator(".dialog-ux button", { hasText: "Logout" }).click();
  await page.locator(".dialog-ux button.btn-done").click();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, "logging out forgets the key");
  // The browser reports a status of 401 as an error of its own.
  const expected = complaints.length;
  assert.equal((await execute(page, "Reading-listEvents")).status, 401);
  complaints.splice(expected);
  assert.deepEqual(complaints, []);
} finally {
  await browser.close();
}
