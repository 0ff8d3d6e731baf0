// How connections begin and end.

import assert from "node:assert/strict";
import { ask, connected, Inbox, next, within } from "../stage.mjs";

// watcher hears on another node of every client that leaves.
export async function watcher(stage, node, options) {
  const socket = await stage.connect(node, options);
  await ask(socket, "join", ["watchers"]);
  const inbox = new Inbox(socket);
  return async (id) => {
    for (;;) {
      const [, who, reason] = await inbox.next(`${id} to leave`);
      if (who === id) return reason;
    }
  };
}

// kicked has the server disconnect a client, which learns why and stays away until it is told to come back.
async function kicked(stage, close) {
  const left = await watcher(stage, 1);
  const socket = await stage.connect(0, { reconnection: true, reconnectionDelay: 1 });
  const { id } = socket;
  let attempts = 0;
  socket.io.on("reconnect_attempt", () => attempts++);
  const gone = next(socket, "disconnect");
  socket.emit("kick", close);
  assert.equal((await gone)[0], "io server disconnect");
  assert.equal(await left(id), "server namespace disconnect");
  assert.equal(socket.active, false);
  await new Promise((resolve) => setTimeout(resolve, 50)); // 50 times what a client waits that does reconnect
  assert.equal(attempts, 0, "the client stays away");
  socket.connect();
  await connected(socket);
  assert.equal(await ask(socket, "echo", "back"), "back");
}

export const serverDisconnect = (stage) => kicked(stage, false);

// With close, the connection ends as well: in every phase of an upgrade, for which many clients try at once.
export const serverClose = (stage) => Promise.all(Array.from({ length: 20 }, () => kicked(stage, true)));

export async function clientDisconnect(stage) {
  const left = await watcher(stage, 2);
  const polite = await stage.connect(0);
  const { id: politeId } = polite;
  polite.emit("repeat", "before leaving");
  polite.disconnect();
  assert.equal(await left(politeId), "client namespace disconnect");

  const abrupt = await stage.connect(1);
  await ask(abrupt, "echo", 1);
  const { id: abruptId } = abrupt;
  abrupt.io.engine.close();
  assert.equal(await left(abruptId), "transport close");
}

// The node of a client dies; the client goes to the next one, as behind a load balancer.
export async function reconnection(stage) {
  const socket = await stage.connect(0, { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
  const witness = await stage.connect(1);
  const before = { id: socket.id, ...await ask(socket, "whoami") };
  const inbox = new Inbox(socket);
  const lost = next(socket, "disconnect");
  const back = next(socket, "connect");
  socket.io.uri = stage.nodes[1];
  socket.emit("die");
  const [reason] = await lost;
  assert.match(reason, /^transport (close|error)$/);
  socket.emit("repeat", "what was emitted in between");
  await back;
  const after = await ask(socket, "whoami");
  assert.notEqual(after.node, before.node);
  assert.notEqual(socket.id, before.id);
  assert.deepEqual(await inbox.next(), ["repeated", "what was emitted in between"]);
  await ask(witness, "broadcast", { to: [socket.id] }, "welcome back");
  assert.deepEqual(await inbox.next(), ["welcome back"]);
}

// A node is told to stop. Its clients, in every phase of an upgrade, go to another node; those with a WebSocket hear
// what it emitted last, which a polling client may miss between two requests.
export async function shutdown(stage) {
  const clients = await Promise.all(Array.from({ length: 20 }, async () => {
    const socket = await stage.connect(0, { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 });
    socket.io.uri = stage.nodes[1];
    return { socket, inbox: new Inbox(socket), lost: next(socket, "disconnect") };
  }));
  clients[0].socket.emit("stop");
  await Promise.all(clients.map(async ({ socket, inbox, lost }) => {
    if (stage.transport === "websocket") assert.deepEqual(await inbox.next("the last words"), ["last words"]);
    assert.match((await lost)[0], /^transport (close|error)$/);
    await connected(socket);
    assert.equal(await ask(socket, "echo", "here"), "here");
  }));
}

// Many clients come in one moment; each is served, and each hears a broadcast.
export async function crowd(stage) {
  const size = 200;
  const clients = await Promise.all(Array.from({ length: size }, async (_, i) => {
    const socket = await stage.connect(i % stage.nodes.length, { timeout: 60_000 });
    const inbox = new Inbox(socket);
    assert.equal(await ask(socket, "echo", i), i);
    return { socket, inbox };
  }));
  assert.equal(new Set(clients.map(({ socket }) => socket.id)).size, size, "ids are unique");
  for (const [n, { socket }] of clients.slice(0, stage.nodes.length).entries()) {
    await ask(socket, "broadcast", {}, "all", n);
    await Promise.all(clients.map(async ({ inbox }) => assert.deepEqual(await inbox.next(), ["all", n])));
  }
  if (stage.transport === "upgrade") {
    await Promise.all(clients.map(({ socket }) => upgraded(socket)));
  }
}

// upgraded waits until a client uses WebSocket.
export function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name === "websocket") return undefined;
  return within(new Promise((resolve) => engine.once("upgrade", resolve)), "the upgrade");
}
