// Keeps an open page as it would be if it were loaded again: the server makes it, this swaps the
// parts marked data-live for what they are now. Without it every page still works.
"use strict";

const status = document.getElementById("announce");
let running = false, wanted = false;

// The parts of the page that are worth swapping: whoever types in one is not disturbed.
const parts = () => [...document.querySelectorAll("[data-live]")]
  .filter((part) => !part.contains(document.activeElement) || !part.querySelector("input, textarea, select"));

// What keeps the page from being as it would be if it were loaded again.
const connection = document.getElementById("connection");
const shortcomings = { away: null, slow: null };
function tell(what, text) {
  shortcomings[what] = text;
  const worst = shortcomings.away ?? shortcomings.slow;
  connection.hidden = !worst;
  if (connection.textContent !== (worst ?? "")) connection.textContent = worst ?? "";
  connection.classList.toggle("bad", worst !== null && worst === shortcomings.away);
}

async function load() {
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const text = await answer.text();
    tell("away", null);
    return new DOMParser().parseFromString(text, "text/html");
  } catch {
    tell("away", shortcomings.away ?? `The explorer does not answer since ${new Date().toLocaleTimeString()}. `
      + "What is shown is what it said last; it is asked again every five seconds.");
    return null;
  }
}

async function refresh() {
  if (running) { wanted = true; return; }
  running = true;
  try {
    const page = await load();
    for (const part of page ? parts() : []) {
      const next = page.getElementById(part.id);
      if (next) swap(part, next);
    }
    tick();
  } finally { running = false; }
  if (wanted) { wanted = false; setTimeout(refresh, 100); }
}

function swap(part, next) {
  const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  const known = new Set([...part.querySelectorAll("[data-key]")].map((row) => row.dataset.key));
  const open = [...part.querySelectorAll("details")].map((details) => details.open);
  const fresh = document.importNode(next, true);
  if (known.size) {
    for (const row of fresh.querySelectorAll("[data-key]")) {
      if (!known.has(row.dataset.key)) row.classList.add("fresh");
    }
  }
  fresh.querySelectorAll("details").forEach((details, place) => { details.open = open[place] ?? details.open; });
  const boxes = (within) => [within, ...within.querySelectorAll(".scroll")];
  const scrolled = boxes(part).map((box) => box.scrollLeft);
  part.replaceWith(fresh);
  boxes(fresh).forEach((box, place) => { box.scrollLeft = scrolled[place] ?? 0; });
  if (focused) [...fresh.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
}

// Times that count up.
function ago(ms) {
  const seconds = Math.max(0, Math.floor((Date.now() - ms) / 1000));
  if (seconds < 1) return "now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}
function tick() {
  for (const time of document.querySelectorAll("time[data-ms]")) time.textContent = ago(Number(time.dataset.ms));
}
setInterval(tick, 1000);
tick();

// What goes over a line: upwards for shares, downwards for templates.
function pulse({ from, to, what }) {
  for (const line of document.querySelectorAll(".pulse")) {
    const down = what === "templates" && line.dataset.to === from;
    const up = what !== "templates" && line.dataset.from === from && line.dataset.to === to;
    if (!down && !up) continue;
    line.classList.remove("go", "back");
    line.getBoundingClientRect();
    line.classList.add(down ? "back" : "go");
  }
}

let slow = null;
const soon = () => { slow ??= setTimeout(() => { slow = null; refresh(); }, 1000); };
const heard = {
  tip: ({ height }) => { refresh(); status.textContent = `New block ${height}`; },
  reorg: ({ fork }) => { refresh(); status.textContent = `The chain has turned above block ${fork}`; },
  service: ({ name, state }) => { refresh(); status.textContent = `${name} is ${state.replace("_", " ")}`; },
  story: refresh, mempool: soon, news: soon, missed: soon, flow: pulse,
};

// A browser opens six connections to a server, for all tabs together: only who is seen listens.
let events = null;
function listen() {
  const wanted = !document.hidden;
  if (!wanted) { events?.close(); events = null; }
  if (!wanted || events) return;
  events = new EventSource("/api/v1/events");
  for (const [type, act] of Object.entries(heard)) {
    events.addEventListener(type, (event) => act(JSON.parse(event.data)));
  }
  // Also after the explorer itself was away.
  events.onopen = () => { tell("slow", null); refresh(); };
  // A browser tries again by itself unless it was refused.
  events.onerror = () => {
    if (events?.readyState !== EventSource.CLOSED) return;
    events = null;
    tell("slow", "Too many pages listen to the explorer, so this one looks for news every five seconds only.");
  };
}
addEventListener("pagehide", () => { events?.close(); events = null; });
addEventListener("pageshow", listen);
document.addEventListener("visibilitychange", listen);
setInterval(() => { if (!document.hidden) { listen(); refresh(); } }, 5000);
