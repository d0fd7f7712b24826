// Stills and clips of one card. A clip is asked for until it is ready or lost; the still shows first.

import { ask, there } from "./ask.js";
import { wait } from "./queue.js";

const extra = 5; // a still that has not come soon after its clip does not come

const address = (id, ending = "") => `/api/v1/clips/${encodeURIComponent(id)}${ending}`;

export class Clips {
  constructor(card) {
    this.card = card;
    this.image = card.querySelector("img");
    this.play = card.querySelector(".play");
    this.note = card.querySelector(".waiting");
    this.tabs = card.querySelector(".clips");
    this.states = new Map();
    this.ids = [];
    this.shown = "";
    this.broken = ""; // the clip that could not be played
    this.card.dataset.clips = 0;
    this.play.addEventListener("click", () => this.start());
    card.addEventListener("keydown", (e) => {
      if (e.target === card && (e.key === "Enter" || e.key === " ")) {
        e.preventDefault();
        this.start();
      }
    });
  }

  // set names the event's clips; known ones keep what is known of them.
  set(ids) {
    if (ids.join() === this.ids.join()) return;
    this.ids = ids;
    this.card.dataset.clips = ids.length;
    if (!this.ids.includes(this.shown)) this.shown = ids[0] ?? "";
    for (const id of ids) if (!this.states.has(id)) this.follow(id);
    this.draw();
  }

  follow(id) {
    this.states.set(id, { state: "wanted", camera: "", reason: "" });
    let after = 0;
    wait(id, Number(this.card.dataset.index), async () => {
      if (!this.card.isConnected) return true;
      const c = await ask(address(id));
      const still = this.states.get(id).still || await there(address(id, ".jpg"));
      this.states.set(id, { ...c, still });
      this.draw();
      return c.state === "lost" || c.state === "ready" && (still || ++after > extra);
    });
  }

  words(c) {
    if (!c) return "No camera";
    if (c.state === "lost") return `No clip: ${c.reason || "lost"}`;
    if (c.state === "ready") return this.broken === this.shown ? "This browser cannot play the clip." : "";
    return { wanted: "Clip wanted", cutting: "Cutting clip", uploading: "Clip on its way" }[c.state] ?? c.state;
  }

  draw() {
    const c = this.states.get(this.shown);
    this.note.textContent = this.words(c);
    this.note.hidden = this.note.textContent === "";
    this.note.dataset.state = c?.state ?? "none";
    this.card.querySelector(".picture").dataset.state = c?.state ?? "none";
    if (c?.still && this.image.dataset.clip !== this.shown) {
      this.image.dataset.clip = this.shown;
      this.image.src = address(this.shown, ".jpg");
      this.image.alt = `Camera ${c.camera} at the moment of the alarm`;
    }
    this.image.hidden = !c?.still || this.video?.isConnected === true;
    this.play.hidden = c?.state !== "ready" || this.video?.isConnected === true;
    this.play.setAttribute("aria-label", `Play clip of camera ${c?.camera ?? ""}`);
    this.drawTabs();
  }

  drawTabs() {
    if (this.ids.length < 2) { this.tabs.replaceChildren(); return; }
    while (this.tabs.children.length < this.ids.length) {
      const b = document.createElement("button");
      b.type = "button";
      b.addEventListener("click", () => this.choose(b.dataset.clip));
      this.tabs.append(b);
    }
    this.ids.forEach((id, i) => {
      const b = this.tabs.children[i];
      b.dataset.clip = id;
      b.textContent = this.states.get(id)?.camera || `Camera ${i + 1}`;
      b.setAttribute("aria-pressed", String(id === this.shown));
    });
  }

  choose(id) {
    this.stop();
    this.shown = id;
    this.image.removeAttribute("src");
    delete this.image.dataset.clip;
    this.draw();
  }

  stop() {
    this.video?.remove();
    this.video = undefined;
  }

  start() {
    if (this.play.hidden) return;
    this.broken = "";
    const v = document.createElement("video");
    v.controls = true;
    v.muted = true;
    v.playsInline = true;
    v.src = address(this.shown, ".mp4");
    v.setAttribute("aria-label", `Clip of camera ${this.states.get(this.shown).camera}`);
    v.addEventListener("error", () => {
      this.stop();
      this.broken = this.shown;
      this.draw();
    });
    this.video = v;
    this.card.querySelector(".picture").append(v);
    this.draw();
    v.focus();
    v.play().catch(() => { /* the controls are there */ });
  }
}
