// The page: one event stream in, cards and rows out. Cards keep their element for life, so that an amendment changes
// them in place and a playing clip goes on.

import { newestIndex, newestOf, there } from "./ask.js";
import { Clips } from "./clips.js";
import { identity, Line } from "./line.js";
import { hurry } from "./queue.js";
import { followSites, names } from "./sites.js";
import { closes, duration, heldText, kindGroup, kindText, restored, shown, timeText, urgent as urgentEvent } from "./words.js";

const keep = { urgent: 200, routine: 200 }; // older ones are in the API
const past = 1000; // of all events that the page begins with, beside the newest urgent ones
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

function badges(e, ends = {}) {
  const out = [];
  for (const [word, by] of Object.entries(ends)) out.push(badge(`${word} ${timeText(by.recorded_at)}`, word, by.why));
  if (e.held) out.push(badge(heldText(e.held)[0], "held", heldText(e.held)[1]));
  if (e.confirmed) out.push(badge("confirmed", "confirmed", "Two independent causes"));
  if (e.corroborated) out.push(badge(e.corroborated === "video" ? "seen on video" : e.corroborated, "seen", "A camera of the zone has seen movement"));
  if (e.late) out.push(badge(`late ${duration(e.received_at, e.recorded_at)}`, "late", `Received ${timeText(e.received_at)}`));
  if (e.clock !== "synced") out.push(badge(`clock ${e.clock}`, "badclock", "The box's clock is not kept by the network"));
  return out;
}

function fill({ li, event: e, ends }) {
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
  li.querySelector(".badges").replaceChildren(...badges(e, ends));
}

// label is an event in words, as it is said aloud: an outage is of no site.
const label = (e) => [kindText(e.kind), e.site && `site ${e.site}`, e.zone_name || e.zone].filter(Boolean).join(", ");

function fillCard(item) {
  fill(item);
  const { li, event: e } = item;
  const more = [];
  if (e.zone_name && e.zone) more.push(`zone ${e.zone}`);
  if (e.partition) more.push(`partition ${e.partition}`);
  if (e.code) more.push(e.code);
  if (e.panel) more.push(`panel ${e.panel}`);
  more.push(`received ${timeText(e.received_at)}`);
  li.querySelector(".more").textContent = more.join(" · ");
  li.dataset.over = item.ends.restored !== undefined;
  li.setAttribute("aria-label", `${label(e)}, ${timeText(e.occurred_at)}`);
  age(item);
}

// age says how long ago an alarm was. What a clock that was never set says of that is worth nothing.
function age({ li, event: e }) {
  const text = `${duration(new Date(), e.clock === "unset" ? e.received_at : e.recorded_at)} ago`;
  const n = li.querySelector(".age");
  if (n.textContent !== text) n.textContent = text;
}

const refill = (item) => (item.clips ? fillCard : fill)(item);

// link brings an alarm and what ends it together, whichever of them is new: the first end after the alarm counts.
function link(item) {
  const end = (alarm, by) => {
    const word = closes(by.event, alarm.event);
    if (!word || alarm.ends[word]?.index < by.event.index) return false;
    alarm.ends[word] = by.event;
    return true;
  };
  for (const other of cards.values()) {
    end(item, other);
    if (end(other, item)) refill(other);
  }
}

// place puts li where its index belongs, the newest arrival first: an alarm that comes late must not hide below.
function place(list, li, index) {
  list.insertBefore(li, [...list.children].find((n) => Number(n.dataset.index) < index) ?? null);
}

function show(e) {
  const old = cards.get(e.index);
  if (old && identity(old.event) !== identity(e)) { again(); return; }
  if (!urgentEvent(e)) for (const id of e.clips) hurry(id); // it tells of a clip that an alarm has asked for
  if (!shown(e)) return;
  if (old) {
    old.event = e;
    refill(old);
    old.clips?.set(e.clips);
    return;
  }
  const urgent = urgentEvent(e);
  const li = $(urgent ? "card" : "row").content.firstElementChild.cloneNode(true);
  const item = { li, event: e, ends: {} };
  link(item);
  cards.set(e.index, item);
  (urgent ? fillCard : fill)(item);
  place(lists[urgent ? "urgent" : "routine"], li, e.index);
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

// Connection: the page says plainly when it is not live, and since when.
let live = false;
let since; // when it was last

function state(name, text) {
  const l = $("link");
  if (name === "down") since ??= new Date();
  else since = undefined;
  l.dataset.state = name;
  if (l.textContent !== text) l.textContent = text;
  $("down").hidden = name !== "down";
  if (since) $("down-since").textContent = timeText(since.toISOString());
  document.body.dataset.link = name;
  document.title = name === "down" ? "NOT CONNECTED - Sitewatch" : "Sitewatch";
}

const down = () => state("down", "Not connected");

// again begins from nothing: the ledger is not the one that this page has shown.
async function again() {
  line.close();
  down();
  while (!await there("/").catch(() => false)) await new Promise((done) => setTimeout(done, 1000));
  location.reload();
}

const line = new Line({
  event: show,
  live: () => {
    state("live", "Live");
    hurry();
    $("urgent-empty").textContent = "No urgent events.";
    setTimeout(() => { live = true; }, 1000);
  },
  down,
  other: again,
});

// begin shows the last events, not the first; the stream then goes on from there. The urgent ones are asked for by
// themselves: a flood of routine events must not hide a fire.
async function begin() {
  for (;;) {
    try {
      const top = await newestIndex();
      for (const e of await newestOf("urgent", keep.urgent, top)) show(e);
      line.start(Math.max(0, top - past));
      return;
    } catch {
      down();
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}

const tick = () => {
  $("clock").textContent = timeText(new Date().toISOString());
  for (const c of cards.values()) if (c.clips) age(c);
};
tick();
setInterval(tick, 500);
history.scrollRestoration = "manual"; // the newest is on top, and that is where to look after a reload
followSites($("sites"), $("sites-count"), () => {
  for (const c of cards.values()) refill(c);
});
begin();
