// Makes golden.json: packets as socket.io-msgpack-parser writes them, byte for byte.
// To make it again, in this folder, after npm ci in test/integration/js:
//
//	node make-golden.mjs > golden.json
//
// "written" are packets of a server, with their members in the order in which a
// server sets them. "read" are packets of a client; their "data" is what its default
// parser would have sent, where JSON has a form for it at all.
import { createRequire } from "node:module";

const require = createRequire(new URL("../../../../test/integration/js/package.json", import.meta.url));
const { Encoder, PacketType } = require("socket.io-msgpack-parser");

const { CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR } = PacketType;
const encoder = new Encoder();
const text = (length) => "x".repeat(length);
const list = (length) => Array.from({ length }, (_, i) => i);
const object = (length) => Object.fromEntries(list(length).map((i) => ["key" + i, i]));

const written = {
  "CONNECT with a private id": { type: CONNECT, data: { sid: "abcdefghijklmnopqrst", pid: "tsrqponmlkjihgfedcba" }, nsp: "/" },
  "CONNECT": { type: CONNECT, data: { sid: "abcdefghijklmnopqrst" }, nsp: "/chat" },
  "CONNECT_ERROR": { type: CONNECT_ERROR, data: { message: "Invalid namespace" }, nsp: "/no" },
  "CONNECT_ERROR with data": { type: CONNECT_ERROR, data: { message: "no", data: { code: 403 } }, nsp: "/" },
  "DISCONNECT": { type: DISCONNECT, nsp: "/" },
  "event": { type: EVENT, data: ["hello", "world"], nsp: "/" },
  "event with an id": { type: EVENT, data: ["hello", 1], id: 0, nsp: "/" },
  "event with a large id": { type: EVENT, data: ["hello"], id: 2 ** 32, nsp: "/" },
  "event in a namespace": { type: EVENT, data: ["größe", "😀\n\"\\"], nsp: "/größe" },
  "ack": { id: 12, type: ACK, data: ["ok"], nsp: "/" },
  "empty ack": { id: 300, type: ACK, data: [], nsp: "/" },
  "attachments": { type: EVENT, data: ["file", { name: "a", parts: [Buffer.from([1, 2, 3]), Buffer.alloc(0)] }, Buffer.alloc(300, 7)], nsp: "/" },
  "ack with an attachment": { id: 1, type: ACK, data: [Buffer.from("x")], nsp: "/" },
  "scalars": { type: EVENT, data: ["e", null, true, false, 0.5, -0.5, 1e-300, 1e-7, -Math.PI, "", {}, []], nsp: "/" },
  "integers": {
    type: EVENT,
    data: ["e", 0, 1, 127, 128, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1e18, -1, -32, -33, -128, -129, -32768, -32769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53) + 1],
    nsp: "/",
  },
  "texts": { type: EVENT, data: ["e", text(31), text(32), text(255), text(256)], nsp: "/" },
  "lists": { type: EVENT, data: ["e", list(15), list(16)], nsp: "/" },
  "objects": { type: EVENT, data: ["e", object(15), object(16)], nsp: "/" },
  "looks like a placeholder": { type: EVENT, data: ["e", { _placeholder: true, num: 0 }], nsp: "/" },
};

const options = { compress: true };
const read = {
  "CONNECT without auth": { type: CONNECT, data: undefined, nsp: "/" },
  "CONNECT with auth": { type: CONNECT, data: { token: "x" }, nsp: "/chat" },
  "CONNECT to recover": { type: CONNECT, data: { pid: "p", offset: "1-0", token: "x" }, nsp: "/" },
  "DISCONNECT": { type: DISCONNECT, nsp: "/chat" },
  "event": { type: EVENT, data: ["e", 1], options, nsp: "/" },
  "event with an id": { type: EVENT, data: ["e"], options, id: 7, nsp: "/" },
  "id undefined": { type: EVENT, data: ["e"], id: undefined, nsp: "/" },
  "ack": { type: ACK, id: 0, data: [1], nsp: "/" },
  "undefined": { type: EVENT, data: ["e", undefined, [undefined]], nsp: "/" },
  "undefined member": { type: EVENT, data: ["e", { a: undefined, b: 1 }], nsp: "/" },
  "dates": { type: EVENT, data: ["e", new Date(0), new Date(1577836800123), new Date(-1)], nsp: "/" },
  "no numbers": { type: EVENT, data: ["e", NaN, Infinity, -Infinity, -0], nsp: "/" },
  "buffer": { type: EVENT, data: ["e", Buffer.from("abc")], nsp: "/" },
  "array buffers": { type: EVENT, data: ["e", new Uint8Array([1]).buffer, new Uint8Array([2, 3]), new ArrayBuffer(0), new Uint8Array(300)], nsp: "/" },
  "twelve buffers": { type: EVENT, data: ["e", list(12).map((i) => Buffer.from([i]))], nsp: "/" },
  "looks like a placeholder": { type: EVENT, data: ["e", { _placeholder: true, num: 0 }], nsp: "/" },
};

// asDefault puts placeholders in the place of what is binary, as socket.io-parser does.
const asDefault = (value, attachments) => {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    attachments.push(Buffer.from(value.buffer ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : value).toString("hex"));
    return { _placeholder: true, num: attachments.length - 1 };
  }
  if (value instanceof Date) return value.toJSON();
  if (Array.isArray(value)) return value.map((v) => asDefault(v, attachments));
  if (value === undefined) return null; // kept as a member, which JSON.stringify would leave out
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, asDefault(v, attachments)]));
};

const golden = (packets) =>
  Object.entries(packets).map(([name, { type, nsp, id, data }]) => {
    const attachments = [];
    const json = data === undefined ? undefined : JSON.stringify(asDefault(data, attachments));
    return { name, type, nsp, id, data: json, attachments, wire: encoder.encode(packets[name])[0].toString("base64") };
  });

const lines = (entries) => entries.map((e) => JSON.stringify(e)).join(",\n");
console.log(`{"written":[\n${lines(golden(written))}\n],"read":[\n${lines(golden(read))}\n]}`);
