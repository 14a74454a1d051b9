// Runs a client for Node: node client.mjs FAMILY
//
// Tasks and results are those of client.py. The folder CLIENTS_FOLDER has the packages.

import { writeSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const require = createRequire(`${process.env.CLIENTS_FOLDER}/package.json`);
const { sender } = await import(`./${process.argv[2]}/node.mjs`);
// Clients may print.
console.log = console.info = console.debug = console.error;

async function send(client, call, repeatSeconds, errors) {
    const deadline = Date.now() + repeatSeconds * 1000;
    for (;;) {
        try {
            return await client.send(call);
        } catch (error) {
            if (Date.now() > deadline) {
                return errors.push(`${error.name}: ${error.message}`);
            }
            await sleep(200);
        }
    }
}

async function run(task) {
    const errors = [];
    const client = sender(task, errors, require);
    for (const call of task.calls) {
        if (call.call === "sleep") {
            await sleep(call.seconds * 1000);
        } else if (call.call === "flush") {
            await client.flush();
        } else {
            await send(client, call, task.repeat_seconds, errors);
        }
    }
    await client.close();
    return { errors };
}

for await (const line of createInterface({ input: process.stdin })) {
    writeSync(1, `${JSON.stringify(await run(JSON.parse(line)))}\n`);
}
process.exit(0);
