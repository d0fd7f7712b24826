// Stills and clips of one card. A clip is asked for until it is ready or lost; the still shows first. It can be played as soon as
// there is something of it; one that this browser cannot play is shown as a preview that the SOC makes.

import { ask, there } from "./ask.js";
import { Growing, plays } from "./growing.js";
import { hurry, wait } from "./queue.js";

const extra = 5; // a still that has not come soon after its clip does not come

const over = (c) => c.state === "ready" || c.state === "lost";

// shows says whether the browser plays a complete file of this type; one that is not known is tried.
const shows = (mime) => mime === "" || document.createElement("video").canPlayType(mime) !== "";

const address = (id, ending = "") => `/api/v1/clips/${encodeURIComponent(id)}${ending}`;

export class Clips {
  constructor(card) {
    this.card = card;
    this.image = card.querySelector("img");
    this.play = card.querySelector(".play");
    this.note = card.querySelector(".waiting");
    this.mark = card.querySelector(".mark");
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
    this.states.set(id, { state: "wanted", camera: "", reason: "", bytes: 0, mime: "" });
    let after = 0;
    wait(id, Number(this.card.dataset.index), async () => {
      if (!this.card.isConnected) return true;
      const c = await ask(address(id));
      const still = this.states.get(id).still || await there(address(id, ".jpg"));
      this.states.set(id, { ...c, still });
      this.draw();
      if (c.growing) hurry(id); // it is asked for as often as a new one
      return c.state === "lost" || c.state === "ready" && (still || ++after > extra);
    });
  }

  words(c) {
    if (!c) return "No camera";
    if (c.state === "lost") return `No clip: ${c.reason || "lost"}${c.bytes > 0 ? ". What came of it can be played." : ""}`;
    if (this.broken === this.shown) return this.why;
    if (c.state === "ready") return "";
    if (c.growing && c.bytes > 0) return "Clip is being cut: play what there is";
    return { wanted: "Clip wanted", cutting: "Cutting clip", uploading: "Clip on its way" }[c.state] ?? c.state;
  }

  draw() {
    const c = this.states.get(this.shown);
    this.note.textContent = this.video?.isConnected ? "" : this.words(c);
    this.note.hidden = this.note.textContent === "";
    this.note.dataset.state = c?.state ?? "none";
    this.card.querySelector(".picture").dataset.state = c?.state ?? "none";
    if (c?.still && this.image.dataset.clip !== this.shown) {
      this.image.dataset.clip = this.shown;
      this.image.src = address(this.shown, ".jpg");
      this.image.alt = `Camera ${c.camera} at the moment of the alarm`;
    }
    this.image.hidden = !c?.still || this.video?.isConnected === true;
    this.play.hidden = !(c?.state === "ready" || c?.bytes > 0) || this.video?.isConnected === true;
    this.drawMark(c);
    this.play.setAttribute("aria-label", `Play clip of camera ${c?.camera ?? ""}`);
    this.drawTabs();
  }

  // drawMark says what the video is, beside the clip itself: not over yet, or no evidence.
  drawMark(c) {
    const playing = this.video?.isConnected === true;
    const text = !playing ? "" : this.preview ? "Preview, made by the SOC" : this.growing && c?.growing ? "Live" : "";
    this.mark.hidden = text === "";
    this.mark.dataset.kind = this.preview ? "preview" : "live";
    const parts = [text];
    if (this.preview && c?.state === "ready") {
      const a = document.createElement("a");
      a.href = address(this.shown, ".mp4");
      a.download = `${this.shown}.mp4`;
      a.textContent = "Original";
      parts.push(" ", a);
    }
    const key = `${text} ${parts.length}`;
    if (this.mark.dataset.shows === key) return;
    this.mark.dataset.shows = key;
    this.mark.replaceChildren(...parts);
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
    this.growing?.stop();
    this.growing = undefined;
    this.preview = false;
    this.video?.remove();
    this.video = undefined;
  }

  fail(why) {
    this.stop();
    this.broken = this.shown;
    this.why = why;
    this.draw();
  }

  start() {
    if (this.play.hidden) return;
    this.broken = "";
    const id = this.shown;
    const c = this.states.get(id);
    const v = document.createElement("video");
    v.controls = true;
    v.muted = true;
    v.playsInline = true;
    v.setAttribute("aria-label", `Clip of camera ${c.camera}`);
    if (c.state === "ready" ? !shows(c.mime) : !plays(c.mime)) this.showPreview(v, id);
    else if (c.state === "ready") v.src = address(id, ".mp4");
    else this.growing = new Growing(v, address(id, ".mp4"), c.mime, () => over(this.states.get(id)), () => this.fail("The clip cannot be played as it comes."));
    v.addEventListener("error", () => {
      if (this.video !== v) return;
      if (this.preview) this.refused(id);
      else if (this.growing || c.state !== "ready") this.fail("The clip cannot be played as it comes.");
      else this.showPreview(v, id); // the browser has promised too much
    });
    this.video = v;
    this.card.querySelector(".picture").append(v);
    this.draw();
    v.focus();
    v.play().catch(() => { /* the controls are there */ });
  }

  showPreview(v, id) {
    this.preview = true;
    v.src = address(id, ".preview.mp4");
    this.draw();
    v.play().catch(() => { /* the controls are there */ });
  }

  // refused says why there is no preview, in the SOC's words.
  async refused(id) {
    let why = "This browser cannot play the clip.";
    try {
      await ask(address(id, ".preview.mp4"));
    } catch (e) {
      if (e.sentence) why += ` ${e.sentence[0].toUpperCase()}${e.sentence.slice(1)}.`;
    }
    if (this.shown === id) this.fail(why);
  }
}
