// How fast a job was over its life: a chart, and the same numbers as a table for those who can't see it.
// What it shows is asked for anew when the job has moved, and only as often as that is worth it.

const LEAST_MS = 3000; // between two requests
const LEAST_STEPS = 3; // of a job that was over at once a chart says nothing
const panel = document.getElementById("speed");
const place = document.getElementById("speed-chart");
const table = document.getElementById("speed-table");
const items = panel.dataset.items;
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const small = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

let samples = [];
let chart = null;
let tag = null;
let asked = 0;
let timer = 0;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const DAY = 86400;
const INCREMENTS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, DAY, 7 * DAY, 30 * DAY];

const labels = (ticks) => (ticks.at(-1) - ticks[0] > DAY / 2 ? day : clock);
const perSecond = (rate) => (rate >= 10 ? number : small).format(rate);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Each sample tells of the time in which the job ran before it: a step. In between, while it did not run, there is nothing.
function steps() {
  const [x, y] = [[], []];
  for (const sample of samples) {
    if (sample.rate === null) continue;
    const end = Date.parse(sample.at) / 1000;
    const begin = Math.max(end - sample.ran, x.at(-1) ?? 0);
    if (x.length && begin - x.at(-1) > Math.max(1, sample.ran / 10)) {
      x.push(x.at(-1));
      y.push(null);
    }
    x.push(begin, end);
    y.push(sample.rate, sample.rate);
  }
  return [x, y];
}

function draw() {
  chart?.destroy();
  const line = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--quiet"), grid: line, ticks: line, font: "12px system-ui, sans-serif" };
  chart = new uPlot(
    {
      width: place.clientWidth,
      height: 170,
      padding: [8, 30, 0, 0],
      legend: { live: true },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      scales: { y: { range: (_, low, high) => [0, high ? high * 1.1 : 1] } },
      axes: [
        { ...axis, space: 90, size: 32, incrs: INCREMENTS, values: (_, ticks) => ticks.map((tick) => labels(ticks).format(tick * 1000)) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => (tick === null ? "" : perSecond(tick))) },
      ],
      series: [
        { label: "At", value: (_, at) => (at === null ? "–" : moment.format(at * 1000)) },
        {
          label: `${items} per second`,
          stroke: colour("--busy"),
          width: 1.5,
          fill: `color-mix(in srgb, ${colour("--busy")} 14%, transparent)`,
          points: { show: false },
          value: (_, rate) => (rate === null ? "–" : perSecond(rate)),
        },
      ],
    },
    steps(),
    place,
  );
}

function fill() {
  if (!table.closest("details").open) return;
  table.replaceChildren(
    ...samples.map((sample) => {
      const row = document.createElement("tr");
      const rate = sample.rate === null ? "–" : perSecond(sample.rate);
      const cells = [moment.format(Date.parse(sample.at)), number.format(sample.done), number.format(sample.failed), rate];
      row.append(
        ...cells.map((text, place) => {
          const cell = document.createElement("td");
          cell.textContent = text;
          if (place) cell.className = "figure";
          return cell;
        }),
      );
      return row;
    }),
  );
}

function show() {
  panel.hidden = samples.filter((sample) => sample.rate !== null).length < LEAST_STEPS;
  if (panel.hidden) return;
  // A job that moves has its chart renewed, and not made again: what is looked at in it stays.
  if (chart) chart.setData(steps());
  else draw();
  fill();
}

async function ask() {
  clearTimeout(timer);
  const wait = asked + LEAST_MS - Date.now();
  if (wait > 0) {
    timer = setTimeout(ask, wait);
    return;
  }
  asked = Date.now();
  try {
    const answer = await fetch(panel.dataset.samples, { headers: tag ? { "If-None-Match": tag } : {} });
    if (!answer.ok || answer.status === 304) return;
    tag = answer.headers.get("ETag");
    samples = (await answer.json()).samples;
    show();
  } catch {
    // The page says itself that the service does not answer. The next change asks again.
  }
}

document.getElementById("standing").addEventListener("live", ask);
table.closest("details").addEventListener("toggle", fill);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart && draw());
new ResizeObserver(() => chart?.setSize({ width: place.clientWidth, height: 170 })).observe(place);
ask();
