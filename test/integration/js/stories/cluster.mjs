// What a node asks of the sockets of all nodes.

import assert from "node:assert/strict";
import { ask, connected, eventually, Inbox, within } from "../stage.mjs";
import { enterAll, hears, inAny, selections, speakers } from "./rooms.mjs";

// fetch has a node find sockets and returns their ids, in a fixed order.
const fetch = async (speaker, selection) => (await ask(speaker.socket, "fetch sockets", selection)).map(({ id }) => id).sort();

const ids = (clients) => clients.map(({ socket }) => socket.id).sort();

// settle waits until the clients of earlier stories are gone.
export function settle(stage, clients) {
  return Promise.all(speakers(stage, clients).map((speaker) =>
    eventually(async () => assert.deepEqual(await fetch(speaker, {}), ids(clients)))));
}

export async function fetchSockets(stage) {
  for (const namespace of ["/", "/chat"]) {
    const clients = await enterAll(stage, namespace);
    await settle(stage, clients);
    for (const speaker of speakers(stage, clients)) {
      for (const selection of selections(clients.map(({ socket }) => socket.id))) {
        assert.deepEqual(await fetch(speaker, selection), ids(clients.filter((client) => hears(client, speaker, selection))),
          `${namespace} from node ${speaker.node} ${JSON.stringify(selection)}`);
      }
    }
    clients.forEach(({ socket }) => socket.disconnect());
  }
}

// What is known of a socket on another node: rooms, data, and how it came.
export async function descriptions(stage) {
  const options = { query: { colour: "grün" }, auth: { token: "😀", list: [1] } };
  const clients = await Promise.all(stage.nodes.map((_, node) => stage.connect(node, options)));
  const data = (node) => ({ node, name: "Zoë", nested: { list: [null, true, 1.5] } });
  for (const [node, socket] of clients.entries()) {
    await ask(socket, "join", ["z", `of ${node}`]);
    await ask(socket, "set data", data(node));
    assert.deepEqual(await ask(socket, "get data"), data(node));
  }
  for (const asker of clients) {
    for (const [node, { id }] of clients.entries()) {
      const [found, ...more] = await ask(asker, "fetch sockets", { to: [id] });
      assert.deepEqual(more, []);
      assert.deepEqual(found.rooms, ["z", `of ${node}`, id].sort());
      assert.deepEqual(found.data, data(node));
      checkHandshake(found.handshake, stage.transport);
    }
  }
}

function checkHandshake({ headers, time, issued, address, xdomain, secure, url, query, auth }, transport) {
  assert.deepEqual(auth, { token: "😀", list: [1] });
  assert.equal(query.colour, "grün");
  assert.equal(query.EIO, "4");
  assert.equal(query.transport, transport === "websocket" ? "websocket" : "polling");
  assert.match(headers.host, /^127\.0\.0\.1:\d+$/);
  assert.match(address, /127\.0\.0\.1$/);
  assert.match(url, /^\/socket\.io\/\?.*EIO=4/);
  assert.ok(Math.abs(Date.now() - issued) < 60_000, `issued at ${issued}`);
  assert.ok(Math.abs(Date.now() - Date.parse(time)) < 60_000, `time ${time}`);
  assert.deepEqual([xdomain, secure], [false, false]);
}

const changes = [
  { to: ["a"] },
  { to: ["a", "c"], except: ["b"] },
  { to: ["a", "b", "c"], local: true },
  { except: ["a"], others: true },
];

// Each node puts sockets of all nodes into rooms and takes them out again.
export async function socketsJoinAndLeave(stage) {
  const clients = await enterAll(stage, "/");
  for (const speaker of speakers(stage, clients)) {
    const room = `made by ${speaker.node}`;
    for (const selection of changes) {
      const inside = clients.filter((client) => hears(client, speaker, selection));
      await ask(speaker.socket, "join sockets", selection, [room, "another"]);
      await occupied(stage, clients, room, inside);
      await Promise.all(inside.map(({ socket }) => ask(socket, "join", [room]))); // returns when its node hears what others say there
      await ask(speaker.socket, "broadcast", { to: [room] }, "inside");
      await ask(speaker.socket, "broadcast", {}, "marker");
      for (const client of clients) {
        assert.deepEqual(await client.inbox.before("marker"), inside.includes(client) ? [["inside"]] : []);
      }
      await ask(speaker.socket, "leave sockets", { to: [room] }, [room, "another"]);
      await occupied(stage, clients, room, []);
      await occupied(stage, clients, "another", []);
      await Promise.all(inside.map(({ socket }) => ask(socket, "leave", [room]))); // returns when it can be joined again
    }
  }
}

// occupied waits until all nodes agree on who is in a room.
const occupied = (stage, clients, room, inside) => Promise.all(speakers(stage, clients).map((speaker) =>
  eventually(async () => assert.deepEqual(await fetch(speaker, { to: [room] }), ids(inside), `${room} as node ${speaker.node} sees it`))));

