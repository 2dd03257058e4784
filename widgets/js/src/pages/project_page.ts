import { h } from "../dom.ts";
import { ApiError, type Project } from "./api.ts";
import type { Visit } from "./app.ts";
import { address } from "./base.ts";
import { button } from "./controls.ts";
import { firstSteps } from "./first_steps.ts";
import { manageMembers } from "./members.ts";
import { RunsTable } from "./runs_table.ts";
import { projectSettings } from "./settings.ts";
import { openShareDialog, shareList } from "./sharing.ts";
import { emptyState } from "./states.ts";
import { trashList } from "./trash.ts";

type Tab = "runs" | "members" | "links" | "trash" | "settings";

/** A project's runs. */
export async function runsPage(visit: Visit): Promise<void> {
  const { project, content } = await projectFrame(visit, "runs");
  const { app, life } = visit;
  const table = new RunsTable(
    app,
    project.name,
    {
      mayEdit: project.may.includes("write"),
      empty: () =>
        project.may.includes("write")
          ? emptyState(
              "empty",
              "No runs yet",
              "Two lines make the first one.",
              firstSteps(life, project.name),
            )
          : emptyState("empty", "No runs yet", "They appear here as soon as somebody records one."),
    },
    life,
  );
  content.append(table.element);
  await table.load();
}

/** Who may do what in a project. */
export async function membersPage(visit: Visit): Promise<void> {
  const { project, content } = await projectFrame(visit, "members");
  content.append(await manageMembers(visit, project));
}

/** The links to a project and its runs. */
export async function sharesPage(visit: Visit): Promise<void> {
  const { project, content } = await projectFrame(visit, "links");
  content.append(
    h(
      "p",
      { class: "lead" },
      "Whoever has a link sees what it leads to, without an account, and changes nothing.",
    ),
    await shareList(visit.app, { project: project.name }, visit.life),
  );
}

/** What was deleted from a project, and can be taken back. */
export async function trashPage(visit: Visit): Promise<void> {
  const { project, content } = await projectFrame(visit, "trash");
  content.append(await trashList(visit, project));
}

/** What its owners decide about a project. */
export async function settingsPage(visit: Visit): Promise<void> {
  const { project, content } = await projectFrame(visit, "settings");
  if (!project.may.includes("manage")) throw new ApiError(404, "Only a project's owners see its settings.");
  content.append(projectSettings(visit, project));
}

/** What stands above all pages of a project. */
async function projectFrame(
  { app, main, life, parameters }: Visit,
  tab: Tab,
): Promise<{ project: Project; content: HTMLElement }> {
  const { name } = parameters;
  app.place({ words: "Projects", href: address() }, { words: name });
  const project = await app.api.project(name);
  const may = (right: Project["may"][number]) => project.may.includes(right);
  const tabs: (readonly [Tab, string])[] = [
    ["runs", "Runs"],
    ["members", "Members"],
    ...(may("share") ? [["links", "Share links"] as const] : []),
    ...(may("write") ? [["trash", "Trash"] as const] : []),
    ...(may("manage") ? [["settings", "Settings"] as const] : []),
  ];
  const nav = h(
    "nav",
    { class: "tabs", "aria-label": "Project" },
    ...tabs.map(([key, words]) => {
      const href = key === "runs" ? address("projects", name) : address("projects", name, key);
      return h("a", { href, class: "tab", "aria-current": key === tab && "page" }, words);
    }),
  );
  const share = button("Share", life, () => openShareDialog(app, { project: name }, name, life), {
    icon: "link",
  });
  const content = h("div", { class: `project-${tab}` });
  main.append(
    h("div", { class: "title-line" }, h("h1", { title: name }, name), ...(may("share") ? [share] : [])),
    nav,
    content,
  );
  return { project, content };
}
