// The list of sites and whether their boxes are connected. It is asked for every few seconds: nothing pushes it.

import { duration } from "./words.js";

const every = 3000;

export const names = new Map();

export async function followSites(list, changed) {
  for (;;) {
    try {
      const r = await fetch("/api/v1/sites");
      if (r.ok) draw(list, (await r.json()).items, changed);
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

function draw(list, sites, changed) {
  let renamed = false;
  sites.sort((a, b) => line(a) - line(b) || a.id.localeCompare(b.id)); // those in trouble first
  const rows = sites.map((s) => {
    renamed ||= names.get(s.id) !== s.name;
    names.set(s.id, s.name);
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
