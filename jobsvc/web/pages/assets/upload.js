// Sends a form in the background, and tells how much of it has gone: XMLHttpRequest does, and fetch does not.

const RATE_SECONDS = 5; // the rate is that of so many seconds

// A key by which the service knows a request again: `crypto.randomUUID` is for pages over HTTPS alone.
export function newKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Upload {
  #request = new XMLHttpRequest();
  #seen = [];
  isWhole = false; // all bytes have gone: whether a job comes of it is the service's affair now
  sent = 0;

  // `onProgress` gets { sent, total, rate, left }: bytes, bytes a second, seconds. Resolves to { status, body, retryAfter };
  // status 0: there was no answer, -1: it was cancelled.
  send(url, body, key, onProgress) {
    const request = this.#request;
    request.open("POST", url);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Idempotency-Key", key);
    request.upload.addEventListener("progress", (event) => onProgress(this.#figures(event)));
    request.upload.addEventListener("load", () => {
      this.isWhole = true;
      onProgress({ isWhole: true });
    });
    return new Promise((resolve) => {
      request.addEventListener("load", () => {
        let told = {};
        try {
          told = JSON.parse(request.responseText);
        } catch {
          // A proxy's own page, perhaps: the status says what there is to say.
        }
        resolve({ status: request.status, body: told, retryAfter: request.getResponseHeader("Retry-After") });
      });
      request.addEventListener("error", () => resolve({ status: 0, body: {} }));
      request.addEventListener("abort", () => resolve({ status: -1, body: {} }));
      request.send(body);
    });
  }

  // Returns whether it could still be cancelled.
  cancel() {
    if (this.isWhole) return false;
    this.#request.abort();
    return true;
  }

  #figures({ loaded, total }) {
    const now = performance.now() / 1000;
    this.sent = loaded;
    this.#seen.push([now, loaded]);
    while (this.#seen.length > 2 && now - this.#seen[0][0] > RATE_SECONDS) this.#seen.shift();
    const [then, before] = this.#seen[0];
    const rate = now > then ? (loaded - before) / (now - then) : null;
    return { sent: loaded, total, rate, left: rate ? (total - loaded) / rate : null };
  }
}
