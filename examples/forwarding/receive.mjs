#!/usr/bin/env node
// Receives events of `mercurio-admin events forward`, and appends each once to a file: receive.mjs PORT FILE.
//
// Verifies signatures (Standard Webhooks) with the secrets in MERCURIO_WEBHOOK_SECRET. Needs only Node.js 20 or newer.
// docs/forwarding.md shows how to use it.

import { createHmac, timingSafeEqual } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { createServer } from "node:http";

const [port, file] = process.argv.slice(2);
const secrets = process.env.MERCURIO_WEBHOOK_SECRET.split(/\s+/).map((secret) => Buffer.from(secret.replace(/^whsec_/, ""), "base64"));
const TOLERANCE = 300; // seconds between the clocks, at most: an old request must not be replayed

// After a crash the last line may be incomplete: its batch had no answer, and is sent again.
const stored = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
const end = stored.lastIndexOf("\n") + 1;
if (end < stored.length) truncateSync(file, end);
const lines = stored.subarray(0, end).toString().split("\n").filter(Boolean);
const seen = new Set(lines.map((line) => JSON.parse(line).message_id));
const output = openSync(file, "a");

function isSigned(headers, body) {
  const { "webhook-id": id, "webhook-timestamp": sent = "", "webhook-signature": signed = "" } = headers;
  if (!/^\d+$/.test(sent) || Math.abs(Date.now() / 1000 - Number(sent)) > TOLERANCE) return false;
  const expected = secrets.map((secret) => createHmac("sha256", secret).update(`${id}.${sent}.`).update(body).digest());
  const given = signed.split(" ").filter((one) => one.startsWith("v1,")).map((one) => Buffer.from(one.slice(3), "base64"));
  return expected.some((one) => given.some((other) => one.length === other.length && timingSafeEqual(one, other)));
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (!isSigned(request.headers, body)) return response.writeHead(401).end();
  const events = JSON.parse(body).events.filter((event) => !seen.has(event.message_id));
  writeSync(output, events.map((event) => JSON.stringify(event) + "\n").join(""));
  fsyncSync(output);
  for (const event of events) seen.add(event.message_id);
  response.writeHead(204).end(); // after the disk: then the sender goes on
});
server.listen(Number(port), "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
process.on("exit", () => closeSync(output));
