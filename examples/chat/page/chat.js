// The page: shows what the room says, and says what is typed. Everything that came from somebody is put into the
// document as text, never as HTML.

import { Connection, randomUuid } from "/gobroke.js";

const TYPING_EVERY = 2_000; // milliseconds
const ASK_AGAIN_AFTER = 4_000;
const SAY_FOR = 240_000; // the longest that a delivery may take
const STATES = { connecting: "connecting…", open: "connected", waiting: "reconnecting…" };

const $ = (id) => document.getElementById(id);
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

let connection = null;
let me = "";
let room = "";
let lines = new Map(); // number -> list item
let mine = new Map(); // uuid -> list item of a line that has no number yet
let typists = new Map(); // name -> timer
let last = 0; // all numbers up to this one are shown, as far as they are kept
let highest = 0; // the highest number that is shown
let joined = false;
let askedAt = 0;
let typedAt = 0;
let atEnd = true; // whether the reader sees the last line

// --- coming in ----------------------------------------------------------------

function enter(name, inRoom) {
  leave();
  [me, room] = [name, inRoom];
  [lines, mine, last, highest, joined] = [new Map(), new Map(), 0, 0, false];
  $("lines").replaceChildren();
  $("people").replaceChildren();
  $("title").textContent = `#${room}`;
  document.title = `#${room} – gobroke_dist chat`;
  show("chat");
  location.hash = new URLSearchParams({ room, name });
  const made = connection = new Connection("/ws", { metadata: { name } });
  const on = (kind, listener) => made.addEventListener(kind, ({ detail }) => { if (made === connection) listener(detail); });
  on("state", (state) => showState(state, STATES[state]));
  on("opened", opened);
  on("message", ({ data }) => hear(data));
  on("refused", (error) => alertOf(inWords(error)));
  on("ended", ({ code, reason }) => showState("ended", `disconnected: ${reason || code}`));
  showState("connecting", STATES.connecting);
  $("text").focus();
}

function leave() {
  tell("leave", { room });
  const left = connection;
  [connection, mine] = [null, new Map()];
  left?.close();
}

// What is not worth to be said later.
function tell(logic, data) {
  if (connection?.state === "open") connection.send(data, { to_logic: logic });
}

function show(part) {
  $("entrance").hidden = part !== "entrance";
  $("chat").hidden = part !== "chat";
  $("change").hidden = part !== "chat";
}

// --- what arrives -------------------------------------------------------------

function opened({ node }) {
  showNode(node);
  joined = false;
  join();
}

// Enters the room, or asks for the lines that are missing: the server can't tell, and need not.
function join() {
  askedAt = Date.now();
  tell("join", { room, after: last });
}

function hear(data) {
  if (data.room !== room) return;
  if (data.kind === "history") hearHistory(data.lines);
  else if (data.kind === "said") hearLine(data.line);
  else if (data.kind === "online") showPeople(data.members);
  else if (data.kind === "typing") showTyping(data.name);
}

function hearHistory(missed) {
  missed.forEach(showLine);
  last = Math.max(last, missed.at(-1)?.number ?? 0);
  countOn();
  joined = true;
}

function hearLine(line) {
  stopTyping(line.name);
  showLine(line);
  countOn();
}

function countOn() {
  while (lines.has(last + 1)) last += 1;
}

// --- lines --------------------------------------------------------------------

function showLine(line) {
  if (lines.has(line.number)) return;
  const isMine = line.client === connection.client || mine.has(line.uuid);
  mine.get(line.uuid)?.remove();
  mine.delete(line.uuid);
  const item = newLine(line.name, line.text, isMine);
  item.querySelector(".number").textContent = line.number;
  item.querySelector("time").textContent = time.format(new Date(line.at));
  item.querySelector("time").dateTime = line.at;
  item.querySelector(".via").textContent = `via ${line.node}`;
  item.dataset.number = line.number;
  item.dataset.uuid = line.uuid;
  lines.set(line.number, item);
  highest = Math.max(highest, line.number);
  keepingView(() => insertInOrder(item, line.number), isMine);
}

function insertInOrder(item, number) {
  const list = $("lines");
  let before = list.lastElementChild;
  while (before && Number(before.dataset.number || Infinity) > number) before = before.previousElementSibling;
  if (before) before.after(item);
  else list.prepend(item);
}

function newLine(name, text, isMine) {
  const item = $("line").content.firstElementChild.cloneNode(true);
  item.querySelector(".name").textContent = name;
  item.querySelector(".text").textContent = text;
  item.classList.toggle("mine", isMine);
  return item;
}

