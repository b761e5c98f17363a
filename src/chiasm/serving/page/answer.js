// What came back: the prediction, how sure it is, what each part brings, what was missing, fitness for use.
"use strict";

const percent = (value) => `${(100 * value).toFixed(1)} %`;
const shown = (value) => (value === null ? "-" : typeof value === "number" ? figure(value, 4) : String(value));
const row = (...cells) => made("tr", {}, ...cells);
const head = (...words) => made("thead", {}, row(...words.map((own) => (own ? made("th", { scope: "col" }, own) : made("td", {})))));

function table(id, words, rows) {
  return made("div", { class: "scroll" }, made("table", { id }, ...(words.length ? [head(...words)] : []), made("tbody", {}, ...rows)));
}

function bar(share, against = false) {
  const own = made("span", { class: against ? "bar against" : "bar", "aria-hidden": "true" });
  own.style.width = `${Math.min(Math.abs(share), 1) * 10}rem`;
  return own;
}

function show(patient, model) {
  const told = [];
  if (patient.prediction === null) told.push(made("p", { class: "trouble" }, "No prediction: no training patient had this combination, and this service refuses it."));
  else told.push(...predictionOf(patient.prediction));
  if (patient.sure) told.push(...sureOf(patient.sure));
  else if (patient.prediction) told.push(made("p", { class: "hint" }, "How sure this is was not measured: the service was started without held-out patients."));
  told.push(made("div", { id: "contributions" }), made("div", { id: "alike" }));
  told.push(made("h3", {}, "What was missing"), ...missingOf(patient));
  told.push(made("h3", {}, "Fitness for use"), fitness(patient, model));
  at("told").replaceChildren(...told);
}

function predictionOf(prediction) {
  const entries = Object.entries(prediction);
  const classes = entries.filter(([name]) => name.startsWith("p_"));
  const curve = entries.filter(([name]) => name.startsWith("survival_")).map(([name, value]) => [Number(name.slice(9)), value]);
  const rest = entries.filter(([name]) => !name.startsWith("p_") && !name.startsWith("survival_"));
  const told = [];
  if (classes.length) {
    const rows = classes.map(([name, value]) => row(made("th", { scope: "row" }, optionOf(name.slice(2))), made("td", { class: "number" }, value === null ? "-" : percent(value)), made("td", {}, bar(value ?? 0))));
    told.push(table("classes", [known.options ? "option" : "class", "probability", ""], rows));
  }
  if (curve.length) {
    const unit = known.model.target.unit ?? "";
    told.push(curveOf(curve, unit));
    const rows = curve.map(([time, value]) => row(made("th", { scope: "row" }, `${time} ${unit}`), made("td", { class: "number" }, percent(value))));
    told.push(table("curve", ["without the event until", "probability"], rows));
  }
  if (rest.length) {
    const rows = rest.map(([name, value]) => row(made("th", { scope: "row" }, name), made("td", { class: "number" }, name === "choice" ? optionOf(value) : shown(value))));
    told.push(table("numbers", ["output", "value"], rows));
  }
  return told;
}

// An option by its number and its text, a class by its name.
const optionOf = (name) => (known.options ? `${name}. ${known.options[Number(name) - 1]}` : name);

