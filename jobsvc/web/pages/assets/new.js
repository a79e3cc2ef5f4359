// The page on which a job is begun: the preview follows the file and the options, and the form is sent with its progress.
// Without script it is an ordinary form, to the same address.

import { duration, sentence, size } from "./figures.js";
import { Fields } from "./fields.js";
import { Picking } from "./picking.js";
import { detail, loggedOut, Panel } from "./preview-panel.js";
import { why } from "./send.js";
import { newKey, Upload } from "./upload.js";

const form = document.getElementById("new");
const $ = (id) => document.getElementById(id);
const { created, job, mostBytes, login } = form.dataset;
const fields = new Fields(form);
const takesFile = $("file") !== null;
const panel = form.dataset.previews ? new Panel(form, fields, () => $("file").files[0] ?? null) : null;
const picking = takesFile ? new Picking(form, pickedFile, (text) => fields.refuse("file", text)) : null;

form.noValidate = true;
fields.countChanged();

function pickedFile(file) {
  fields.clear("file");
  formError("");
  const wrong = file && whyNot(file);
  if (wrong) fields.refuse("file", wrong);
  panel?.want(0);
}

function whyNot(file) {
  if (file.size === 0) return "the file is empty";
  if (file.size > Number(mostBytes)) return `the file has ${size(file.size)}; this service takes up to ${size(Number(mostBytes))}`;
  return "";
}

form.addEventListener("input", (event) => {
  if (event.target === picking?.input) return;
  const field = event.target.closest("[data-field]");
  if (field) fields.clear(field.dataset.field);
  fields.countChanged();
  formError("");
  panel?.want();
});

// A suggestion of the preview was taken.
form.addEventListener("used", () => fields.countChanged());

// Sending it

let sending = null;
let repeatable = null; // the key of what was sent last, and what that was: the same again is the same request

function formError(content, isCalm = false) {
  const place = $("e-form");
  place.replaceChildren(content);
  place.hidden = content === "";
  place.classList.toggle("calm", isCalm);
}

function tellCancelled() {
  repeatable = null;
  formError("The upload was cancelled; nothing of it was kept.", true);
}

function refused(name, text) {
  if (fields.refuse(name, text)) fields.focusOnFirstError();
  else formError(sentence(text));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!sending) submit(event.submitter);
});

async function submit(submitter) {
  formError("");
  fields.clear();
  const file = picking?.file ?? null;
  if (takesFile && !file) return refused("file", "choose a file first");
  if (file && whyNot(file)) return refused("file", whyNot(file));
  if (!fields.check()) return fields.focusOnFirstError();
  const given = fields.given();
  if (submitter?.name) given.push([submitter.name, submitter.value]);
  sending = new Upload();
  const back = document.activeElement;
  show(file ? `Uploading ${file.name}` : "Starting the job");
  const outcome = (await refusedBefore(file)) ?? (await send(file, given));
  sending = null;
  form.querySelector("#fields").disabled = false;
  $("sending").hidden = true;
  $("starting").hidden = false;
  if (outcome === null) return;
  back?.focus();
  outcome();
}

// What the preview has found against an upload saves sending it all. Returns how to tell it; null if there is nothing.
async function refusedBefore(file) {
  if (!file || !panel) return null;
  const outcome = await panel.settled();
  if (sending.isCancelled) return tellCancelled;
  if (outcome?.state === "refused" && outcome.status === 400) {
    return () => refused(outcome.told.parameter ?? "file", detail(outcome.told, outcome.text));
  }
  const error = outcome?.found?.error;
  if (error?.at === "upload") return () => refused(error.parameter ?? "file", error.message);
  return null;
}

async function send(file, given) {
  let body = new URLSearchParams(given);
  if (file) {
    body = new FormData();
    for (const [name, value] of given) body.append(name, value);
    body.append("file", file, file.name);
  }
  const what = JSON.stringify([given, file && [file.name, file.size, file.lastModified]]);
  if (repeatable?.what !== what) repeatable = { what, key: newKey() };
  window.addEventListener("beforeunload", stay);
  const answer = await sending.send(form.action, body, repeatable.key, progress);
  window.removeEventListener("beforeunload", stay);
  if (answer.status === 201) {
    repeatable = null;
    location.assign(created.replace(job, encodeURIComponent(answer.body.id)));
    return null;
  }
  const { sent } = sending;
  return () => tellFailure(answer, file, sent);
}

function stay(event) {
  event.preventDefault();
}

async function tellFailure(answer, file, sent) {
  const { status, body, retryAfter } = answer;
  if (status === -1) return tellCancelled();
  if (status === 0) {
    if (file && !(await isReadable(file))) return refused("file", "it has changed since you chose it, or can't be read any more: choose it again");
    const after = sent ? ` after ${size(sent)}` : "";
    return formError(`The connection was lost${after}. Try again: it makes no second job, even if the first was made.`);
  }
  if (status === 401) return formError(loggedOut(login));
  if (status === 413) return refused("file", "the file is too large for the service, or for a proxy before it");
  const text = why({ status, body });
  if (body.parameter) return refused(body.parameter, detail(body, text));
  if (status === 400 && takesFile) return refused("file", text);
  const later = retryAfter ? ` Try again in ${duration(Number(retryAfter))}.` : "";
  formError(`${sentence(text)}${later}`);
}

async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

function show(what) {
  $("sending-what").textContent = what;
  $("sending-figures").textContent = "";
  $("sending-bar").removeAttribute("value");
  $("fields").disabled = true;
  $("starting").hidden = true;
  $("sending").hidden = false;
  $("cancel").hidden = !takesFile;
  $("cancel").focus();
  $("sending").scrollIntoView({ block: "nearest" });
}

function progress({ sent, total, rate, left, isWhole }) {
  if (isWhole) {
    $("sending-figures").textContent = "All is sent; the service takes it in…";
    $("sending-bar").removeAttribute("value");
    $("cancel").hidden = true;
    return;
  }
  $("sending-bar").value = sent / total;
  const pace = rate ? ` · ${size(rate)}/s · ${duration(left)} left` : "";
  $("sending-figures").textContent = `${size(sent)} of ${size(total)}${pace}`;
}

$("cancel").addEventListener("click", () => {
  if (!sending) return;
  sending.isCancelled = true;
  sending.cancel();
});
