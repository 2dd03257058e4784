import { h } from "../dom.ts";
import type { Visit } from "./app.ts";
import { showRun } from "./run_page.ts";
import { RunsTable } from "./runs_table.ts";
import { emptyState } from "./states.ts";

/** What a share link leads to: a run, or a project's runs. */
export async function sharedPage(visit: Visit): Promise<void> {
  const { app, main, life } = visit;
  const { run, project = "" } = app.session.share ?? {};
  if (run) {
    await showRun(visit, run);
    return;
  }
  app.place({ words: project });
  const table = new RunsTable(
    app,
    project,
    { mayEdit: false, empty: () => emptyState("empty", "No runs yet", "They appear here when they begin.") },
    life,
  );
  main.append(h("div", { class: "title-line" }, h("h1", {}, project)), table.element);
  await table.load();
}
