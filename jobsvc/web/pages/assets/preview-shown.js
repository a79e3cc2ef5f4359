// Shows a preview: how a file would be read, its first rows as they would be stored, and what would be refused.

import { icon, made, theirs } from "./dom.js";
import { counted, number, sentence, size } from "./figures.js";
import { sampleOf } from "./sample.js";

const QUOTED = 40; // characters of a line of the file

const SOURCES = { file: "the file says so", parameter: "chosen", detected: "detected", default: "the default" };
const ENDS = { lf: "LF", crlf: "CRLF (Windows)", cr: "CR (old Mac)" };
const ERRORS = {
  sample: "Too little of the file was looked at to tell how it would be read",
  upload: "The upload would be refused",
  job: "The job would fail",
};

// In one sentence: what would become of the file. `tone` is good, wait or bad.
export function verdict(found) {
  if (found.error) return { tone: "bad", icon: "circle-x", text: `${ERRORS[found.error.at]}: ${sentence(found.error.message)}` };
  const { done, failed } = found.counts;
  const looked = found.file.whole ? "" : " that were looked at";
  if (failed) {
    const of = `${number(failed)} of ${counted(done + failed, "row", "rows")}${looked}`;
    return { tone: "bad", icon: "circle-alert", text: `${of} would be refused.` };
  }
  if (!done) return { tone: "wait", icon: "circle-alert", text: "There is a header, and there are no rows." };
  const all = done === 1 ? `The only row${looked}` : `All ${number(done)} rows${looked}`;
  const warnings = found.warnings.length ? `, with ${counted(found.warnings.length, "warning", "warnings")}` : "";
  return { tone: found.warnings.length ? "wait" : "good", icon: found.warnings.length ? "triangle-alert" : "circle-check", text: `${all} would be taken${warnings}.` };
}

export function needsCheck(found) {
  return Boolean(found.error || found.counts.failed || found.warnings.length);
}

// What a screen reader says once the preview has changed.
export function spoken(found) {
  const columns = found.header ? ` ${counted(found.header.columns.length, "column", "columns")}, separated by ${found.delimiter?.name}.` : "";
  return `${verdict(found).text}${columns}`;
}

// All of it. `fields` knows what choices are called, `use` takes the options of a suggestion.
export function shown(found, fields, use) {
  return [
    top(found),
    suggested(found, fields, use),
    refusedOf(found),
    notes(found),
    facts(found, fields),
    sampleOf(found),
  ].filter(Boolean);
}

function top(found) {
  const { tone, icon: name, text } = verdict(found);
  const { rows, exact } = found.estimate;
  const about = rows === null ? "" : exact ? `${counted(rows, "row", "rows")} in the file` : `About ${counted(rows, "row", "rows")} in the whole file`;
  return made("div", { class: `verdict ${tone}` }, icon(name), made("p", {}, made("strong", { class: "text", text }), about ? made("span", { text: about }) : null));
}

function suggestions(found, fields) {
  const list = [];
  for (const { encoding, text } of found.encoding.suggestions) {
    list.push({ options: { encoding }, text: `As ${fields.label("encoding", encoding)} a line reads: `, quoted: text.length > QUOTED ? `${text.slice(0, QUOTED)}…` : text });
  }
  const { mode, suggestion, refused_rows: refused } = found.quotes;
  if (suggestion !== null) {
    const now = refused[mode] === undefined ? "" : `, and not ${number(refused[mode])}`;
    const label = fields.label("quotes", suggestion).toLowerCase();
    list.push({ options: { quotes: suggestion }, text: `If a quote mark ${label}, ${number(refused[suggestion])} of the rows looked at are refused${now}.` });
  }
  for (const options of found.told.dates?.suggestions ?? []) {
    const { date_column: column, date_format: format } = options;
    const as = format === undefined ? "" : ` as ${fields.label("date_format", format)}`;
    const text = column === undefined ? `Read the dates${as}: more of them are read then.` : `Take the dates${as} from the column `;
    list.push({ options, text, quoted: column });
  }
  if (fields.value("ragged") === "refuse" && found.reasons.some(({ error }) => error.includes("ragged=pad"))) {
    list.push({ options: { ragged: "pad" }, text: "Fill up rows with too few fields with empty ones." });
  }
  return list;
}

