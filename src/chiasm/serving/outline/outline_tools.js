// The tools on an open image: clicks, brush and eraser, by pointer and by keyboard; what was changed is sent in its order.
// asking.js and outline_view.js are loaded first.
"use strict";

const tool = { name: "inside", label: 1, stroke: null, waiting: 0, last: Promise.resolve() };
const LOOKS = 1500; // milliseconds between two looks whether the model has drawn, at most
const BRUSHES = ["brush", "eraser"];

// One change after another, so that none overtakes the one before.
function change(work) {
  tool.last = tool.last.then(async () => {
    trouble("");
    try {
      told(await work());
    } catch (error) {
      if (error.status === 404) closed();
      trouble(error.message);
      if (view.id) await showMask().catch(() => {});
    }
  });
  return tool.last;
}

// False while another slice comes, or a change that the service makes: what is drawn then would be lost.
const ready = () => view.codes && !view.turning && !known.busy && !tool.waiting;

// A change that the service makes, after which the mask is asked for.
function asked(address, options) {
  tool.waiting += 1;
  return change(async () => {
    let found = await ask(address, options);
    if (found.state === "drawing") found = await untilDrawn();
    await showMask();
    if (found.fault) trouble(found.fault);
    return found;
  }).finally(() => { tool.waiting -= 1; });
}

const asJson = (method, document_) => ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(document_) });

function click(place) {
  const inside = tool.name === "inside";
  const { plane, number } = view;
  const label = view.facts.labels[tool.label - 1];
  const sent = { plane, slice: number, ...place, inside, label, reach: reach(), through: at("through").checked, by: by() };
  return asked(`outline/${view.id}/click`, asJson("POST", sent));
}

const by = () => (view.facts.takes_clicks ? at("by").value : "brightness");

// Look at the state of the image until the model has drawn.
async function untilDrawn() {
  at("progress").textContent = "The model is drawing ...";
  try {
    for (let wait = 60; ; wait = Math.min(1.5 * wait, LOOKS)) {
      await new Promise((done) => setTimeout(done, wait));
      const found = await ask(`outline/${view.id}`);
      if (found.state !== "drawing") return found;
    }
  } finally {
    at("progress").textContent = "";
  }
}

// Half the share of the window that the slider says, in the unit of the image on which the map lies.
function reach() {
  const [low, high] = view.facts.images[Object.keys(view.facts.images)[0]].window;
  return ((high - low) * Number(at("reach").value)) / 200;
}

function dab(place) {
  const { rows, columns, tall, broad } = sizes();
  const wide = known.brush / 2;
  const high = (wide * broad) / tall; // round in the patient, not in the pixels
  for (let row = Math.max(0, Math.floor(place.row - high)); row <= Math.min(rows - 1, place.row + high); row += 1) {
    for (let column = Math.max(0, Math.floor(place.column - wide)); column <= Math.min(columns - 1, place.column + wide); column += 1) {
      const [dy, dx] = [(row - place.row) / Math.max(high, 0.5), (column - place.column) / Math.max(wide, 0.5)];
      if (dx * dx + dy * dy > 1) continue;
      const k = row * columns + column;
      view.codes[k] = tool.name === "brush" ? tool.label : 0;
    }
  }
}

function stroke(from, to) {
  const steps = Math.max(Math.abs(to.row - from.row), Math.abs(to.column - from.column), 1);
  for (let k = 1; k <= steps; k += 1) {
    dab({ row: Math.round(from.row + ((to.row - from.row) * k) / steps), column: Math.round(from.column + ((to.column - from.column) * k) / steps) });
  }
  paintMask();
}

function sent() {
  const [address, mask] = [here("mask"), packed(view.codes)];
  return change(() => ask(address, asJson("PUT", mask)));
}

function use(place) {
  if (!ready()) return;
  if (!BRUSHES.includes(tool.name)) {
    click(place);
    return;
  }
  dab(place);
  paintMask();
  sent();
}

const again = (what) => asked(`outline/${view.id}/${what}`, { method: "POST" });

function placeOf(event) {
  const box = at("stage").getBoundingClientRect();
  const { rows, columns } = sizes();
  const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
  const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
  return { row: Math.min(Math.max(row, 0), rows - 1), column: Math.min(Math.max(column, 0), columns - 1) };
}

function choose(name) {
  tool.name = name;
  document.querySelector(`input[name="tool"][value="${name}"]`).checked = true;
  const brushes = BRUSHES.includes(name);
  known.brush = brushes ? Number(at("size").value) : 0;
  at("sizing").hidden = !brushes;
  at("asking").hidden = brushes || !view.facts?.takes_clicks;
  at("reaching").hidden = brushes || (Boolean(view.facts) && by() === "model");
  at("size-said").textContent = `${at("size").value} pixels`;
  at("reach-said").textContent = `${at("reach").value} % of the width`;
  at("stage").style.touchAction = brushes ? "none" : "manipulation"; // a finger that clicks may scroll too
  if (view.codes) paintMarks();
}

