// Upgrades while events flow in both directions.

import assert from "node:assert/strict";
import { ask, connected, within } from "../stage.mjs";
import { upgraded } from "./lives.mjs";

// Each client numbers what it sends and the server answers each number with the same one; meanwhile every node broadcasts
// numbers of its own. Neither may have a gap, a repetition or a change of order; every seventh event has a binary part.
export async function upgradeInFlow(stage) {
  const { clients, events } = stage;
  const travels = await Promise.all(Array.from({ length: clients }, (_, i) => travel(stage, i % stage.nodes.length, events)));
  return { clients, upgraded: travels.filter((t) => t.early > 0 && t.late > 0).length, ticks: travels.reduce((sum, t) => sum + t.ticks, 0) };
}

async function travel(stage, node, events) {
  const socket = stage.open(node);
  const seen = watch(socket);
  await connected(socket);
  let sent = 0;
  const send = () => {
    const part = sent % 7 ? [] : [Buffer.from(String(sent))];
    socket.emit("flow", sent++, ...part);
  };
  // Some events of each moment, until as many have gone over both transports.
  let early = 0;
  while (socket.io.engine.transport.name === "polling" || early === 0) {
    send();
    early = sent;
    if (sent > 20 * events) throw new Error("the client is not upgraded");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await upgraded(socket);
  for (let late = 0; late < events; late++) {
    send();
    if (late % 10 === 0) await new Promise(setImmediate);
  }
  assert.deepEqual(await ask(socket, "flow total"), { received: sent, disorder: "" });
  await within(seen.flow(sent), `the answers to ${sent} events`);
  seen.check();
  return { early, late: sent - early, ticks: seen.ticks() };
}

// watch notes the first thing that is wrong with the numbers that a client hears.
function watch(socket) {
  let flow = 0, wrong = "", ticks = 0, arrived = () => {};
  const last = new Map();
  const expect = (what, got, want, part) => {
    if (!wrong && got !== want) wrong = `${what}: got ${got}, want ${want}`;
    if (!wrong && part && part.toString() !== String(got)) wrong = `${what}: ${got} carries ${part}`;
  };
  socket.on("flow", (n, part) => {
    expect("answer", n, flow++, part);
    arrived();
  });
  socket.on("tick", (node, n, part) => {
    expect(`broadcast of ${node}`, n, last.has(node) ? last.get(node) + 1 : n, part);
    last.set(node, n);
    ticks++;
  });
  socket.on("disconnect", (reason) => { wrong ||= `disconnected: ${reason}`; });
  return {
    ticks: () => ticks,
    check: () => assert.equal(wrong, ""),
    flow: async (count) => {
      while (flow < count && !wrong) await new Promise((resolve) => { arrived = resolve; });
    },
  };
}
