// What was entered, as the patient of a request; what cannot be read is told at its field.
"use strict";

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

const READ = {
  presence: (modality) => (at(placed(modality)).checked ? {} : null),
  fields: cellsOf,
  wide: wideOf,
  options: (modality) => {
    const lines = at(placed(modality)).value.split(/\r\n|\r|\n/).map((own) => own.trim()).filter(Boolean);
    return lines.length ? lines : null;
  },
  text: (modality) => (at(placed(modality)).value.trim() ? at(placed(modality)).value : null),
  records: recordsOf,
  files: (modality) => (known.files.has(modality) ? { upload: modality } : null),
};

function patientOf() {
  const read = parts().map(([name, schema]) => [name, READ[wayOf(name, schema)](name, schema)]);
  return Object.fromEntries(read.filter(([, value]) => value !== null));
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
