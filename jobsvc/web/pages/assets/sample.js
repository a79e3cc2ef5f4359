// The first rows of a file, as they would be stored: a table that scrolls, however many columns there are.

import { made } from "./dom.js";
import { number } from "./figures.js";

const MOST_CHARACTERS = 200; // of a cell; all of up to 2,000 are in its title

const OURS = { row: "Row", date: "Date", name: "Name", members: "Members" };

export function sampleOf(found) {
  if (!found.rows.length) return null;
  const ours = [...new Set(found.rows.flatMap((row) => Object.keys(row)))].filter((name) => name !== "data");
  const columns = [...new Set(found.rows.flatMap((row) => Object.keys(row.data ?? {})))];
  const head = [
    ...ours.map((name) => made("th", { scope: "col", class: "ours", text: OURS[name] ?? name })),
    ...columns.map((name) => made("th", { scope: "col", dir: "auto", title: name, text: cut(name) })),
  ];
  const rows = found.rows.map((row) => made("tr", {}, ...ours.map((name) => ourCell(name, row[name])), ...columns.map((name) => cell(row.data?.[name]))));
  const title = `${rows.length === 1 ? "The first row" : `The first ${number(rows.length)} rows`}, as they would be stored`;
  return made(
    "section",
    { class: "sample" },
    made("h3", { text: title }),
    made("div", { class: "scrolled tall", tabindex: "0", role: "region", "aria-label": title }, made("table", {}, made("thead", {}, made("tr", {}, ...head)), made("tbody", {}, ...rows))),
  );
}

function ourCell(name, value) {
  if (name === "row") return made("th", { scope: "row", class: "ours figure", text: number(value) });
  return cell(Array.isArray(value) ? value.join(", ") : value, "ours");
}

function cell(value, kind) {
  if (value === undefined || value === null || value === "") return made("td", { class: kind }, made("span", { class: "unseen", text: "empty" }));
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return made("td", { class: kind, dir: "auto", title: text.length > 20 ? text.slice(0, 2000) : null, text: cut(text) });
}

// A cell is one line of a table: its line ends show as marks.
function cut(text) {
  const some = text.length > MOST_CHARACTERS ? `${text.slice(0, MOST_CHARACTERS)}…` : text;
  return some.replace(/\r\n|[\r\n]/g, "⏎");
}
