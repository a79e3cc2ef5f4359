// Making elements: whatever comes from a file or a user goes in as text, never as HTML.

const ICONS = new URL("icons.svg", import.meta.url);
const SVG = "http://www.w3.org/2000/svg";

// An element with these properties (`class`, `text` or attributes) and children.
export function made(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "text") element.textContent = value;
    else if (key === "class") element.className = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `${ICONS.pathname}#${name}`);
  svg.append(use);
  return svg;
}

// A text of somebody else's: it may be long, or run from right to left.
export function theirs(text) {
  return made("bdi", { class: "text", text });
}
