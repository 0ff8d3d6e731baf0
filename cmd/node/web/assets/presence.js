// Who is in the room, node by node. A node tells its own list whenever it changes and every few seconds; each list
// replaces the one before, so a lost message repairs itself, and a node that falls silent is forgotten.

const silentAfter = 16_000; // three announcements and a little more, in milliseconds

export class Presence {
  #rosters = new Map(); // by node: {node, members, seen}

  reset() {
    this.#rosters.clear();
  }

  hear(roster, now = Date.now()) {
    this.#rosters.set(roster.node, { node: roster.node, members: roster.members, seen: now });
  }

  // forgetSilent removes the nodes that were not heard for too long, and returns them.
  forgetSilent(except, now = Date.now()) {
    const gone = this.nodes().filter((node) => node !== except && now - this.#rosters.get(node).seen > silentAfter);
    for (const node of gone) this.#rosters.delete(node);
    return gone;
  }

  members(node) {
    return this.#rosters.get(node)?.members ?? [];
  }

  nodes() {
    return [...this.#rosters.keys()];
  }

  // answersFor says whether this socket is the one that greets newcomers on behalf of its node: one is enough.
  answersFor(node, socketID) {
    return this.members(node)[0]?.id === socketID;
  }

  count() {
    const rosters = [...this.#rosters.values()].filter((r) => r.members.length > 0);
    return { people: rosters.reduce((sum, r) => sum + r.members.length, 0), nodes: rosters.length };
  }
}
