// Bundles the pages and the examples of docs/clients.md for browsers: node bundle.mjs PACKAGES
//
// PACKAGES is the folder with the clients, and receives the scripts in its folder `pages`. The example under the title "Segment"
// becomes example-segment.js.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const [packages] = process.argv.slice(2);
const { build } = createRequire(`${packages}/package.json`)("esbuild");
const pages = fileURLToPath(new URL("pages", import.meta.url));
const examples = join(packages, "examples");
const out = join(packages, "pages");
for (const folder of [examples, out]) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
}

const document = readFileSync(new URL("../../docs/clients.md", import.meta.url), "utf8");
const [, browsers] = document.match(/\n## Browsers\n(.*?)\n## /s);
for (const section of browsers.split("\n### ").slice(1)) {
  const title = section.split("\n", 1)[0].toLowerCase();
  const [, example] = section.match(/\n```js\n(.*?)```/s);
  writeFileSync(join(examples, `example-${title}.mjs`), example);
}

const files = (folder) => readdirSync(folder).map((name) => join(folder, name));
await build({
  entryPoints: [...files(pages), ...files(examples)].map((path) => ({ in: path, out: path.match(/([^/]*)\.mjs$/)[1] })),
  outdir: out,
  nodePaths: [join(packages, "node_modules")],
  bundle: true,
  charset: "utf8",
  format: "esm",
  splitting: true,
  logLevel: "error",
});
