// The key that the document gives as an example. Each press of the button is a command of its own, unless somebody
// fills in another key to repeat one.
const EXAMPLE_KEY = "3f6c1a52-7d0e-4a7e-9b0c-5f1f6f0f8a11";

SwaggerUIBundle({
  url: "/docs/openapi.json",
  dom_id: "#page",
  deepLinking: true,
  docExpansion: "none",
  tagsSorter: "alpha",
  validatorUrl: null,
  requestInterceptor(request) {
    if (request.headers["Idempotency-Key"] === EXAMPLE_KEY) {
      const numbers = crypto.getRandomValues(new Uint32Array(4));
      request.headers["Idempotency-Key"] = Array.from(numbers, (number) => number.toString(16)).join("-");
    }
    return request;
  },
});
