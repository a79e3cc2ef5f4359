// Several jobs at once: those that are ticked on this page. Each is asked by a request of its own, so
// that what becomes of each can be told; for all that a filter finds there is a page (/ui/many).

import { refresh } from "./live.js";
import { say } from "./messages.js";
import { confirmed, post, why } from "./send.js";

const AT_ONCE = 4;
const bar = document.getElementById("picked");
const picked = new Set();

const boxes = () => [...document.querySelectorAll("td.pick input[value]:not(#pick-all)")];
const able = (verb) => boxes().filter((box) => picked.has(box.value) && box.dataset.can.split(" ").includes(verb));
const jobs = (count) => (count === 1 ? "1 job" : `${count} jobs`);

function show() {
  const there = boxes();
  for (const id of picked) if (!there.some((box) => box.value === id)) picked.delete(id);
  for (const box of there) box.checked = picked.has(box.value);
  const all = document.getElementById("pick-all");
  if (all) {
    all.checked = there.length > 0 && picked.size === there.length;
    all.indeterminate = picked.size > 0 && !all.checked;
  }
  bar.hidden = picked.size === 0;
  document.getElementById("picked-count").textContent = `${jobs(picked.size)} selected`;
  for (const button of bar.querySelectorAll("[data-verb]")) {
    const count = able(button.dataset.verb).length;
    button.hidden = count === 0;
    button.querySelector(".many").textContent = count;
  }
}

async function askEach(verb, ids) {
  const waiting = [...ids];
  const refused = [];
  const one = async () => {
    for (let id = waiting.shift(); id; id = waiting.shift()) {
      const answer = await post(`jobs/${encodeURIComponent(id)}/${verb}`, new URLSearchParams({ wait: "0" }));
      if (!answer.ok) refused.push(why(answer));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
  return refused;
}

async function act(button) {
  const { verb, label, text } = button.dataset;
  const ids = able(verb).map((box) => box.value);
  const left = picked.size - ids.length;
  const passed = left ? ` The other ${left} can't be asked that as they are.` : "";
  if (!(await confirmed(`${label} ${jobs(ids.length)}?`, (text || "") + passed, `${label} ${jobs(ids.length)}`))) return;
  button.setAttribute("aria-busy", "true");
  const refused = await askEach(verb, ids);
  button.removeAttribute("aria-busy");
  const asked = `${label}: asked of ${jobs(ids.length - refused.length)}.`;
  say(refused.length ? `${asked} Refused by ${jobs(refused.length)}. ${refused[0]}` : asked, refused.length > 0);
  picked.clear();
  await refresh();
  show();
}

if (bar) {
  document.addEventListener("change", (event) => {
    if (event.target.id === "pick-all") for (const box of boxes()) event.target.checked ? picked.add(box.value) : picked.delete(box.value);
    else if (event.target.matches("td.pick input")) event.target.checked ? picked.add(event.target.value) : picked.delete(event.target.value);
    else return;
    show();
  });
  document.addEventListener("live", show);
  document.getElementById("picked-none").addEventListener("click", () => (picked.clear(), show()));
  for (const button of bar.querySelectorAll("[data-verb]")) button.addEventListener("click", () => act(button));
  // A browser ticks again what was ticked before a reload.
  for (const box of boxes()) if (box.checked) picked.add(box.value);
  show();
}
