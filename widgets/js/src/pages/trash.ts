import { h } from "../dom.ts";
import { formatAgo } from "../format.ts";
import type { Project, Run } from "./api.ts";
import type { Visit } from "./app.ts";
import { button } from "./controls.ts";
import { emptyState } from "./states.ts";

/** The runs in a project's trash, to be taken out again. */
export async function trashList({ app, life }: Visit, project: Project): Promise<HTMLElement> {
  const { runs } = await app.api.runs({ project: project.name, trashed: true, limit: 200 });
  const place = h("div", { class: "narrow" });
  const list = h("ul", { class: "rows" });
  const showEmpty = () =>
    place.replaceChildren(
      emptyState("trash", "The trash is empty", "Deleted runs wait here, to be taken back."),
    );
  const row = (run: Run): HTMLElement => {
    const restore = button("Restore", life, async () => {
      restore.disabled = true;
      try {
        await app.api.restore(run.id);
        made.remove();
        app.notices.say(`${run.name} is back.`, {
          words: "Show it",
          take: () => app.go(app.runAddress(run.id)),
        });
        if (!list.children.length) showEmpty();
      } catch (error) {
        restore.disabled = false;
        app.problem(error);
      }
    });
    const made = h(
      "li",
      { class: "row" },
      h("span", { class: "row-name" }, run.name || run.id),
      h("span", { class: "soft" }, `made ${formatAgo(run.created, Date.now() / 1000)}`),
      restore,
    );
    return made;
  };
  if (!runs.length) showEmpty();
  else {
    list.append(...runs.map(row));
    place.append(list);
  }
  return place;
}
