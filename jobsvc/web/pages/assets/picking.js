// The file of a form: chosen, or dropped anywhere on the page.

import { size } from "./figures.js";

export class Picking {
  // `changed` is called with the file, or with null; `refuse` with what is wrong with what was dropped.
  constructor(form, changed, refuse) {
    this.input = form.querySelector("#file");
    this.zone = form.querySelector("#drop");
    this.picked = form.querySelector("#picked");
    this.changed = changed;
    this.refuse = refuse;
    this.input.addEventListener("change", () => this.#show());
    form.querySelector("#unpick").addEventListener("click", () => this.#unpick());
    for (const name of ["dragenter", "dragover"]) document.addEventListener(name, (event) => this.#over(event));
    document.addEventListener("dragleave", (event) => !event.relatedTarget && this.#mark(false));
    document.addEventListener("drop", (event) => this.#drop(event));
    // A browser that comes back to a page may have kept the choice.
    if (this.file) this.#show();
  }

  get file() {
    return this.input.files[0] ?? null;
  }

  #mark(isOver) {
    this.zone.classList.toggle("over", isOver);
    this.picked.classList.toggle("over", isOver);
  }

  #over(event) {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = this.input.matches(":disabled") ? "none" : "copy";
    this.#mark(!this.input.matches(":disabled"));
  }

  #drop(event) {
    if (![...event.dataTransfer.types].includes("Files")) return;
    // Without this, the browser would leave the page and show the file.
    event.preventDefault();
    this.#mark(false);
    if (this.input.matches(":disabled")) return;
    const { items, files } = event.dataTransfer;
    if (files.length !== 1) return this.refuse(`these are ${files.length} files: a job takes one`);
    if (items[0]?.webkitGetAsEntry?.()?.isDirectory) return this.refuse("this is a folder: a job takes one file");
    this.input.files = files;
    this.#show();
  }

  #unpick() {
    this.input.value = "";
    this.#show();
    this.input.focus();
  }

  #show() {
    const { file } = this;
    this.zone.hidden = file !== null;
    this.picked.hidden = file === null;
    if (file) {
      document.getElementById("picked-name").textContent = file.name;
      document.getElementById("picked-size").textContent = size(file.size);
      // What had the focus is gone.
      if (document.activeElement === document.body || document.activeElement === this.input) document.getElementById("unpick").focus();
    }
    this.changed(file);
  }
}
