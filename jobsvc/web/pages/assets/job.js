// The page of one job: what is asked before something is removed, and what can be copied.

import { say } from "./messages.js";
import { localize } from "./times.js";

const COPIED_MS = 1500;
const dialog = document.getElementById("asked");

// Shows the page behind a link as a dialog. If it can't be had, the link leads there, as without script.
async function ask(link) {
  const url = new URL(link.href);
  url.searchParams.set("live", "1");
  try {
    const answer = await fetch(url);
    if (!answer.ok) return location.assign(link.href);
    const made = new DOMParser().parseFromString(await answer.text(), "text/html").body;
    localize(made);
    dialog.replaceChildren(...made.childNodes);
    dialog.showModal();
  } catch {
    say("The service does not answer.", true);
  }
}

async function copy(button) {
  const text = document.querySelector(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Only over HTTPS, and on this machine, does a browser have a clipboard for pages: elsewhere the text is selected.
    getSelection().selectAllChildren(document.querySelector(button.dataset.copy));
    return say("Selected: press Ctrl+C to copy it.");
  }
  button.classList.add("copied");
  setTimeout(() => button.classList.remove("copied"), COPIED_MS);
  say("Copied.");
}

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  const found = event.target.closest("[data-ask], [data-close], [data-copy]");
  if (!found) return;
  if (found.hasAttribute("data-copy")) return copy(found);
  if (found.hasAttribute("data-close")) {
    if (!dialog.open) return;
    event.preventDefault();
    return dialog.close();
  }
  event.preventDefault();
  ask(found);
});

// A form that makes a job is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  if (!event.target.hasAttribute("data-once")) return;
  if (event.target.dataset.once === "sent") return event.preventDefault();
  event.target.dataset.once = "sent";
  event.submitter?.setAttribute("aria-busy", "true");
});

// Whoever comes back to the page may send it again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-once]")) {
    form.dataset.once = "";
    form.querySelector("button").removeAttribute("aria-busy");
  }
});

// The answer is given: `send.js` sends the form.
dialog.addEventListener("submit", () => dialog.close());
