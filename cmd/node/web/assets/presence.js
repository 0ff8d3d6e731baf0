// Who is in the room, node by node. A node tells its own list whenever it changes and every few seconds; each list
// replaces the one before, so a lost message repairs itself, and a node that falls silent is forgotten.

const silentAfter = 16_000; // three announcements and a little more, in milliseconds

export class Presence {
  #rosters = new Map(); // by node id: {node, members, seen}

  reset() {
    this.#rosters.clear();
  }

  hear(roster, now = Date.now()) {
    this.#rosters.set(roster.node.id, { node: roster.node, members: roster.members, seen: now });
  }

  // forgetSilent removes the nodes that were not heard for too long, and returns them.
  forgetSilent(except, now = Date.now()) {
    const gone = [...this.#rosters.values()].filter((r) => r.node.id !== except && now - r.seen > silentAfter);
    for (const { node } of gone) this.#rosters.delete(node.id);
    return gone.map((r) => r.node);
  }

  members(nodeID) {
    return this.#rosters.get(nodeID)?.members ?? [];
  }

  nodes() {
    return [...this.#rosters.values()].map((r) => r.node);
  }

  // answersFor says whether this socket is the one that greets newcomers on behalf of its node: one is enough.
  answersFor(nodeID, socketID) {
    return this.members(nodeID)[0]?.id === socketID;
  }

  count() {
    const rosters = [...this.#rosters.values()].filter((r) => r.members.length > 0);
    return { people: rosters.reduce((sum, r) => sum + r.members.length, 0), nodes: rosters.length };
  }
}
