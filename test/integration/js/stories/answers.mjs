// Broadcasts that want acknowledgements.

import assert from "node:assert/strict";
import { ask, next } from "../stage.mjs";
import { settle } from "./cluster.mjs";
import { enterAll, hears, selections, speakers } from "./rooms.mjs";

const enough = 10_000;

// call has a node ask the selected sockets and returns their answers, in a fixed order.
async function call(speaker, selection, event, ...args) {
  const { answers, complete } = await ask(speaker.socket, "call", { timeout: enough, ...selection }, event, ...args);
  return { answers: answers.sort((a, b) => a.i - b.i), complete };
}

export const answers = (stage) => gather(stage, ({ local }) => !local);

// Servers of the reference wait for the answers of other nodes to a local call, which never come.
export const localAnswers = (stage) => gather(stage, ({ local }) => local);

async function gather(stage, which) {
  const clients = await enterAll(stage, "/chat");
  await settle(stage, clients);
  for (const [i, { socket }] of clients.entries()) {
    socket.on("who", (value, done) => done({ i, value }, "a second argument goes unheard"));
  }
  for (const speaker of speakers(stage, clients)) {
    for (const [n, selection] of selections(clients.map(({ socket }) => socket.id)).filter(which).entries()) {
      const value = { n, list: [null, "😀"] };
      const want = [...clients.keys()].filter((i) => hears(clients[i], speaker, selection)).map((i) => ({ i, value }));
      assert.deepEqual(await call(speaker, selection, "who", value), { answers: want, complete: true },
        `from node ${speaker.node} ${JSON.stringify(selection)}`);
    }
  }
}

export async function binaryAnswers(stage) {
  const clients = await enterAll(stage, "/");
  await settle(stage, clients);
  for (const [i, { socket }] of clients.entries()) {
    socket.on("parts", (part, done) => done({ i, part: Buffer.concat([Buffer.from(part), Buffer.from([i, 255])]), none: Buffer.alloc(0) }));
  }
  for (const speaker of speakers(stage, clients)) {
    const { answers, complete } = await call(speaker, { to: ["a"] }, "parts", Buffer.from([0, 128]));
    assert.equal(complete, true);
    assert.equal(answers.length, clients.filter(({ rooms }) => rooms.includes("a")).length);
    for (const { i, part, none } of answers) {
      assert.deepEqual([...Buffer.from(part)], [0, 128, i, 255]);
      assert.equal(Buffer.from(none).length, 0);
    }
  }
}

// Who does not answer in time is missing, and takes nobody's answer along.
export async function partialAnswers(stage) {
  const clients = await enterAll(stage, "/");
  const witnesses = (await stage.everywhere()).map((socket) => ({ socket }));
  await settle(stage, [...clients, ...witnesses]);
  const selection = { except: witnesses.map(({ socket }) => socket.id) };
  for (const [i, { socket }] of clients.entries()) socket.on("everybody", (done) => done({ i }));
  const everybody = [...clients.keys()].map((i) => ({ i }));

  // A node that has the answers of a later call has those of the one before. When they came too late, there is no verdict.
  const asks = async (speaker, silent) => {
    for (let timeout = 400; ; timeout *= 2) {
      const event = `everybody but ${silent} within ${timeout} ms, says node ${speaker.node}`;
      const given = Promise.all(clients.map(async ({ socket }, i) => {
        const [done] = await next(socket, event);
        if (i !== silent) done({ i });
      }));
      const end = Date.now() + timeout;
      const calling = call(speaker, { ...selection, timeout }, event);
      await given;
      assert.deepEqual(await call(witnesses[speaker.node], selection, "everybody"), { answers: everybody, complete: true });
      const early = Date.now() < end;
      const result = await calling;
      if (early) return assert.deepEqual(result, { answers: everybody.filter(({ i }) => i !== silent), complete: false });
    }
  };
  // The silent one is on the node that asks, or on another.
  await Promise.all(speakers(stage, clients).map(async (speaker) => {
    for (const silent of [speaker.node, speaker.node + 1]) await asks(speaker, silent);
  }));
}
