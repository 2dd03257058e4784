import { h, listen } from "../dom.ts";
import type { Run } from "./api.ts";
import { metricsOf, settingsOf } from "./columns.ts";
import { button } from "./controls.ts";
import { openDialog } from "./dialog.ts";

/** With more than these a list has a field to find names in. */
const MANY = 12;

/** Let a reader choose the metrics and the settings that the runs table shows; each change is told at once. */
export function openColumnDialog(
  runs: readonly Run[],
  chosen: readonly string[],
  page: AbortSignal,
  change: (columns: string[]) => void,
): void {
  const { body, life, close } = openDialog("Columns", page);
  const known = [
    ...metricsOf(runs).map((key) => `summary.${key}`),
    ...settingsOf(runs).map((key) => `config.${key}`),
  ];
  const boxes = new Map<string, HTMLInputElement>();
  const group = (title: string, prefix: string) => {
    const keys = [...new Set([...chosen, ...known])].filter((key) => key.startsWith(prefix));
    const list = h("div", { class: "column-choice" });
    for (const key of keys) {
      const box = h("input", { type: "checkbox", checked: chosen.includes(key) });
      boxes.set(key, box);
      const name = key.slice(prefix.length);
      list.append(h("label", { title: name }, box, h("span", {}, name)));
    }
    return keys.length ? [h("fieldset", {}, h("legend", {}, title), list)] : [];
  };
  const groups = h(
    "div",
    { class: "column-groups" },
    ...group("Metrics", "summary."),
    ...group("Config", "config."),
  );
  listen(groups, "change", life, () => {
    change([...boxes].filter(([, { checked }]) => checked).map(([key]) => key));
  });
  if (boxes.size > MANY) {
    const search = h("input", {
      class: "input",
      type: "search",
      placeholder: "Find a column",
      "aria-label": "Find a column",
    });
    listen(search, "input", life, () => {
      const wanted = search.value.trim().toLowerCase();
      for (const [key, box] of boxes) {
        const label = box.closest("label");
        if (label) label.hidden = !key.toLowerCase().includes(wanted);
      }
    });
    body.append(search);
  }
  body.append(
    boxes.size ? groups : h("p", { class: "soft" }, "No run here has a metric or a config yet."),
    h("div", { class: "actions" }, button("Done", life, close, { tone: "primary" })),
  );
}
