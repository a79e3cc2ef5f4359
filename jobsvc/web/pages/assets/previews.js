// Asks the service how the beginning of a file would be read, whenever the file or the options have changed.

import { why } from "./send.js";

const PAUSE_MS = 350; // after the last key, before it is asked
const LOST_PAUSES = [2, 4, 8, 15]; // seconds, after which it asks again by itself

// What the service has said last: `shown` has a preview, `refused` a problem, `failed` has neither.
export class Previews {
  #timer = 0;
  #asking = null;
  #lost = 0;
  #waiting = [];

  // `request` gives the address and the body of the question, or null if there is none; `tell` gets each outcome.
  constructor(request, tell) {
    this.request = request;
    this.tell = tell;
    this.outcome = null;
    window.addEventListener("online", () => this.outcome?.isLost && this.want(0));
  }

  // The present outcome no longer holds: ask again, after a moment.
  want(pause = PAUSE_MS) {
    this.#stop();
    this.outcome = null;
    this.#timer = setTimeout(() => this.#ask(), pause);
  }

  drop() {
    this.#stop();
    this.outcome = null;
    this.#settle();
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
  }

  // Resolves to the outcome for what the form says now.
  settled() {
    if (this.outcome) return Promise.resolve(this.outcome);
    if (!this.#asking) this.want(0);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #settle() {
    for (const resolve of this.#waiting.splice(0)) resolve(this.outcome);
  }

  async #ask() {
    const asking = new AbortController();
    this.#asking = asking;
    this.tell({ state: "asking" });
    let outcome;
    let again = 0;
    try {
      const asked = await this.request();
      if (this.#asking !== asking || asked === null) return;
      const answer = await fetch(asked.url, {
        method: "POST",
        body: asked.body,
        headers: { Accept: "application/json" },
        signal: asking.signal,
      });
      const told = await answer.json().catch(() => ({}));
      this.#lost = 0;
      if (answer.ok) outcome = { state: "shown", found: told };
      else if (answer.status === 503 || answer.status === 429) {
        // A moment more or less, so that not all who were told the same come back together.
        again = (Number(answer.headers.get("Retry-After")) || 3) * (1 + Math.random() / 4);
        outcome = { state: "failed", text: why({ status: answer.status, body: told }), again };
      } else outcome = { state: "refused", status: answer.status, told, text: why({ status: answer.status, body: told }) };
    } catch (error) {
      if (this.#asking !== asking) return;
      if (error.name === "NotReadableError" || error.name === "NotFoundError") {
        outcome = { state: "refused", status: 0, told: { parameter: "file" }, text: "The file can't be read: it may have changed since you chose it. Choose it again." };
      } else {
        again = LOST_PAUSES[Math.min(this.#lost, LOST_PAUSES.length - 1)];
        this.#lost += 1;
        outcome = { state: "failed", text: "The service does not answer.", again, isLost: true };
      }
    }
    if (this.#asking !== asking) return;
    this.#asking = null;
    this.outcome = outcome;
    this.tell(outcome);
    this.#settle();
    if (again) this.#timer = setTimeout(() => this.#ask(), again * 1000);
  }
}
