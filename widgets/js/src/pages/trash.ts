import { h } from "../dom.ts";
import { countOf, formatAgo } from "../format.ts";
import type { Project, Run } from "./api.ts";
import type { Visit } from "./app.ts";
import { button } from "./controls.ts";
import { confirm } from "./dialog.ts";
import { emptyState } from "./states.ts";

const PAGE = 100;

/** The runs in a project's trash, to be taken out again; or deleted for good, by owners. */
export async function trashList({ app, life }: Visit, project: Project): Promise<HTMLElement> {
  const manages = project.may.includes("manage");
  const place = h("div", { class: "narrow" });
  const list = h("ul", { class: "rows" });
  let next: string | null = null;
  const load = async () => {
    const query = { project: project.name, trashed: true, limit: PAGE };
    const page = await app.api.runs(next === null ? query : { ...query, after: next });
    next = page.next;
    list.append(...page.runs.map(row));
    refresh();
  };
  const refresh = () => {
    more.hidden = next === null;
    if (list.children.length) place.replaceChildren(head, list, more);
    else if (next === null) {
      const text = "Deleted runs wait here for 30 days, to be taken back.";
      place.replaceChildren(emptyState("trash", "The trash is empty", text));
    } else void attempt(load);
  };
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      app.problem(error);
    }
  };
  const purge = async (run: Run, made: Element) => {
    await app.api.purge(run.id);
    made.remove();
  };
  const row = (run: Run): HTMLElement => {
    const name = run.name || run.id;
    const made = h("li", { class: "row" });
    const restore = button("Restore", life, async () => {
      restore.disabled = true;
      await attempt(async () => {
        await app.api.restore(run.id);
        made.remove();
        refresh();
        app.notices.say(`${name} is back.`, {
          words: "Show it",
          take: () => app.go(app.runAddress(run.id)),
        });
      });
      restore.disabled = false;
    });
    const facts = [run.state, `made ${formatAgo(run.created, Date.now() / 1000)}`].join(" · ");
    made.append(h("span", { class: "row-name" }, name, h("span", { class: "row-facts" }, facts)), restore);
    if (manages) {
      const forGood = async () => {
        const text = "The run and its files cannot be taken back after that.";
        if (!(await confirm(`Delete ${name} for good`, text, "Delete for good", life))) return;
        await attempt(() => purge(run, made));
        refresh();
      };
      const options = { icon: "trash", bare: true, tone: "quiet" } as const;
      made.append(button(`Delete ${name} for good`, life, forGood, options));
    }
    rows.set(made, run);
    return made;
  };
  const rows = new WeakMap<Element, Run>();
  const more = button("Show more", life, () => attempt(load));
  const empty = button("Empty the trash", life, async () => {
    const shown = [...list.children];
    const text = `${countOf(shown.length, "run")} and their files cannot be taken back after that.`;
    if (!(await confirm("Empty the trash", text, "Delete for good", life))) return;
    empty.disabled = true;
    await attempt(async () => {
      for (const made of shown) {
        const run = rows.get(made);
        if (run) await purge(run, made);
      }
    });
    empty.disabled = false;
    refresh();
  });
  const head = h(
    "div",
    { class: "list-head" },
    h("p", { class: "soft" }, "After 30 days here runs are deleted for good."),
    ...(manages ? [empty] : []),
  );
  await load();
  return place;
}
