// Questions to the API, and where the ledger's newest events are.

const patience = 10_000; // ms: a line that is dead must not hold up what asks

// ask gives the answer as JSON, or throws.
export async function ask(path) {
  const r = await fetch(path, { signal: AbortSignal.timeout(patience) });
  if (!r.ok) {
    const said = await r.json().catch(() => undefined);
    throw Object.assign(new Error(`${path}: ${r.status}`), { status: r.status, sentence: said?.error });
  }
  return r.json();
}

// there asks whether there is a file, without fetching it.
export const there = async (path) => (await fetch(path, { method: "HEAD", signal: AbortSignal.timeout(patience) })).ok;

// eventAfter gives the first event after an index; there is none at the end, and none beyond it.
export const eventAfter = async (index) => (await ask(`/api/v1/events?limit=1&after=${index}`)).items[0];

// newestIndex finds the ledger's end by doubling and halving: the index has no holes.
export async function newestIndex() {
  const beyond = async (n) => await eventAfter(n) !== undefined;
  let step = 1;
  while (await beyond(step - 1)) step *= 2;
  let end = Math.floor(step / 2);
  for (step = Math.floor(step / 4); step >= 1; step = Math.floor(step / 2)) {
    if (await beyond(end + step - 1)) end += step;
  }
  return end;
}

// newestOf gives the last n events of a lane, oldest first: it looks back from the end further and further until there
// are enough, and halves the last step while there are far too many.
export async function newestOf(lane, n, end) {
  const after = (i) => ask(`/api/v1/events?lane=${lane}&limit=${2 * n}&after=${i}`);
  let found = [];
  let few = end; // after it there are fewer than n
  let many = 0; // after it there are more than 2 n
  for (let back = 1000; ; back *= 4) {
    const from = Math.max(0, end - back);
    const p = await after(from);
    if (p.next !== undefined) { many = from; break; }
    found = p.items;
    if (found.length >= n || from === 0) return found.slice(-n);
    few = from;
  }
  while (few - many > 1) {
    const half = Math.floor((few + many) / 2);
    const p = await after(half);
    if (p.next !== undefined) { many = half; continue; }
    found = p.items;
    if (found.length >= n) break;
    few = half;
  }
  return found.slice(-n);
}
