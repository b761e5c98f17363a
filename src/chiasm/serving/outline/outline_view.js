// What is seen of an open image: a slice with its window, the mask over it, and the marks of clicks and of the cross.
// asking.js is loaded first. Slices are fetched one by one, and a few are kept.
"use strict";

const KEPT = 48;
const COLOURS = [[255, 176, 0], [86, 180, 233], [0, 190, 140], [240, 110, 170], [240, 228, 66], [120, 130, 255], [255, 105, 60], [190, 190, 190]];
const view = {
  id: "", facts: null, plane: "slices", number: 0, modality: "", window: [0, 1], cover: 0.45, zoom: 1, turn: 0,
  slice: null, codes: null, clicks: [], cross: null, near: null, turning: false, kept: new Map(), shades: new Uint8ClampedArray(65536),
};

const colourOf = (label) => COLOURS[(label - 1) % COLOURS.length];

// Rows and columns of a slice, the millimetres between them, and how many slices there are.
function sizes() {
  const [depth, height, width] = view.facts.shape;
  const [down, back, right] = view.facts.spacing;
  if (view.plane === "slices") return { rows: height, columns: width, tall: back, broad: right, many: depth };
  if (view.plane === "front") return { rows: depth, columns: width, tall: down, broad: right, many: height };
  return { rows: depth, columns: height, tall: down, broad: back, many: width };
}

const here = (what) => `outline/${view.id}/${what}/${view.plane}/${view.number}`;

async function pixels(plane, number) {
  const key = `${view.modality}/${plane}/${number}`;
  let found = view.kept.get(key);
  view.kept.delete(key);
  if (!found) {
    const address = `outline/${view.id}/image/${plane}/${number}?modality=${encodeURIComponent(view.modality)}`;
    found = new Uint16Array(await ask(address, {}, undefined, true));
  }
  view.kept.set(key, found); // the last used is the last to go
  for (const old of view.kept.keys()) {
    if (view.kept.size <= KEPT) break;
    view.kept.delete(old);
  }
  return found;
}

// Show a slice: its pixels and its mask; of several that are asked for quickly the last one is shown. What was changed is
// told first, and nothing is drawn until the slice is there.
async function show(number = view.number) {
  released(); // what is being drawn belongs to the slice that is left
  const own = sizes();
  view.number = Math.min(Math.max(number, 0), own.many - 1);
  at("slice").value = view.number;
  const turn = (view.turn += 1);
  view.turning = true;
  let slice;
  let mask;
  try {
    [slice, mask] = await Promise.all([pixels(view.plane, view.number), tool.last.then(() => ask(here("mask")))]);
  } catch (error) {
    if (turn !== view.turn) return;
    [view.codes, view.turning] = [null, false];
    throw error;
  }
  if (turn !== view.turn) return;
  view.turning = false;
  [view.slice, view.codes, view.clicks] = [slice, unpacked(mask), mask.clicks];
  placed();
  for (const name of ["image", "map"]) {
    if (at(name).width !== own.columns) at(name).width = own.columns;
    if (at(name).height !== own.rows) at(name).height = own.rows;
  }
  if (view.cross && (view.cross.row >= own.rows || view.cross.column >= own.columns)) view.cross = null;
  paint();
  for (const next of [view.number + 1, view.number - 1]) {
    if (turn === view.turn && next >= 0 && next < own.many) pixels(view.plane, next).catch(() => {});
  }
}

// The stage has the sides of the slice in the patient, as large as is asked for.
function placed() {
  const own = sizes();
  const ratio = (own.columns * own.broad) / (own.rows * own.tall);
  const { style } = at("stage");
  style.aspectRatio = String(ratio);
  style.width = `calc(${view.zoom} * min(100%, ${(75 * ratio).toFixed(2)}vh))`;
}

async function showMask() {
  const turn = view.turn;
  const mask = await ask(here("mask"));
  if (turn !== view.turn) return;
  [view.codes, view.clicks] = [unpacked(mask), mask.clicks];
  paintMask();
  tell(view.near ?? view.cross);
}

function unpacked(mask) {
  const codes = new Uint16Array(mask.shape[0] * mask.shape[1]);
  let place = 0;
  for (let k = 0; k < mask.runs.length; k += 3) {
    place += mask.runs[k];
    codes.fill(mask.runs[k + 2], place, place + mask.runs[k + 1]);
    place += mask.runs[k + 1];
  }
  return codes;
}

