// A process without clients that speaks through Redis alone.

import assert from "node:assert/strict";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { ask, eventually, Inbox, next } from "../stage.mjs";
import { StreamsEmitter } from "../streamsemitter.mjs";

async function openEmitter(stage) {
  const redis = createClient({ url: stage.redis });
  await redis.connect();
  stage.onLeave(() => redis.destroy());
  return stage.adapter === "streams" ? new StreamsEmitter(redis) : new Emitter(redis);
}

export async function emitter(stage) {
  const io = await openEmitter(stage);
  const chat = await stage.connect(0, { namespace: "/chat" });
  const sockets = await stage.everywhere();
  await ask(sockets[0], "join", ["a"]);
  await ask(sockets[1], "join", ["a", "b"]);
  const inboxes = [...sockets, chat].map((socket) => new Inbox(socket));
  const [all, last] = [[...sockets.keys()], sockets.length]; // the sockets' indices, and the chat's
  const data = { text: "😀", list: [1, null, true], part: Buffer.from([0, 255]) };

  const expect = async (emit, ...receivers) => {
    emit("said", 1, data);
    io.emit("marker");
    io.of("/chat").emit("marker");
    for (const [i, inbox] of inboxes.entries()) {
      const want = receivers.includes(i) ? [["said", 1, data]] : [];
      assert.deepEqual(await inbox.before("marker"), want, `client ${i}`);
    }
  };
  await expect((...event) => io.emit(...event), ...all);
  await expect((...event) => io.to("a").emit(...event), 0, 1);
  await expect((...event) => io.to(["a", "b"]).emit(...event), 0, 1);
  await expect((...event) => io.to("a").except("b").emit(...event), 0);
  await expect((...event) => io.except("a").emit(...event), ...all.slice(2));
  await expect((...event) => io.to(sockets[2].id).emit(...event), 2);
  // A polling client may miss a volatile event between two requests.
  if (stage.transport === "websocket") await expect((...event) => io.volatile.emit(...event), ...all);
  await expect((...event) => io.of("/chat").emit(...event), last);
  await expect((...event) => io.of("/chat").to(chat.id).emit(...event), last);
  await expect((...event) => io.to("nobody").emit(...event));
}

// The emitter moves sockets of all nodes between rooms, disconnects them, and speaks to the servers.
export async function emitterRequests(stage) {
  const io = await openEmitter(stage);
  for (const namespace of ["/", "/chat"]) {
    const emitter = io.of(namespace);
    const sockets = await stage.everywhere({ namespace });
    const inboxes = sockets.map((socket) => new Inbox(socket));
    const ids = sockets.map(({ id }) => id);
    const [fresh, other] = [`fresh ${ids[0]}`, `other ${ids[0]}`]; // a node without members may hear late of what was said of a room
    await Promise.all(sockets.map((socket) => ask(socket, "join", ["all"])));
    await ask(sockets[0], "join", ["some"]);
    const inRoom = (room, ...expected) => Promise.all(sockets.map((socket) => eventually(async () => {
      const found = await ask(socket, "fetch sockets", { to: [room] });
      assert.deepEqual(found.map(({ id }) => id).sort(), expected.sort());
    })));

    emitter.to("all").except("some").socketsJoin([fresh, other]);
    await inRoom(fresh, ...ids.slice(1));
    emitter.to(fresh).emit("to the fresh");
    emitter.to("all").emit("marker");
    for (const [i, inbox] of inboxes.entries()) assert.deepEqual(await inbox.before("marker"), i ? [["to the fresh"]] : []);
    emitter.in(fresh).socketsLeave(fresh);
    await inRoom(fresh);
    await inRoom(other, ...ids.slice(1));

    await Promise.all(sockets.map((socket) => ask(socket, "join", ["listeners"])));
    emitter.serverSideEmit("tell servers", "from outside", { list: [1, null] });
    for (const inbox of inboxes) assert.deepEqual(await inbox.next(), ["servers were told", "from outside", { list: [1, null] }]);

    const gone = sockets.slice(1).map((socket) => next(socket, "disconnect"));
    emitter.to(other).disconnectSockets(true);
    for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
    assert.equal(await ask(sockets[0], "echo", "here"), "here");
  }
}
