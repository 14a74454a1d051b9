// Shows openapi.json of the same server. Without a validator: it would send the document elsewhere.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#api",
  deepLinking: true,
  docExpansion: "list",
  defaultModelRendering: "model",
  defaultModelExpandDepth: 2,
  displayRequestDuration: true,
  validatorUrl: null,
});
