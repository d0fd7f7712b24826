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

function draw(list, sites, changed) {
  let renamed = false;
  sites.sort((a, b) => a.connected - b.connected || a.id.localeCompare(b.id)); // those in trouble first
  const rows = sites.map((s) => {
    renamed ||= names.get(s.id) !== s.name;
    names.set(s.id, s.name);
    const li = document.createElement("li");
    li.dataset.connected = s.connected;
    const dot = document.createElement("span");
    dot.className = "dot";
    dot.setAttribute("aria-hidden", "true");
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = `${s.id} ${s.name}`;
    const state = document.createElement("span");
    state.className = "state";
    state.textContent = s.connected ? "connected" : `silent for ${duration(new Date(), s.last_seen)}`;
    li.append(dot, name, state);
    return li;
  });
  list.replaceChildren(...rows);
  if (renamed) changed();
}
