// The filter of the catalogue: which systems read a kind of data, tell a kind of target, do without something, and under
// which licence their code is. It reads the tables as they stand, so that the page is whole without it.
(function () {
  "use strict";
  const OUTCOME = ["classification", "multilabel", "regression", "survival", "competing"];
  const LICENCES = [
    ["none stated", /none stated|not stated/i],
    ["copyleft", /GPL/],
    ["not for every use", /\bN[CD]\b|not open|closed|behind a gate|research/i],
    ["open", /\bMIT\b|Apache|BSD|own code|CC BY/],
    ["not found or not read", /no code|no licence|no files/i],
  ];

  const words = (text) => text.split(/[,;]/).map((word) => word.trim()).filter(Boolean);
  const repository = /^\S*\/\S*(, |$)/; // its name stands before the licence, and says nothing of it
  const licence = (text) => (LICENCES.find(([, pattern]) => pattern.test(text.replace(repository, ""))) || ["none stated"])[0];

  function entriesOf(page) {
    const found = [];
    for (const table of page.querySelectorAll("table")) {
      const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
      if (names[0] !== "system") continue;
      (table.closest(".md-typeset__scrollwrap") || table).tabIndex = 0; // wide tables scroll by keys too
      for (const row of table.tBodies[0].rows) {
        const cell = (name) => row.cells[names.indexOf(name)].textContent.trim();
        const targets = words(cell("targets")).flatMap((kind) => (kind === "outcome" ? OUTCOME : [kind]));
        found.push({
          row, table, targets, data: words(cell("data")), needs: words(cell("needs")), held: cell("how much"),
          licence: licence(cell("code and licence")), text: row.textContent.toLowerCase(),
        });
      }
    }
    return found;
  }

  // What a choice keeps: `any` of the data is every kind of it, and of needs those are kept that do without.
  const KEPT = {
    data: (entry, value) => entry.data.includes(value) || entry.data.includes("any"),
    targets: (entry, value) => entry.targets.includes(value),
    needs: (entry, value) => !entry.needs.includes(value),
    held: (entry, value) => entry.held === value,
    licence: (entry, value) => entry.licence === value,
    text: (entry, value) => entry.text.includes(value.toLowerCase().trim()),
  };

  function kept(entry, asked) {
    return Object.entries(asked).every(([what, value]) => value === "" || KEPT[what](entry, value));
  }

  // The heading of a table, and all that stands below it.
  function sectionOf(table) {
    let one = table.closest(".md-typeset__scrollwrap") || table;
    while (one && one.tagName !== "H2") one = one.previousElementSibling;
    const parts = [];
    for (; one && !(parts.length && one.tagName === "H2"); one = one.nextElementSibling) parts.push(one);
    return parts;
  }

  function show(entries, asked, said) {
    const tables = new Map();
    let count = 0;
    for (const entry of entries) {
      const stays = kept(entry, asked);
      entry.row.hidden = !stays;
      count += stays;
      tables.set(entry.table, (tables.get(entry.table) || 0) + stays);
    }
    for (const [table, left] of tables) {
      for (const part of sectionOf(table)) part.hidden = left === 0;
    }
    said.textContent = count === entries.length ? `${count} systems` : `${count} of ${entries.length} systems`;
  }

  function built(place) {
    const entries = entriesOf(document);
    if (!entries.length || place.childElementCount) return;
    const asked = { data: "", targets: "", needs: "", held: "", licence: "", text: "" };
    const said = document.createElement("p");
    said.setAttribute("role", "status");
    const values = (what) =>
      [...new Set(entries.flatMap((entry) => entry[what]))].filter((one) => one !== "any").sort();
    const choices = [
      ["data", "kind of data"], ["targets", "target"], ["needs", "without"], ["licence", "licence of their code"],
      ["held", "how much is here"],
    ];
    const form = document.createElement("form");
    form.className = "catalogue-filter";
    form.style.cssText = "display:flex;flex-wrap:wrap;gap:.75rem;align-items:end";
    const labelled = (text, control) => {
      const label = document.createElement("label");
      label.style.cssText = "display:flex;flex-direction:column;gap:.25rem";
      label.append(text, control);
      control.style.cssText = "font:inherit;color:inherit;background:transparent;border:1px solid;border-radius:4px;padding:.35rem;min-height:2.2rem";
      form.append(label);
    };
    for (const [what, text] of choices) {
      const select = document.createElement("select");
      select.name = what;
      select.append(new Option("all", ""), ...values(what).map((value) => new Option(value, value)));
      labelled(text, select);
    }
    const search = document.createElement("input");
    search.type = "search";
    search.name = "text";
    labelled("words", search);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      asked[event.target.name] = event.target.value;
      show(entries, asked, said);
    });
    place.append(form, said);
    show(entries, asked, said);
  }

  function start() {
    const place = document.getElementById("catalogue-filter");
    if (place) built(place);
  }

  if (typeof module === "object") {
    module.exports = { words, licence, kept, OUTCOME };
  } else if (typeof document$ === "object") {
    document$.subscribe(start); // the site exchanges pages without loading
  } else if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start);
  } else {
    start();
  }
})();
