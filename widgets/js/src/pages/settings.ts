import { h, listen } from "../dom.ts";
import { countOf } from "../format.ts";
import { type Api, ApiError, type Project, type ProjectChange, type Run } from "./api.ts";
import type { Visit } from "./app.ts";
import { address } from "./base.ts";
import { button, choice, field, onSubmit, textInput } from "./controls.ts";
import { openDialog } from "./dialog.ts";
import { VISIBILITIES } from "./projects_page.ts";

const DAY = 86_400;
const AGES = [7, 30, 90, 180, 365, 730];
/** Runs that are deleted at once. */
const AT_ONCE = 4;

/** What a project's owners decide about it. */
export function projectSettings(visit: Visit, project: Project): HTMLElement {
  const { life } = visit;
  const visibility = field("Who sees it", choice(VISIBILITIES, project.visibility));
  saved(visit, project, visibility.input, () => ({
    visibility: visibility.input.value as Project["visibility"],
  }));
  const kept = field(
    "Runs are kept",
    choice(ages(project.keep_for), String((project.keep_for ?? 0) / DAY)),
    "Older ones go into the trash, counted from their end, and are deleted for good after 30 days there.",
  );
  saved(visit, project, kept.input, () => ({ keep_for: Number(kept.input.value) * DAY || null }));
  const remove = button("Delete this project…", life, () => askToDelete(visit, project), { icon: "trash" });
  remove.classList.add("dangerous");
  return h(
    "div",
    { class: "narrow" },
    h("section", { class: "card" }, visibility.element, kept.element),
    h(
      "section",
      { class: "card" },
      h("h2", {}, "Delete"),
      h("p", { class: "soft" }, "With all its runs, their files, its members and links. There is no undo."),
      remove,
    ),
  );
}

/** The ages that can be chosen, in days, and the one that is set, whatever it is. */
export function ages(keepFor: number | null): Record<string, string> {
  const days = [...AGES, ...(keepFor === null ? [] : [keepFor / DAY])];
  const words = [...new Set(days)].sort((a, b) => a - b).map((n) => [n, `for ${countOf(n, "day")}`]);
  return { 0: "for ever", ...Object.fromEntries(words) };
}

/** Save a choice when it is made; what is refused is as it was. */
function saved(
  { app, life }: Visit,
  { name }: Project,
  input: HTMLSelectElement,
  change: () => ProjectChange,
): void {
  let before = input.value;
  listen(input, "change", life, async () => {
    try {
      await app.api.changeProject(name, change());
      before = input.value;
      app.notices.say("Saved.");
    } catch (error) {
      input.value = before;
      app.problem(error);
    }
  });
}

function askToDelete({ app, life: page }: Visit, { name, runs }: Project): void {
  const { body, life, close } = openDialog("Delete the project", page);
  const typed = field("Its name, to be sure", textInput({ autocomplete: "off", placeholder: name }));
  const submit = button("Delete for good", life, () => {}, { tone: "danger", submit: true });
  const progress = h("p", { class: "soft", role: "status" });
  submit.disabled = true;
  listen(typed.input, "input", life, () => {
    submit.disabled = typed.input.value.trim() !== name;
  });
  const actions = h("div", { class: "actions" }, button("Cancel", life, close), submit);
  const form = h("form", { class: "form" }, typed.element, progress, actions);
  onSubmit(form, submit, life, async () => {
    let done = 0;
    await deleteRuns(app.api, name, life, () => {
      progress.textContent = `Deleted ${countOf(++done, "run")}…`;
    });
    if (life.aborted) return;
    await app.api.removeProject(name);
    app.go(address());
    app.notices.say(`The project ${name} is deleted.`);
  });
  const what = runs
    ? `${countOf(runs, "run")}, with ${runs === 1 ? "its" : "their"} files,`
    : "What is in its trash";
  body.append(
    h("p", { class: "dialog-text" }, `${what} and the project itself will be gone for good.`),
    form,
  );
  typed.input.focus();
}

/** Delete a project's runs for good until `life` ends: those in the trash, too. */
export async function deleteRuns(
  api: Api,
  project: string,
  life: AbortSignal,
  each: () => void,
): Promise<void> {
  for (const trashed of [false, true]) {
    for (;;) {
      const { runs } = await api.runs({ project, trashed, limit: 100 });
      if (!runs.length) break;
      const left = [...runs];
      const work = async () => {
        for (let run = left.pop(); run && !life.aborted; run = left.pop()) {
          await deleteRun(api, run, trashed);
          each();
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      if (life.aborted) return;
    }
  }
}

async function deleteRun(api: Api, { id }: Run, trashed: boolean): Promise<void> {
  try {
    if (!trashed) await api.trash(id);
    await api.purge(id);
  } catch (error) {
    // Somebody else was quicker.
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
}
