// What a server does with one socket: here or on another node.

import assert from "node:assert/strict";
import { ask, eventually, Inbox, next } from "../stage.mjs";

// Each node emits to one socket of each node, asks it, moves it between rooms and disconnects it.
export async function remoteSockets(stage) {
  const askers = await stage.everywhere();
  for (const asker of askers) {
    for (const node of stage.nodes.keys()) {
      const target = await stage.connect(node);
      const inbox = new Inbox(target);
      target.on("double", (n, done) => done(2 * n));
      const part = Buffer.from([1, 2]);
      await ask(asker, "remote emit", target.id, "for you", { part });
      assert.deepEqual(await inbox.next(), ["for you", { part }]);
      assert.equal(await ask(asker, "remote call", target.id, "double", 21), 42);
      await inbox.next();

      await ask(asker, "remote join", target.id, "remote");
      await hasRooms(asker, target, ["remote", target.id]);
      await ask(target, "join", ["remote"]); // returns when its node hears what others say there
      await ask(asker, "broadcast", { to: ["remote"] }, "in the room");
      assert.deepEqual(await inbox.next(), ["in the room"]);
      await ask(asker, "remote leave", target.id, "remote");
      await hasRooms(asker, target, [target.id]);
      await ask(target, "leave", ["remote"]); // returns when it can be joined again

      const gone = next(target, "disconnect");
      await ask(asker, "remote disconnect", target.id, true);
      assert.equal((await gone)[0], "io server disconnect");
    }
  }
}

const hasRooms = (asker, { id }, rooms) => eventually(async () => {
  const [found] = await ask(asker, "fetch sockets", { to: [id] });
  assert.deepEqual(found.rooms, rooms.sort());
});

// The server sees what comes and what goes, a broadcast of another node too.
export async function catchAll(stage) {
  const [socket, other] = await stage.everywhere();
  const inbox = new Inbox(socket);
  socket.emit("seen in", 1, { list: [null, "😀"] });
  socket.emit("seen without arguments");
  await ask(socket, "broadcast", { to: [socket.id] }, "seen out", 2);
  assert.deepEqual(await inbox.next(), ["seen out", 2]);
  await ask(other, "broadcast", { to: [socket.id] }, "seen from another node", [3]);
  assert.deepEqual(await inbox.next(), ["seen from another node", [3]]);
  await eventually(async () => assert.deepEqual(await ask(socket, "heard and said"), {
    heard: [["seen in", 1, { list: [null, "😀"] }], ["seen without arguments"]],
    said: [["seen out", 2], ["seen from another node", [3]]],
  }));
  assert.deepEqual(await ask(other, "heard and said"), { heard: [], said: [] });
}

// A middleware of events keeps some from their handler.
export async function eventMiddleware(stage) {
  const socket = await stage.connect(0);
  const inbox = new Inbox(socket);
  socket.emit("guarded", false, "first");
  socket.emit("guarded", true, "second");
  socket.emit("guarded", false, "third");
  socket.emit("repeat", "last");
  assert.deepEqual(await inbox.next(), ["passed", "second"]);
  assert.deepEqual(await inbox.next(), ["repeated", "last"]);
}

// The server waits for an answer no longer than it says, and the client neither.
export async function timeouts(stage) {
  const socket = await stage.connect(0);
  socket.on("question", (answer, done) => { if (answer) done(answer); });
  assert.deepEqual(await ask(socket, "ask within", 10_000, "yes"), { answer: "yes", late: false });
  assert.deepEqual(await ask(socket, "ask within", 50, ""), { answer: null, late: true });
  await assert.rejects(socket.timeout(50).emitWithAck("an event without a handler"), /timed out/);
  assert.equal(await ask(socket, "echo", "still here"), "still here");
}

// Whether an event may be compressed is said with it; it arrives alike.
export async function compression(stage) {
  const sockets = await stage.everywhere();
  const inboxes = sockets.map((socket) => new Inbox(socket));
  const text = "compressible ".repeat(5_000);
  for (const speaker of sockets) {
    for (const compress of [true, false]) {
      await ask(speaker, "broadcast", { compress }, "text", text);
      for (const inbox of inboxes) assert.deepEqual(await inbox.next(), ["text", text]);
    }
  }
}
