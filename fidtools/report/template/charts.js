// Every chart is drawn by Observable Plot, in colours that follow the scheme of the page.

const colour = (at) => `var(--s${at % 8})`;
const ruled = { stroke: "currentColor", strokeOpacity: 0.35 };
// 12 px letters, and room for the label below the numbers of the horizontal axis.
const LETTERED = { style: { fontSize: "12px" }, marginBottom: 46 };
const below = { labelOffset: 40 };
const tipped = { fill: "var(--surface)", stroke: "var(--line)", fontSize: 12 };

const DRAWINGS = {
  recall(numbers, width) {
    const prefix = numbers.systems[0].recall["R@"].length ? "R@" : "gold-R@";
    const points = numbers.systems.flatMap((system, at) =>
      system.recall[prefix].map(([k, value, low, high]) => ({ k, value, low, high, name: system.name, at, baseline: system.baseline })));
    const last = Math.max(...points.map((point) => point.k));
    return Plot.plot({
      width, height: Math.min(360, Math.max(240, width * 0.55)), marginLeft: 44, marginRight: 12, ...LETTERED,
      x: { ...below, type: "log", label: "k (passages)", ticks: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].filter((k) => k <= last), tickFormat: (k) => `${k}` },
      y: { domain: [0, 100], label: `${prefix}k, %`, grid: true, ticks: 5 },
      ariaLabel: "Recall at every k of every system",
      marks: [
        Plot.areaY(points.filter((point) => point.low !== null), { x: "k", y1: "low", y2: "high", z: "name", fill: (d) => colour(d.at), fillOpacity: 0.13 }),
        Plot.line(points, { x: "k", y: "value", z: "name", stroke: (d) => colour(d.at), strokeWidth: 2.2 }),
        Plot.dot(points.filter((point) => [1, 5, 20, 100].includes(point.k)), { x: "k", y: "value", fill: (d) => colour(d.at), r: 3 }),
        Plot.tip(points, Plot.pointer({ x: "k", y: "value", title: (d) => `${d.name}\n${prefix}${d.k}: ${d.value.toFixed(1)} %\n95 %: ${d.low?.toFixed(1)} – ${d.high?.toFixed(1)}`, ...tipped })),
      ],
    });
  },

  loss(numbers, width, { model }) {
    const rows = numbers.training.filter((row) => row.model === model);
    const points = rows.flatMap((row) => row.curve.map(([step, loss]) => ({ step, loss, name: row.iteration, at: Number(row.iteration) })));
    return Plot.plot({
      width, height: 240, marginLeft: 44, ...LETTERED, ariaLabel: `Loss of every ${model} by step`,
      x: { ...below, label: "step", ticks: 5, tickFormat: "~s" },
      y: { label: "loss", grid: true, ticks: 5, zero: true },
      marks: [
        Plot.ruleY([0], ruled),
        Plot.line(points, { x: "step", y: "loss", z: "name", stroke: (d) => colour(d.at), strokeWidth: 1.8 }),
        Plot.tip(points, Plot.pointer({ x: "step", y: "loss", title: (d) => `iteration ${d.name}\nstep ${d.step}: ${d.loss.toPrecision(4)}`, ...tipped })),
      ],
    });
  },

  evaluations(numbers, width, { model, metric }) {
    const rows = numbers.training.filter((row) => row.model === model);
    const points = rows.flatMap((row) => row.evaluations.filter((line) => Number.isFinite(line[metric])).map((line) => ({ step: line.step, value: line[metric], name: row.iteration, at: Number(row.iteration) })));
    return Plot.plot({
      width, height: 180, marginLeft: 40, ...LETTERED, ariaLabel: `${metric} of every ${model} by step`,
      x: { ...below, label: "step", ticks: 5, tickFormat: "~s" },
      y: { label: metric, grid: true, ticks: 4 },
      marks: [
        Plot.line(points, { x: "step", y: "value", z: "name", stroke: (d) => colour(d.at), strokeWidth: 1.8 }),
        Plot.dot(points, { x: "step", y: "value", fill: (d) => colour(d.at), r: 3 }),
        Plot.tip(points, Plot.pointer({ x: "step", y: "value", title: (d) => `iteration ${d.name}\nstep ${d.step}: ${d.value.toPrecision(4)}`, ...tipped })),
      ],
    });
  },

  stages(numbers, width) {
    const stages = numbers.run.stages.map((stage, at) => ({ ...stage, key: `${at}`, minutes: stage.seconds / 60 }));
    const names = new Map(stages.map((stage) => [stage.key, stage.stage]));
    const long = Math.max(...stages.map((stage) => stage.seconds)) > 600;
    return Plot.plot({
      width, height: 66 + 20 * stages.length, marginLeft: Math.min(width * 0.4, 150), ...LETTERED, ariaLabel: "Time of every stage",
      x: { ...below, label: long ? "minutes" : "seconds", grid: true, ticks: 5 },
      y: { label: null, tickFormat: (key) => names.get(key), domain: stages.map((stage) => stage.key) },
      marks: [
        Plot.barX(stages, { x: long ? "minutes" : "seconds", y: "key", fill: (d) => colour(parseInt(d.stage, 10) || 0) }),
        Plot.tip(stages, Plot.pointerY({ x: long ? "minutes" : "seconds", y: "key", title: (d) => `${d.stage}\n${d.seconds.toFixed(1)} s`, ...tipped })),
      ],
    });
  },

  scatter(numbers, width, { teacher }) {
    const { scatter, earlier, teacher: name } = numbers.teacher[teacher];
    const points = scatter.map(([x, y, answer]) => ({ x, y, answer })).sort((a, b) => a.answer - b.answer);
    return Plot.plot({
      width, height: 260, marginLeft: 40, ...LETTERED, ariaLabel: `Scores of ${name} against ${earlier}`,
      x: { ...below, label: earlier, ticks: 5 }, y: { label: name, ticks: 5, grid: true },
      marks: [
        Plot.ruleX([0], ruled), Plot.ruleY([0], ruled),
        Plot.dot(points, { x: "x", y: "y", r: 2.2, stroke: (d) => (d.answer ? "var(--good)" : "var(--s0)"), fill: (d) => (d.answer ? "var(--good)" : "none"), strokeOpacity: 0.6, fillOpacity: 0.5 }),
      ],
    });
  },

  by_rank: (numbers, width, { teacher }) => groups(numbers.teacher[teacher].by_rank, "earlier rank", width),
  by_length: (numbers, width, { teacher }) => groups(numbers.teacher[teacher].by_length, "words", width),
};

