// What the page makes of the nodes' reports. Nothing here touches the document.

// History remembers the cluster's counters, so that two looks make a rate.
export class History {
  #last = new Map(); // node id → its report
  #rates = new Map(); // node id → { in, out } per second
  #lags = new Map(); // node id → milliseconds to the bus and back, of late
  series = []; // of the cluster: { at, in, out }

  // take notes a look at the cluster. span is how long, in milliseconds, looks are kept.
  take(nodes, now, span = 300_000) {
    const seen = new Set(nodes.map((node) => node.id));
    for (const id of this.#last.keys()) {
      if (!seen.has(id)) [this.#last, this.#rates, this.#lags].forEach((map) => map.delete(id));
    }
    for (const node of nodes) {
      const before = this.#last.get(node.id);
      const seconds = before ? (Date.parse(node.at) - Date.parse(before.at)) / 1000 : 0;
      if (before && seconds === 0) continue; // the same report once more
      const trips = node.bus.roundTrips - (before?.bus.roundTrips ?? 0);
      if (trips > 0) this.#lags.set(node.id, (node.bus.roundTripMillis - (before?.bus.roundTripMillis ?? 0)) / trips);
      if (before && node.eventsReceived !== undefined) {
        this.#rates.set(node.id, {
          in: (node.eventsReceived - before.eventsReceived) / seconds,
          out: (node.eventsSent - before.eventsSent) / seconds,
        });
      }
      this.#last.set(node.id, node);
    }
    const total = { at: now, in: 0, out: 0 };
    for (const rate of this.#rates.values()) {
      total.in += rate.in;
      total.out += rate.out;
    }
    if (this.#rates.size > 0) this.series.push(total);
    this.series = this.series.filter((point) => now - point.at <= span);
  }

  // rate returns the events per second of a node, if two looks have told.
  rate(id) {
    return this.#rates.get(id);
  }

  // lag returns how long messages to the bus and back take, if there were any.
  lag(id) {
    return this.#lags.get(id);
  }

  now() {
    return this.series.at(-1);
  }
}

export const sum = (list, value) => list.reduce((total, item) => total + value(item), 0);

export const clients = (node) => sum(Object.values(node.sessions), (n) => n);

export const sockets = (node) => sum(node.namespaces, (namespace) => namespace.sockets);

// rooms joins the nodes' largest rooms. A room that is small everywhere may be missing.
export function rooms(nodes, most) {
  const all = new Map();
  for (const node of nodes) {
    for (const { namespace, room, sockets } of node.rooms) {
      const key = JSON.stringify([namespace, room]);
      const entry = all.get(key) ?? { namespace, room, sockets: 0, nodes: [] };
      entry.sockets += sockets;
      entry.nodes.push(node.id);
      all.set(key, entry);
    }
  }
  return [...all.values()].sort((a, b) => b.sockets - a.sockets || (a.room < b.room ? -1 : 1)).slice(0, most);
}

// counts adds up what nodes count by reason, the largest first, without zeros.
export function counts(nodes, field) {
  const all = new Map();
  for (const node of nodes) {
    for (const [reason, n] of Object.entries(node[field])) all.set(reason, (all.get(reason) ?? 0) + n);
  }
  return [...all].filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
}

export const namespaces = (nodes) => [...new Set(nodes.flatMap((node) => node.namespaces.map((n) => n.name)))].sort();

const whole = new Intl.NumberFormat("en");
export const number = (n) => whole.format(Math.round(n));

export function rate(n) {
  if (!Number.isFinite(n)) return "–";
  return n > 0 && n < 10 ? n.toFixed(1) : number(n);
}

export function bytes(n) {
  for (const unit of ["B", "KB", "MB"]) {
    if (n < 1000) return `${n < 10 && unit !== "B" ? n.toFixed(1) : Math.round(n)} ${unit}`;
    n /= 1000;
  }
  return `${n.toFixed(1)} GB`;
}

export function duration(ms) {
  const s = Math.max(0, ms) / 1000;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}
