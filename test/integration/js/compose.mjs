// Two people in the chat of a cluster that somebody else has started, each on another node.
//
//   node compose.mjs BROWSER URL NODE PICTURES
//
// Ada is on NODE, Grace on another one. When both see each other, and have spoken, a line says {ready}. Each line of the
// standard input is a command, answered with a line:
//
//   talk N    Grace says the next N numbered things, one after the other; says {}
//   end       Grace says one thing more, both have heard everything in order and once, Ada is on another node and
//             speaks; pictures are taken. Says {heard, node}

import assert from "node:assert/strict";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [, , browserPath, url, doomed, pictures] = process.argv;
const patience = 60_000;
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];

const browser = await chromium.launch({ executablePath: browserPath, args: flags });

async function open(name, wanted) {
  for (let tries = 0; tries < 20; tries++) {
    const context = await browser.newContext({ viewport: { width: 620, height: 700 } });
    await context.addInitScript((n) => sessionStorage.setItem("name", n), name);
    const page = await context.newPage();
    page.setDefaultTimeout(patience);
    page.on("pageerror", (err) => assert.fail(`${name}'s page: ${err.message}`));
    await page.goto(url);
    await page.waitForSelector('[data-state="connected"]');
    await page.locator(".people li", { hasText: `${name} (you)` }).waitFor();
    if (wanted(await nodeOf(page))) return page;
    await context.close();
  }
  return assert.fail(`${name} does not come to the node that is wanted`);
}

const nodeOf = (page) => page.locator(".node.current").getAttribute("data-node");

// say does what a person does: who sees her connection go before her words are shown waits until it is back, and
// says them again if they are still not shown. Anybody's WebSocket may have come by way of the node that is killed.
async function say(page, text) {
  for (;;) {
    await page.waitForSelector('[data-state="connected"]');
    await page.fill("#text", text);
    await page.press("#text", "Enter");
    const lost = page.waitForSelector('[data-state="lost"]').then(() => true, () => true);
    if (!(await Promise.race([shown(page, text).then(() => false), lost]))) return;
    await page.waitForSelector('[data-state="connected"]');
    if (await shown(page, text, 2_000).then(() => true, () => false)) return;
  }
}

const shown = (page, text, timeout = patience) => page.locator(`.bubble:text-is(${JSON.stringify(text)})`).waitFor({ timeout });

// numbered lists what a page has heard of Grace's numbered things.
const numbered = (page) => page.locator(".bubble").evaluateAll((all) => all.map((e) => e.textContent).filter((text) => /^thing \d+$/.test(text)));

const picture = (page, name) => page.screenshot({ path: join(pictures, name), animations: "disabled" });

const ada = await open("Ada", (node) => node === doomed);
const grace = await open("Grace", (node) => node !== doomed);
await ada.locator(".people li", { hasText: "Grace" }).waitFor();
await grace.locator(".people li", { hasText: "Ada" }).waitFor();
await say(ada, "Hello, I am on a node that will be killed.");
await shown(grace, "Hello, I am on a node that will be killed.");
await say(grace, "I shall tell you what you miss.");
await shown(ada, "I shall tell you what you miss.");

let said = 0;

const commands = {
  async talk(count) {
    for (const last = said + Number(count); said < last; said++) await say(grace, `thing ${said}`);
    return {};
  },

  async end() {
    await ada.waitForSelector('[data-state="connected"]');
    await say(grace, "That was all.");
    for (const page of [ada, grace]) await shown(page, "That was all.");
    const all = Array.from({ length: said }, (_, n) => `thing ${n}`);
    for (const page of [grace, ada]) assert.deepEqual(await numbered(page), all, "everything is heard, once and in order");
    const node = await nodeOf(ada);
    assert.notEqual(node, doomed, "Ada is on another node");
    await say(ada, "I have missed nothing.");
    await shown(grace, "I have missed nothing.");
    await picture(ada, "ada.png");
    await picture(grace, "grace.png");
    return { heard: said, node };
  },
};

console.log(JSON.stringify({ ready: true }));
try {
  for await (const line of createInterface({ input: process.stdin })) {
    const [name, ...args] = line.split(" ");
    console.log(JSON.stringify(await commands[name](...args)));
  }
} catch (err) {
  await picture(ada, "ada.png");
  await picture(grace, "grace.png");
  console.log(JSON.stringify({ error: String(err?.message ?? err) }));
} finally {
  await browser.close();
}
process.exit(0);
