// The page: one event stream in, cards and rows out. Cards keep their element for life, so that an amendment changes
// them in place and a playing clip goes on.

import { Clips } from "./clips.js";
import { followSites, names } from "./sites.js";
import { duration, kindGroup, kindText, restored, shown, timeText, urgent as urgentEvent } from "./words.js";

const keep = { urgent: 200, routine: 200 }; // older ones are in the API
const $ = (id) => document.getElementById(id);
const lists = { urgent: $("urgent"), routine: $("routine") };
const cards = new Map(); // by index
const fresh = 10_000; // ms that a new card stands out

function badge(text, name, title) {
  const b = document.createElement("span");
  b.className = `badge ${name}`;
  b.textContent = text;
  b.title = title;
  return b;
}

function badges(e) {
  const out = [];
  if (e.confirmed) out.push(badge("confirmed", "confirmed", "Two independent causes"));
  if (e.late) out.push(badge(`late ${duration(e.received_at, e.recorded_at)}`, "late", `Received ${timeText(e.received_at)}`));
  if (e.clock !== "synced") out.push(badge(`clock ${e.clock}`, "badclock", "The box's clock is not kept by the network"));
  return out;
}

function fill(li, e) {
  const put = (name, text) => {
    for (const n of li.querySelectorAll(name)) if (n.textContent !== text) n.textContent = text;
  };
  li.dataset.kind = kindGroup(e.kind);
  li.dataset.index = e.index;
  put(".kind", kindText(e.kind));
  put(".site", `${e.site} ${names.get(e.site) ?? ""}`.trim());
  put(".zone", e.zone_name || (e.zone ? `Zone ${e.zone}` : ""));
  put(".text", e.text);
  put(".why", e.why);
  const when = li.querySelector(".when");
  when.dateTime = e.occurred_at;
  when.textContent = timeText(e.occurred_at);
  li.querySelector(".badges").replaceChildren(...badges(e));
}

// label is an event in words, as it is said aloud: an outage is of no site.
const label = (e) => [kindText(e.kind), e.site && `site ${e.site}`, e.zone_name || e.zone].filter(Boolean).join(", ");

function fillCard(li, e) {
  fill(li, e);
  const more = [];
  if (e.zone_name && e.zone) more.push(`zone ${e.zone}`);
  if (e.partition) more.push(`partition ${e.partition}`);
  if (e.code) more.push(e.code);
  if (e.panel) more.push(`panel ${e.panel}`);
  li.querySelector(".more").textContent = more.join(" · ");
  li.setAttribute("aria-label", `${label(e)}, ${timeText(e.occurred_at)}`);
}

// place puts li where its index belongs, the newest arrival first: an alarm that comes late must not hide below.
function place(list, li, index) {
  list.insertBefore(li, [...list.children].find((n) => Number(n.dataset.index) < index) ?? null);
}

function show(e, live) {
  if (!shown(e)) return;
  const old = cards.get(e.index);
  if (old) {
    old.event = e;
    if (urgentEvent(e)) { fillCard(old.li, e); old.clips.set(e.clips); } else fill(old.li, e);
    return;
  }
  const urgent = urgentEvent(e);
  const li = $(urgent ? "card" : "row").content.firstElementChild.cloneNode(true);
  const item = { li, event: e };
  (urgent ? fillCard : fill)(li, e);
  place(lists[urgent ? "urgent" : "routine"], li, e.index);
  cards.set(e.index, item);
  if (urgent) {
    item.clips = new Clips(li);
    item.clips.set(e.clips);
    if (live && !restored(e.kind)) {
      li.classList.add("fresh");
      setTimeout(() => li.classList.remove("fresh"), fresh);
      $("said").textContent = label(e);
    }
  }
  trim(urgent ? "urgent" : "routine");
}

function trim(name) {
  const list = lists[name];
  while (list.children.length > keep[name]) {
    cards.delete(Number(list.lastElementChild.dataset.index));
    list.lastElementChild.remove();
  }
  $(`${name}-count`).textContent = list.children.length;
  if (name === "urgent") $("urgent-empty").hidden = list.children.length > 0;
}

// Connection: the page says plainly when it is not live.
let newest = 0;
let source;
let silence;
let live = false;

function state(name, text) {
  const l = $("link");
  l.dataset.state = name;
  if (l.textContent !== text) l.textContent = text;
  $("down").hidden = name !== "down";
  document.body.dataset.link = name;
}

function connect() {
  clearTimeout(silence);
  source?.close();
  // A new address each time, not the browser's own reconnecting: that would go back to the last amended index.
  source = new EventSource(`/api/v1/events/stream?after=${newest}`);
  source.onopen = () => {
    state("live", "Live");
    setTimeout(() => { live = true; }, 1000);
  };
  source.onmessage = (m) => {
    const e = JSON.parse(m.data);
    newest = Math.max(newest, e.index);
    show(e, live);
  };
  source.onerror = () => {
    source.close();
    state("down", "Not connected");
    silence = setTimeout(connect, 1000);
  };
}

// begin shows the last events, not the first: the stream then goes on from there.
async function begin() {
  for (;;) {
    try {
      const top = await newestIndex();
      newest = Math.max(0, top - 1000);
      connect();
      return;
    } catch {
      state("down", "Not connected");
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

// newestIndex finds the end by doubling and halving: the index has no holes.
async function newestIndex() {
  const beyond = async (n) => {
    const r = await fetch(`/api/v1/events?limit=1&after=${n}`);
    if (!r.ok) throw new Error(r.statusText);
    return (await r.json()).items.length > 0;
  };
  let step = 1;
  while (await beyond(step - 1)) step *= 2;
  let end = Math.floor(step / 2);
  for (step = Math.floor(step / 4); step >= 1; step = Math.floor(step / 2)) {
    if (await beyond(end + step - 1)) end += step;
  }
  return end;
}

const tick = () => { $("clock").textContent = timeText(new Date().toISOString()); };
tick();
setInterval(tick, 500);
followSites($("sites"), () => {
  for (const c of cards.values()) (urgentEvent(c.event) ? fillCard : fill)(c.li, c.event);
});
begin();
