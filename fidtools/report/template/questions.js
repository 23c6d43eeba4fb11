// The table of questions: searched, sorted, filtered by what became of them between two systems.

const PAGE = 50;
const OUTCOMES = { all: "all", lost: "lost", won: "won", neither: "never found", both: "found by both" };
const ANSWERED = { neither: "both wrong", both: "both right" };
const CAUSE = { P: "passages", R: "reader", G: "guess" };

// Answers are right or wrong, passages found or not.
function outcomeName({ report, judge }, kind) {
  const answers = judge === "main" && !report.numbers.metric.includes("R@");
  return (answers && ANSWERED[kind]) || OUTCOMES[kind] || kind;
}

function outcomeOf(state, row) {
  const { report, from, to, judge } = state;
  if (judge !== "main") {
    const found = [from, to].map((at) => (report.index.systems[at].ranks[row] ?? Infinity) <= Number(judge));
    return { kind: found[0] === found[1] ? (found[0] ? "both" : "neither") : found[1] ? "won" : "lost", cause: null };
  }
  const turned = from > to;
  const code = report.index.outcomes[turned ? `${to}-${from}` : `${from}-${to}`][row];
  if (code === "=") return { kind: "both", cause: null };
  if (code === ".") return { kind: "neither", cause: null };
  if (code === "?") return { kind: "unmeasured", cause: null };
  const lost = (code === code.toUpperCase()) !== turned;
  return { kind: lost ? "lost" : "won", cause: CAUSE[code.toUpperCase()] };
}

