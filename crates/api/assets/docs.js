// Shows the document beside this page. No validator: that would send it elsewhere.
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
