// The form, made from the schema of the model: how each modality is entered, and what is wrong at a field.
"use strict";

const WIDE = 30; // columns, above which a block is pasted or dropped and not typed

const parts = () => Object.entries(known.schema.properties.patients.items.properties);
const placed = (modality, column = "") => `in-${parts().findIndex(([name]) => name === modality)}-${column === "" ? "" : columnsOf(modality).indexOf(column)}`;
const columnsOf = (modality) => Object.keys(known.schema.properties.patients.items.properties[modality].properties ?? {});

// How a modality is entered: a key of both tables, of what is shown (SHOWN) and of what is read from it (READ).
function wayOf(modality, schema) {
  if (schema["x-kind"] === "options") return "options";
  if (schema.properties) return !columnsOf(modality).length ? "presence" : columnsOf(modality).length <= WIDE ? "fields" : "wide";
  if ([schema.type].flat().includes("string")) return "text";
  return schema["x-kind"] === "events" ? "records" : "files";
}

const SHOWN = {
  presence,
  fields: (modality, schema) => made("div", { class: "fields" },
    ...Object.entries(schema.properties).map(([column, own]) => field(modality, column, own))),
  wide,
  options: (modality, schema) => written(modality, schema, `An option a line, ${schema.minItems} to ${schema.maxItems}: the model chooses among them.`),
  text: (modality, schema) => written(modality, schema, "The text, as it was written."),
  records: (modality, schema) => written(modality, schema, "A line for each record: hours, code, value (or nothing)."),
  files: upload,
};

function build() {
  known.files.clear();
  at("parts").replaceChildren(...parts().map(([name, schema]) =>
    made("fieldset", {}, made("legend", {}, name), SHOWN[wayOf(name, schema)](name, schema))));
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
  const hint = low === undefined ? "a number" : `a number; ${does} outside of ${figure(low, 3)} to ${figure(high, 3)}, far from training`;
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

const wrongFields = () => [...document.querySelectorAll('[aria-invalid="true"]')];
