async function start() {
  const numbers = (await openBlock("n0")).value;
  drawLegends(numbers);
  drawCharts(numbers);
  let waiting = 0;
  addEventListener("resize", () => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => drawCharts(numbers)); });
  const index = (await openBlock("i0")).value;
  startQuestions({ numbers, index });
  document.body.dataset.ready = "true";
}

start();
