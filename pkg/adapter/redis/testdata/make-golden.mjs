// Makes classic.json: the broadcasts of a Node.js server and of an emitter, byte
// for byte as they reach Redis, and what a Node.js node that receives them would
// send to its clients. To make it again, in this folder:
//
//	npm install && npm run golden && rm -r node_modules package-lock.json
//
// It needs no Redis: the clients below only write down what is published.
import { createAdapter } from "@socket.io/redis-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { Server } from "socket.io";
import { Encoder } from "socket.io-parser";
import notepack from "notepack.io";

const uid = "node01";
const published = [];
const nothing = () => {};
const publisher = { on: nothing, off: nothing, publish: (channel, payload) => published.push({ channel, payload }) };
const subscriber = { on: nothing, off: nothing, psubscribe: nothing, subscribe: nothing };

const io = new Server();
io.adapter(createAdapter(publisher, subscriber));
for (const name of ["/", "/admin"]) io.of(name).adapter.uid = uid;
const emitter = new Emitter(publisher);

const cases = {
  "to all": () => io.emit("hello", "world", 1, true, null),
  "to one room": () => io.to("room1").emit("hello"),
  "to an id": () => io.to("abcdefghijklmnopAAAB").emit("hello"),
  "to several rooms": () => io.to(["a", "b"]).except("c").except("d").emit("hello"),
  "except a room": () => io.except("c").emit("hello"),
  "to a numeric room": () => io.to(5).except(6.5).emit("hello"),
  "to a room with an odd name": () => io.to("a#b *?[é]").emit("hello"),
  "to an unnamed room": () => io.to("").emit("hello"),
  "another namespace": () => io.of("/admin").to("room1").emit("hello"),
  volatile: () => io.volatile.emit("hello"),
  uncompressed: () => io.compress(false).emit("hello"),
  compressed: () => io.compress(true).emit("hello"),
  "volatile and uncompressed": () => io.volatile.compress(false).emit("hello"),
  integers: () =>
    io.emit("n", 0, -0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, Number.MAX_SAFE_INTEGER,
      -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, Number.MIN_SAFE_INTEGER),
  "large integers": () => io.emit("n", 2 ** 60, -(2 ** 62)),
  floats: () => io.emit("n", 0.5, -1.25, 1e-9, Math.PI),
  "numbers without JSON": () => io.emit("n", NaN, Infinity, -Infinity),
  strings: () => io.emit("s", "", "é", "日本", "🚀", "\u0000\n\"\\/", "x".repeat(31), "x".repeat(32), "x".repeat(256)),
  containers: () => io.emit("c", [], {}, [[]], { a: { b: [1, { c: null }] } }, Array(15).fill(0), Array(16).fill(0), Array(300).fill(7)),
  "a large object": () => io.emit("c", Object.fromEntries(Array.from({ length: 20 }, (_, i) => ["key" + i, i]))),
  binaries: () => io.emit("b", Buffer.from([1, 2, 3]), { deep: [Buffer.alloc(0), Buffer.alloc(300, 7)] }),
  "a typed array": () => io.emit("b", new Uint8Array([4, 5])),
  dates: () => io.emit("d", new Date(0), new Date(1577836800123), new Date(-1), new Date(32503680000000), new Date(8.64e15)),
  undefined: () => io.emit("u", undefined, { gone: undefined, kept: 1 }, [undefined]),
  "emitter: to all": () => emitter.emit("hello", { from: "afar" }),
  "emitter: to one room": () => emitter.to("room1").emit("hello"),
  "emitter: to several rooms": () => emitter.to(["a", "b"]).except("c").emit("hello"),
  "emitter: namespace and flags": () => emitter.of("/admin").volatile.compress(false).emit("hello", Buffer.from([1])),
};

const hex = (buffer) => Buffer.from(buffer).toString("hex");
const golden = Object.entries(cases).map(([name, make]) => {
  published.length = 0;
  make();
  const [{ channel, payload }] = published;
  const [sender, packet, opts] = notepack.decode(payload);
  const [text, ...attachments] = new Encoder().encode({ ...packet });
  return {
    name, channel, payload: hex(payload),
    sender, namespace: packet.nsp,
    rooms: [...opts.rooms].map(String), except: [...opts.except].map(String),
    volatile: !!opts.flags.volatile, uncompressed: opts.flags.compress === false,
    data: text.slice(text.indexOf("[")), attachments: attachments.map(hex),
  };
});
process.stdout.write("[\n" + golden.map((g) => JSON.stringify(g)).join(",\n") + "\n]\n");
