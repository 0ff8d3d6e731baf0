// Opens the official admin UI (@socket.io/admin-ui, ui/dist), logs in at one of three nodes
// and looks at what it shows of the cluster.
//
//   node adminui.mjs BROWSER PROGRAM PICTURES REDIS
//
// BROWSER is a Chromium, PROGRAM the built cmd/node, PICTURES a folder for screenshots,
// REDIS the URL of a Redis of its own.

import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join, normalize, sep } from "node:path";
import { io } from "socket.io-client";
import { launch, open, startNode, stopNode, until } from "./cluster.mjs";

const [browserPath, program, pictures, redis] = process.argv.slice(2);
const username = "operator";
const password = "the operator's own password";

// serve serves the files of a folder.
async function serve(folder) {
  const types = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png" };
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const file = normalize(join(folder, path === "/" ? "index.html" : path));
    try {
      assert.ok(file.startsWith(folder + sep));
      const content = await readFile(file);
      response.setHeader("Content-Type", types[extname(file)] ?? "application/octet-stream");
      response.end(content);
    } catch {
      response.statusCode = 404;
      response.end();
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server;
}

async function connect(url, path = "") {
  const socket = io(url + path, { transports: ["websocket"], reconnection: false, forceNew: true });
  const refusal = await new Promise((done) => socket.once("connect", () => done("")).once("connect_error", (err) => done(err.message)));
  return { socket, refusal };
}

const picture = (page, name) => page.screenshot({ path: join(pictures, name), animations: "disabled", fullPage: true });
const rows = (page) => page.locator(".v-data-table tbody tr");
const texts = async (page) => (await rows(page).allTextContents()).map((text) => text.replace(/\s+/g, " ").trim());

const require = createRequire(import.meta.url);
const web = await serve(join(dirname(require.resolve("@socket.io/admin-ui/package.json")), "ui", "dist"));
const site = `http://127.0.0.1:${web.address().port}`;
const env = {
  ROOMCAST_REDIS: redis, ROOMCAST_ADMIN_UI_USERNAME: username, ROOMCAST_ADMIN_UI_PASSWORD: password, ROOMCAST_ADMIN_UI_DEVELOPMENT: "true",
  ROOMCAST_CORS_ORIGIN: site, ROOMCAST_CORS_CREDENTIALS: "true",
};
const nodes = await Promise.all([1, 2, 3].map(() => startNode(program, env)));
const without = await startNode(program, {});
const browser = await launch(browserPath);
const people = [];
try {
  // The namespace is there only where it is switched on, and for nobody without the credentials.
  assert.equal((await connect(without.url, "/admin")).refusal, "Invalid namespace");
  assert.equal((await connect(nodes[0].url, "/admin")).refusal, "invalid credentials");

  for (const [i, name] of ["Ada", "Grace", "Linus", "Barbara", "Edsger", "Frances"].entries()) {
    const { socket } = await connect(nodes[i % 3].url);
    await socket.emitWithAck("join", { room: "lobby", name });
    people.push(socket);
  }

  const { page, foreign, errors } = await open(browser, site);
  const field = (label) => page.getByLabel(label, { exact: true });
  await field("Server URL").fill(nodes[0].url);
  await field("Username").fill(username);
  await field("Password").fill("a guess");
  await page.click('button[type="submit"]');
  await page.getByText("Invalid credentials").waitFor();
  await field("Password").fill(password);
  await page.click('button[type="submit"]');
  await page.locator(".v-dialog--active").waitFor({ state: "detached" });

  // The dashboard counts.
  const count = (title) => page.locator(".v-card", { hasText: title }).locator("h2").first().textContent();
  await until("three servers are healthy", async () => {
    const healthy = (await count("Servers")).trim();
    return healthy === "3" || healthy;
  });
  await until("all clients are counted", async () => {
    const text = (await page.locator(".v-card", { hasText: "Clients" }).first().textContent()).replace(/\s+/g, " ");
    return text.includes("WebSocket7 ") || text; // the page itself is one
  });

  await page.goto(`${site}/#/servers/`);
  await until("the page lists three nodes", async () => {
    const list = await texts(page);
    return (list.length === 3 && nodes.every((n) => list.some((text) => text.includes(n.child.pid)))) || list;
  });
  await picture(page, "adminui-servers.png");

  // The sockets of all nodes, and those of a client that comes later.
  await page.goto(`${site}/#/sockets/`);
  const listed = async () => {
    const list = await texts(page);
    return (list.length === people.length && people.every((p) => list.some((text) => text.includes(p.id)))) || list;
  };
  await until("the page lists all sockets", listed);
  people.push((await connect(nodes[1].url)).socket);
  await until("the page lists a socket that has come", listed);
  await picture(page, "adminui-sockets.png");

  await page.goto(`${site}/#/rooms/`);
  await until("the page lists a room with its sockets", async () => {
    const list = await texts(page);
    return list.some((text) => /chat:lobby.* 6\b/.test(text)) || list;
  });
  await page.goto(`${site}/#/events/`);
  people[2].emit("message", { text: "is anybody there?" });
  await rows(page).filter({ hasText: people[2].id }).filter({ hasText: "Event name: message" }).locator("button").last().click(); // the newest come first, and it was received before it was sent
  await rows(page).filter({ hasText: "is anybody there?" }).waitFor();
  await picture(page, "adminui-events.png");

  // A session makes the password unnecessary, on another node too.
  await page.evaluate((url) => localStorage.setItem("server_url", url), nodes[2].url);
  await page.goto(`${site}/#/sockets/`);
  await page.reload();
  await until("the page is logged in again", listed);

  // A client of another node is disconnected.
  const gone = once(people[0], "disconnect");
  await rows(page).filter({ hasText: people[0].id }).locator("button").click();
  assert.equal((await gone)[0], "io server disconnect");
  people.shift();
  await page.goto(`${site}/#/sockets/`); // the click has opened the row, too
  await until("the page has lost its row", listed);
  await page.goto(`${site}/#/`);
  await page.getByText("Bytes received and sent").waitFor();
  await picture(page, "adminui-dashboard.png");

  assert.deepEqual(errors, [], "the page has no errors");
  const hosts = new Set(foreign.map((url) => new URL(url).hostname));
  console.log("blocked:", [...hosts].join(" ")); // its fonts and icons: the page works without
} finally {
  people.forEach((person) => person.disconnect());
  await browser.close();
  web.close();
  await Promise.all([...nodes, without].map(stopNode));
}