function chooseLabel(label) {
  if (label < 1 || label > view.facts.labels.length) return;
  tool.label = label;
  document.querySelector(`input[name="label"][value="${label}"]`).checked = true;
}

function resize(by) {
  at("size").value = Number(at("size").value) + by;
  choose(tool.name);
}

function pressed(event) {
  if (event.button !== 0 || !ready()) return;
  at("stage").focus({ preventScroll: true });
  const place = placeOf(event);
  view.cross = null;
  if (!BRUSHES.includes(tool.name)) {
    click(place);
    return;
  }
  at("stage").setPointerCapture(event.pointerId);
  tool.stroke = place;
  dab(place);
  paintMask();
}

function moved(event) {
  if (!view.codes) return;
  view.near = placeOf(event);
  at("where").textContent = said(view.near);
  if (tool.stroke) {
    const from = tool.stroke;
    tool.stroke = view.near;
    stroke(from, view.near);
  } else if (known.brush) paintMarks();
}

function released() {
  if (!tool.stroke) return;
  tool.stroke = null;
  sent();
}

function turned(event) {
  if (!view.codes || sizes().many < 2 || tool.stroke) return;
  event.preventDefault();
  turnTo(view.number + Math.sign(event.deltaY));
}

function turnTo(number) {
  show(number).then(() => tell(view.cross ?? view.near)).catch((error) => trouble(error.message));
}

function tell(one) {
  const { many, rows, columns } = sizes();
  const inside = one && one.row < rows && one.column < columns;
  at("where").textContent = inside ? said(one) : many > 1 ? `slice ${view.number + 1} of ${many}` : "";
}

// Bring the cross into the part of a larger image that is seen.
function reveal(one) {
  const { rows, columns } = sizes();
  const [frame, box] = [at("frame"), at("stage").getBoundingClientRect()];
  const [x, y] = [(box.width * one.column) / columns, (box.height * one.row) / rows];
  const edge = 40;
  frame.scrollLeft = Math.min(Math.max(frame.scrollLeft, x + edge - frame.clientWidth), Math.max(x - edge, 0));
  frame.scrollTop = Math.min(Math.max(frame.scrollTop, y + edge - frame.clientHeight), Math.max(y - edge, 0));
}

function zoomed() {
  view.zoom = Number(at("zoom").value);
  at("zoom-said").textContent = `${view.zoom} x`;
  if (!view.codes) return;
  placed();
  paintMarks();
  if (view.cross) reveal(view.cross);
}

const MOVES = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const TURNS = { PageUp: () => view.number + 1, PageDown: () => view.number - 1, Home: () => 0, End: () => sizes().many - 1 };
const TOOLS = { i: "inside", o: "outside", b: "brush", e: "eraser" };

function keyed(event) {
  if (!view.codes || event.altKey || event.ctrlKey || event.metaKey) return;
  const { key } = event;
  const { rows, columns } = sizes();
  if (key in MOVES) {
    const [down, right] = MOVES[key].map((one) => one * (event.shiftKey ? 10 : 1));
    const from = view.cross ?? { row: rows >> 1, column: columns >> 1 };
    view.cross = { row: Math.min(Math.max(from.row + down, 0), rows - 1), column: Math.min(Math.max(from.column + right, 0), columns - 1) };
    view.near = null;
    paintMarks();
    reveal(view.cross);
    tell(view.cross);
  } else if (key in TURNS) turnTo(TURNS[key]());
  else if (key === "Enter" || key === " ") use(view.cross ?? (view.cross = { row: rows >> 1, column: columns >> 1 }));
  else if (key.toLowerCase() in TOOLS) choose(TOOLS[key.toLowerCase()]);
  else if (/^[1-9]$/.test(key)) chooseLabel(Number(key));
  else if (key === "+" || key === "-") {
    at("zoom").value = Number(at("zoom").value) + (key === "+" ? 0.5 : -0.5);
    zoomed();
  } else if (key === "[" || key === "]") resize(key === "[" ? -1 : 1);
  else return;
  event.preventDefault();
}

function undone(event) {
  if (!view.id || !(event.ctrlKey || event.metaKey) || event.altKey || event.target.matches?.("input[type=password]")) return;
  const key = event.key.toLowerCase();
  if (key !== "z" && key !== "y") return;
  event.preventDefault();
  if (!known.busy) again(key === "y" || event.shiftKey ? "redo" : "undo");
}
