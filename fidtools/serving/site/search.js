"use strict";
// The search page: a question, its answer, and its passages.

const at = (id) => document.getElementById(id);
const percent = (share) => (share > 0 && share < 0.01 ? "< 1 %" : `${Math.round(100 * share)} %`);
let latest = 0;

function say(text, bad = false) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

async function describeServer() {
  const about = await request("health");
  at("token-form").hidden = !about.token;
  if (about.token) return at("token").focus();
  at("about").textContent = `${about.passages.toLocaleString("en")} passages · ${about.search}${about.reader ? " · reader" : ""}`;
  for (const option of at("topk").options) option.hidden = option.disabled = Number(option.value) > about.max_topk;
}

async function ask(question) {
  const number = (latest += 1);
  say("Searching …");
  document.title = `${question} – fidtools search`;
  try {
    const found = await request("search", { question, topk: Number(at("topk").value) });
    if (number === latest) show(found);
  } catch (error) {
    if (number !== latest) return;
    clear();
    say(error.status === 401 ? "This token is not the server's." : `No answer: ${error.message}.`, true);
    if (error.status === 401) at("token-form").hidden = false;
  }
}

function clear() {
  at("answer").hidden = true;
  at("passages").replaceChildren();
}

function show(found) {
  clear();
  const count = found.passages.length;
  say(count ? `${count} ${count === 1 ? "passage" : "passages"} in ${found.seconds.toFixed(2)} s` : "No passage was found.");
  const shares = found.passages.flatMap((passage) => passage.text.map((part) => part[2] ?? 0));
  const brightest = Math.max(...shares, 0);
  if (found.answer !== undefined) showAnswer(found, brightest > 0);
  at("passages").append(...found.passages.map((passage, place) => passageItem(passage, place + 1, brightest)));
  document.body.dataset.shown = latest;
}

function showAnswer(found, heat) {
  at("answer-text").textContent = found.answer || "(no answer)";
  at("probability").value = found.probability;
  at("probability-text").textContent = `probability ${found.probability.toFixed(2)}`;
  const places = found.passages.flatMap((passage, place) => (passage.has_answer ? [place + 1] : []));
  const links = places.flatMap((place, number) => [number ? ", " : "", make("a", { href: `#passage-${place}` }, `${place}`)]);
  at("sources").replaceChildren(...(places.length ? [places.length > 1 ? "Found in passages " : "Found in passage ", ...links] : ["Found in none of the passages"]));
  document.querySelector(".heat-switch").hidden = !heat;
  at("answer").hidden = false;
}

function passageItem(passage, rank, brightest) {
  const header = make("header", {}, make("span", { class: "rank" }, `${rank}`),
    make("h3", { dir: "auto" }, ...passage.title.map((part) => piece(part, 0)), passage.title.length ? null : passage.id),
    passage.has_answer ? make("span", { class: "tag" }, "contains the answer") : null);
  const text = make("p", { dir: "auto" }, ...passage.text.map((part) => piece(part, brightest)));
  const item = make("li", { class: passage.has_answer ? "passage has-answer" : "passage", id: `passage-${rank}` }, header, text, facts(passage));
  return item;
}

function facts(passage) {
  const line = make("p", { class: "facts" });
  const share = passage.attention_share;
  if (share !== undefined) {
    const bar = make("span", { class: "share", weight: share ?? 0 }, make("i"));
    line.append(make("span", {}, share === null ? "not read" : bar, share === null ? "" : `${percent(share)} of the attention`));
  }
  const first = (value) => Number(value === passage.score);
  for (const [name, value] of Object.entries(passage.scores).sort((one, other) => first(other[1]) - first(one[1]))) line.append(make("span", {}, `${name} ${Number(value.toPrecision(4))}`));
  line.append(make("span", {}, passage.id));
  return line;
}

// A piece of text with its mark; the attention on it becomes its shade.
function piece([text, mark, share], brightest) {
  const inner = mark ? make("mark", { class: mark }, text) : text;
  if (!share || !brightest) return inner;
  return make("span", { class: "token", weight: Math.sqrt(share / brightest).toFixed(3), title: `${(100 * share).toFixed(1)} % of the attention` }, inner);
}

function askFromAddress() {
  const asked = new URLSearchParams(location.search);
  at("question").value = asked.get("q") ?? "";
  if (asked.get("topk")) at("topk").value = asked.get("topk");
  if (at("topk").selectedIndex < 0) at("topk").value = "10";
  if (at("question").value.trim()) return ask(at("question").value);
  clear();
  say("");
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = at("question").value;
  if (!question.trim()) return;
  history.pushState(null, "", `?${new URLSearchParams({ q: question, topk: at("topk").value })}`);
  ask(question);
});
at("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, at("token").value);
  describeServer().then(() => at("question").focus());
});
at("topk").addEventListener("change", () => at("question").value.trim() && at("ask").requestSubmit());
at("heat").addEventListener("change", () => at("passages").classList.toggle("heated", at("heat").checked));
addEventListener("popstate", askFromAddress);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input:not([type=checkbox]), select")) return;
  event.preventDefault();
  at("question").select();
});
describeServer().then(askFromAddress, (error) => say(error.message, true)).finally(() => (document.body.dataset.ready = ""));
