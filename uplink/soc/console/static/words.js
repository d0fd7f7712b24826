// What kinds mean to an operator: words and colours. A kind that is not here is shown as it is.

const words = {
  "fire": "Fire", "hold-up": "Hold-up", "hold-up-confirmed": "Hold-up confirmed", "duress": "Duress", "panic": "Panic",
  "lone-worker": "Lone worker", "gas": "Gas", "intruder": "Intruder", "intruder-confirmed": "Intruder confirmed",
  "tamper": "Tamper", "site-lost": "Site lost", "omit": "Zone omitted", "part-set": "Part set", "set-failed": "Set failed",
  "psu-fault": "Power supply fault", "mains-lost": "Mains lost", "path-lost": "Path to SOC lost", "unknown": "Unknown signal",
  "outage": "Many sites lost", "journal-replaced": "Box or its disk replaced",
};

const groups = {
  "fire": "fire", "gas": "fire", "hold-up": "hold-up", "hold-up-confirmed": "hold-up", "duress": "hold-up", "panic": "hold-up",
  "lone-worker": "hold-up", "intruder": "intruder", "intruder-confirmed": "intruder", "tamper": "tamper", "site-lost": "lost",
  "outage": "lost",
};

const base = (kind) => kind.replace(/-restored$/, "");

export const restored = (kind) => kind.endsWith("-restored");

export function kindText(kind) {
  const b = base(kind);
  const w = words[b] ?? b.charAt(0).toUpperCase() + b.slice(1).replaceAll("-", " ");
  return restored(kind) ? `${w.replace(/ lost$/, "")} restored` : w;
}

// urgent says what gets a card: what is urgent by its lane, and an outage, which stands for many sites that are lost.
export const urgent = (e) => e.lane === "urgent" || base(e.kind) === "outage";

// kindGroup names the colour: restores are all of one, whatever has ended.
export const kindGroup = (kind) => restored(kind) ? "restored" : groups[kind] ?? "other";

// What Event.held may be, in words: why an alarm came in the routine lane.
const holds = {
  "swinger": ["held: repeats", "This zone has alarmed too often in this set period"],
  "storm": ["held: storm", "The panel sends too many alarms"],
  "engineer": ["held: engineer", "An engineer is at work at the panel"],
  "walk-test": ["held: walk test", "A walk test is on at the panel"],
};
export const heldText = (held) => holds[held] ?? [`held: ${held}`, "This alarm was held by the box"];

// later says whether event e came about after a: by the box's own count where that is one.
const later = (e, a) => e.site === a.site && e.journal === a.journal ? e.seq > a.seq : e.index > a.index;

// closes names what e says of the alarm a: "restored", "cancelled" or "". It must name the very zone: an alarm that is
// shown as restored and is not costs more than one that is not shown so. A cancel is of the alarms of the hour before.
export function closes(e, a) {
  if (e.site !== a.site || e.panel !== a.panel || restored(a.kind) || !urgent(a) || !later(e, a)) return "";
  if (e.partition && a.partition && e.partition !== a.partition) return "";
  if (restored(e.kind)) return base(e.kind) === a.kind && e.zone === a.zone ? "restored" : "";
  return e.kind === "cancel" && base(a.kind).startsWith("intruder") && new Date(e.recorded_at) - new Date(a.recorded_at) < 3600_000 ? "cancelled" : "";
}

// Kinds that say something of another event or a clip are folded there and would only be noise.
const folded = new Set(["amended", "clip-ready"]);
export const shown = (e) => !folded.has(e.kind);

const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium" });
const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

export function timeText(iso, now = new Date()) {
  if (!iso) return "time unknown";
  const t = new Date(iso);
  return day.format(t) === day.format(now) ? clock.format(t) : `${day.format(t)} ${clock.format(t)}`;
}

// duration says how long after b the time a is, in the largest unit that fits.
export function duration(a, b) {
  const s = Math.max(0, Math.round((new Date(a) - new Date(b)) / 1000)) || 0;
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  return `${Math.round(s / 3600)} h`;
}
