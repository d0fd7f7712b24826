// Plays a clip while it grows: what has come is asked for by ranges and appended, until the clip is complete. The video begins at
// the beginning, and the operator may go to the end, which is as new as the last fragment.

const pause = 500; // ms between two questions when nothing has come
const patience = 20_000; // ms for one answer
const kept = 30; // s of played film that stay when the browser has no room for more

// plays says whether the browser can be given the parts of such a film.
export const plays = (mime) => mime !== "" && window.MediaSource !== undefined && MediaSource.isTypeSupported(mime);

export class Growing {
  // over says whether nothing more will come; broken is called when it cannot go on.
  constructor(video, address, mime, over, broken) {
    Object.assign(this, { video, address, mime, over, broken, at: 0 });
    this.media = new MediaSource();
    this.url = URL.createObjectURL(this.media);
    this.media.addEventListener("sourceopen", () => this.run().catch(() => this.stopped || broken()), { once: true });
    video.src = this.url;
  }

  stop() {
    this.stopped = true;
    URL.revokeObjectURL(this.url);
  }

  async run() {
    const buffer = this.media.addSourceBuffer(this.mime);
    while (!this.stopped) {
      const last = this.over(); // asked before: what comes after it is complete
      const part = await this.next();
      if (part) {
        await this.append(buffer, part);
        this.at += part.byteLength;
        continue;
      }
      if (last) {
        if (this.media.readyState === "open") this.media.endOfStream();
        return;
      }
      await new Promise((done) => setTimeout(done, pause));
    }
  }

  // next gives the bytes that are new, undefined when there are none.
  async next() {
    let r;
    try {
      r = await fetch(this.address, { headers: { Range: `bytes=${this.at}-` }, cache: "no-store", signal: AbortSignal.timeout(patience) });
    } catch {
      return undefined; // the page says that the SOC is out of reach; this goes on when it is back
    }
    if (r.status === 206) return r.arrayBuffer();
    await r.body?.cancel();
    if (r.status === 416) {
      // The clip was cut anew on the box when there is less than was here before.
      if (Number(r.headers.get("Content-Range")?.split("/")[1]) < this.at) throw new Error("another clip");
      return undefined;
    }
    if (r.status === 404 || r.status >= 500) return undefined;
    throw new Error(`${this.address}: ${r.status}`);
  }

  async append(buffer, part) {
    for (;;) {
      try {
        const done = new Promise((ok, fail) => {
          buffer.addEventListener("updateend", ok, { once: true });
          buffer.addEventListener("error", () => fail(new Error("the clip cannot be read")), { once: true });
        });
        buffer.appendBuffer(part);
        await done;
        return;
      } catch (e) {
        if (e.name !== "QuotaExceededError") throw e;
        const old = this.video.currentTime - kept;
        if (old > 0 && buffer.buffered.length > 0 && buffer.buffered.start(0) < old) {
          const done = new Promise((ok) => buffer.addEventListener("updateend", ok, { once: true }));
          buffer.remove(0, old);
          await done;
        } else await new Promise((done) => setTimeout(done, pause));
      }
    }
  }
}
