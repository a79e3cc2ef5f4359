// The fields of a form: what they say, and what is wrong with them, told beside each.

import { sentence } from "./figures.js";

const OTHER = "another…";

export class Fields {
  constructor(form) {
    this.form = form;
    for (const input of form.querySelectorAll("[data-enable]")) input.disabled = false;
    for (const box of form.querySelectorAll("[data-none]")) {
      const text = document.getElementById(box.dataset.none);
      const follow = () => (text.disabled = box.checked);
      box.addEventListener("change", follow);
      follow();
    }
    for (const select of form.querySelectorAll("select[data-others]")) this.#offerOthers(select);
  }

  // A choice of which more is allowed than is offered: the last one asks for it.
  #offerOthers(select) {
    select.append(new Option(OTHER, OTHER));
    const input = document.createElement("input");
    input.type = "text";
    input.id = `${select.id}-other`;
    input.setAttribute("aria-label", `${select.labels[0].textContent.trim()}: another one`);
    input.setAttribute("aria-describedby", select.getAttribute("aria-describedby"));
    input.hidden = input.disabled = true;
    input.spellcheck = false;
    select.after(input);
    const { name } = select;
    select.dataset.name = input.dataset.name = name;
    const follow = () => {
      const isOther = select.value === OTHER;
      input.hidden = input.disabled = !isOther;
      // Only one of the two is sent.
      select.name = isOther ? "" : name;
      input.name = isOther ? name : "";
      return isOther;
    };
    select.addEventListener("change", () => follow() && input.focus());
    select.follow = follow;
  }

  // All that is given: [name, text]. What is empty is not given, unless a box says that it is meant.
  given() {
    const found = [];
    for (const control of this.form.elements) {
      if (!control.name || control.disabled || ["file", "submit", "button", "fieldset"].includes(control.type)) continue;
      if (control.type === "checkbox" ? control.checked : control.value !== "") found.push([control.name, control.value]);
    }
    return found;
  }

  #field(name) {
    const found = (sought) => this.form.querySelector(`[data-field="${CSS.escape(sought)}"]`);
    return found(name) ?? found(name.split(".")[0]);
  }

  // What the value of a choice is called.
  label(name, value) {
    const options = [...(this.#field(name)?.querySelectorAll("option") ?? [])];
    return options.find((option) => option.value === value)?.label ?? value;
  }

  has(name) {
    return Boolean(this.#field(name));
  }

  value(name) {
    return this.#field(name)?.querySelector("select, input, textarea")?.value;
  }

  set(name, value) {
    const field = this.#field(name);
    if (!field) return;
    const box = field.querySelector("[data-none]");
    if (box) {
      box.checked = false;
      box.dispatchEvent(new Event("change"));
    }
    const control = field.querySelector("select, input:not([type=checkbox]), textarea");
    if (control.tagName === "SELECT" && ![...control.options].some((option) => option.value === value)) {
      control.add(new Option(value, value), control.options.length - 1);
    }
    control.value = value;
    control.follow?.();
    field.closest("details")?.setAttribute("open", "");
  }

  // Say beside a field what is wrong with it, and who has found that. Returns whether there is such a field.
  refuse(name, text, by = "form") {
    const field = this.#field(name);
    const place = field?.querySelector(".error");
    if (!place) return false;
    place.textContent = sentence(text);
    place.dataset.by = by;
    place.hidden = false;
    for (const control of field.querySelectorAll("input, select, textarea")) control.setAttribute("aria-invalid", "true");
    field.closest("details")?.setAttribute("open", "");
    return true;
  }

  // Forget what was wrong: with the field of that name, or with all; what one has found, or everybody.
  clear(name = "", by = "") {
    for (const field of name ? [this.#field(name)].filter(Boolean) : this.form.querySelectorAll("[data-field]")) {
      const place = field.querySelector(".error");
      if (!place || place.hidden || (by && place.dataset.by !== by)) continue;
      place.hidden = true;
      place.textContent = "";
      for (const control of field.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
    }
  }

  focusOnFirstError() {
    const field = [...this.form.querySelectorAll("[data-field]")].find((one) => one.querySelector(".error:not([hidden])"));
    [...(field?.querySelectorAll("input, select, textarea") ?? [])].find((one) => !one.disabled && !one.hidden)?.focus();
    return Boolean(field);
  }

  // Whether all that is given can be sent; what can't is told beside its field.
  check() {
    for (const control of this.form.elements) {
      const field = control.closest("[data-field]");
      if (!field || control.disabled || control.type === "file") continue;
      if (control.dataset.json !== undefined && control.value.trim() !== "") this.#checkJson(field, control);
      else if (!control.validity.valid) this.refuse(field.dataset.field, control.validationMessage);
    }
    return !this.form.querySelector("[data-field] .error:not([hidden])");
  }

  #checkJson(field, control) {
    try {
      JSON.parse(control.value);
    } catch (error) {
      this.refuse(field.dataset.field, `this is not JSON: ${error.message}`);
    }
  }

  // How many fields of each group say something else than at first.
  countChanged() {
    for (const group of this.form.querySelectorAll(".fields details.group")) {
      const changed = [...group.querySelectorAll("[data-field]")].filter((field) =>
        [...field.querySelectorAll("input, select, textarea")].some((one) =>
          one.type === "checkbox"
            ? one.checked !== one.defaultChecked
            : one.tagName === "SELECT"
              ? ![...one.options].find((option) => option.defaultSelected)
                ? one.selectedIndex > 0
                : !one.selectedOptions[0]?.defaultSelected
              : one.value !== one.defaultValue,
        ),
      );
      group.querySelector(".changed").textContent = changed.length ? `${changed.length} changed` : "";
    }
  }
}
