// The page on which label maps are drawn: an image is opened, looked at, drawn in, and its mask saved. Nothing is stored.
// It is loaded last: asking.js, outline_view.js and outline_tools.js hold what it calls.
"use strict";

const HINTS = {
  image: "A picture: PNG, JPEG, TIFF.", volume: "A volume: .nii.gz.", dicom: "The files of one series, or one .zip of them.",
};
const NAMES = { "nii.gz": "NIfTI (.nii.gz)", png: "PNG", dcm: "DICOM SEG (.dcm)" };

async function begin() {
  trouble("");
  let found;
  try {
    found = await ask("outline/models");
  } catch (error) {
    if (error.status === 401) tokenAsked();
    else trouble(error.message);
    return;
  }
  at("access").hidden = true;
  known.models = found.models;
  if (!found.models.length) {
    at("model").textContent = "No model of this service draws label maps.";
    return;
  }
  at("models").replaceChildren(...found.models.map((own, k) => made("option", { value: String(k) }, `${own.name}, version ${own.version}`)));
  at("which").hidden = found.models.length < 2;
  at("opening").hidden = false;
  chosen();
}

function tokenAsked() {
  at("access").hidden = false;
  at("model").textContent = "A token is needed.";
  if (known.token) trouble("This token is not one of the service.");
  at("token").focus();
}

const model = () => known.models[Number(at("models").value)];

function chosen() {
  const own = model();
  at("model").textContent = `Model ${own.name}, version ${own.version}, draws ${own.labels.join(", ")}.`;
  const names = Object.entries(own.modalities);
  at("sources").replaceChildren(...names.map(([name, kind], k) => made("div", {},
    made("label", { for: `file-${k}` }, name, made("span", { class: "hint" }, HINTS[kind] ?? kind)),
    made("input", { id: `file-${k}`, type: "file", multiple: true, "data-modality": name }))));
}

async function openImage() {
  const [images, form] = [{}, new FormData()];
  const own = model();
  const inputs = [...at("sources").querySelectorAll("input")].filter((input) => input.files.length);
  if (!inputs.length) {
    trouble("Choose a file first.");
    at("sources").querySelector("input").focus();
    return;
  }
  inputs.forEach((input, k) => { images[input.dataset.modality] = { upload: `part-${k}` }; });
  form.append("request", new Blob([JSON.stringify({ model: own.name, images })], { type: "application/json" }));
  inputs.forEach((input, k) => [...input.files].forEach((file) => form.append(`part-${k}`, file, file.name)));
  trouble("");
  busy(true, "Opening ...");
  try {
    const found = await ask("outline/open", { method: "POST", body: form });
    await opened(found);
  } catch (error) {
    trouble(error.message);
    if (error.status === 401) tokenAsked();
  } finally {
    busy(false, "");
  }
}

async function opened(facts) {
  const modality = Object.keys(facts.images)[0];
  Object.assign(view, { id: facts.id, facts, plane: "slices", number: Math.floor(facts.shape[0] / 2), modality, cross: null, near: null, codes: null });
  view.kept.clear();
  known.saved = facts.version;
  at("labels").replaceChildren(at("labels").firstElementChild, ...facts.labels.map((name, k) => {
    const swatch = made("span", { class: "swatch" });
    swatch.style.background = `rgb(${colourOf(k + 1)})`;
    return made("label", {}, made("input", { type: "radio", name: "label", value: String(k + 1), onchange: () => chooseLabel(k + 1) }), swatch,
      made("span", {}, name), made("span", { class: "many", id: `many-${k}` }));
  }));
  at("contrast").replaceChildren(...Object.keys(facts.images).map((name) => made("option", { value: name }, name)));
  at("contrasting").hidden = Object.keys(facts.images).length < 2;
  at("planing").hidden = at("throughs").hidden = facts.flat || facts.shape[0] < 2;
  [at("through").checked, at("zoom").value] = [false, 1];
  at("plane").value = "slices";
  at("form").replaceChildren(...facts.forms.map((form) => made("option", { value: form }, NAMES[form] ?? form)));
  at("opening").hidden = true;
  at("work").hidden = false;
  looked();
  zoomed();
  chooseLabel(1);
  choose(tool.name);
  told(facts);
  await show(view.number);
  tell(null);
  at("stage").focus();
}

// Ends of the sliders for another image or plane.
function looked() {
  const own = view.facts.images[view.modality];
  const span = 65535 * own.step;
  const [low, high] = own.window;
  const wide = Math.max(high - low, own.step);
  const step = own.step === 1 ? 1 : wide / 500;
  Object.assign(at("level"), { min: Math.max(own.low, low - 2 * wide), max: Math.min(own.low + span, high + 2 * wide), step, value: (low + high) / 2 });
  Object.assign(at("width"), { min: step, max: 4 * wide, step, value: wide });
  Object.assign(at("slice"), { min: 0, max: sizes().many - 1, value: view.number });
  at("slicing").hidden = sizes().many < 2;
  windowed();
}

function windowed() {
  const [level, wide] = ["level", "width"].map((name) => Number(at(name).value));
  view.window = [level - wide / 2, level + wide / 2];
  at("level-said").textContent = figure(level, 4);
  at("width-said").textContent = figure(wide, 4);
  at("cover-said").textContent = `${at("cover").value} %`;
  view.cover = Number(at("cover").value) / 100;
  if (view.codes) paint();
}

