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

/** A run, in the notebook's own panel. */
export function runPage(visit: Visit): Promise<void> {
  return showRun(visit, visit.parameters.id);
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
