// Short messages to whoever looks, in the page's live region: a screen reader says each once.

const SHOWN_MS = 8000;
const region = document.getElementById("messages");

export function say(text, isBad = false) {
  const message = document.createElement("p");
  message.className = isBad ? "message bad" : "message";
  message.textContent = text;
  region.replaceChildren(message);
  // What went wrong stays until something else is said.
  if (!isBad) setTimeout(() => message.remove(), SHOWN_MS);
}

// What a form has led to is told once, and not again when the page is loaded anew.
const address = new URL(location.href);
if (address.searchParams.has("said")) {
  address.searchParams.delete("said");
  history.replaceState(history.state, "", address);
}
const told = region?.querySelector(".message");
if (told) setTimeout(() => told.remove(), SHOWN_MS);

export function logIn() {
  const here = location.pathname + location.search;
  location.assign(`${document.body.dataset.login}?next=${encodeURIComponent(here)}`);
}