// What the service says after each change.
function told(facts) {
  known.version = facts.version;
  facts.many.forEach((many, k) => { at(`many-${k}`).textContent = amount(many); });
  at("undo").disabled = known.busy || !facts.undo;
  at("redo").disabled = known.busy || !facts.redo;
  [known.undo, known.redo] = [facts.undo, facts.redo];
}

function amount(many) {
  const [depth, height, width] = view.facts.spacing;
  const pixel = view.facts.flat ? "pixels" : "voxels";
  if (depth === 1 && height === 1 && width === 1) return `${many.toLocaleString("en")} ${pixel}`;
  return view.facts.flat ? `${figure(many * height * width, 3)} mm²` : `${figure((many * depth * height * width) / 1000, 3)} ml`;
}

function busy(is, words) {
  known.busy = is;
  at("progress").textContent = words;
  for (const name of ["open", "draw", "save", "close"]) at(name).disabled = is;
  at("open").textContent = is && !view.id ? words : "Open";
  at("undo").disabled = is || !known.undo;
  at("redo").disabled = is || !known.redo;
}

async function letDraw() {
  await tool.last;
  trouble("");
  busy(true, "The model is drawing ...");
  try {
    let found = await ask(`outline/${view.id}/draw`, { method: "POST" });
    if (found.state === "drawing") found = await untilDrawn();
    busy(false, "");
    told(found);
    if (found.fault) trouble(found.fault);
    await showMask();
  } catch (error) {
    if (error.status === 404) closed();
    trouble(error.message);
  } finally {
    busy(false, "");
  }
}

async function save() {
  await tool.last;
  trouble("");
  busy(true, "Saving ...");
  const form = at("form").value;
  try {
    const content = await ask(`outline/${view.id}/save/${form}`, {}, undefined, true);
    const address = URL.createObjectURL(new Blob([content]));
    made("a", { href: address, download: `mask.${form}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    known.saved = known.version;
    busy(false, "The mask is saved.");
  } catch (error) {
    busy(false, "");
    if (error.status === 404) closed();
    trouble(error.message);
  }
}

async function goOnWith(file) {
  await tool.last;
  trouble("");
  busy(true, "Reading the mask ...");
  const form = new FormData();
  form.append("request", new Blob(["{}"], { type: "application/json" }));
  form.append("mask", file, file.name);
  try {
    told(await ask(`outline/${view.id}/mask`, { method: "POST", body: form }));
    await showMask();
  } catch (error) {
    if (error.status === 404) closed();
    trouble(error.message);
  } finally {
    at("given").value = "";
    busy(false, "");
  }
}

function closed() {
  Object.assign(view, { id: "", facts: null, slice: null, codes: null, clicks: [] });
  view.kept.clear();
  at("work").hidden = true;
  at("opening").hidden = false;
  chosen();
}

async function close_() {
  if (known.version !== known.saved && !window.confirm("The mask has changed since it was saved. Close the image all the same?")) return;
  const { id } = view;
  closed();
  trouble("");
  await ask(`outline/${id}`, { method: "DELETE" }).catch(() => {}); // it goes by itself after a while
  at("sources").querySelector("input").focus();
}

at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  known.token = at("token").value.trim();
  at("token").value = "";
  begin();
});
at("models").addEventListener("change", chosen);
at("opening").addEventListener("submit", (event) => { event.preventDefault(); openImage(); });
for (const [name, does] of [["draw", letDraw], ["save", save], ["close", close_], ["undo", () => again("undo")], ["redo", () => again("redo")]]) {
  at(name).addEventListener("click", does);
}
for (const name of ["level", "width", "cover"]) at(name).addEventListener("input", windowed);
at("zoom").addEventListener("input", zoomed);
at("given").addEventListener("change", () => { if (at("given").files.length) goOnWith(at("given").files[0]); });
for (const name of ["size", "reach"]) at(name).addEventListener("input", () => choose(tool.name));
at("by").addEventListener("change", () => choose(tool.name));
for (const own of document.querySelectorAll('input[name="tool"]')) own.addEventListener("change", () => choose(own.value));
at("slice").addEventListener("input", () => turnTo(Number(at("slice").value)));
at("plane").addEventListener("change", () => {
  Object.assign(view, { plane: at("plane").value, cross: null, near: null });
  view.number = Math.floor(sizes().many / 2);
  looked();
  turnTo(view.number);
});
at("contrast").addEventListener("change", () => {
  view.modality = at("contrast").value;
  show().then(looked).catch((error) => trouble(error.message));
});
const stage = at("stage");
for (const [name, does] of [["pointerdown", pressed], ["pointermove", moved], ["pointerup", released], ["pointercancel", released], ["keydown", keyed]]) {
  stage.addEventListener(name, does);
}
stage.addEventListener("pointerleave", () => { view.near = null; if (view.codes) paintMarks(); });
stage.addEventListener("wheel", turned, { passive: false });
document.addEventListener("keydown", undone);
window.addEventListener("resize", () => { if (view.codes) paintMarks(); });
window.addEventListener("beforeunload", (event) => { if (view.id && known.version !== known.saved) event.preventDefault(); });
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => { if (event.target.type !== "file") event.preventDefault(); });
begin();
