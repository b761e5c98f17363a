// The page of the service: a form from its schema, one request, and what came back. Nothing is stored, and nobody else is asked.
// It is loaded last: asking.js, form.js, entered.js and answer.js hold what it calls.
"use strict";

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
  at("model").textContent = `Model ${own.name}, version ${own.version}: ${own.recipe}, ${own.target.kind ?? ""}.`;
  if (own.draws) {
    at("model").append(" ", made("a", { href: "outline" }, "It draws label maps: open the page to draw in an image."));
    return;
  }
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

async function predict() {
  trouble("");
  changed();
  at("progress").textContent = "";
  for (const control of wrongFields()) wrong(control.id, "");
  const patient = patientOf();
  const [first] = wrongFields();
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
    const own = known.schema.properties.patients.items.properties.options;  // or a modality of this name
    known.options = own?.["x-kind"] === "options" ? patient.options : null;
    show(found.patients[0], found.model);
    at("progress").textContent = "";
    at("answer").hidden = false;
    at("answer").focus();
    await beside("contributions", "What each part brings", "explain", showShares, request, turn);
    if (known.model.keeps_similar) await beside("alike", "Similar patients in training", "similar", showAlike, request, turn);
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
  const [first] = wrongFields();
  trouble(faults.length ? [...rest, ...(first ? ["See the marked fields: nothing was predicted."] : [])].join(" ") : error.message);
  first?.focus();
}

// What is asked beside the prediction, under a heading of its own: a failure of it is told there.
async function beside(id, heading, address, shows, request, turn) {
  if (turn !== known.turn) return;
  const place = at(id);
  place.replaceChildren(made("h3", {}, heading), made("p", { class: "hint", role: "status" }, "Asking ..."));
  let found;
  try {
    found = (await ask(address, request, (known.stop = new AbortController()))).patients[0];
    if (turn !== known.turn) return;
  } catch (error) {
    if (turn !== known.turn) return;
    place.lastChild.textContent = error.message;
    if (error.status === 401) tokenAsked();
    return;
  }
  shows(place, found);
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