function packed(codes) {
  const runs = [];
  let end = 0;
  for (let k = 0; k < codes.length;) {
    const label = codes[k];
    let next = k + 1;
    while (next < codes.length && codes[next] === label) next += 1;
    if (label) {
      runs.push(k - end, next - k, label);
      end = next;
    }
    k = next;
  }
  return { shape: [sizes().rows, sizes().columns], runs };
}

function paint() {
  const { rows, columns } = sizes();
  const own = view.facts.images[view.modality];
  const [low, high] = view.window.map((value) => (value - own.low) / own.step);
  for (let k = 0; k < 65536; k += 1) view.shades[k] = (255 * (k - low)) / Math.max(high - low, 1e-9);
  const shown = new ImageData(columns, rows);
  const size = rows * columns;
  const colours = own.channels === 3 ? [0, size, 2 * size] : [0, 0, 0];
  for (let k = 0; k < size; k += 1) {
    for (let c = 0; c < 3; c += 1) shown.data[4 * k + c] = view.shades[view.slice[k + colours[c]]];
    shown.data[4 * k + 3] = 255;
  }
  at("image").getContext("2d").putImageData(shown, 0, 0);
  paintMask();
}

function paintMask() {
  const { rows, columns } = sizes();
  const shown = new ImageData(columns, rows);
  const { data } = shown;
  for (let k = 0; k < view.codes.length; k += 1) {
    if (!view.codes[k]) continue;
    const colour = colourOf(view.codes[k]);
    for (let c = 0; c < 3; c += 1) data[4 * k + c] = colour[c];
    data[4 * k + 3] = 255 * view.cover;
  }
  at("map").getContext("2d").putImageData(shown, 0, 0);
  paintMarks();
}

// The marks are drawn as fine as the screen is, whatever the pixels of the image are.
function paintMarks() {
  const { rows, columns } = sizes();
  const canvas = at("marks");
  const { width, height } = at("stage").getBoundingClientRect();
  const fine = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * fine), Math.round(height * fine)];
  const pen = canvas.getContext("2d");
  pen.scale(fine, fine);
  const [across, down] = [width / columns, height / rows];
  const middle = (one) => [(one.column + 0.5) * across, (one.row + 0.5) * down];
  for (const one of view.clicks) {
    const [x, y] = middle(one);
    pen.lineWidth = 2;
    pen.strokeStyle = "#000";
    pen.fillStyle = `rgb(${colourOf(one.label)})`;
    pen.beginPath();
    pen.arc(x, y, 6, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
    pen.beginPath();
    pen.moveTo(x - 3, y);
    pen.lineTo(x + 3, y);
    if (one.inside) {
      pen.moveTo(x, y - 3);
      pen.lineTo(x, y + 3);
    }
    pen.stroke();
  }
  if (view.cross) cross(pen, ...middle(view.cross));
  const about = view.near ?? view.cross;
  if (about && known.brush) ring(pen, ...middle(about), (known.brush / 2) * across, (known.brush / 2) * down);
}

function cross(pen, x, y) {
  for (const [thick, colour] of [[4, "#000"], [2, "#fff"]]) {
    pen.lineWidth = thick;
    pen.strokeStyle = colour;
    pen.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + 4 * dx, y + 4 * dy);
      pen.lineTo(x + 13 * dx, y + 13 * dy);
    }
    pen.stroke();
  }
}

function ring(pen, x, y, across, down) {
  for (const [thick, colour] of [[3, "#000"], [1, "#fff"]]) {
    pen.lineWidth = thick;
    pen.strokeStyle = colour;
    pen.beginPath();
    pen.ellipse(x, y, across, down, 0, 0, 2 * Math.PI);
    pen.stroke();
  }
}

// What stands under the cross or the pointer.
function said(one) {
  const { columns, many } = sizes();
  const own = view.facts.images[view.modality];
  const k = one.row * columns + one.column;
  const value = own.low + own.step * view.slice[k];
  const label = view.codes[k] ? view.facts.labels[view.codes[k] - 1] : "no label";
  const slice = many > 1 ? `slice ${view.number + 1} of ${many}, ` : "";
  return `${slice}row ${one.row + 1}, column ${one.column + 1}: ${figure(value, 4)}${own.unit ? ` ${own.unit}` : ""}, ${label}`;
}
