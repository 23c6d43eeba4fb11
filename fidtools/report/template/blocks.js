// Blocks of data: base64 of gzip, in the page or in a script beside it (a page opened from disk may load nothing else).

const opened = new Map();
const awaited = new Map();

function receiveBlock(name, text) {
  awaited.get(name)?.(text);
  awaited.delete(name);
}

function textOfBlock(name) {
  const inside = document.getElementById(`block-${name}`);
  if (inside) return Promise.resolve(inside.textContent);
  const folder = document.body.dataset.assets;
  if (!folder) return Promise.reject(new Error(`no block ${name}`));
  return new Promise((resolve, reject) => {
    awaited.set(name, resolve);
    const script = document.createElement("script");
    script.src = `${folder}/${name}.js`;
    script.onerror = () => reject(new Error(`${script.src} is missing: keep the folder beside the page`));
    document.head.append(script);
  });
}

async function bytesOfBlock(name) {
  const packed = Uint8Array.from(atob(await textOfBlock(name)), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The value of a block, and what follows its line break where something does.
async function readBlock(name) {
  const bytes = await bytesOfBlock(name);
  const end = bytes.indexOf(10);
  const head = end < 0 ? bytes : bytes.subarray(0, end);
  return { value: JSON.parse(new TextDecoder().decode(head)), rest: bytes.subarray(end + 1) };
}

function openBlock(name) {
  if (!opened.has(name)) opened.set(name, readBlock(name));
  return opened.get(name);
}

// An element; strings among the children become text, never markup.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name in element && name !== "list" && typeof value !== "string") element[name] = value;
    else element.setAttribute(name === "className" ? "class" : name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