// It is sent until a worker has handled it, with the same uuid, so that it is said once.
function say(text) {
  const uuid = randomUuid();
  const item = newLine(me, text, true);
  item.classList.add("pending");
  item.querySelector(".number").textContent = "…";
  item.querySelector(".via").textContent = "not confirmed yet";
  mine.set(uuid, item);
  keepingView(() => $("lines").append(item), true);
  connection.deliver({ room, text }, "say", { uuid, timeout: SAY_FOR }).then(
    ({ state, reason }) => { if (state === "dead") notSaid(uuid, text, `it can't be handled (${reason})`); },
    (error) => { if (!error.accepted) notSaid(uuid, text, inWords(error)); },
  );
}

// Stays at the end if the reader is there, or if `force`; otherwise does not move what is being read.
function keepingView(change, force) {
  change();
  if (atEnd || force) toEnd();
}

function toEnd() {
  $("lines").scrollTop = $("lines").scrollHeight;
}

// --- people, typing, state, errors --------------------------------------------

function showPeople(members) {
  $("count").textContent = members.length;
  $("people").replaceChildren(...members.map((member) => {
    const item = $("person").content.firstElementChild.cloneNode(true);
    const isMe = member.client === connection.client;
    item.querySelector(".initial").textContent = Array.from(member.name)[0].toUpperCase();
    item.querySelector(".name").textContent = isMe ? `${member.name} (you)` : member.name;
    item.querySelector(".node").textContent = member.node;
    item.style.setProperty("--hue", hueOf(member.name));
    item.title = `${member.name} on ${member.node}`;
    return item;
  }));
}

function hueOf(name) {
  return Array.from(name).reduce((hue, letter) => (hue * 31 + letter.codePointAt(0)) % 360, 7);
}

function showTyping(name) {
  clearTimeout(typists.get(name));
  typists.set(name, setTimeout(() => stopTyping(name), TYPING_EVERY * 2));
  sayWhoTypes();
}

function stopTyping(name) {
  clearTimeout(typists.get(name));
  if (typists.delete(name)) sayWhoTypes();
}

function sayWhoTypes() {
  const names = [...typists.keys()];
  const who = names.length > 3 ? "several people" : names.join(", ");
  $("typing").textContent = names.length ? `${who} ${names.length === 1 ? "is" : "are"} typing…` : "";
}

function showState(state, text) {
  if (state === "closed") return; // why, is told by "ended"
  $("state").textContent = text;
  $("state").dataset.state = state;
  if (state !== "open") showNode("");
}

function showNode(node) {
  $("on").textContent = node ? "You are on" : "Not on any node";
  $("node").textContent = node;
}

function notSaid(uuid, text, why) {
  const item = mine.get(uuid);
  if (!item) return; // it has its number, or we are in another room
  alertOf(why);
  item.classList.add("refused");
  item.querySelector(".via").textContent = "not said";
  item.querySelector(".number").textContent = "–";
  if ($("text").value) return;
  $("text").value = text; // so that it can be put right
  fitText();
}

function inWords({ code, field, text }) {
  return `${code}${field ? ` (${field})` : ""}: ${text}`;
}

let alertTimer = 0;
function alertOf(text) {
  clearTimeout(alertTimer);
  $("alert").textContent = text;
  $("alert").hidden = false;
  alertTimer = setTimeout(() => { $("alert").hidden = true; }, 8_000);
}

// --- what the person does -----------------------------------------------------

$("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (name) enter(name, $("room").value);
});

$("change").addEventListener("click", () => {
  leave();
  show("entrance");
  showState("idle", "not connected");
  $("title").textContent = "Chat";
  $("room").select();
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text) return;
  say(text);
  $("text").value = "";
  fitText();
});

$("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
});

$("text").addEventListener("input", () => {
  fitText();
  if (Date.now() - typedAt < TYPING_EVERY || !$("text").value.trim()) return;
  typedAt = Date.now();
  tell("typing", { room });
});

function fitText() {
  $("text").style.height = "auto";
  $("text").style.height = `${$("text").scrollHeight + 2}px`;
}

$("lines").addEventListener("scroll", () => {
  const list = $("lines");
  atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
});

// A keyboard that comes up on a phone, or an alert, must not hide the last line.
new ResizeObserver(() => { if (atEnd) toEnd(); }).observe($("lines"));

addEventListener("pagehide", () => tell("leave", { room }));

// An answer may be lost on its way, and so may a line: then its number is missing.
setInterval(() => {
  const missing = !joined || highest > last;
  if (connection?.state === "open" && missing && Date.now() - askedAt > ASK_AGAIN_AFTER) join();
}, 1_000);

const asked = new URLSearchParams(location.hash.slice(1));
if (asked.get("name")) $("name").value = asked.get("name");
if (/^[a-z0-9-]{1,40}$/.test(asked.get("room") ?? "")) $("room").value = asked.get("room");
if (asked.get("name") && asked.get("room")) $("enter").requestSubmit();
else $("name").focus();
