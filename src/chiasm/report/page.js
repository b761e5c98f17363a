// Tables sort by a click or the keyboard, the contents mark where the reader is, and print opens what is folded.
(() => {
  const number = (text) => {
    const found = text.replace(/,/g, "").match(/^[<>]?\s*(-?\d+(?:\.\d+)?)\s*(min|h)?\b/);
    return found ? Number(found[1]) * ({ min: 60, h: 3600 }[found[2]] ?? 1) : null;
  };
  const lowest = (table) => {
    const grid = [];
    [...table.tHead.rows].forEach((row, y) => {
      let x = 0;
      for (const cell of row.cells) {
        while (grid[y]?.[x]) x += 1;
        for (let dy = 0; dy < cell.rowSpan; dy += 1)
          for (let dx = 0; dx < cell.colSpan; dx += 1) (grid[y + dy] ??= [])[x + dx] = cell;
        x += cell.colSpan;
      }
    });
    return grid.at(-1);
  };
  const sort = (table, heads, column) => {
    const body = table.tBodies[0], head = heads[column], numeric = head.classList.contains("number");
    const down = head.getAttribute("aria-sort") === (numeric ? "descending" : "ascending");
    const way = down === numeric ? 1 : -1;
    const keyed = [...body.rows].map((row) => {
      const text = row.cells[column].textContent.trim();
      return { row, key: numeric ? number(text) : text };
    });
    const known = keyed.filter((one) => one.key !== null), rest = keyed.filter((one) => one.key === null);
    const order = numeric ? (a, b) => a.key - b.key : (a, b) => a.key.localeCompare(b.key, "en", { numeric: true });
    known.sort((a, b) => way * order(a, b));
    body.append(...[...known, ...rest].map((one) => one.row));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
  };
  for (const table of document.querySelectorAll("table:not(.facts):not(.items):not(.fixed)")) {
    const rows = [...(table.tBodies[0]?.rows ?? [])];
    if (!table.tHead || rows.length < 3 || table.tBodies.length > 1) continue;
    const heads = lowest(table);
    const even = rows.every((row) => row.cells.length === heads.length);
    if (!even || new Set(heads).size < heads.length) continue;
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = "Sort by this column";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, heads, column));
      head.append(button);
    });
  }
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  if ("IntersectionObserver" in window) {
    const seen = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id).setAttribute("aria-current", "location");
      }
    }, { rootMargin: "-10% 0px -80% 0px" });
    for (const anchor of links.keys()) seen.observe(document.getElementById(anchor));
  }
  const folded = [];
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("details:not([open])")) { one.open = true; folded.push(one); }
  });
  addEventListener("afterprint", () => { for (const one of folded.splice(0)) one.open = false; });
})();
