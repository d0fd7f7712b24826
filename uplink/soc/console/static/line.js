// The line to the SOC: one event stream, watched. A line that says nothing is as good as dead, whatever the browser
// thinks of it: the SOC says that it is alive every 10 to 15 s.

import { eventAfter } from "./ask.js";

const silent = 27_000;
const again = 1000;

// identity tells events apart. The index does not: a SOC that was restored from a backup gives indexes a second time.
export const identity = (e) => `${e.site}/${e.journal}/${e.seq}`;

export class Line {
  // tell.event takes an event, tell.live and tell.down the state of the line, and tell.other that the ledger is not the
  // one that the page has shown so far.
  constructor(tell) {
    this.tell = tell;
    this.newest = 0; // the highest index that has come
    this.last = ""; // and whose it is
    this.beats = false; // this SOC says that it is alive
  }

  // start follows the ledger from after an index on, for good.
  start(after) {
    this.newest = after;
    this.connect();
  }

  async connect() {
    try {
      if (!await this.same()) { this.tell.other(); return; }
    } catch { this.down(); return; }
    // A new address each time, not the browser's own reconnecting: that would go back to the last amended index.
    this.source = new EventSource(`/api/v1/events/stream?alive=event&after=${this.newest}`);
    this.watch();
    this.source.onopen = () => {
      if (this.beats) this.watch(); else clearTimeout(this.timer);
      this.tell.live();
    };
    this.source.onmessage = (m) => {
      this.heard();
      const e = JSON.parse(m.data);
      if (e.index > this.newest) {
        this.newest = e.index;
        this.last = identity(e);
      }
      this.tell.event(e);
    };
    this.source.addEventListener("alive", () => {
      this.beats = true;
      this.heard();
    });
    this.source.addEventListener("reset", () => {
      this.close();
      this.tell.other();
    });
    this.source.onerror = () => this.down();
  }

  // same asks whether the newest event that has come is still the ledger's: one that was restored while nobody was
  // connected, and has grown since, has another there.
  async same() {
    if (this.last === "") return true;
    const e = await eventAfter(this.newest - 1);
    return e !== undefined && identity(e) === this.last;
  }

  heard() {
    if (this.beats) this.watch();
  }

  watch() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.down(), silent);
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
  }

  down() {
    this.close();
    this.tell.down();
    this.timer = setTimeout(() => this.connect(), again);
  }
}