function startQuestions(report) {
  const { numbers, index } = report;
  const several = numbers.systems.length > 1;
  const best = numbers.helped_most;
  const state = { report, from: best?.from ?? 0, to: best?.to ?? numbers.systems.length - 1, judge: "main", kind: "all", sort: "order", down: false, limit: PAGE, text: "", only: null };
  const words = index.ids.map((id, row) => [id, index.questions[row], ...index.answers[row], ...index.systems.map((system) => system.predictions[row] ?? "")].join("\n").toLowerCase());
  const by = (id) => document.getElementById(id);

  const rankOf = (at, row) => index.systems[at].ranks[row];
  const COLUMNS = {
    order: { name: "question", value: (row) => row },
    from: { value: (row) => rankOf(state.from, row) ?? Infinity },
    to: { value: (row) => rankOf(state.to, row) ?? Infinity },
    outcome: { name: "outcome", value: (row) => Object.keys(OUTCOMES).indexOf(outcomeOf(state, row).kind) },
  };

  function sorted(rows) {
    const value = COLUMNS[state.sort].value, sign = state.down ? -1 : 1;
    const keys = new Map(rows.map((row) => [row, value(row)]));
    return rows.sort((a, b) => (keys.get(a) === keys.get(b) ? a - b : keys.get(a) < keys.get(b) ? -sign : sign));
  }

  function drawHead() {
    const header = (key, name, className) => {
      const turn = () => { state.down = state.sort === key ? !state.down : false; state.sort = key; draw(); };
      return make("th", { scope: "col", className, "aria-sort": state.sort === key ? (state.down ? "descending" : "ascending") : null },
        make("button", { type: "button", onclick: turn }, name));
    };
    by("head").replaceChildren(header("order", "question", "q"), header("from", numbers.systems[state.from].name, "a"),
      ...(several ? [header("to", numbers.systems[state.to].name, "b"), header("outcome", "outcome", "o")] : []));
  }

  function answerCell(at, row, label) {
    const system = index.systems[at], rank = system.ranks[row], gold = system.gold_ranks[row];
    const value = system.values[row];
    const judged = numbers.metric.includes("R@") || value === null ? "" : value > 0 ? "good" : "bad";
    return make("td", { "data-label": label }, make("span", { className: judged, dir: "auto" }, system.predictions[row] ?? "–"),
      make("span", { className: "rank" }, rank === null ? "answer not retrieved" : `answer at rank ${rank}`, gold !== null && gold !== rank ? `, gold at ${gold}` : ""));
  }

  function drawRow(row) {
    const button = make("button", { type: "button", className: "toggle", "aria-expanded": "false" }, make("span", { dir: "auto" }, index.questions[row]));
    const cells = [make("td", { className: "q" }, button, make("div", { className: "expected", dir: "auto" }, index.answers[row].join(" / ")))];
    cells.push(answerCell(state.from, row, numbers.systems[state.from].name));
    if (several) {
      const { kind, cause } = outcomeOf(state, row);
      cells.push(answerCell(state.to, row, numbers.systems[state.to].name));
      cells.push(make("td", { className: "o" }, make("span", { className: `tag ${kind}` }, outcomeName(state, kind)), " ", cause && make("span", { className: `tag ${cause}` }, cause)));
    }
    const line = make("tr", { className: "row" }, ...cells);
    button.addEventListener("click", () => toggle(line, button, row));
    return line;
  }

  function emptyRow() {
    const searched = state.text ? ` with “${state.text}”` : "", kind = state.kind === "all" ? "" : ` is “${outcomeName(state, state.kind)}”`;
    const what = several && kind ? ` from ${numbers.systems[state.from].name} to ${numbers.systems[state.to].name}` : "";
    return make("tr", { className: "empty" }, make("td", { colSpan: several ? 4 : 2, dir: "auto" }, `No question${searched}${kind}${what}${kind || searched ? "" : " in this report"}.`));
  }

  async function toggle(line, button, row) {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", `${!open}`);
    line.classList.toggle("open", !open);
    if (open) { line.nextElementSibling.remove(); return; }
    const cell = make("td", { colSpan: several ? 4 : 2 }, make("p", { className: "hint" }, "opening …"));
    line.after(make("tr", { className: "detail" }, cell));
    try { cell.replaceChildren(await openPassages(report, row, several ? [state.from, state.to] : [0], state.judge === "main")); } catch (error) { cell.replaceChildren(make("p", { className: "notice" }, error.message)); }
  }

  // All that is listed again instead of the one question that a link opened; its address goes as well.
  function leaveOne() {
    state.only = null;
    if (linked()) history.replaceState(null, "", location.href.split("#")[0]);
  }

  // By `change` the list is drawn anew, of all questions.
  function list(change) {
    leaveOne();
    Object.assign(state, { limit: PAGE }, change);
    draw();
  }

  function compare(from, to) {
    Object.assign(state, { from, to, judge: "main" });
    showChosen();
  }

  function showChosen() {
    if (!several) return;
    for (const id of ["from", "to", "judge"]) by(id).value = `${state[id]}`;
  }

  function drawChips(counts) {
    if (!several) return;
    by("chips").replaceChildren(...Object.keys(OUTCOMES).map((kind) =>
      make("button", { type: "button", "data-kind": kind, "aria-pressed": `${state.only === null && state.kind === kind}`, onclick: () => { list({ kind }); by("chips").querySelector(`[data-kind=${kind}]`).focus(); } },
        `${outcomeName(state, kind)} `, make("b", {}, `${counts[kind] ?? 0}`))));
  }

  function draw() {
    const text = state.text.toLowerCase();
    const found = words.flatMap((known, row) => (known.includes(text) ? [row] : []));
    const kinds = new Map(several ? found.map((row) => [row, outcomeOf(state, row).kind]) : []);
    const counts = { all: found.length };
    for (const kind of kinds.values()) counts[kind] = (counts[kind] ?? 0) + 1;
    const rows = state.only !== null ? [state.only] : sorted(state.kind === "all" ? found : found.filter((row) => kinds.get(row) === state.kind));
    drawHead();
    drawChips(counts);
    by("rows").replaceChildren(...rows.slice(0, state.limit).map(drawRow), ...(rows.length ? [] : [emptyRow()]));
    by("more").hidden = rows.length <= state.limit;
    by("all").hidden = state.only === null;
    by("count").textContent = `${rows.length} of ${index.ids.length} questions` + (rows.length > state.limit ? `, the first ${state.limit} shown` : "");
  }

  function fill(id, options, chosen, set) {
    by(id).replaceChildren(...options.map(([value, name]) => make("option", { value: `${value}`, selected: `${value}` === `${chosen}` }, name)));
    by(id).addEventListener("change", (event) => { set(event.target.value); state.limit = PAGE; draw(); });
  }

  const names = numbers.systems.map((system, at) => [at, system.name]);
  if (several) {
    const main = numbers.metric;
    const cutoffs = Object.keys(numbers.systems[0].metrics).filter((name) => name.startsWith("R@") && name !== main).map((name) => [name.slice(2), `passages: ${name}`]);
    // A system is not compared with itself: choosing it on one side moves the other one over.
    const choose = (side, other) => (value) => {
      if (Number(value) === state[other]) state[other] = state[side];
      state[side] = Number(value);
      showChosen();
    };
    fill("from", names, state.from, choose("from", "to"));
    fill("to", names, state.to, choose("to", "from"));
    fill("judge", [["main", main.includes("R@") ? `passages: ${main}` : `answers: ${main}`], ...cutoffs], state.judge, (value) => { state.judge = value; });
  }
  by("search").addEventListener("input", (event) => list({ text: event.target.value }));
  by("all").addEventListener("click", () => { list({}); by("search").focus({ preventScroll: true }); });
  by("controls").addEventListener("submit", (event) => event.preventDefault());
  by("more").addEventListener("click", () => { state.limit += 4 * PAGE; draw(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(document.activeElement.tagName)) { event.preventDefault(); by("search").focus(); }
    if (event.key === "Escape" && document.activeElement === by("search")) { by("search").value = ""; list({ text: "" }); }
  });
  for (const button of document.querySelectorAll("[data-show]")) {
    button.addEventListener("click", () => {
      compare(Number(button.dataset.from), Number(button.dataset.to));
      by("search").value = "";
      list({ kind: button.dataset.show, text: "" });
      by("questions").scrollIntoView();
    });
  }

  // The question of #q=ID, and the comparison of #q=ID&from=0&to=1; null where the address names none.
  function linked() {
    const match = /^#q=([^&]*)(?:&from=(\d+)&to=(\d+))?/.exec(location.hash);
    if (!match) return null;
    try { return { id: decodeURIComponent(match[1]), pair: match[2] && [Number(match[2]), Number(match[3])] }; } catch { return null; }
  }

  // Opens the question that the address names: links to it can be sent to others. Any other address lists all again.
  function follow() {
    const link = linked(), row = link ? index.ids.indexOf(link.id) : -1;
    if (row < 0) {
      if (state.only !== null) { state.only = null; draw(); }
      return;
    }
    const known = (at) => at < numbers.systems.length;
    if (link.pair?.every(known) && link.pair[0] !== link.pair[1]) compare(...link.pair);
    Object.assign(state, { kind: "all", text: "", limit: PAGE, only: row });
    by("search").value = "";
    draw();
    const button = by("rows").querySelector(".toggle");
    button.click();
    by("questions").scrollIntoView();
    button.focus({ preventScroll: true });
  }
  window.addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {  // a second click on the same card changes no address
    if (event.target.closest?.("a[href^='#q=']")?.hash === location.hash && location.hash) follow();
  });
  draw();
  follow();
}
