SwaggerUIBundle({
  url: "/docs/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "none",
  tagsSorter: "alpha",
  validatorUrl: null,
  requestInterceptor(request) {
    // Try-out: each press of the button is a command of its own, unless a key was filled in.
    if (!["GET", "HEAD"].includes((request.method || "GET").toUpperCase()) && !request.headers["Idempotency-Key"]) {
      request.headers["Idempotency-Key"] = crypto.randomUUID();
    }
    return request;
  },
});
