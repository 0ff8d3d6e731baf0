// Opens the cluster page of three nodes and does what an operator would.
//
//   node admin.mjs BROWSER PROGRAM PICTURES REDIS
//
// BROWSER is a Chromium, PROGRAM the built cmd/node, PICTURES a folder for screenshots,
// REDIS the URL of a Redis of its own.

import assert from "node:assert/strict";
import { join } from "node:path";
import { io } from "socket.io-client";
import { ended, launch, open, shows, startNode, stopNode, until } from "./cluster.mjs";

const [browserPath, program, pictures, redis] = process.argv.slice(2);
const token = "the operator's own token";
const env = { ROOMCAST_REDIS: redis, ROOMCAST_ADMIN_TOKEN: token };

async function enter(node, name, room) {
  const socket = io(node.url, { transports: ["websocket"] });
  await new Promise((done, failed) => socket.once("connect", done).once("connect_error", failed));
  const answer = await socket.emitWithAck("join", { room, name });
  assert.equal(answer.room, room, JSON.stringify(answer));
  return socket;
}

const picture = (page, name) => page.screenshot({ path: join(pictures, name), animations: "disabled", fullPage: true });
const row = (page, table, text) => page.locator(`#${table} tr`, { hasText: text });

const nodes = await Promise.all([1, 2, 3].map(() => startNode(program, env)));
const browser = await launch(browserPath);
const people = [];
try {
  for (const [i, name] of ["Ada", "Grace", "Linus", "Barbara", "Edsger", "Frances", "Alan"].entries()) {
    people.push(await enter(nodes[i % 3], name, i < 5 ? "lobby" : "kitchen"));
  }
  const { page, foreign, errors } = await open(browser, nodes[0].admin);
  await page.waitForSelector('[data-state="live"]');

  // All nodes, all sockets, all rooms, on the page of one.
  for (const node of nodes) await row(page, "nodes", `:${node.name}`).waitFor();
  const tile = (label) => page.locator(".tile", { has: page.locator("span", { hasText: new RegExp(`^${label}`) }) }).locator("b").textContent();
  const lobby = row(page, "rooms", "chat:lobby");
  await shows("all nodes, sockets and rooms", { nodes: ["3", 3], sockets: ["7", 7], bus: "up", lobby: ["chat:lobby", "/", "5", "3"] }, async () => ({
    nodes: [await tile("nodes"), await page.locator("#nodes tr").count()],
    sockets: [await tile("sockets"), await page.locator("#sockets tr").count()],
    bus: await tile("bus"),
    lobby: (await lobby.locator("td").allTextContents()).slice(0, 4),
  }));
  for (const person of people) await row(page, "sockets", person.id).waitFor();

  // Events make a rate.
  const talk = setInterval(() => people[0].emit("message", { text: "is anybody there?" }), 100);
  await until("events are counted", async () => {
    const [into, out] = [await tile("events in"), await tile("events out")].map(parseFloat);
    return (into > 1 && out > into) || { into, out };
  });

  // Reading only: nothing can be done, and the node does not do it either.
  assert.equal(await page.locator("td button:visible", { hasText: /Disconnect|Drain|Message/ }).count(), 0, "no action is offered without the credential");
  const refused = await fetch(`${nodes[0].admin}/actions`, { method: "POST", body: JSON.stringify({ kind: "drain", node: nodes[0].id }) });
  assert.equal(refused.status, 401);
  assert.ok(!(await page.textContent("#sockets")).includes("127.0.0.1"), "no address is shown without the credential");
  await picture(page, "admin-readonly.png");

  await page.click("#lock");
  await page.fill("#token", "a guess");
  await page.click("#unlock .primary");
  await page.locator("#unlockerror", { hasText: "not the credential" }).waitFor();
  await picture(page, "admin-unlock.png");
  await page.fill("#token", token);
  await page.click("#unlock .primary");
  await page.waitForSelector('[data-access="full"]');
  await row(page, "sockets", "127.0.0.1").first().waitFor();

  // A message to a room reaches its people on all nodes.
  const heard = Promise.all(people.slice(0, 5).map((person) => new Promise((done) => person.once("notice", done))));
  await lobby.locator("button", { hasText: "Message" }).click();
  await page.fill("#event", "notice");
  await page.fill("#args", "[");
  await page.click("#message .primary");
  await page.locator("#messageerror", { hasText: "no JSON" }).waitFor();
  await page.fill("#args", '["We close at ten."]');
  await page.click("#message .primary");
  await page.locator("#toast", { hasText: "Sent to" }).waitFor(); // it stays for some seconds only
  assert.deepEqual(await heard, Array(5).fill("We close at ten."));

  await until("there is a line to look at", async () => {
    const drawn = await page.locator("#chart polyline.out").getAttribute("points");
    return drawn.split(" ").length > 4 || drawn;
  });
  await page.locator("#toast:empty").waitFor({ state: "attached" });
  await picture(page, "admin.png");

  // A reload keeps the credential.
  await page.reload();
  await page.waitForSelector('[data-access="full"]');

  // A client of another node is disconnected; it is found by its room.
  const gone = new Promise((done) => people[4].once("disconnect", done));
  await page.fill("#room", people[4].id);
  await page.click("#filter button");
  await shows("one socket is found", 1, () => page.locator("#sockets tr").count());
  await row(page, "sockets", people[4].id).locator("button").click();
  await picture(page, "admin-confirm.png");
  await page.click("#yes");
  assert.equal(await gone, "io server disconnect");
  await page.locator("#closed li", { hasText: /server|close/ }).first().waitFor();
  await page.fill("#room", "");
  await page.click("#filter button");

  // In the dark, and on a phone.
  const phone = await open(browser, nodes[1].admin, { viewport: { width: 390, height: 780 }, colorScheme: "dark" });
  await phone.page.waitForSelector('[data-state="live"]');
  await picture(phone.page, "admin-phone.png");
  assert.equal(await phone.page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, "nothing is wider than the screen");

  // A node is drained: it ends well, and the page tells.
  await row(page, "nodes", `:${nodes[2].name}`).locator("button").click();
  await page.click("#yes");
  await ended(nodes[2]);
  await until("two nodes are left", async () => {
    const text = await page.textContent("#nodes");
    return !text.includes(`:${nodes[2].name}`) || text;
  });
  clearInterval(talk);

  // The node that was asked goes: the page says so.
  await stopNode(nodes[0]);
  await page.waitForSelector('[data-state="lost"]');
  assert.deepEqual([...foreign, ...phone.foreign], [], "the page asks no other host");
  assert.deepEqual([...errors, ...phone.errors], [], "the page has no errors");
} finally {
  people.forEach((person) => person.disconnect());
  await browser.close();
  await Promise.all(nodes.map(stopNode));
}
