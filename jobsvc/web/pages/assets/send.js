// Forms with `data-send`: sent in the background, and what becomes of it is told in the page.
// Without script they are ordinary forms, to the same addresses.

import { refresh } from "./live.js";
import { logIn, say } from "./messages.js";

const dialog = document.getElementById("question");

// Ask before what can't be taken back. Resolves to whether the answer is yes.
export function confirmed(title, text, verb) {
  document.getElementById("question-title").textContent = title;
  document.getElementById("question-text").textContent = text;
  document.getElementById("question-verb").textContent = verb;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// Ask a route. Returns its status and its JSON; a problem document says why it refuses.
export async function post(url, fields, method = "POST") {
  try {
    const answer = await fetch(url, { method, body: fields, headers: { Accept: "application/json" } });
    if (answer.status === 401) logIn();
    return { ok: answer.ok, status: answer.status, body: await answer.json().catch(() => ({})) };
  } catch {
    return { ok: false, status: 0, body: { detail: "the service does not answer; nobody knows whether it was done" } };
  }
}

export function why(answer) {
  const text = answer.body.detail || answer.body.message || answer.body.title || `status ${answer.status}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

async function send(form, submitter) {
  const { question, title, verb, done, underWay } = form.dataset;
  if (question && !(await confirmed(title, question, verb))) return;
  submitter?.setAttribute("aria-busy", "true");
  const fields = new URLSearchParams(new FormData(form, submitter));
  const method = form.dataset.method || "POST";
  const answer = await post(form.action, method === "DELETE" ? null : fields, method);
  submitter?.removeAttribute("aria-busy");
  if (!answer.ok) say(why(answer), true);
  else if (form.dataset.then) return location.assign(form.dataset.then);
  else say(answer.status === 202 ? underWay : done);
  await refresh();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!(form instanceof HTMLFormElement) || !form.hasAttribute("data-send")) return;
  event.preventDefault();
  if (event.submitter?.getAttribute("aria-busy") !== "true") send(form, event.submitter);
});
