import { h } from "../dom.ts";
import { showPanel } from "../panel.ts";
import { holdFeed } from "../registry.ts";
import { ApiError, type Right } from "./api.ts";
import type { Visit } from "./app.ts";
import { ConsolePage } from "./console_page.ts";
import { FilesPage } from "./files_page.ts";
import { follow } from "./live.ts";
import { MessageReader } from "./messages.ts";
import { RunHead } from "./run_head.ts";
import { emptyState } from "./states.ts";

/** How long to look again for a run that is not there, and how often: its recorder shows the link before it has brought the run. */
const ARRIVAL_MS = 180_000;
const FIRST_LOOK_MS = 1_000;
const LAST_LOOK_MS = 10_000;

/** A run, in the notebook's own panel. */
export async function runPage(visit: Visit): Promise<void> {
  const { id } = visit.parameters;
  try {
    await showRun(visit, id);
  } catch (error) {
    if (!isMissing(error)) throw error;
    void awaitRun(visit, id);
  }
}

/** Say that a run is not there, and show it as soon as it is. */
async function awaitRun(visit: Visit, id: string): Promise<void> {
  const { app, main, life } = visit;
  const headline = "This run is not here yet";
  const why =
    "If it has just begun it is on its way, and appears here by itself. Else it was deleted, or is not shared with you.";
  main.replaceChildren(h("div", { role: "status" }, emptyState("search", headline, why)));
  const until = performance.now() + ARRIVAL_MS;
  for (let rest = FIRST_LOOK_MS; performance.now() < until; rest = Math.min(1.5 * rest, LAST_LOOK_MS)) {
    await new Promise((resolve) => setTimeout(resolve, rest));
    if (life.aborted) return;
    try {
      await app.api.run(id);
      await app.render();
      return;
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        app.lost(error, main, life);
        return;
      }
    }
  }
  app.lost(new ApiError(404, ""), main, life);
}

function isMissing(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

export async function showRun(visit: Visit, id: string): Promise<void> {
  const { app, main, life } = visit;
  const run = await app.api.run(id);
  const may = app.isShare ? [] : await rights(visit, run.project);
  life.throwIfAborted();
  main.classList.add("run-page");
  const head = new RunHead(visit, run, may);
  const place = h("div", { class: "panel-place" });
  const lost = h("p", { class: "lost", role: "status", hidden: true }, "Connecting again…");
  main.append(head.element, place, lost);
  const feed = holdFeed(`run:${id}`, life);
  const { name, project, state, created, ended } = run;
  feed.describe({ id, name, project, state, created, ended }, true);
  const files = new FilesPage(app.api, id, feed, life);
  const console = new ConsolePage(app.api, id, feed, life);
  const options = { height: null, tensorboard: false, css: null, more: [console, files] };
  showPanel(place, feed, options, life);
  feed.factsChanged.listen(life, () => head.refresh(feed.run));
  follow(
    app.api,
    {
      request: () => ({ path: `/runs/${encodeURIComponent(id)}/frames` }),
      onOpen: () => {
        const reader = new MessageReader((header, buffers) => feed.receive(header, buffers));
        return (piece) => reader.push(piece);
      },
      onState: (connected) => {
        lost.hidden = connected;
      },
      onRefused: (error) => app.lost(error, main, life),
    },
    life,
  );
}

async function rights({ app }: Visit, project: string): Promise<readonly Right[]> {
  try {
    return (await app.api.project(project)).may;
  } catch (error) {
    if (error instanceof ApiError && [403, 404].includes(error.status)) return [];
    throw error;
  }
}
