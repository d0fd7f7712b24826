// One queue asks after all clips that are not here yet: one question at a time, of new clips first, then of each more
// and more rarely. What the stream tells of a clip hurries it.

const pause = 100; // ms between two questions
const often = 2000; // between two about one clip, for the first minute: the still comes within seconds
const young = 60_000;
const rare = 60_000;

const waiting = new Set();
let running = false;

// wait asks until ask says that there is nothing more to come; those of a higher rank are asked first.
export function wait(id, rank, ask) {
  waiting.add({ id, rank, ask, since: performance.now(), due: 0, every: often });
  run();
}

// hurry asks of one clip soon, or of all when no id is given.
export function hurry(id) {
  for (const w of waiting) if (id === undefined || w.id === id) Object.assign(w, { since: performance.now(), every: often, due: Math.min(w.due, performance.now()) });
}

async function run() {
  if (running) return;
  running = true;
  while (waiting.size > 0) {
    const next = choose(performance.now());
    if (next && await done(next)) waiting.delete(next);
    if (!next?.first) await new Promise((over) => setTimeout(over, pause));
  }
  running = false;
}

function choose(now) {
  let best;
  for (const w of waiting) {
    if (w.due <= now && (!best || w.due < best.due || w.due === best.due && w.rank > best.rank)) best = w;
  }
  return best;
}

async function done(w) {
  w.first = w.due === 0;
  let over = false;
  try {
    over = await w.ask();
  } catch { /* the page says that the SOC is out of reach; this goes on when it is back */ }
  const now = performance.now();
  if (now - w.since > young) w.every = Math.min(w.every * 1.5, rare);
  w.due = now + w.every;
  return over;
}
