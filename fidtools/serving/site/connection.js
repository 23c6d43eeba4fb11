"use strict";
// Requests to the server that this page came from, with the token if there is one.

const TOKEN = "fidtools-token";

class ServerError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function request(path, body) {
  const headers = {}, token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  const options = body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new ServerError(0, "the server does not answer");
  }
  const value = await response.json().catch(() => ({ error: `status ${response.status}` }));
  if (!response.ok) throw new ServerError(response.status, value.error);
  return value;
}

// Text from data only ever becomes text nodes.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "weight") element.style.setProperty("--w", value);
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
