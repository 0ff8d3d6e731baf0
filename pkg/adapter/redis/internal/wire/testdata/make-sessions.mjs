// Makes sessions.json: the records with which a Node.js server with the streams adapter
// keeps sessions, byte for byte as they reach Redis, and what they mean. See
// make-golden.mjs.
import { createAdapter } from "@socket.io/redis-streams-adapter";
import { Server } from "socket.io";

const kept = [];
const nothing = () => {};
const client = {
  on: nothing, off: nothing, subscribe: nothing, options: {}, duplicate: () => client, xread: () => new Promise(nothing),
  set: (key, value) => kept.push({ key, value }),
};
const io = new Server({ connectionStateRecovery: {} });
io.adapter(createAdapter(client));
const { adapter } = io.of("/");

const ids = { sid: "public-id-0000000001", pid: "private-id-000000001" };
const sessions = {
  "without data": { rooms: [ids.sid], data: {} },
  "with rooms and data": { rooms: [ids.sid, "a", "b é", "5"], data: { user: "alice", n: [1, -2, 2.5, null, true], deep: { x: "\u0000\"" } } },
  "with a numeric room": { rooms: [ids.sid, 5], data: {} },
  "with odd values": { rooms: [ids.sid], data: { at: new Date(1577836800123), gone: undefined, bytes: Buffer.from([1, 2]) } },
  "without rooms": { rooms: [], data: "text" },
};

// plain is JSON in which a member that is undefined is null, as it comes back.
const plain = (data) => JSON.stringify(data, (_, v) => (v === undefined ? null : v));
const golden = Object.entries(sessions).map(([name, { rooms, data }]) => {
  kept.length = 0;
  adapter.persistSession({ ...ids, rooms, data });
  return { name, ...kept[0], ...ids, rooms: rooms.map(String), data: plain(data) };
});
process.stdout.write("[\n" + golden.map((g) => JSON.stringify(g)).join(",\n") + "\n]\n");
process.exit(0); // the adapter's reader
