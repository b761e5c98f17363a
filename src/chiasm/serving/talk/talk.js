// The page to talk with a synthetic patient: what is said, held or written; captions of both; the score at the end.
// asking.js is loaded first and holds `ask`, `at`, `made` and `trouble`. Nothing is stored.
"use strict";

const MOST_SECONDS = 55;
const talk = { id: "", context: null, pieces: null, stream: null, starting: false, clock: 0, busy: false };

async function begin() {
  trouble("");
  let found;
  try {
    found = await ask("talk/begin", { method: "POST" });
  } catch (error) {
    if (error.status === 401) tokenAsked();
    else trouble(error.message);
    return;
  }
  at("access").hidden = true;
  talk.id = found.id;
  at("case").textContent = `Case: ${found.case}.`;
  at("captions").replaceChildren();
  at("marks").replaceChildren();
  at("score").hidden = true;
  at("speaking").hidden = !(found.hears && navigator.mediaDevices && window.AudioWorkletNode);
  at("talk").hidden = false;
  caption("Patient", found.says);
  await play(found.sound);
}

function tokenAsked() {
  at("access").hidden = false;
  at("case").textContent = "A token is needed.";
  if (known.token) trouble("This token is not one of the service.");
  at("token").focus();
}

function caption(who, words) {
  const line = made("li", { class: who === "Patient" ? "patient" : "you" }, made("b", {}, who), words);
  at("captions").append(line);
  line.scrollIntoView({ block: "nearest" });
}

async function say(options) {
  if (talk.busy) return;
  busy(true, "The patient is listening ...");
  trouble("");
  try {
    const found = await ask(`talk/${talk.id}/say`, { method: "POST", ...options });
    caption("You", found.heard);
    caption("Patient", found.says);
    at("text").value = "";
    busy(false, "");
    await play(found.sound);
  } catch (error) {
    trouble(error.message);
  } finally {
    busy(false, "");
  }
}

function busy(is, words) {
  talk.busy = is;
  at("progress").textContent = words;
  for (const name of ["push", "send", "end"]) at(name).disabled = is;
}

// What the patient says aloud; where nothing can be played, the caption stands.
async function play(sound) {
  if (!sound) return;
  try {
    talk.context ??= new AudioContext();
    const bytes = Uint8Array.from(atob(sound), (letter) => letter.charCodeAt(0));
    const source = talk.context.createBufferSource();
    source.buffer = await talk.context.decodeAudioData(bytes.buffer);
    source.connect(talk.context.destination);
    source.start();
    document.body.dataset.played = String(Number(document.body.dataset.played ?? 0) + 1);
  } catch {
    at("progress").textContent = "The answer cannot be played here; its caption says it.";
  }
}

async function press() {
  if (talk.busy || talk.starting || talk.pieces) return;
  talk.starting = true;
  at("push").setAttribute("aria-pressed", "true");
  at("push").textContent = "Listening ...";
  trouble("");
  try {
    talk.stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    talk.context ??= new AudioContext();
    await talk.context.resume();
    await talk.context.audioWorklet.addModule("recorder.js");
    const node = new AudioWorkletNode(talk.context, "recorder");
    const pieces = [];
    node.port.onmessage = (message) => pieces.push(message.data);
    talk.context.createMediaStreamSource(talk.stream).connect(node);
    talk.pieces = pieces;
    talk.node = node;
    talk.clock = setTimeout(release, MOST_SECONDS * 1000);
  } catch {
    hush();
    trouble("The microphone cannot be used: allow it for this page, or write what you say.");
  }
  const let_go = !talk.starting;
  talk.starting = false;
  if (let_go) await release();
}

async function release() {
  if (talk.starting) {
    talk.starting = false; // let go before the microphone was there
    return;
  }
  if (!talk.pieces) return;
  const { pieces } = talk;
  hush();
  const samples = pieces.reduce((sum, piece) => sum + piece.length, 0);
  if (samples < talk.context.sampleRate / 5) {
    trouble("Nothing was recorded: hold the button while you speak.");
    return;
  }
  await say({ headers: { "Content-Type": "audio/wav" }, body: recording(pieces, samples, talk.context.sampleRate) });
}

function hush() {
  clearTimeout(talk.clock);
  talk.node?.disconnect();
  for (const track of talk.stream?.getTracks() ?? []) track.stop();
  [talk.pieces, talk.stream, talk.node] = [null, null, null];
  at("push").setAttribute("aria-pressed", "false");
  at("push").textContent = "Hold to talk";
}

// A WAV file of 16 bits and one channel.
function recording(pieces, samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples));
  const text = (place, words) => [...words].forEach((letter, k) => view.setUint8(place + k, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples, true);
  let place = 44;
  for (const piece of pieces) {
    for (const value of piece) {
      view.setInt16(place, Math.max(-1, Math.min(1, value)) * 32767, true);
      place += 2;
    }
  }
  return view.buffer;
}

async function end() {
  busy(true, "Scoring ...");
  try {
    const found = await ask(`talk/${talk.id}/end`, { method: "POST" });
    const rows = found.score.marks.map((mark) => made("tr", {}, made("td", {}, mark.name),
      made("td", { class: "number" }, String(mark.points)), made("td", {}, mark.turn === null ? "not met" : `turn ${mark.turn}`)));
    const head = made("tr", {}, ...["what", "points", "when"].map((word) => made("th", { scope: "col" }, word)));
    at("marks").replaceChildren(made("p", { id: "points" }, `${found.score.points} of ${found.score.of} points.`),
      made("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The score" },
        made("table", {}, made("thead", {}, head), made("tbody", {}, ...rows))));
    at("speaking").hidden = true;
    at("writing").hidden = true;
    at("score").hidden = false;
    at("score").focus();
  } catch (error) {
    trouble(error.message);
  } finally {
    busy(false, "");
  }
}

at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  known.token = at("token").value.trim();
  at("token").value = "";
  begin();
});
at("writing").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (text) say({ headers: { "Content-Type": "application/json" }, body: JSON.stringify({ text }) });
});
at("push").addEventListener("pointerdown", press);
for (const name of ["pointerup", "pointercancel", "pointerleave", "blur"]) at("push").addEventListener(name, release);
at("push").addEventListener("keydown", (event) => {
  if (event.key !== " " && event.key !== "Enter") return;
  event.preventDefault();
  if (!event.repeat) press();
});
at("push").addEventListener("keyup", (event) => {
  if (event.key === " " || event.key === "Enter") release();
});
at("end").addEventListener("click", end);
at("again").addEventListener("click", () => {
  at("writing").hidden = false;
  begin();
});
begin();
