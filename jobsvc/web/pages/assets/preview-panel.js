// The panel with the preview of the file that is to be uploaded: it follows the file and the options.

import { made } from "./dom.js";
import { counted, sentence } from "./figures.js";
import { needsCheck, shown, spoken } from "./preview-shown.js";
import { Previews } from "./previews.js";

const SPOKEN_MS = 1000; // a screen reader hears of a preview once the typing is over

// The words of a problem, without the name of the parameter, beside whose field they stand.
export function detail(told, text) {
  const name = `${told.parameter}: `;
  return told.detail?.startsWith(name) ? told.detail.slice(name.length) : text;
}

export function loggedOut(login) {
  const link = made("a", { href: login, target: "_blank", text: "Log in again in another tab" });
  return made("span", {}, "You are not logged in any more. ", link, ", then try again here: what you have typed stays.");
}

function waiting(text) {
  return made("div", { class: "waiting" }, made("p", { text }));
}

function problem(content) {
  return made("div", { class: "verdict bad" }, made("p", {}, content));
}

export class Panel {
  #speaking = 0;

  // `file` gives the file that is chosen, or null.
  constructor(form, fields, file) {
    this.form = form;
    this.fields = fields;
    this.file = file;
    this.place = document.getElementById("preview");
    this.told = document.getElementById("preview-told");
    this.empty = this.place.querySelector(".waiting");
    this.previews = new Previews(() => this.#question(), (outcome) => this.#tell(outcome));
  }

  // The file or the options have changed.
  want(pause) {
    if (this.file()?.size) return this.previews.want(pause);
    this.previews.drop();
    this.place.replaceChildren(this.empty);
    this.place.setAttribute("aria-busy", "false");
    this.#speak("");
    this.#prefer(false);
  }

  settled() {
    return this.previews.settled();
  }

  // The kind and the size of the file stand in the query: in the form, a kind may have parameters of these names.
  async #question() {
    const file = this.file();
    if (!file) return null;
    const query = new URLSearchParams({ kind: this.form.dataset.kind, size: String(file.size) });
    const body = new FormData();
    for (const [name, value] of this.fields.given()) body.append(name, value);
    // Whether it can still be read is found here, with an error of its own.
    const beginning = await file.slice(0, Number(this.form.dataset.sliceBytes)).arrayBuffer();
    body.append("file", new Blob([beginning]), file.name);
    return { url: `${this.form.dataset.previews}?${query}`, body };
  }

  #tell(outcome) {
    const isAsking = outcome.state === "asking";
    this.place.setAttribute("aria-busy", String(isAsking));
    if (isAsking) {
      if (!this.place.querySelector(".verdict")) this.place.replaceChildren(waiting("Looking at the file…"));
    } else if (outcome.state === "shown") this.#show(outcome.found);
    else if (outcome.state === "refused") this.#refuse(outcome);
    else {
      const text = `${sentence(outcome.text)} Asking again in ${counted(Math.ceil(outcome.again), "second", "seconds")}.`;
      this.place.replaceChildren(problem(text));
      this.#speak(text);
    }
  }

  #show(found) {
    this.fields.clear("", "preview");
    const open = new Set([...this.place.querySelectorAll("details[open]")].map((one) => one.dataset.key));
    this.place.replaceChildren(...shown(found, this.fields, (options) => this.#use(options)));
    for (const one of this.place.querySelectorAll("details")) one.open = open.has(one.dataset.key);
    if (found.error?.parameter) this.fields.refuse(found.error.parameter, found.error.message, "preview");
    for (const list of this.form.querySelectorAll("datalist[data-columns]")) {
      list.replaceChildren(...(found.header?.columns ?? []).map((name) => made("option", { value: name })));
    }
    this.#prefer(needsCheck(found));
    this.#speak(spoken(found));
  }

  #refuse({ status, told, text }) {
    this.fields.clear("", "preview");
    this.place.replaceChildren(problem(status === 401 ? loggedOut(this.form.dataset.login) : sentence(text)));
    const isTold = told.parameter && this.fields.refuse(told.parameter, detail(told, text), "preview");
    if (!isTold && status === 400) this.fields.refuse("file", text, "preview");
    this.#prefer(true);
    this.#speak(sentence(text));
  }

  #use(options) {
    for (const [name, value] of Object.entries(options)) this.fields.set(name, value);
    // The button that had the focus goes.
    this.place.focus();
    this.form.dispatchEvent(new Event("used"));
    this.want(0);
  }

  #speak(text) {
    clearTimeout(this.#speaking);
    this.#speaking = setTimeout(() => (this.told.textContent = text), SPOKEN_MS);
  }

  // Which of the two buttons is the one to take.
  #prefer(isCheck) {
    const check = document.getElementById("check");
    check?.classList.toggle("strong", isCheck);
    document.getElementById("start").classList.toggle("strong", !(check && isCheck));
  }
}
