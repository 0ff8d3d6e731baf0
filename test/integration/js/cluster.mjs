// Nodes of cmd/node and pages of a browser, for tests that look at a cluster.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { isDeepStrictEqual } from "node:util";
import { chromium } from "playwright-core";

export const patience = 20_000;

// A browser that runs as root in a container, without a GPU, and finds no host but this one.
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"];

export const launch = (executablePath) => chromium.launch({ executablePath, args: flags });

// startNode runs `node serve` and waits until it says where it serves.
export async function startNode(program, env, ...args) {
  const child = spawn(program, ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "json", ...args],
    { stdio: ["ignore", "inherit", "pipe"], env: { ...process.env, ...env } });
  const log = [];
  const banner = await new Promise((found, failed) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      log.push(line);
      const entry = line.startsWith("{") ? JSON.parse(line) : {};
      if (entry.msg === "serving") found(entry);
    });
    child.once("exit", (code) => failed(new Error(`a node ended with exit code ${code}:\n${log.join("\n")}`)));
  });
  return { child, log, id: banner.node, name: new URL(banner.page).port, url: `http://${banner.address}`, admin: `http://${banner.admin}` };
}

// ended waits for a node's end, which must be a good one.
export async function ended({ child, log }) {
  if (child.exitCode === null) await once(child, "exit");
  assert.equal(child.exitCode, 0, `a node ends with exit code 0:\n${log.join("\n")}`);
}

export async function stopNode(node) {
  if (node.child.exitCode === null) node.child.kill("SIGTERM");
  await ended(node);
}

// open opens a page that may load from 127.0.0.1 alone. What it wanted elsewhere is in
// foreign.
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const foreign = [];
  await context.route(/.*/, (route) => {
    const { hostname, protocol } = new URL(route.request().url());
    if (hostname === "127.0.0.1" || protocol === "data:") return route.continue();
    foreign.push(route.request().url());
    return route.abort();
  });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  const errors = [];
  page.on("pageerror", (err) => errors.push(err.message));
  page.on("console", (m) => m.text().includes("Content Security Policy") && errors.push(m.text()));
  await page.goto(url);
  return { page, foreign, errors };
}

// until asks again until the answer is good.
export async function until(what, good) {
  const end = Date.now() + patience;
  for (;;) {
    const last = await good();
    if (last === true) return;
    assert.ok(Date.now() < end, `${what}: ${JSON.stringify(last)}`);
    await new Promise((next) => setTimeout(next, 50));
  }
}

// shows looks again until it sees what is wanted.
export const shows = (what, want, look) => until(what, async () => {
  const seen = await look();
  return isDeepStrictEqual(seen, want) || seen;
});