function suggested(found, fields, use) {
  const list = suggestions(found, fields).filter(({ options }) => Object.keys(options).every((name) => fields.has(name)));
  if (!list.length) return null;
  const items = list.map(({ options, text, quoted }) => {
    const words = made("p", { class: "text" }, text, quoted === undefined ? null : made("bdi", { class: "quoted", text: quoted }));
    const button = made("button", { type: "button", class: "button", "aria-label": `Use it: ${words.textContent}`, text: "Use it" });
    button.addEventListener("click", () => use(options));
    return made("li", {}, icon("zap"), words, button);
  });
  return made("section", { class: "suggested", "aria-label": "Suggestions" }, made("h3", { text: "Suggestions" }), made("ul", {}, ...items));
}

function refusedOf(found) {
  if (!found.reasons.length) return null;
  const row = ({ count, line, error }) =>
    made("tr", {}, made("td", { class: "figure", text: number(count) }), made("td", { class: "figure", text: line === null ? "–" : number(line) }), made("td", {}, theirs(sentence(error))));
  const rows = found.refused.map(({ line, error, text }) =>
    made("tr", {}, made("td", { class: "figure", text: line === null ? "–" : number(line) }), made("td", { class: "code" }, theirs(text.replace(/[\r\n]+$/, ""))), made("td", {}, theirs(sentence(error)))),
  );
  return made(
    "section",
    { class: "refusals", "aria-label": "Refused rows" },
    made("h3", { text: `Refused: ${counted(found.counts.failed, "row", "rows")}` }),
    scrolled("Reasons", made("table", {}, head(["Rows", "figure"], ["First line", "figure"], ["Why"]), made("tbody", {}, ...found.reasons.map(row)))),
    made(
      "details",
      { class: "group", "data-key": "refused" },
      made("summary", {}, icon("chevron-right"), `Show ${rows.length < found.counts.failed ? `the first ${number(rows.length)}` : "them"} as they were sent`),
      scrolled("Refused rows as they were sent", made("table", {}, head(["Line", "figure"], ["Row"], ["Why"]), made("tbody", {}, ...rows))),
    ),
  );
}

function notes(found) {
  const item = (name, text) => made("li", {}, icon(name), theirs(sentence(text)));
  const items = [...found.warnings.map((text) => item("triangle-alert", text)), ...found.notes.map((text) => item("info", text))];
  return items.length ? made("ul", { class: "notes", "aria-label": "Warnings and notes" }, ...items) : null;
}

function facts(found, fields) {
  const list = [...read(found, fields)].map(([name, value, kind]) =>
    made("div", { class: kind }, made("dt", { text: name }), made("dd", {}, value)),
  );
  return made("dl", { class: "facts" }, ...list);
}

function* read(found, fields) {
  const { file, encoding, header } = found;
  const packed = file.format === "gzip" ? "gzip, " : "";
  yield ["File", `${packed}${file.size_bytes === null ? "of unknown size" : size(file.size_bytes)}`];
  if (!file.whole) yield ["Looked at", `the first ${size(file.read_bytes)}${packed ? " of what is in it" : ""}`];
  const marked = encoding.marked ? " (a byte order mark says so)" : "";
  yield ["Encoding", file.converted_from ? `${file.converted_from.toUpperCase()}, kept as UTF-8` : `${fields.label("encoding", encoding.name)}${marked}`];
  if (found.delimiter) yield ["Delimiter", theirs(`${found.delimiter.name} (${SOURCES[found.delimiter.source]})`)];
  const ends = Object.entries(found.line_ends).filter(([, count]) => count).map(([name]) => ENDS[name]);
  if (ends.length) yield ["Line ends", ends.length > 1 ? `mixed: ${ends.join(", ")}` : ends[0]];
  yield ["A quote mark", fields.label("quotes", found.quotes.mode).toLowerCase()];
  if (found.counts.blank) yield ["Blank lines", `${number(found.counts.blank)}, left out`];
  const { dates } = found.told;
  if (dates) {
    const from = dates.column === null ? `the day of upload, ${dates.day_of_upload}, for all` : `from ${dates.column}, as ${dates.format}`;
    yield ["Dates", theirs(from)];
  }
  if (header) {
    yield [`${counted(header.columns.length, "column", "columns")}`, theirs(shortened(header.columns)), "long"];
    if (header.left_out.length) yield ["Columns left out, which the service had added", theirs(shortened(header.left_out)), "long"];
  }
}

function shortened(names) {
  const some = names.slice(0, 12).map((name) => (name.length > 40 ? `${name.slice(0, 39)}…` : name));
  return `${some.join(", ")}${names.length > some.length ? ", …" : ""}`;
}

function head(...columns) {
  return made("thead", {}, made("tr", {}, ...columns.map(([text, kind]) => made("th", { scope: "col", class: kind, text }))));
}

export function scrolled(label, table) {
  return made("div", { class: "scrolled", tabindex: "0", role: "region", "aria-label": label }, table);
}