// When a change has returned, every node has made it. A node that does not confirm changes cannot say so.
export async function confirmedChanges(stage) {
  const clients = await enterAll(stage, "/");
  const inside = clients.filter((client) => inAny(client, ["a"]));
  for (let round = 0; round < 10; round++) {
    for (const speaker of speakers(stage, clients)) {
      const room = `room ${round}`;
      await ask(speaker.socket, "join sockets", { to: ["a"] }, [room]);
      await ask(speaker.socket, "broadcast", { to: [room] }, "in");
      await ask(speaker.socket, "leave sockets", { to: ["a"] }, [room]);
      await ask(speaker.socket, "broadcast", { to: [room] }, "out");
      await ask(speaker.socket, "broadcast", {}, "marker");
      for (const client of clients) {
        assert.deepEqual(await client.inbox.before("marker"), inside.includes(client) ? [["in"]] : []);
      }
    }
  }
}

// Each node disconnects sockets of all nodes: from their namespace, or with their whole connection.
export async function disconnectSockets(stage) {
  const speakers = await stage.everywhere({ namespace: "/chat" });
  for (const close of [false, true]) {
    for (const [i, speaker] of speakers.entries()) {
      const visitors = await Promise.all(speakers.map((_, node) => visit(stage, node, `thrown out by ${i}`)));
      const spared = visitors[i];
      await ask(speaker, "disconnect sockets", { to: [`thrown out by ${i}`], except: [spared.chat.id] }, close);
      for (const visitor of visitors.filter((visitor) => visitor !== spared)) {
        assert.equal(await visitor.chatGone(), "io server disconnect");
        if (close) await visitor.mainGone();
        else assert.equal(await ask(visitor.main, "echo", "here"), "here");
      }
      assert.equal(await ask(spared.chat, "echo", "still here"), "still here");
      assert.equal(await ask(spared.main, "echo", "still here"), "still here");
      await ask(speaker, "disconnect sockets", { to: [spared.chat.id] }, true);
      await spared.mainGone();
    }
  }
}

// visit connects a client to two namespaces.
async function visit(stage, node, room) {
  const manager = stage.manager(node);
  const [main, chat] = [manager.socket("/"), manager.socket("/chat")];
  await Promise.all([connected(main), connected(chat)]);
  await ask(chat, "join", [room]);
  const left = (socket) => new Promise((resolve) => socket.once("disconnect", resolve));
  const [mainLeft, chatLeft] = [left(main), left(chat)];
  const who = `the client of node ${node} ${room}`;
  return { main, chat, mainGone: () => within(mainLeft, `${who} to leave /`), chatGone: () => within(chatLeft, `${who} to leave /chat`) };
}

export async function allRooms(stage) {
  const clients = await enterAll(stage, "/chat");
  await settle(stage, clients);
  const rooms = [...new Set(clients.flatMap((client) => client.rooms))].sort();
  for (const speaker of speakers(stage, clients)) {
    assert.deepEqual(await ask(speaker.socket, "all rooms"), rooms);
  }
}

export async function countNodes(stage) {
  for (const namespace of ["/", "/chat"]) {
    for (const socket of await stage.everywhere({ namespace })) {
      assert.equal(await ask(socket, "count nodes"), stage.nodes.length);
    }
  }
}

// Servers tell each other something; the one that speaks does not hear itself.
export async function serverSideEmit(stage) {
  for (const namespace of ["/", "/chat"]) {
    const listeners = await stage.everywhere({ namespace });
    const inboxes = listeners.map((socket) => new Inbox(socket));
    await Promise.all(listeners.map((socket) => ask(socket, "join", ["listeners"])));
    const values = [1, "zwei", { three: [3, null, "😀"] }];
    for (const [i, speaker] of listeners.entries()) {
      await ask(speaker, "tell servers", i, ...values);
      await ask(speaker, "tell servers", "marker");
      for (const [j, inbox] of inboxes.entries()) {
        if (j % stage.nodes.length === i % stage.nodes.length) continue;
        assert.deepEqual(await inbox.next(), ["servers were told", i, ...values]);
        assert.deepEqual(await inbox.next(), ["servers were told", "marker"]);
      }
    }
    for (const [j, inbox] of inboxes.entries()) {
      listeners[j].emit("repeat", "marker");
      assert.deepEqual(await inbox.next(), ["repeated", "marker"], "nobody hears what its own server said");
    }
  }
}

export async function serverSideEmitWithAcknowledgement(stage) {
  const sockets = await stage.everywhere();
  const nodes = await Promise.all(sockets.map(async (socket) => (await ask(socket, "whoami")).node));
  for (const [i, speaker] of sockets.entries()) {
    const value = { from: i, list: [1, null, "😀"] };
    const answers = await ask(speaker, "ask servers", value);
    assert.deepEqual(answers.map(({ node }) => node).sort(), [...new Set(nodes)].filter((node) => node !== nodes[i]).sort());
    for (const answer of answers) assert.deepEqual(answer.value, value);
  }
}
