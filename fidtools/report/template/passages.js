// A question's passages in every system, side by side.

const ANSWER = 1, GOLD = 2, FIRST_SHOWN = 5, MUCH_ATTENTION = 0.05;
const WORD = "[\\p{L}\\p{N}\\p{M}]";
const UNSPACED = "[\\u0e00-\\u0eff\\u1000-\\u109f\\u1780-\\u17ff\\u3005-\\u3007\\u3040-\\u30ff\\u31f0-\\u31ff\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\uff66-\\uff9f\\u{20000}-\\u{3ffff}]";   // as in data/words.py

// A pattern for the answers' tokens as the answer match finds them: one after the other, whole words, decomposed. In
// scripts without spaces a character is a word.
function answerPattern(answers) {
  const escape = (token) => token.replace(/[\\^$.*+?()[\]{}|\/-]/g, "\\$&");
  const letter = `(?!${UNSPACED})${WORD}`;
  const whole = (token) => (new RegExp(`^${letter}`, "u").test(token) ? `(?<!${letter})${escape(token)}(?!${letter})` : `${escape(token)}(?!\\p{M})`);
  const parts = answers.map((tokens) => tokens.map(whole).join("[\\p{Z}\\p{C}]*"));
  return parts.length ? new RegExp(parts.join("|"), "giu") : null;
}

// `text` with the answers marked; where there are some it is shown decomposed, which looks the same.
function marked(text, pattern) {
  const whole = pattern ? text.normalize("NFD") : text;
  const found = pattern ? [...whole.matchAll(pattern)] : [];
  if (!found.length) return [text];
  const parts = [];
  let end = 0;
  for (const match of found) {
    parts.push(whole.slice(end, match.index), make("mark", {}, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, whole.slice(end)];
}

async function textsOf(numbers, starts) {
  const block = (number) => starts.findLastIndex((start) => start <= number);
  const needed = [...new Set(numbers.map(block))];
  const loaded = new Map(await Promise.all(needed.map(async (at) => [at, (await openBlock(`t${at}`)).value])));
  return new Map(numbers.map((number) => [number, loaded.get(block(number))[number - starts[block(number)]]]));
}

// `compared`: the two systems of the chosen comparison, which stand first; `why` is whether its reasons are those of the file.
async function openPassages(report, row, compared, why) {
  const block = report.index.where[row];
  if (block < 0) return make("p", { className: "hint" }, `Only the passages of ${report.index.where.filter((place) => place >= 0).length} of ${report.index.where.length} questions are in this file, the most telling ones, to keep it small. fidtools report --assets FOLDER keeps all.`);
  const detail = (await openBlock(`q${block}`)).value[row];
  const texts = await textsOf(detail.systems.flat().map(([text]) => text), report.index.text_starts);
  const maps = await openMaps(report, row);
  const view = { report, row, detail, texts, maps, pattern: answerPattern(detail.words), all: false, heat: null, order: [...new Set([...compared, ...report.numbers.systems.keys()])] };
  const place = make("div");
  const sentence = why ? detail.reasons[compared.join("-")] : null;
  const draw = () => place.replaceChildren(...(sentence ? [make("p", { className: "reason" }, sentence)] : []), ...passageColumns(view, draw));
  draw();
  return place;
}

// The attention maps of a question, by system.
async function openMaps({ numbers: { attention } }, row) {
  if (!attention?.rows.includes(row)) return new Map();
  const systems = Object.keys(attention.readers).map(Number);
  const found = await Promise.all(systems.map((at) => openBlock(`a${at}-${row}`).then((block) => [at, attentionMap(block)], () => null)));
  return new Map(found.filter(Boolean));
}

function passageColumns(view, redraw) {
  const more = view.detail.systems.some((passages) => passages.length > FIRST_SHOWN);
  const toggle = more && make("button", { className: "quiet", type: "button", onclick: () => { view.all = !view.all; redraw(); } }, view.all ? "Fewer passages" : "All passages");
  const bar = make("div", { className: "bar" }, toggle, ...(view.maps.size ? attentionControls(view, redraw) : []));
  const columns = make("div", { className: "columns", tabIndex: 0, role: "group", "aria-label": "Passages of every system" });
  columns.append(...view.order.map((at) => passageColumn(view, at)));
  return [bar, columns];
}

function passageColumn(view, at) {
  const { report, row, detail } = view;
  const system = report.numbers.systems[at], columns = report.index.systems[at];
  const column = make("div", { className: "column" });
  const said = columns.predictions[row], sure = columns.probabilities[row];
  column.append(make("h3", {}, make("span", { className: `swatch s${at % 8}` }), system.name,
    make("span", { className: "said", dir: "auto" }, said === null ? "no answer" : `“${said}”`, sure === null ? "" : ` (probability ${sure.toFixed(2)})`)));
  const first = view.order[0];  // whose ranks the others' are compared with
  const before = at === first ? null : new Map(detail.systems[first].map(([text], rank) => [text, rank + 1]));
  const passages = detail.systems[at], map = view.heat && view.maps.get(at);
  const shown = passages.map((passage, rank) => view.all || rank < FIRST_SHOWN || (passage[1] & (ANSWER | GOLD)) > 0 || (map?.shares[rank] ?? 0) > MUCH_ATTENTION);
  let hidden = 0;
  const gap = () => { if (hidden) column.append(make("p", { className: "gap" }, `… ${hidden} more …`)); hidden = 0; };
  passages.forEach((passage, rank) => {
    if (shown[rank]) { gap(); column.append(passageCard(view, at, rank, before)); } else hidden += 1;
    if (rank + 1 === system.n_context && rank + 1 < columns.retrieved[row]) { gap(); column.append(make("p", { className: "reads" }, `the reader reads to here (${system.n_context})`)); }
  });
  gap();
  if (!passages.length) column.append(make("p", { className: "gap" }, "no passages"));
  if (columns.retrieved[row] > passages.length) column.append(make("p", { className: "gap" }, `${columns.retrieved[row] - passages.length} further ones are not in this report`));
  return column;
}

function passageCard(view, at, rank, before) {
  const [number, flags, scores] = view.detail.systems[at][rank];
  const [id, title, text] = view.texts.get(number);
  const from = before?.get(number);
  const move = before && make("span", { className: "move", title: `against ${view.report.numbers.systems[view.order[0]].name}` }, from === undefined ? "new" : from === rank + 1 ? "same" : from > rank + 1 ? `↑ from ${from}` : `↓ from ${from}`);
  const header = make("header", {}, make("b", {}, `${rank + 1}`), make("span", { className: "name", dir: "auto" }, title || id), move,
    flags & ANSWER ? make("span", { className: "tag answer", title: "one of the answers stands in the text, word for word" }, "answer") : null, flags & GOLD ? make("span", { className: "tag gold", title: "the data set names this passage as right" }, "gold") : null);
  const map = view.heat && view.maps.get(at), heat = map && rank < map.tokens.length;
  const body = heat ? heatText(map, rank, view.heat) : make("p", { dir: "auto" }, ...marked(text, view.pattern));
  const values = Object.entries(scores).map(([name, value]) => `${name} ${value}`);
  if (map && rank < map.shares.length) values.push(`${(100 * map.shares[rank]).toFixed(1)} % of the attention`);
  return make("article", { className: flags & ANSWER ? "passage answer" : "passage" }, header, body, make("p", { className: "scores" }, [...values, id].filter(Boolean).join(" · ")));
}
