// The reader's attention on every token: weights by layer and head, or the scores that the teacher averages.

const ALL = -1;

// A block's tokens, with their weights as bytes b for exp((b − 255) / 16).
function attentionMap({ value, rest }) {
  const starts = [0];
  for (const tokens of value.tokens) starts.push(starts.at(-1) + tokens.length);
  return { ...value, bytes: rest, starts };
}

const weightOf = (byte) => (byte ? Math.exp((byte - 255) / 16) : 0);

// One number a token of a passage: the weights averaged over the chosen layers and heads.
function tokenWeights(map, passage, { layer, head }) {
  const layers = layer === ALL ? [...Array(map.layers).keys()] : [layer];
  const heads = head === ALL ? [...Array(map.heads).keys()] : [head];
  return map.tokens[passage].map((_, token) => {
    const at = (map.starts[passage] + token) * map.layers * map.heads;
    let sum = 0;
    for (const l of layers) for (const h of heads) sum += weightOf(map.bytes[at + l * map.heads + h]);
    return sum / (layers.length * heads.length);
  });
}

// Shades from 0 to 1 for a passage: of weights relative to the greatest shown, of scores over their range.
function shades(map, heat) {
  const passages = map.tokens.map((_, passage) => (heat.kind === "score" ? map.scores[passage] : tokenWeights(map, passage, heat)));
  const all = passages.flat();
  const low = heat.kind === "score" ? Math.min(...all) : 0, high = Math.max(...all);
  return passages.map((values) => values.map((value) => ({ value, shade: high > low ? (value - low) / (high - low) : 0 })));
}

function heatText(map, passage, heat) {
  if (!heat.shades.has(map)) heat.shades.set(map, shades(map, heat));
  const text = make("p", { dir: "auto" });
  map.tokens[passage].forEach((token, at) => {
    const { value, shade } = heat.shades.get(map)[passage][at];
    const space = token.length - token.trimStart().length;
    const span = make("span", { className: "token", title: heat.kind === "score" ? value.toFixed(2) : `${(100 * value).toFixed(2)} %` }, token.slice(space));
    span.style.setProperty("--w", Math.sqrt(shade).toFixed(3));
    text.append(token.slice(0, space), span);
  });
  return text;
}

function attentionControls(view, redraw) {
  const [map] = view.maps.values();
  const change = (values) => { view.heat = { ...(view.heat ?? { kind: "weight", layer: ALL, head: ALL }), ...values, shades: new Map() }; redraw(); };
  const choice = (name, count, chosen, set) => make("label", {}, `${name} `, make("select", { "aria-label": name, onchange: (event) => set(Number(event.target.value)) },
    ...[ALL, ...Array(count).keys()].map((at) => make("option", { value: `${at}`, selected: at === chosen }, at === ALL ? "all" : `${at + 1}`))));
  const on = make("label", {}, make("input", { type: "checkbox", checked: view.heat !== null, onchange: (event) => { if (event.target.checked) change({}); else { view.heat = null; redraw(); } } }), " attention");
  if (view.heat === null) return [on];
  const kind = make("label", {}, "show ", make("select", { "aria-label": "what to show", onchange: (event) => change({ kind: event.target.value }) },
    ...[["weight", "weight (softmax)"], ["score", "teacher’s score (before the softmax)"]].map(([value, name]) => make("option", { value, selected: value === view.heat.kind }, name))));
  const only = view.heat.kind === "weight" ? [choice("layer", map.layers, view.heat.layer, (layer) => change({ layer })), choice("head", map.heads, view.heat.head, (head) => change({ head }))] : [];
  const scale = make("span", { className: "hint" }, "low ", make("span", { className: "scale" }), " high");
  return [on, kind, ...only, scale];
}
