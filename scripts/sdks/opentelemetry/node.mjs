// Sends events with @opentelemetry/sdk-logs and its exporters over HTTP, as log records with an event name.

import { createHash } from "node:crypto";

// The first record of this process, so that the records of a repeated call are alike.
const START = [Math.floor(Date.now() / 1000), 0];

export function sender(task, errors, require) {
    const { BatchLogRecordProcessor, LoggerProvider } = require("@opentelemetry/sdk-logs");
    const { resourceFromAttributes } = require("@opentelemetry/resources");
    const { setGlobalErrorHandler } = require("@opentelemetry/core");
    const [form, compression] = task.variant.split(" ");
    const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${form === "json" ? "http" : "proto"}`);
    setGlobalErrorHandler((error) => errors.push(`${error.code ?? error.name}: ${error.message}`));
    const exporter = new OTLPLogExporter({
        url: `${task.host}/v1/logs`,
        headers: { Authorization: `Bearer ${task.key}` },
        compression,
    });
    const provider = new LoggerProvider({
        resource: resourceFromAttributes({ "service.name": "shop", "service.instance.id": "shop-1" }),
        processors: [new BatchLogRecordProcessor({ exporter, scheduledDelayMillis: 200 })],
    });
    const logger = provider.getLogger("trial");

    return {
        send({ id, user, name, payload, body, time }) {
            const moment = time ? new Date(time) : [START[0], createHash("sha256").update(id).digest().readUInt16BE()];
            logger.emit({
                timestamp: moment,
                observedTimestamp: moment,
                eventName: name,
                attributes: { ...(user && { "user.id": user }), ...payload },
                ...(body && { body }),
            });
        },
        flush: () => provider.forceFlush(),
        close: () => provider.shutdown(),
    };
}
