// Events, acknowledgements and what they carry.

import assert from "node:assert/strict";
import { ask, askAll, Inbox, next } from "../stage.mjs";

const values = [0, -1.5, "text", true, null, [], {}, { deep: [{ er: [1, [2, [3]]] }] }, ["a", null]];

export async function severalArguments(stage) {
  const socket = await stage.connect(0);
  const inbox = new Inbox(socket);
  assert.deepEqual(await askAll(socket, "echo", ...values), values);
  assert.deepEqual(await askAll(socket, "echo"), []);
  socket.emit("repeat", ...values);
  socket.emit("repeat");
  assert.deepEqual(await inbox.next(), ["repeated", ...values]);
  assert.deepEqual(await inbox.next(), ["repeated"]);
}

export async function acknowledgements(stage) {
  const socket = await stage.connect(1);
  const order = [];
  await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    assert.equal(await ask(socket, "echo", i), i);
    order.push(i);
  }));
  assert.deepEqual(order, order.toSorted((a, b) => a - b), "acknowledgements come in the order of the events");

  socket.on("question", (...args) => args.pop()("the answer to", ...args));
  assert.deepEqual(await askAll(socket, "ask", ...values), ["the answer to", ...values]);
  assert.deepEqual(await askAll(socket, "ask"), ["the answer to"]);
  const refusal = await socket.emitWithAck("fail");
  assert.deepEqual(refusal, { error: { message: "as you wish", data: { code: 42 } } });
}

const large = Buffer.alloc(200_000, 0).map((_, i) => i * 7 + (i >> 8));

// bytes makes what arrives comparable: the client may give any view of bytes.
function bytes(value) {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `bytes:${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return value.map(bytes);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, bytes(v)]));
  return value;
}

const binaries = {
  one: [Buffer.from([0, 1, 254, 255])],
  empty: [Buffer.alloc(0)],
  several: [Buffer.from("a"), "between", Buffer.alloc(0), Buffer.from("c")],
  nested: [{ file: { name: "x", parts: [Buffer.from("one"), { two: Buffer.from("two") }] }, none: [] }],
  views: [new Uint8Array([1, 2, 3]), new Uint8Array([9, 8, 7, 6]).subarray(1, 3)],
  large: [large, { again: large }],
  lookalike: [{ _placeholder: "false", num: 0 }, Buffer.from("real")],
  ten: Array.from({ length: 10 }, (_, i) => Buffer.alloc(i, i)),
};

export async function binary(stage) {
  const [socket, ...others] = await stage.everywhere();
  const inboxes = others.map((other) => new Inbox(other));
  socket.on("question", (...args) => args.pop()(...args));
  for (const [name, args] of Object.entries(binaries)) {
    if (name === "views" && stage.parser) continue; // the official MessagePack client sends more than the view
    assert.deepEqual(bytes(await askAll(socket, "echo", ...args)), bytes(args), `${name}: acknowledgement`);
    assert.deepEqual(bytes(await askAll(socket, "ask", ...args)), bytes(args), `${name}: acknowledgement of the client`);
    const repeated = next(socket, "repeated");
    socket.emit("repeat", ...args);
    assert.deepEqual(bytes(await repeated), bytes(args), `${name}: event`);
    await ask(socket, "broadcast", { others: true }, name, ...args);
    for (const inbox of inboxes) {
      assert.deepEqual(bytes(await inbox.next(name)), [name, ...bytes(args)], `${name}: broadcast`);
    }
  }
}

export async function unicode(stage) {
  const [socket, other] = await stage.everywhere();
  const texts = [
    "😀👩‍👩‍👧‍👦🏳️‍🌈", "e\u0301 vs \u00e9", "مرحبا שלום", "\u2028\u2029\ufeff\ufffd\uffff", "\u0000\u0001\u001e\u007f\u0080",
    "\"\\/\b\f\n\r\t", "𝒳\u{10ffff}", "0,1[2{3", "日本語".repeat(5_000),
  ];
  assert.deepEqual(await askAll(socket, "echo", ...texts), texts);
  const keys = Object.fromEntries(texts.map((text, i) => [text, i]));
  assert.deepEqual(await ask(socket, "echo", keys), keys);

  const inbox = new Inbox(other);
  for (const text of texts) {
    await ask(socket, "broadcast", { others: true }, text, text, Buffer.from(text));
    const [name, same, raw] = await inbox.next(text);
    assert.deepEqual([name, same, raw.toString()], [text, text, text]);
  }
}

// JavaScript texts may hold halves of characters, which no UTF-8 can. They must neither end the connection
// nor damage what is around them.
export async function loneSurrogates(stage) {
  const [socket, other] = await stage.everywhere();
  const inbox = new Inbox(other);
  const halves = ["\ud83d", "\ude00", "a\ud83db", "\ude00\ud83d", "😀\ud83d😀"];
  const whole = (text) => text.toWellFormed?.() ?? text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
  for (const half of halves) {
    const got = await ask(socket, "echo", half);
    assert.equal(whole(got), whole(half));
    await ask(socket, "broadcast", { others: true }, "half", half, "whole");
    const [, text, rest] = await inbox.next();
    assert.equal(whole(text), whole(half));
    assert.equal(rest, "whole");
  }
}

// Several events of one moment exceed maxPayload together, so that a polling client has to split them, and one
// fills it exactly.
export async function largePayload(stage) {
  const socket = await stage.connect(2);
  const maxPayload = socket.io.engine._maxPayload; // what the server has announced
  assert.equal(maxPayload, 1_000_000);
  const texts = Array.from({ length: 7 }, (_, i) => String(i).repeat(maxPayload * 0.4));
  const answers = await Promise.all(texts.map((text) => ask(socket, "echo", text)));
  assert.ok(answers.every((answer, i) => answer === texts[i]), "each echo is what was sent");

  const envelope = '42["size",""]'.length;
  const sizes = new Inbox(socket);
  const exact = maxPayload - envelope;
  socket.emit("size", "x".repeat(exact));
  assert.deepEqual(await sizes.next(), ["size", exact]);

  const closed = next(socket, "disconnect");
  socket.emit("size", "x".repeat(exact + 1));
  const [reason] = await closed;
  assert.match(reason, /^transport (close|error)$/, "one byte more ends the connection");
}
