// Keeps the parts of a page that have `data-live` as the server has them: asks again and again, and
// morphs the answer into place, so that focus, open details, choices and what is being typed stay.

import { logIn } from "./messages.js";
import { localize } from "./times.js";

const PAUSES = [1, 2, 4, 8, 15, 30]; // seconds, after failures in a row
const QUIET = 10; // seconds, where a part does not say
const TIMEOUT_MS = 15000;
const lost = document.getElementById("lost");

const parts = [...document.querySelectorAll("[data-live]")].map((element) => ({
  element,
  url: element.dataset.live,
  tag: element.dataset.tag ? `"${element.dataset.tag}"` : null,
  failures: 0,
  timer: 0,
  asking: null,
  stage: element.querySelector("[data-stage]")?.dataset.stage,
}));

const TYPED_IN = "input, textarea, select";

const callbacks = {
  beforeNodeMorphed: (old) => !(old instanceof Element && old.hasAttribute("data-keep")),
  beforeNodeRemoved: (old) => !(old instanceof Element && old.hasAttribute("data-keep")),
  beforeAttributeUpdated: (name, element) => {
    if (name === "open" || name === "data-open") return false;
    return !(element.matches(`${TYPED_IN}, option`) && ["value", "checked", "selected"].includes(name));
  },
};

function show(part, text) {
  const made = new DOMParser().parseFromString(text, "text/html").body;
  localize(made);
  // What is typed into stays as it is; a button that was just pressed gets its new label.
  const ignoreActiveValue = document.activeElement?.matches(TYPED_IN);
  Idiomorph.morph(part.element, [...made.childNodes], { morphStyle: "innerHTML", ignoreActiveValue, callbacks });
  part.element.dispatchEvent(new CustomEvent("live", { bubbles: true }));
  followStage(part);
}

// A part that has come to another stage has the others say so as well.
function followStage(part) {
  const stage = part.element.querySelector("[data-stage]")?.dataset.stage;
  if (stage === part.stage) return;
  part.stage = stage;
  for (const other of parts) if (other !== part) ask(other);
}

function later(part) {
  clearTimeout(part.timer);
  if (document.hidden) return;
  const every = Number(part.element.querySelector("[data-every]")?.dataset.every) || QUIET;
  const pause = part.failures ? PAUSES[Math.min(part.failures, PAUSES.length) - 1] : every;
  // Not all pages that lost the service come back at the same moment.
  part.timer = setTimeout(() => ask(part), pause * 1000 * (0.9 + Math.random() / 5));
}

function tellWhetherLost() {
  lost.hidden = !parts.some((part) => part.failures > 0);
  document.body.classList.toggle("is-lost", !lost.hidden);
}

async function ask(part, isFresh = false) {
  clearTimeout(part.timer);
  part.asking?.abort();
  const asking = new AbortController();
  part.asking = asking;
  const overdue = setTimeout(() => asking.abort(), TIMEOUT_MS);
  const headers = { "Cache-Control": "max-age=0" };
  if (part.tag) headers["If-None-Match"] = part.tag;
  if (isFresh) headers["X-Fresh"] = "1";
  try {
    const answer = await fetch(part.url, { headers, signal: asking.signal });
    if (answer.status === 401) return logIn();
    // It is not there any more, or not for this viewer: the page itself says why.
    if (answer.status === 403 || answer.status === 404) return location.reload();
    if (answer.status !== 304) {
      const text = await answer.text();
      if (!answer.ok || part.asking !== asking) throw new Error(`${answer.status}`);
      part.tag = answer.headers.get("ETag");
      show(part, text);
    }
    part.failures = 0;
  } catch (error) {
    // Another request has taken its place.
    if (part.asking !== asking) return;
    part.failures += 1;
  } finally {
    clearTimeout(overdue);
  }
  tellWhetherLost();
  later(part);
}

// Ask at once: the page has changed something.
export function refresh() {
  return Promise.all(parts.map((part) => ask(part, true)));
}

function wake() {
  for (const part of parts) document.hidden ? clearTimeout(part.timer) : ask(part);
}

document.addEventListener("visibilitychange", wake);
window.addEventListener("online", wake);
window.addEventListener("pageshow", (event) => event.persisted && wake());
localize(document);
for (const part of parts) later(part);
