// The list of sites and whether their boxes are connected. It is asked for every few seconds: nothing pushes it.

import { ask } from "./ask.js";
import { duration } from "./words.js";

const every = 3000;
const most = 300; // rows: those in trouble come first, the rest is counted

export const names = new Map();

export async function followSites(list, count, changed) {
  for (;;) {
    try {
      draw(list, count, (await ask("/api/v1/sites")).items, changed);
    } catch { /* the page says that the SOC is out of reach */ }
    await new Promise((done) => setTimeout(done, every));
  }
}

// line is 0 for a site that is silent, 1 for one that is connected by some of its paths, 2 for one that is by all.
const line = (s) => !s.connected ? 0 : s.paths.some((p) => !p.connected) ? 1 : 2;

function stateText(s) {
  const silent = (t) => t ? `silent for ${duration(new Date(), t)}` : "silent";
  if (!s.connected) return silent(s.last_seen);
  const down = s.paths.filter((p) => !p.connected && p.path);
  return down.length === 0 ? "connected" : down.map((p) => `${p.path} ${silent(p.last_seen)}`).join(", ");
}

function draw(list, count, sites, changed) {
  let renamed = false;
  sites.sort((a, b) => line(a) - line(b) || a.id.localeCompare(b.id)); // those in trouble first
  for (const s of sites) {
    renamed ||= names.get(s.id) !== s.name;
    names.set(s.id, s.name);
  }
  const silent = sites.filter((s) => !s.connected).length;
  count.textContent = silent > 0 ? `${silent} of ${sites.length} silent` : sites.length;
  count.dataset.silent = silent > 0;
  const rows = sites.slice(0, most).map((s) => {
    const li = document.createElement("li");
    li.dataset.connected = ["false", "partly", "true"][line(s)];
    const dot = document.createElement("span");
    dot.className = "dot";
    dot.setAttribute("aria-hidden", "true");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = `${s.id} ${s.name}`;
    const state = document.createElement("span");
    state.className = "state";
    state.textContent = stateText(s);
    li.append(dot, name, state);
    return li;
  });
  list.replaceChildren(...rows);
  if (renamed) changed();
}