function drawn(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function curveOf(points, unit) {
  const [width, height, left, foot] = [420, 220, 46, 34];
  const last = Math.max(...points.map(([time]) => time));
  const x = (time) => left + ((width - left - 12) * time) / last;
  const y = (value) => 10 + (height - foot - 10) * (1 - value);
  const all = [[0, 1], ...points];
  const path = all.map(([time, value], k) => (k ? `H${x(time)}V${y(value)}` : `M${x(time)} ${y(value)}`)).join("");
  const marks = [0, 0.5, 1].map((value) => drawn("text", { x: 4, y: y(value) + 4 }, `${100 * value} %`));
  const times = all.map(([time]) => drawn("text", { x: x(time), y: height - 14, "text-anchor": "middle" }, `${time}`));
  return drawn("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Probability without the event over time in ${unit || "the target's unit"}; the table below has the numbers.` },
    drawn("path", { class: "axis", d: `M${left} 10V${height - foot}H${width - 12}` }), drawn("path", { class: "curve", d: path }),
    ...points.map(([time, value]) => drawn("circle", { class: "dot", cx: x(time), cy: y(value), r: 3.5 })), ...marks, ...times,
    drawn("text", { x: width - 12, y: height - 2, "text-anchor": "end" }, unit));
}

function sureOf(sure) {
  const rows = Object.entries(sure).filter(([name]) => name !== "coverage")
    .map(([name, value]) => row(made("th", { scope: "row" }, name), made("td", {}, shown(value))));
  return [made("h3", {}, `What holds ${percent(sure.coverage)} of outcomes`), table("sure", [], rows)];
}

function missingOf(patient) {
  const told = [];
  told.push(made("p", { id: "pattern" }, patient.pattern ? `The prediction rests on ${patient.pattern.split("+").join(", ")}.` : "Nothing was known: this is what is true of everybody in training."));
  if (patient.unseen) told.push(made("p", { class: "trouble" }, "No training patient had this combination: nobody knows how good the prediction is."));
  if (patient.missing.length) told.push(made("p", { id: "absent" }, `Absent, and not guessed: ${patient.missing.join(", ")}. What it would change is not known without it.`));
  else told.push(made("p", { id: "absent" }, "Every part is there."));
  for (const [name, columns] of Object.entries(patient.missing_cells)) {
    const some = columns.slice(0, 20).join(", ") + (columns.length > 20 ? ` and ${columns.length - 20} more` : "");
    told.push(made("p", {}, `Without a value in ${name}: ${some}.`));
  }
  return told;
}

function fitness(patient, model) {
  const own = known.model;
  const lines = [
    ...patient.notes,
    `Combinations in training: ${own.patterns.length ? own.patterns.join("; ") : "not known"}.`,
    own.calibrated ? "How sure it is was measured on held-out patients." : "How sure it is was not measured here.",
    `Model ${model.name}, version ${model.version}, ${model.recipe}.`,
  ];
  const list = made("ul", {}, ...lines.map((line) => made("li", {}, line)));
  list.append(made("li", {}, "SHA-256 ", made("code", {}, model.sha256)));
  return list;
}

function showShares(place, found) {
  const names = [...new Set(found.outputs.flatMap((own) => Object.keys(own.shares)))];
  const outputs = found.outputs.filter((own) => Object.keys(own.shares).length);
  if (!outputs.length) {
    place.lastChild.textContent = "Nothing to split: no part was there.";
    return;
  }
  const largest = Math.max(1e-12, ...outputs.flatMap((own) => Object.values(own.shares).map((value) => Math.abs(value ?? 0))));
  const rows = outputs.flatMap((own) => names.map((name, k) => row(
    ...(k ? [] : [made("th", { scope: "rowgroup", rowspan: names.length }, own.output)]), made("td", {}, name),
    made("td", { class: "number" }, own.shares[name] == null ? "-" : `${own.shares[name] >= 0 ? "+" : ""}${own.shares[name].toFixed(3)}`),
    made("td", {}, bar((own.shares[name] ?? 0) / largest, (own.shares[name] ?? 0) < 0)))));
  place.lastChild.textContent = `Beside ${found.base_is}: base plus the shares is the prediction.`;
  place.append(table("shares", ["output", "part", "share", ""], rows));
}

function called(name) {
  if (name.startsWith("survival_")) return `without the event until ${name.slice(9)} ${known.model.target.unit ?? ""}`.trim();
  return name.startsWith("p_") ? name.slice(2) : name;
}

function showAlike(place, found) {
  if (!found.outcome) {
    place.lastChild.textContent = `Nobody in training is like this patient: ${found.notes.at(-1)}.`;
    return;
  }
  const rows = Object.entries(found.outcome).map(([name, band]) => row(made("th", { scope: "row" }, called(name)), made("td", {}, band)));
  place.lastChild.textContent = `Of the ${found.patients} training patients who are nearest, as the model sees them; told in bands, and never of one of them. It is no second prediction.`;
  place.append(table("similar", ["outcome", "of them"], rows));
}
