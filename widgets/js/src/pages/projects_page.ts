import { atEnd, h } from "../dom.ts";
import { countOf, formatAgo, formatCount, formatDay } from "../format.ts";
import type { Project } from "./api.ts";
import type { App, Visit } from "./app.ts";
import { address } from "./base.ts";
import { button, choice, field, onSubmit, textInput } from "./controls.ts";
import { openDialog } from "./dialog.ts";
import { firstSteps } from "./first_steps.ts";
import { emptyState } from "./states.ts";

/** Milliseconds between two looks at the list. */
const LOOK_MS = 5000;

/** Every project that one may see. */
export async function projectsPage({ app, main, life }: Visit): Promise<void> {
  app.place();
  const guest = app.session.user?.standing === "guest";
  const make = button("New project", life, () => newProject(app, life), { icon: "add" });
  main.append(h("div", { class: "title-line" }, h("h1", {}, "Projects"), ...(guest ? [] : [make])));
  const place = h("div", {});
  main.append(place);
  let shown = "";
  const refresh = async () => {
    const projects = await app.api.projects();
    if (JSON.stringify(projects) === shown) return;
    shown = JSON.stringify(projects);
    place.replaceChildren(projects.length ? cards(projects) : none(guest, life));
  };
  await refresh();
  const look = setInterval(() => {
    // What could not be read this time is read the next.
    if (!document.hidden) refresh().catch(() => {});
  }, LOOK_MS);
  atEnd(life, () => clearInterval(look));
}

function none(guest: boolean, life: AbortSignal): HTMLElement {
  return guest
    ? emptyState("empty", "No projects yet", "The owner of a project can add you to it.")
    : emptyState("empty", "No projects yet", "A project is made with its first run.", firstSteps(life));
}

function cards(projects: readonly Project[]): HTMLElement {
  const newest = [...projects].sort((a, b) => (b.latest ?? b.created ?? 0) - (a.latest ?? a.created ?? 0));
  return h("ul", { class: "projects" }, ...newest.map(projectCard));
}

function projectCard({ name, runs, latest, visibility }: Project): HTMLElement {
  const facts = [
    countOf(runs, "run"),
    latest === null ? "" : `newest ${since(latest)}`,
    visibility === "server" ? "seen by everyone here" : "",
  ].filter(Boolean);
  return h(
    "li",
    {},
    h(
      "a",
      { href: address("projects", name), class: "project-card", title: `${name}: ${formatCount(runs)} runs` },
      h("strong", {}, name),
      h("span", { class: "soft" }, facts.join(" · ")),
    ),
  );
}

/** How long ago, and of what is older than a day the day. */
function since(time: number): string {
  const now = Date.now() / 1000;
  return now - time < 86_400 ? formatAgo(time, now) : formatDay(time);
}

function newProject(app: App, page: AbortSignal): void {
  const { body, life, close } = openDialog("New project", page);
  const name = field("Name", textInput({ required: true, maxlength: "200" }));
  const visibility = field("Who sees it", choice(VISIBILITIES, "private"));
  const submit = button("Make project", life, () => {}, { tone: "primary", submit: true });
  const cancel = button("Cancel", life, close);
  const actions = h("div", { class: "actions" }, cancel, submit);
  const form = h("form", { class: "form" }, name.element, visibility.element, actions);
  onSubmit(form, submit, life, async () => {
    const made = await app.api.createProject(
      name.input.value.trim(),
      visibility.input.value as Project["visibility"],
    );
    close();
    app.go(address("projects", made.name));
  });
  body.append(form);
  name.input.focus();
}

export const VISIBILITIES = { private: "Its members only", server: "Everyone who can log in here" };
