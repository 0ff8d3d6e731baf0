// A program that changes rooms and emits to them in one breath, as a server of the reference or through its emitter.
//
//   node burst.mjs REDIS ADAPTER
//
// ADAPTER is a kind of openAdapter. Each line on the standard input is {"as": "server" | "emitter", "story", "ids", "rounds"}. The events are ["n", as + " " + story, round]. It says
// {"done": true} when all is on its way, and ends with its standard input.

import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Emitter } from "@socket.io/redis-emitter";
import { Server } from "socket.io";
import { openAdapter } from "./adapters.mjs";
import { StreamsEmitter } from "./streamsemitter.mjs";

const [, , url, kind] = process.argv;
const { adapter, client, subscribed } = await openAdapter(kind, url);
const server = new Server(createServer(), { adapter });
await subscribed();
const speakers = { server, emitter: kind === "streams" ? new StreamsEmitter(client) : new Emitter(client) };

const stories = {
  // A new room for each event.
  room(io, sender, [id], round) {
    const room = `${sender} ${round}`;
    io.in(id).socketsJoin(room);
    io.to(room).emit("n", sender, round);
  },
  // Several rooms at a time, of several sockets; the event comes once.
  rooms(io, sender, ids, round) {
    const rooms = ["a", "b", "c"].map((name) => `${sender} ${name} ${round}`);
    io.in(ids).socketsJoin(rooms);
    io.to(rooms).emit("n", sender, round);
  },
  // Everybody moves from one room to the next.
  move(io, sender, ids, round) {
    const [from, to] = [`${sender} ${round}`, `${sender} ${round + 1}`];
    if (round === 0) io.in(ids).socketsJoin(from);
    io.in(from).socketsJoin(to);
    io.in(from).socketsLeave(from);
    io.to(from).emit("n", "ghost", round);
    io.to(to).emit("n", sender, round);
  },
  // A seat that goes from the first to the second and back.
  seat(io, sender, ids, round) {
    const seat = `${sender} seat`;
    io.in(ids[(round + 1) % 2]).socketsLeave(seat);
    io.in(ids[round % 2]).socketsJoin(seat);
    io.to(seat).emit("n", sender, round);
  },
};

console.log(JSON.stringify({ done: true }));
createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { as, story, ids, rounds } = JSON.parse(line);
    for (let round = 0; round < rounds; round++) stories[story](speakers[as], `${as} ${story}`, ids, round);
    await client.ping(); // behind all that was published
    console.log(JSON.stringify({ done: true }));
  })
  .on("close", () => process.exit(0));