function groups(rows, label, width) {
  const points = rows.map((row) => ({ ...row, middle: (row.from + row.to) / 2, low: row.interval?.[0] ?? row.mean, high: row.interval?.[1] ?? row.mean }));
  return Plot.plot({
    width, height: 260, marginLeft: 44, ...LETTERED, ariaLabel: `Teacher's score by ${label}`,
    x: { ...below, label, ticks: 5 }, y: { label: "teacher's score (z)", ticks: 5, grid: true },
    marks: [
      Plot.ruleY([0], ruled),
      Plot.ruleX(points, { x: "middle", y1: "low", y2: "high", stroke: "var(--accent)", strokeWidth: 1.5 }),
      Plot.line(points, { x: "middle", y: "mean", stroke: "var(--accent)", strokeOpacity: 0.5 }),
      Plot.dot(points, { x: "middle", y: "mean", fill: "var(--accent)", r: 3.5 }),
      Plot.tip(points, Plot.pointerX({ x: "middle", y: "mean", title: (d) => `${label} ${d.from} – ${d.to}\n${d.mean.toFixed(3)} (${d.low.toFixed(2)} – ${d.high.toFixed(2)})\n${d.n} passages`, ...tipped })),
    ],
  });
}

function drawCharts(numbers) {
  for (const place of document.querySelectorAll("[data-chart]")) {
    const width = Math.max(260, Math.floor(place.clientWidth));
    if (place.drawnAt === width) continue;
    place.drawnAt = width;
    const chart = DRAWINGS[place.dataset.chart](numbers, width, place.dataset);
    for (const part of chart.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");  // the chart has a name
    chart.setAttribute("role", "img");
    place.replaceChildren(chart);
  }
}

function drawLegends(numbers) {
  const entry = (at, name) => make("span", {}, make("span", { className: `swatch s${at % 8}` }), name);
  for (const place of document.querySelectorAll("[data-legend]"))
    place.replaceChildren(...numbers.systems.map((system, at) => entry(at, system.name)));
  for (const place of document.querySelectorAll("[data-legend-training]"))
    place.replaceChildren(...numbers.training.filter((row) => row.model === place.dataset.legendTraining).map((row) => entry(Number(row.iteration), `iteration ${row.iteration}`)));
}
