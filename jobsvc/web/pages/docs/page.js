// Shows the contract. The addresses are relative, so that the service may stand below a path of a proxy.
const CONTRACT = "openapi.json";

// A form to try would be filled with made-up values, "string" and the like, which the service refuses.
function leaveEmpty(response) {
  if (!response.url.endsWith(`/${CONTRACT}`)) return response;
  const contract = JSON.parse(response.text);
  for (const [name, schema] of Object.entries(contract.components.schemas)) {
    if (!name.endsWith("Options")) continue;
    for (const [field, described] of Object.entries(schema.properties)) {
      const filled = (schema.required ?? []).includes(field) || (described.default ?? null) !== null;
      if (!filled) described.example = "";
    }
  }
  response.text = JSON.stringify(contract);
  return response;
}

// An empty field of a form would be sent as an empty text, which says something of some options.
function leaveOut(request) {
  if (request.body instanceof FormData) {
    const empty = [...request.body].filter(([, value]) => value === "");
    for (const [field] of empty) request.body.delete(field);
  }
  return request;
}

window.addEventListener("DOMContentLoaded", () => {
  SwaggerUIBundle({
    url: CONTRACT,
    dom_id: "#contract",
    layout: "BaseLayout",
    presets: [SwaggerUIBundle.presets.apis],
    deepLinking: true,
    // The many refusals are seen by those who open a request.
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
    responseInterceptor: leaveEmpty,
    requestInterceptor: leaveOut,
    // Nothing leaves for elsewhere, not even to have the contract checked.
    validatorUrl: null,
  });
});
