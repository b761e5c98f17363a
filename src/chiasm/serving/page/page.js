// The page of the service: a form from its schema, one request, and what came back. Nothing is stored, and nobody else is asked.
"use strict";

const WIDE = 30; // columns, above which a block is pasted or dropped and not typed
const SECONDS = 90;
const known = { token: "", schema: null, model: null, files: new Map(), turn: 0, stop: null };
const at = (id) => document.getElementById(id);

function made(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

function drawn(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

class Trouble extends Error {
  constructor(message, document_ = null, status = 0) {
    super(message);
    this.document = document_;
    this.status = status;
  }
}

async function ask(address, options = {}, stop = new AbortController()) {
  const clock = setTimeout(() => stop.abort(), SECONDS * 1000);
  const headers = { ...(options.headers ?? {}), ...(known.token ? { Authorization: `Bearer ${known.token}` } : {}) };
  let found;
  let text;
  try {
    found = await fetch(address, { ...options, headers, signal: stop.signal, cache: "no-store", credentials: "omit", redirect: "error" });
    text = await found.text();
  } catch (error) {
    const late = error.name === "AbortError";
    throw new Trouble(late ? `There was no answer within ${SECONDS} seconds. What you entered is kept: try again.`
      : "The service cannot be reached. What you entered is kept: try again when the connection is back.");
  } finally {
    clearTimeout(clock);
  }
  let document_ = null;
  try {
    document_ = JSON.parse(text);
  } catch {
    throw new Trouble(`The service answers something that cannot be read (status ${found.status}).`, null, found.status);
  }
  if (!found.ok) throw new Trouble(document_?.error?.message ?? `The service refuses with status ${found.status}.`, document_, found.status);
  return document_;
}

function trouble(message) {
  at("trouble").textContent = message;
  at("trouble").hidden = !message;
}

async function begin() {
  const again = !at("patient").hidden; // something may have been entered
  trouble("");
  let schema;
  let models;
  try {
    schema = await ask("schema");
    models = await ask("models");
  } catch (error) {
    if (error.status === 401) tokenAsked();
    else {
      if (!again) at("model").textContent = "No model.";
      trouble(error.message);
    }
    return;
  }
  at("access").hidden = true;
  const own = models.models.find((one) => one.name === models.default.name && one.version === models.default.version);
  at("model").replaceChildren(`Model ${own.name}, version ${own.version}: ${own.recipe}, ${own.target.kind ?? ""}.`);
  const same = again && JSON.stringify(schema) === JSON.stringify(known.schema);
  [known.schema, known.model] = [schema, own];
  if (same) {
    at("progress").textContent = "The token is taken: predict again.";
    at("predict").focus();
    return;
  }
  changed();
  build();
  if (again) trouble("Another model is served now, and what was entered for the other one is gone: enter it again.");
  at("patient").hidden = false;
}

function tokenAsked() {
  at("access").hidden = false;
  at("model").textContent = "A token is needed.";
  if (known.token) trouble(`This token is not one of the service.${at("patient").hidden ? "" : " What you entered is kept."}`);
  at("token").focus();
}

// What was entered is another one: an answer to what stood there before is neither shown nor awaited.
function changed() {
  known.turn += 1;
  const stale = known.stop !== null || !at("answer").hidden;
  known.stop?.abort();
  known.stop = null;
  at("answer").hidden = true;
  at("told").replaceChildren();
  at("predict").disabled = false;
  if (stale) at("progress").textContent = "What was entered has changed: predict again.";
}

// ---- the form

const parts = () => Object.entries(known.schema.properties.patients.items.properties);
const placed = (modality, column = "") => `in-${parts().findIndex(([name]) => name === modality)}-${column === "" ? "" : columnsOf(modality).indexOf(column)}`;
const columnsOf = (modality) => Object.keys(known.schema.properties.patients.items.properties[modality].properties ?? {});
const figure = (value) => Number(value.toPrecision(3)).toString();

function build() {
  known.files.clear();
  at("parts").replaceChildren(...parts().map(([name, schema]) => {
    const box = made("fieldset", {}, made("legend", {}, name));
    if (schema.properties && columnsOf(name).length <= WIDE) {
      const fields = made("div", { class: "fields" });
      for (const [column, own] of Object.entries(schema.properties)) fields.append(field(name, column, own));
      box.append(fields);
      if (!columnsOf(name).length) box.append(presence(name));
    } else if (schema.properties) box.append(wide(name, schema));
    else if ([schema.type].flat().includes("string")) box.append(written(name, schema, "The text, as it was written."));
    else if (schema["x-kind"] === "events") box.append(written(name, schema, "A line for each record: hours, code, value (or nothing)."));
    else box.append(upload(name, schema));
    return box;
  }));
}

function labelled(id, words, hint, control) {
  return made("div", {}, made("label", { for: id }, words), made("span", { class: "hint", id: `${id}-hint` }, hint), control,
    made("span", { class: "wrong", id: `${id}-wrong` }));
}

function field(modality, column, schema) {
  const id = placed(modality, column);
  const described = `${id}-hint ${id}-wrong`;
  const levels = schema.enum?.filter((own) => own !== null) ?? schema["x-levels"];
  if (levels) {
    const options = [made("option", { value: "" }, "not known"), ...levels.map((own) => made("option", { value: `=${own}` }, own))];
    return labelled(id, column, "", made("select", { id, "aria-describedby": described }, ...options));
  }
  const [low, high] = schema["x-reach"] ?? [schema.minimum, schema.maximum];
  const does = schema["x-reach"] ? "noted" : "refused";
  const hint = low === undefined ? "a number" : `a number; ${does} outside of ${figure(low)} to ${figure(high)}, far from training`;
  return labelled(id, column, hint, made("input", { id, type: "text", inputmode: "decimal", spellcheck: "false", "aria-describedby": described }));
}

function presence(modality) {
  const id = placed(modality);
  return made("div", {}, made("label", { for: id }, made("input", { id, type: "checkbox" }), " The patient has it."),
    made("span", { class: "wrong", id: `${id}-wrong` }));
}

function written(modality, schema, hint) {
  const id = placed(modality);
  return labelled(id, schema["x-kind"], hint, made("textarea", { id, spellcheck: "false", "aria-describedby": `${id}-hint ${id}-wrong` }));
}

function wide(modality, schema) {
  const box = written(modality, schema, `${columnsOf(modality).length} columns: paste or drop a CSV with a line of names and a line of numbers, or a name and a number a line.`);
  const id = placed(modality);
  dropping(box, async (files) => {
    changed();
    const turn = known.turn;
    if (files[0].size > known.schema["x-body-bytes"]) {
      wrong(id, "The file is too large to be a line of numbers.");
      return;
    }
    const text = await files[0].text();
    if (turn === known.turn) at(id).value = text;
  });
  return box;
}

function upload(modality, schema) {
  const id = placed(modality);
  const box = labelled(id, `${schema["x-kind"]}: choose or drop`, "One file, or all files of one record or folder.",
    made("input", { id, type: "file", multiple: true, "aria-describedby": `${id}-hint ${id}-wrong`, onchange: (event) => take([...event.target.files]) }));
  const list = made("span", { class: "hint", id: `${id}-files`, role: "status" });
  const take = (files) => {
    changed();
    wrong(id, "");
    const size = files.reduce((sum, own) => sum + own.size, 0);
    if (size > known.schema["x-upload-bytes"]) {
      known.files.delete(modality);
      list.textContent = "";
      wrong(id, `The files have ${(size / 1048576).toFixed(0)} MB, and the service takes ${(known.schema["x-upload-bytes"] / 1048576).toFixed(0)} MB: nothing was sent.`);
      return;
    }
    files.length ? known.files.set(modality, files) : known.files.delete(modality);
    list.textContent = files.length ? `${files.length} ${files.length === 1 ? "file" : "files"}, ${(size / 1048576).toFixed(1)} MB` : "";
  };
  box.append(list);
  dropping(box, take);
  return box;
}

function dropping(box, take) {
  box.classList.add("drop");
  const over = (on) => (event) => { event.preventDefault(); box.classList.toggle("over", on); };
  box.addEventListener("dragover", over(true));
  box.addEventListener("dragleave", over(false));
  box.addEventListener("drop", (event) => {
    over(false)(event);
    if (event.dataTransfer.files.length) take([...event.dataTransfer.files]);
  });
}

function wrong(id, message) {
  const control = at(id);
  control.setAttribute("aria-invalid", message ? "true" : "false");
  at(`${id}-wrong`).textContent = message;
}

// ---- what was entered

function numberOf(text) {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number.isFinite(Number(text))) return Number(text);
  if (/^[+-]?\d+,\d+$/.test(text)) throw new Trouble("Write a point and no comma: 1.5");
  throw new Trouble("Write a number, or leave it empty.");
}

function cellsOf(modality, schema) {
  const cells = {};
  let some = false;
  for (const [column, own] of Object.entries(schema.properties)) {
    const id = placed(modality, column);
    const text = at(id).value.trim();
    wrong(id, "");
    cells[column] = null;
    if (!text) continue;
    some = true;
    try {
      cells[column] = own.type.includes("number") ? numberOf(text) : at(id).value.slice(1);
    } catch (error) {
      wrong(id, error.message);
    }
  }
  return some ? cells : null;
}

// The cells of each line; one separator for all of them, which the first line tells, so that no decimal comma is one.
function rowsOf(text) {
  const lines = text.split(/\r\n|\r|\n/).filter((line) => line.trim());
  const mark = ["\t", ";", ","].find((own) => lines.length && cut(lines[0], own).length > 1) ?? ",";
  return lines.map((line, k) => {
    if ((line.match(/"/g) ?? []).length % 2) throw new Trouble(`Line ${k + 1} has a quotation mark that is not closed.`);
    return cut(line, mark);
  });
}

function cut(line, mark) {
  const cells = [""];
  let quoted = false;
  for (const letter of line) {
    if (letter === '"') quoted = !quoted;
    else if (letter === mark && !quoted) cells.push("");
    else cells[cells.length - 1] += letter;
  }
  return cells.map((own) => own.trim());
}

function pairsOf(text, columns) {
  const rows = rowsOf(text);
  if (!rows.length) return [];
  const named = rows.length === 2 && (rows[0].length > 2 || columns.has(rows[0][1]));
  const size = named ? rows[0].length : 2;
  const odd = rows.findIndex((row) => row.length !== size);
  if (odd >= 0) {
    throw new Trouble(`Line ${odd + 1} has ${rows[odd].length} cells and not ${size}: paste a line of names and a line of as many numbers, `
      + "or a name and a number a line, all with one separator (tab, semicolon or comma).");
  }
  const pairs = named ? rows[0].map((name, k) => [name, rows[1][k]]) : rows;
  const seen = new Set();
  for (const [name] of pairs) {
    if (seen.has(name)) throw new Trouble(`The name '${name}' stands twice: give it one number.`);
    seen.add(name);
  }
  return pairs;
}

function wideOf(modality) {
  const id = placed(modality);
  wrong(id, "");
  const columns = new Set(columnsOf(modality));
  const cells = Object.fromEntries([...columns].map((column) => [column, null]));
  let some = false;
  let strange = 0;
  try {
    const pairs = pairsOf(at(id).value, columns);
    if (!pairs.length) return null;
    for (const [name, text] of pairs) {
      if (!columns.has(name)) strange += 1;
      else if (text !== "" && !/^(na|nan|null)$/i.test(text)) {
        try {
          cells[name] = numberOf(text);
        } catch (error) {
          throw new Trouble(`${name}: ${error.message}`);
        }
        some = true;
      }
    }
    if (!some) throw new Trouble("None of the model's columns has a number in it: see /schema for their names.");
  } catch (error) {
    wrong(id, error.message);
    return null;
  }
  if (strange) at(`${id}-hint`).textContent = `${strange} names that the model does not read are left out.`;
  return cells;
}

function recordsOf(modality) {
  const id = placed(modality);
  wrong(id, "");
  try {
    const records = rowsOf(at(id).value).map((row, k) => {
      const [hours, code, value = ""] = row;
      if (row.length > 3) throw new Trouble(`Line ${k + 1} has ${row.length} cells: a line is hours, code, value, and a decimal point is no comma.`);
      if (!code) throw new Trouble(`Line ${k + 1} has no code: a line is hours, code, value, all with one separator (tab, semicolon or comma).`);
      try {
        return { hours: numberOf(hours), code, numeric_value: value ? numberOf(value) : null };
      } catch (error) {
        throw new Trouble(`Line ${k + 1}: ${error.message}`);
      }
    });
    return records.length ? records : null;
  } catch (error) {
    wrong(id, error.message);
    return null;
  }
}

function patientOf() {
  const patient = {};
  for (const [name, schema] of parts()) {
    let value = null;
    if (schema.properties && !columnsOf(name).length) value = at(placed(name)).checked ? {} : null;
    else if (schema.properties) value = columnsOf(name).length <= WIDE ? cellsOf(name, schema) : wideOf(name);
    else if ([schema.type].flat().includes("string")) value = at(placed(name)).value.trim() ? at(placed(name)).value : null;
    else if (schema["x-kind"] === "events") value = recordsOf(name);
    else if (known.files.has(name)) value = { upload: name };
    if (value !== null) patient[name] = value;
  }
  return patient;
}

function bodyOf(patient) {
  const text = JSON.stringify({ patients: [patient] });
  const files = [...known.files].filter(([name]) => name in patient);
  if (!files.length) return { body: text, headers: { "Content-Type": "application/json" } };
  const form = new FormData();
  form.append("request", new Blob([text], { type: "application/json" }));
  for (const [name, own] of files) for (const file of own) form.append(name, file, file.name);
  return { body: form };
}

// ---- the answer

async function predict() {
  trouble("");
  changed();
  at("progress").textContent = "";
  for (const [name, schema] of parts()) {
    const few = schema.properties && columnsOf(name).length <= WIDE;
    for (const id of few ? columnsOf(name).map((column) => placed(name, column)) : [placed(name)]) if (at(id)) wrong(id, "");
  }
  const patient = patientOf();
  const first = document.querySelector('[aria-invalid="true"]');
  if (first) {
    trouble("Something that was entered cannot be read: see the marked fields. Nothing was sent.");
    first.focus();
    return;
  }
  const turn = known.turn;
  const stop = (known.stop = new AbortController());
  at("predict").disabled = true;
  at("progress").textContent = "Predicting ...";
  try {
    const request = { method: "POST", ...bodyOf(patient) };
    const found = await ask("predict", request, stop);
    if (turn !== known.turn) return;
    show(found.patients[0], found.model);
    at("progress").textContent = "";
    at("answer").hidden = false;
    at("answer").focus();
    await contributions(request, turn);
  } catch (error) {
    if (turn !== known.turn) return;
    at("progress").textContent = "";
    refusal(error);
  } finally {
    if (turn === known.turn) {
      known.stop = null;
      at("predict").disabled = false;
    }
  }
}

function refusal(error) {
  if (error.status === 401) {
    tokenAsked();
    return;
  }
  const faults = [error.document?.error, ...(error.document?.also ?? [])].filter(Boolean);
  const rest = [];
  for (const own of faults) {
    const [, modality, column] = /^patients\[0\]\.([^.]+)(?:\.(.+))?$/.exec(own.field ?? "") ?? [];
    const id = modality && parts().some(([name]) => name === modality)
      ? [placed(modality, column ?? ""), placed(modality)].find((own_) => at(own_)) : undefined;
    id ? wrong(id, own.message) : rest.push(own.message);
  }
  const first = document.querySelector('[aria-invalid="true"]');
  trouble(faults.length ? [...rest, ...(first ? ["See the marked fields: nothing was predicted."] : [])].join(" ") : error.message);
  (first ?? at("trouble")).focus?.();
}

const percent = (value) => `${(100 * value).toFixed(1)} %`;
const row = (...cells) => made("tr", {}, ...cells);
const head = (...words) => made("thead", {}, row(...words.map((own) => (own ? made("th", { scope: "col" }, own) : made("td", {})))));

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
  told.push(made("div", { id: "contributions" }));
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
    const rows = classes.map(([name, value]) => row(made("th", { scope: "row" }, name.slice(2)), made("td", { class: "number" }, value === null ? "-" : percent(value)), made("td", {}, bar(value ?? 0))));
    told.push(made("div", { class: "scroll" }, made("table", { id: "classes" }, head("class", "probability", ""), made("tbody", {}, ...rows))));
  }
  if (curve.length) {
    const unit = known.model.target.unit ?? "";
    told.push(curveOf(curve, unit));
    const rows = curve.map(([time, value]) => row(made("th", { scope: "row" }, `${time} ${unit}`), made("td", { class: "number" }, percent(value))));
    told.push(made("div", { class: "scroll" }, made("table", { id: "curve" }, head("without the event until", "probability"), made("tbody", {}, ...rows))));
  }
  if (rest.length) {
    const rows = rest.map(([name, value]) => row(made("th", { scope: "row" }, name), made("td", { class: "number" }, value === null ? "-" : figureOf(value))));
    told.push(made("div", { class: "scroll" }, made("table", { id: "numbers" }, head("output", "value"), made("tbody", {}, ...rows))));
  }
  return told;
}

const figureOf = (value) => (typeof value === "number" ? Number(value.toPrecision(4)).toString() : String(value));

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
    .map(([name, value]) => row(made("th", { scope: "row" }, name), made("td", {}, value === null ? "-" : figureOf(value))));
  return [made("h3", {}, `What holds ${percent(sure.coverage)} of outcomes`),
    made("div", { class: "scroll" }, made("table", { id: "sure" }, made("tbody", {}, ...rows)))];
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

async function contributions(request, turn) {
  const place = at("contributions");
  place.replaceChildren(made("h3", {}, "What each part brings"), made("p", { class: "hint", role: "status" }, "Asking ..."));
  let found;
  try {
    found = (await ask("explain", request, (known.stop = new AbortController()))).patients[0];
    if (turn !== known.turn) return;
  } catch (error) {
    if (turn !== known.turn) return;
    place.lastChild.textContent = error.message;
    if (error.status === 401) tokenAsked();
    return;
  }
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
  place.append(made("div", { class: "scroll" }, made("table", { id: "shares" }, head("output", "part", "share", ""), made("tbody", {}, ...rows))));
}

function forget() {
  trouble("");
  changed();
  at("patient").reset();
  at("progress").textContent = "Everything that was entered is gone.";
  build();
}

at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  known.token = at("token").value.trim();
  at("token").value = "";
  begin();
});
at("patient").addEventListener("input", changed);
at("patient").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
at("forget").addEventListener("click", forget);
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
begin();
