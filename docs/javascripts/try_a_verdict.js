/* The page "Try a verdict": sliders, the word with its intervals, and how the interval narrows with patients. */
"use strict";

(function () {
  const place = document.getElementById("made-trial");
  if (!place) return;
  const SLIDERS = [
    ["patients", "Patients", 40, 1000, 20, 240, (own) => own],
    ["signal", "Signal of the laboratory (log odds per standard deviation; the clinic's is 1)", 0, 2, 0.1, 0.6, (own) => own.toFixed(1)],
    ["noise", "Noise of its measurement (standard deviations)", 0, 3, 0.1, 0.5, (own) => own.toFixed(1)],
    ["lacking", "Share who lack it", 0, 0.9, 0.05, 0.3, (own) => `${Math.round(100 * own)} %`],
    ["margin", "Smallest gain worth having (AUROC)", 0.005, 0.05, 0.005, 0.01, (own) => own.toFixed(3)],
  ];
  const WHY = {
    "too few": "fewer than 30 training patients have both, or fewer than 10 of a class",
    total: "the interval of the total neither lies above zero nor ends below the margin",
    "does not pay": "the interval of the total ends below the margin",
    parts: "neither combining nor coverage can reach the margin",
    gain: "total, combining and the gain over presence lie above zero",
    combining: "combining, among patients who have both, is not shown to be above zero",
    presence: "the gain over presence is not shown to be above zero",
    fixed: "the two recipes, held fixed, do not differ in the same direction",
    "not estimable": "too few folds have both classes",
    "no interval": "there is no interval of the total",
  };
  const options = { seed: 1 };
  const NS = "http://www.w3.org/2000/svg";
  const signed = (own) => (Number.isFinite(own) ? `${own < 0 ? "-" : ""}${Math.abs(own).toFixed(3)}` : "not estimable");
  const range = (own) => (Number.isFinite(own.low) ? `${signed(own.low)} to ${signed(own.high)}` : "no interval");

  function element(name, attributes, ...inside) {
    const made = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.append(...inside);
    return made;
  }

  function drawn(name, attributes, text) {
    const made = document.createElementNS(NS, name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const form = element("form", { class: "made-sliders" });
  for (const [key, label, least, most, step, start, shown] of SLIDERS) {
    options[key] = start;
    const said = element("output", { for: `made-${key}` }, String(shown(start)));
    const slider = element("input", { id: `made-${key}`, type: "range", min: least, max: most, step, value: start });
    slider.addEventListener("input", () => {
      options[key] = Number(slider.value);
      said.textContent = String(shown(options[key]));
      later();
    });
    form.append(element("div", {}, element("label", { for: `made-${key}` }, label), slider, said));
  }
  const again = element("button", { type: "button", class: "md-button" }, "Other patients");
  again.addEventListener("click", () => { options.seed += 1; later(); });
  form.append(again);
  const verdict = element("div", { class: "made-verdict", role: "status" });
  const intervals = element("div", {}), curve = element("div", {});
  place.append(form, verdict, intervals, curve);

  let waiting = 0;
  function later() {
    clearTimeout(waiting);
    waiting = setTimeout(show, 60);
  }

  function show() {
    const found = window.madeTrial(options);
    verdict.className = `made-verdict ${found.word.replaceAll(" ", "-")}`;
    const settle = found.settle
      ? ` With 80 % power it would take about ${found.settle[0].toLocaleString("en")} patients if the true gain were the upper end, and about ${found.settle[1].toLocaleString("en")} if it were the margin.` : "";
    verdict.replaceChildren(
      element("p", { class: "made-word" }, found.word),
      element("p", {}, `Because ${WHY[found.why === "total" && found.word === "does not pay" ? found.word : found.why]}. ${found.several} of ${options.patients} patients have both.${settle}`),
      element("p", {}, `AUROC: clinic ${found.scores.clinic.toFixed(3)}, laboratory ${found.scores.lab.toFixed(3)}, both ${found.scores.combined.toFixed(3)}; picked most often alone: the ${found.often === "lab" ? "laboratory" : "clinic"}.`),
    );
    intervals.replaceChildren(forest([["total", found.total], ["combining", found.combining], ["coverage", found.coverage]]), table(found));
    clearTimeout(show.slow);
    show.slow = setTimeout(() => curve.replaceChildren(narrowing()), 250);
  }

  function table(found) {
    const body = element("tbody", {});
    for (const name of ["total", "combining", "coverage"]) {
      const own = found[name];
      const said = own.same ? "none: both rank alike" : range(own);
      body.append(element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, signed(own.mean)), element("td", {}, said)));
    }
    const head = ["difference", "mean", "95 % interval"].map((text) => element("th", { scope: "col" }, text));
    return element("table", {}, element("thead", {}, element("tr", {}, ...head)), body);
  }

  /* Intervals above each other, with zero and the margin. */
  function forest(rows) {
    const ends = rows.flatMap(([, own]) => [own.low, own.high]).filter(Number.isFinite);
    const low = Math.min(-0.05, ...ends), high = Math.max(0.05, options.margin, ...ends);
    const x = (value) => 110 + 470 * (value - low) / (high - low);
    const image = drawn("svg", { viewBox: "0 0 600 128", role: "img", "aria-label": "The three differences with their intervals; the table below has the numbers" });
    image.append(drawn("line", { x1: x(0), x2: x(0), y1: 4, y2: 100, class: "made-zero" }), drawn("line", { x1: x(options.margin), x2: x(options.margin), y1: 4, y2: 100, class: "made-margin" }));
    rows.forEach(([name, own], k) => {
      const y = 22 + 32 * k;
      image.append(drawn("text", { x: 0, y: y + 5 }, name));
      if (!Number.isFinite(own.low) || own.same) image.append(drawn("text", { x: 118, y: y + 5 }, own.same ? "both rank alike" : "not estimable"));
      else image.append(drawn("line", { x1: x(own.low), x2: x(own.high), y1: y, y2: y, class: "made-interval" }), drawn("circle", { cx: x(own.mean), cy: y, r: 5 }));
    });
    image.append(drawn("text", { x: 580, y: 122, "text-anchor": "end" }, `line: zero; dashes: the margin of ${options.margin}`));
    return image;
  }

  /* The interval of combining for several sizes of the same cohort. */
  function narrowing() {
    const sizes = [60, 120, 240, 480, 960];
    const found = sizes.map((size) => window.madeTrial({ ...options, patients: size }));
    const top = Math.max(0.1, ...found.map((own) => own.combining.high).filter(Number.isFinite));
    const bottom = Math.min(-0.1, ...found.map((own) => own.combining.low).filter(Number.isFinite));
    const y = (value) => 14 + 150 * (top - value) / (top - bottom);
    const image = drawn("svg", { viewBox: "0 0 600 214", role: "img", "aria-label": "The interval of combining for 60 to 960 patients" });
    image.append(drawn("line", { x1: 60, x2: 590, y1: y(0), y2: y(0), class: "made-zero" }), drawn("line", { x1: 60, x2: 590, y1: y(options.margin), y2: y(options.margin), class: "made-margin" }));
    [top, 0, bottom].forEach((value) => image.append(drawn("text", { x: 50, y: y(value) + 5, "text-anchor": "end" }, signed(value).slice(0, 5))));
    found.forEach((own, k) => {
      const x = 100 + 115 * k;
      if (Number.isFinite(own.combining.low)) image.append(drawn("line", { x1: x, x2: x, y1: y(own.combining.low), y2: y(own.combining.high), class: "made-interval" }), drawn("circle", { cx: x, cy: y(own.combining.mean), r: 5 }));
      image.append(drawn("text", { x, y: 186, "text-anchor": "middle" }, String(sizes[k])), drawn("text", { x, y: 204, "text-anchor": "middle" }, own.word));
    });
    const head = element("p", {}, "The same settings with 60 to 960 patients: the interval of combining, and the word.");
    return element("div", {}, head, image);
  }

  show();
})();
