// Broadcasts: who hears them, on which node, how often.

import assert from "node:assert/strict";
import { ask, Inbox } from "../stage.mjs";

// enter connects a client to a node and puts it into rooms.
async function enter(stage, node, namespace, rooms) {
  const socket = await stage.connect(node, { namespace });
  await ask(socket, "join", rooms);
  return { socket, node, rooms: [...rooms, socket.id], inbox: new Inbox(socket) };
}

// enterAll connects the clients of the stories about selections: two or more of each node, in different rooms.
export function enterAll(stage, namespace) {
  return Promise.all([...memberships, []].map((rooms, i) => enter(stage, i % stage.nodes.length, namespace, rooms)));
}

// speakers are the clients that have their nodes do something, one of each node or of those that the scene names.
export function speakers({ askers }, clients) {
  return askers.map((node) => clients.findLast((client) => client.node === node));
}

// selections are whom the stories name, by rooms and by sockets.
export function selections(ids) {
  return [
    {},
    { to: ["a"] },
    { to: ["a", "b", "c"] },
    { to: ["a"], except: ["b"] },
    { except: ["a"] },
    { except: ["a", "b", "c", "d"] },
    { to: [ids[0]] },
    { to: [ids[1]] },
    { to: [ids.at(-1)] },
    { to: ["a", ids[2]], except: [ids[0]] },
    { to: ["nobody"] },
    { to: ["room with a 😀 and # signs"] },
    { to: ["*"] },
    { others: true },
    { to: ["a"], others: true },
    { to: ["a", "b"], local: true },
  ];
}

const memberships = [["a"], ["a", "b"], ["b", "*"], ["c"], ["a", "b", "c"], ["d", "room with a 😀 and # signs"]];

export const inAny = (client, rooms) => rooms.some((room) => client.rooms.includes(room));

export function hears(client, sender, { to = [], except = [], others, local }) {
  return (to.length === 0 || inAny(client, to)) && !inAny(client, except)
    && !(others && client === sender) && !(local && client.node !== sender.node);
}

// Each node emits to each selection, with and without binary parts. A marker behind each event shows that it came once,
// and that nothing came that was not meant for the client.
export async function broadcasts(stage) {
  for (const namespace of ["/", "/chat"]) {
    const clients = await enterAll(stage, namespace);
    for (const sender of speakers(stage, clients)) {
      for (const [n, selection] of selections(clients.map((client) => client.socket.id)).entries()) {
        const args = n % 2 ? [n] : [n, { part: Buffer.from([n]) }];
        await ask(sender.socket, "broadcast", selection, "n", ...args);
        await ask(sender.socket, "broadcast", {}, "marker");
        for (const client of clients) {
          const want = hears(client, sender, selection) ? [["n", ...args]] : [];
          assert.deepEqual(await client.inbox.before("marker"), want,
            `${namespace} from node ${sender.node} ${JSON.stringify(selection)} at node ${client.node} in ${client.rooms}`);
        }
      }
    }
    clients.forEach((client) => client.socket.disconnect());
  }
}

// A socket that leaves hears nothing more, whichever node speaks, and one that joins hears at once.
export async function membership(stage) {
  const [listener, ...speakers] = await stage.everywhere();
  const inbox = new Inbox(listener);
  for (let round = 0; round < 20; round++) {
    for (const [i, speaker] of speakers.entries()) {
      await ask(listener, "join", ["room"]);
      await ask(speaker, "broadcast", { to: ["room"] }, "in", round, i);
      assert.deepEqual(await inbox.next(), ["in", round, i]);
      await ask(listener, "leave", ["room"]);
      await ask(speaker, "broadcast", { to: ["room"] }, "out");
      await ask(speaker, "broadcast", { to: [listener.id] }, "marker");
      assert.deepEqual(await inbox.before("marker"), []);
    }
  }
}

// A volatile event reaches a client that is idle, as whoever has not just asked for something; a polling client may miss it
// between two requests. None comes twice or late.
export async function volatile(stage) {
  const clients = await stage.everywhere();
  const inboxes = clients.map((socket) => new Inbox(socket));
  const heard = clients.map(() => 0);
  const missed = clients.map(() => 0);
  for (let n = 0; n < 30; n++) {
    const speaker = clients[n % clients.length];
    await ask(speaker, "broadcast", { volatile: true }, "fleeting", n, Buffer.from([n]));
    await ask(speaker, "broadcast", {}, "marker");
    for (const [i, inbox] of inboxes.entries()) {
      const got = await inbox.before("marker");
      assert.ok(got.length <= 1 && got.every(([event, m]) => event === "fleeting" && m === n), JSON.stringify(got));
      heard[i] += got.length;
      if (got.length === 0 && clients[i] !== speaker) missed[i]++;
    }
  }
  assert.ok(heard.every((count) => count > 0), `the clients heard ${heard}`);
  if (stage.transport === "websocket") assert.ok(missed.every((count) => count === 0), `of others' the clients missed ${missed}`);
}
