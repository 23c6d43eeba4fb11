"use strict";
// The OpenAPI document as a page.

function typeOf(schema) {
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array" && schema.prefixItems) return `[${schema.prefixItems.map(typeOf).join(", ")}]`;
  if (schema.type === "array") return `[${typeOf(schema.items)}, …]`;
  if (schema.type === "object" && schema.properties) return `{${Object.keys(schema.properties).join(", ")}}`;
  return [schema.type ?? "any"].flat().join(" or ");
}

function limitsOf(schema, required) {
  const parts = [required ? "required" : null];
  if (schema.default !== undefined) parts.push(`default ${JSON.stringify(schema.default)}`);
  if (schema.maximum !== undefined) parts.push(`at most ${schema.maximum}`);
  if (schema.maxItems !== undefined) parts.push(`at most ${schema.maxItems}`);
  if (schema.maxLength ?? schema.items?.maxLength) parts.push(`at most ${schema.maxLength ?? schema.items.maxLength} characters each`);
  return parts.filter(Boolean).join(", ");
}

function fields(schema) {
  const rows = Object.entries(schema.properties).map(([name, field]) => make("tr", {},
    make("th", { scope: "row" }, make("code", {}, name)), make("td", {}, typeOf(field)),
    make("td", {}, limitsOf(field, schema.required?.includes(name)))));
  return make("table", {}, make("tbody", {}, ...rows));
}

function described(path, method, about) {
  const section = make("section", {}, make("h2", {}, make("code", {}, `${method.toUpperCase()} ${path}`)), make("p", {}, about.summary));
  const body = about.requestBody?.content["application/json"];
  if (!body) return section;
  const sent = `curl ${location.origin}${path} -H 'Content-Type: application/json' \\\n  -d '${JSON.stringify(body.example)}'`;
  section.append(make("pre", { tabindex: "0" }, sent), make("h3", {}, "Request"), fields(body.schema), make("h3", {}, "Answer"),
    fields(answerOf(about.responses["200"].content["application/json"].schema)));
  return section;
}

// The errors are the same everywhere.
function errors(api) {
  const responses = Object.entries(api.paths["/retrieve"].post.responses).filter(([status]) => status !== "200");
  const rows = responses.map(([status, { description }]) => make("tr", {}, make("th", { scope: "row" }, status), make("td", {}, description)));
  return make("section", {}, make("h2", {}, "Errors"), make("p", {}, "The body is {\"error\": …, \"field\": …}."), make("table", {}, make("tbody", {}, ...rows)));
}

// What is inside of {"result": [[…]]} says more than its shell.
function answerOf(schema) {
  let inner = schema.properties.result ?? schema;
  while (inner.type === "array") inner = inner.items;
  if (inner.anyOf) inner = inner.anyOf[0];
  return { ...inner, properties: schema.properties.result ? { result: schema.properties.result, ...inner.properties } : inner.properties };
}

request("openapi.json").then((api) => {
  const operations = Object.entries(api.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, about]) => described(path, method, about)));
  document.querySelector("main").append(...operations, errors(api));
  document.body.dataset.ready = "";
});
