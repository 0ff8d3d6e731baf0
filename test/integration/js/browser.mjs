// Opens the demo's page on several nodes and checks what a person would see there.
//
//   node browser.mjs BROWSER PROGRAM PICTURES
//
// BROWSER is a Chromium, PROGRAM the built cmd/node, PICTURES a folder for screenshots.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [browserPath, program, pictures] = process.argv.slice(2);
const patience = 15_000;
// A browser that runs as root in a container, without a GPU, and leaves the network alone.
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

// freePort finds the first of four neighbouring ports that are free: the balancer's and three nodes'. They are below those
// that the system gives to outgoing connections, of which none must take the port of a node that is about to start again.
async function freePort() {
  for (;;) {
    const servers = [];
    const first = randomInt(12_000, 30_000);
    try {
      for (let port = first; port < first + 4; port++) {
        const server = createServer().listen(port, "127.0.0.1");
        await once(server, "listening");
        servers.push(server);
      }
      return first;
    } catch (err) {
      if (err.code !== "EADDRINUSE") throw err;
    } finally {
      await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
    }
  }
}

async function startDemo(port) {
  const demo = spawn(program, ["demo", "--listen", `127.0.0.1:${port}`], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  for await (const chunk of demo.stdout) {
    said += chunk;
    if (said.includes("Ctrl-C")) break;
  }
  assert.match(said, new RegExp(`node-3 +http://127.0.0.1:${port + 3}/`), "the demo names its pages");
  return demo;
}

async function stopDemo(demo) {
  demo.kill("SIGTERM");
  const [code] = demo.exitCode === null ? await once(demo, "exit") : [demo.exitCode];
  assert.equal(code, 0, "the demo ends with exit code 0");
}

async function open(browser, port, name, options = {}, room = "lobby") {
  const context = await browser.newContext({ viewport: { width: 1100, height: 680 }, ...options });
  await context.addInitScript((n) => sessionStorage.setItem("name", n), name);
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  page.on("pageerror", (err) => assert.fail(`${name}'s page: ${err.message}`));
  page.on("console", (m) => m.text().includes("Content Security Policy") && assert.fail(`${name}'s page: ${m.text()}`));
  await page.goto(`http://127.0.0.1:${port}/#${room}`);
  await page.waitForSelector('[data-state="connected"]');
  return page;
}

// sees waits until somebody is shown on the card of a node.
const sees = (page, node, name) => page.locator(".node", { hasText: node }).locator(".people li", { hasText: name }).waitFor();

async function say(page, text) {
  await page.fill("#text", text);
  await page.press("#text", "Enter");
}

// hears waits until a message is shown, with the node that it came from.
const hears = (page, text, node) => page.locator(".message", { hasText: text }).locator(".badge", { hasText: node }).waitFor();

// sums waits until a page says how many people are where.
const sums = (page, text) => page.locator("#summary", { hasText: text }).waitFor();

const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

const picture = (page, name) => page.screenshot({ path: join(pictures, name), animations: "disabled" });

// forgetsSilentNodes tries the page's own bookkeeping with a clock of ours.
async function forgetsSilentNodes(page) {
  const result = await page.evaluate(async () => {
    const { Presence } = await import("/assets/presence.js");
    const presence = new Presence();
    const hear = (node, now) => presence.hear({ node, members: [{ id: node, name: node }] }, now);
    hear("here", 0);
    hear("lively", 0);
    hear("dead", 0);
    hear("lively", 10_000);
    return { early: presence.forgetSilent("here", 15_000), late: presence.forgetSilent("here", 17_000), left: presence.nodes() };
  });
  assert.deepEqual(result, { early: [], late: ["dead"], left: ["here", "lively"] });
}

// portrait shows two pages side by side in one picture.
async function portrait(browser, pages) {
  const shots = await Promise.all(pages.map((page) => page.screenshot({ animations: "disabled" })));
  const canvas = await browser.newPage({ viewport: { width: 1240, height: 680 } });
  await canvas.setContent(`<style>
    body { margin: 0; padding: 20px; display: flex; gap: 20px; background: #cfd3e3 }
    img { width: 590px; height: 640px; border-radius: 12px; box-shadow: 0 6px 24px #0003 }
  </style>${shots.map((shot) => `<img src="data:image/png;base64,${shot.toString("base64")}">`).join("")}`);
  await canvas.screenshot({ path: join(pictures, "demo.png") });
  await canvas.close();
}

// nodeOf waits until a page shows its own person on a card, and returns that card's node.
function nodeOf(page) {
  return page.locator(".node.current", { has: page.locator(".people li", { hasText: "(you)" }) }).getAttribute("data-node");
}

// chatsThroughTheBalancer opens one address in two tabs, which are then on two nodes.
async function chatsThroughTheBalancer(browser, port) {
  const tab = { viewport: { width: 590, height: 640 } };
  const ada = await open(browser, port, "Ada", tab, "hallway");
  const first = await nodeOf(ada);
  const grace = await open(browser, port, "Grace", { ...tab, colorScheme: "dark" }, "hallway");
  const second = await nodeOf(grace);
  assert.notEqual(first, second, "two tabs are on two nodes");
  await sees(ada, second, "Grace");
  await sees(grace, first, "Ada");
  await say(ada, `Hello from ${first}! Who else is here?`);
  await hears(grace, `Hello from ${first}!`, first);
  await say(grace, `Me, on ${second}. Redis brought me your words.`);
  await hears(ada, `Me, on ${second}.`, second);
  await hears(grace, `Me, on ${second}.`, second);
  await portrait(browser, [ada, grace]);
  await Promise.all([ada, grace].map((page) => page.context().close()));
}

const front = await freePort();
const port = front + 1; // of the first node
let demo = await startDemo(front);
const browser = await chromium.launch({ executablePath: browserPath, args: flags });
try {
  await chatsThroughTheBalancer(browser, front);

  const tab = { viewport: { width: 590, height: 640 } };
  const ada = await open(browser, port, "Ada", tab);
  await picture(ada, "alone.png");
  const grace = await open(browser, port + 1, "Grace", { ...tab, colorScheme: "dark" });

  await sees(ada, "node-2", "Grace");
  await sees(grace, "node-1", "Ada");
  await ada.locator(".notice", { hasText: "Grace joined on node-2" }).waitFor();
  await sums(ada, /^2 people on 2 nodes$/);

  await say(ada, "Hello from node-1! Who else is here?");
  await hears(grace, "Hello from node-1!", "node-1");
  await say(grace, "Me, on node-2. Redis brought me your words.");
  await hears(ada, "Me, on node-2.", "node-2");
  await hears(grace, "Me, on node-2.", "node-2");
  await ada.locator("#transport", { hasText: "websocket" }).waitFor({ state: "attached" });

  const linus = await open(browser, port + 2, "Linus", { viewport: { width: 390, height: 780 } });
  for (const page of [ada, grace, linus]) {
    await sees(page, "node-1", "Ada");
    await sees(page, "node-2", "Grace");
    await sees(page, "node-3", "Linus");
  }
  await say(linus, "Room for one more on node-3?");
  await hears(ada, "Room for one more", "node-3");
  await say(ada, "Always.");
  await hears(linus, "Always.", "node-1");
  await hears(grace, "Always.", "node-1");
  for (const page of [ada, linus]) assert.equal(await overflow(page), 0, "nothing is wider than the screen");
  await picture(linus, "phone.png");

  await say(linus, "<b>markup</b> is text");
  await hears(ada, "<b>markup</b> is text", "node-3");
  await forgetsSilentNodes(ada);

  await grace.fill("#room", "kitchen");
  await grace.press("#room", "Enter");
  await ada.locator(".notice", { hasText: "Grace left node-2" }).waitFor();
  await linus.context().close();
  await ada.locator(".notice", { hasText: "Linus left node-3" }).waitFor();
  await sums(ada, /^1 person on 1 node$/);

  await stopDemo(demo);
  await ada.waitForSelector('[data-state="lost"]');
  await ada.locator(".lost").waitFor();
  assert.ok(await ada.isDisabled("#text"), "nothing can be sent while the connection is lost");
  await picture(ada, "lost.png");
  demo = await startDemo(front);
  await ada.waitForSelector('[data-state="connected"]');
  await say(ada, "Back again.");
  await hears(ada, "Back again.", "node-1"); // the cards before that may be those of the time before
  await sees(ada, "node-1", "Ada");
  assert.equal(await ada.locator(".node").count(), 3, "a node that was started again is the same card");

  await ada.setViewportSize({ width: 1100, height: 680 });
  await picture(ada, "desktop.png");
} finally {
  await browser.close();
  await stopDemo(demo);
}
