// A process without clients that speaks through Redis alone.

import assert from "node:assert/strict";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { ask, Inbox } from "../stage.mjs";

export async function emitter(stage) {
  const redis = createClient({ url: stage.redis });
  await redis.connect();
  stage.onLeave(() => redis.destroy());
  const io = new Emitter(redis);
  const chat = await stage.connect(0, { namespace: "/chat" });
  const sockets = await stage.everywhere();
  await ask(sockets[0], "join", ["a"]);
  await ask(sockets[1], "join", ["a", "b"]);
  const inboxes = [...sockets, chat].map((socket) => new Inbox(socket));
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
  await expect((...event) => io.emit(...event), 0, 1, 2);
  await expect((...event) => io.to("a").emit(...event), 0, 1);
  await expect((...event) => io.to(["a", "b"]).emit(...event), 0, 1);
  await expect((...event) => io.to("a").except("b").emit(...event), 0);
  await expect((...event) => io.except("a").emit(...event), 2);
  await expect((...event) => io.to(sockets[2].id).emit(...event), 2);
  // A polling client may miss a volatile event between two requests.
  if (stage.transport === "websocket") await expect((...event) => io.volatile.emit(...event), 0, 1, 2);
  await expect((...event) => io.of("/chat").emit(...event), 3);
  await expect((...event) => io.of("/chat").to(chat.id).emit(...event), 3);
  await expect((...event) => io.to("nobody").emit(...event));
}
