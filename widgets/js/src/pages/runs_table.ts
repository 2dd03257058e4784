import { atEnd, h, listen, setText } from "../dom.ts";
import { countOf, formatDate } from "../format.ts";
import { ApiError, type Run, type RunQuery } from "./api.ts";
import type { App } from "./app.ts";
import { openColumnDialog } from "./column_dialog.ts";
import {
  type Column,
  CREATED,
  chosenColumns,
  DURATION,
  HOST,
  keepColumns,
  keptColumns,
  narrowFacts,
  STATE,
  suggested,
} from "./columns.ts";
import { button } from "./controls.ts";
import { EventReader } from "./events.ts";
import { filterOf, filterProblem } from "./filter.ts";
import { icon } from "./icons.ts";
import { follow } from "./live.ts";
import { emptyState } from "./states.ts";

const PAGE = 50;
/** Rows that are read again at once when something changes; those beyond stay as they were read. */
const MOST_LIVE = 200;
/** Milliseconds between two readings, at least; slow answers make it more. */
const CALM = 1000;
const CALM_FACTOR = 10;
const TYPING = 350;

export interface RunsTableOptions {
  readonly mayEdit: boolean;
  /** What stands in place of a table without runs. */
  readonly empty: () => HTMLElement;
}

/** A project's runs: sorted and filtered by the server, and kept as they are there. */
export class RunsTable {
  readonly element = h("div", { class: "runs" });
  private readonly body = h("tbody");
  private readonly head = h("thead");
  private readonly table: HTMLElement;
  private readonly foot = h("div", { class: "table-foot" });
  private readonly more: HTMLButtonElement;
  private readonly count = h("span", { class: "soft" });
  private readonly problem = h("p", { class: "problem", role: "alert", id: "filter-problem" });
  private readonly filterInput = h("input", {
    class: "input filter",
    type: "search",
    placeholder: "A name, or: state = running and config.lr < 0.1",
    "aria-label": "Filter runs",
    "aria-describedby": "filter-problem",
    spellcheck: "false",
    autocapitalize: "none",
  });
  private readonly rows = new Map<string, { readonly said: string; readonly element: HTMLElement }>();
  private readonly notHere = h("div", {});
  private runs: readonly Run[] = [];
  private next: string | null = null;
  private order = "-created";
  private columns: readonly Column[] = [];
  private chosen: string[] | null;
  private reading: AbortController | null = null;
  private due: ReturnType<typeof setTimeout> | null = null;
  private rest = CALM;
  private again = false;

  constructor(
    private readonly app: App,
    private readonly project: string,
    private readonly options: RunsTableOptions,
    private readonly life: AbortSignal,
  ) {
    this.chosen = keptColumns(project);
    this.table = h("table", { class: "table" }, this.head, this.body);
    this.more = button("Show more", life, () => void this.loadMore());
    const columns = button("Columns", life, () => this.chooseColumns(), { icon: "columns" });
    const search = h("div", { class: "search" }, icon("search"), this.filterInput);
    this.foot.append(this.count, this.more);
    this.element.append(
      h("div", { class: "toolbar" }, search, columns),
      this.problem,
      h("div", { class: "table-place" }, this.table),
      this.notHere,
      this.foot,
    );
    let typing: ReturnType<typeof setTimeout> | undefined;
    listen(this.filterInput, "input", life, () => {
      clearTimeout(typing);
      typing = setTimeout(() => void this.read(), TYPING);
    });
    listen(this.head, "click", life, (event) => this.onHead(event));
    listen(this.body, "click", life, (event) => this.onRow(event));
    const clock = setInterval(() => this.tick(), 1000);
    atEnd(life, () => {
      clearInterval(clock);
      clearTimeout(typing);
      if (this.due !== null) clearTimeout(this.due);
      this.reading?.abort();
    });
  }

  /** Read the first page, then follow what changes. Throws what the first reading throws. */
  async load(): Promise<void> {
    await this.fetch(PAGE);
    const path = `/projects/${encodeURIComponent(this.project)}/events`;
    let last = "";
    follow(
      this.app.api,
      {
        request: () => ({ path, headers: last ? { "Last-Event-ID": last } : {} }),
        onOpen: () => {
          const reader = new EventReader(({ id, kind }) => {
            last = id || last;
            if (kind === "change") this.readSoon();
          });
          return (piece) => reader.push(piece);
        },
        onState: (connected) => this.element.classList.toggle("stale", !connected),
        onRefused: (error) => this.app.lost(error, this.element, this.life),
      },
      this.life,
    );
  }

  private query(): RunQuery {
    return {
      project: this.project,
      filter: filterOf(this.filterInput.value),
      order: this.order === "-created" ? "" : this.order,
    };
  }

  /** Changes come in bursts: what is read after one is read for all. */
  private readSoon(): void {
    if (this.due !== null || this.reading) {
      this.again = true;
      return;
    }
    this.due = setTimeout(() => {
      this.due = null;
      void this.read();
    }, this.rest);
  }

  private async read(): Promise<void> {
    try {
      await this.fetch(Math.min(Math.max(PAGE, this.runs.length), MOST_LIVE));
    } catch (error) {
      if (error instanceof ApiError && error.status === 400) {
        this.problem.textContent = filterProblem(error.message);
        this.filterInput.setAttribute("aria-invalid", "true");
      } else if (error instanceof ApiError && error.status === 401) this.app.problem(error);
      // What is not reached now is read after the stream is back.
    }
    if (this.again && !this.life.aborted) {
      this.again = false;
      this.readSoon();
    }
  }

  private async fetch(limit: number): Promise<void> {
    this.reading?.abort();
    const reading = new AbortController();
    this.reading = reading;
    const started = performance.now();
    try {
      const page = await this.app.api.runs({ ...this.query(), limit }, reading.signal);
      const kept = this.runs.length > page.runs.length && page.next !== null ? this.runs.slice(limit) : [];
      const here = new Set(page.runs.map(({ id }) => id));
      const beyond = kept.filter(({ id }) => !here.has(id));
      this.runs = [...page.runs, ...beyond];
      if (!beyond.length) this.next = page.next;
      this.problem.textContent = "";
      this.filterInput.removeAttribute("aria-invalid");
      this.draw();
    } catch (error) {
      if (!reading.signal.aborted) throw error;
    } finally {
      if (this.reading === reading) this.reading = null;
      this.rest = Math.max(CALM, CALM_FACTOR * (performance.now() - started));
    }
  }

  private async loadMore(): Promise<void> {
    if (this.next === null) return;
    this.more.disabled = true;
    try {
      const page = await this.app.api.runs({ ...this.query(), limit: PAGE, after: this.next });
      const here = new Set(this.runs.map(({ id }) => id));
      this.runs = [...this.runs, ...page.runs.filter(({ id }) => !here.has(id))];
      this.next = page.next;
      this.draw();
    } catch (error) {
      this.app.problem(error);
    } finally {
      this.more.disabled = false;
    }
  }

  private draw(): void {
    const filtered = this.filterInput.value.trim() !== "";
    const nothing = this.runs.length === 0;
    const chosen = this.chosen ?? suggested(this.runs);
    this.columns = [STATE, CREATED, DURATION, HOST, ...chosenColumns(chosen)];
    this.element.classList.toggle("without-runs", nothing && !filtered);
    this.table.hidden = nothing;
    this.foot.hidden = nothing;
    if (!nothing) this.notHere.replaceChildren();
    else if (!this.notHere.children.length || filtered !== this.notHere.classList.contains("filtered")) {
      const clear = () => {
        this.filterInput.value = "";
        this.filterInput.focus();
        void this.read();
      };
      const none = () =>
        emptyState("search", "No run matches the filter", button("Clear the filter", this.life, clear));
      this.notHere.replaceChildren(filtered ? none() : this.options.empty());
    }
    this.notHere.classList.toggle("filtered", filtered);
    this.drawHead();
    this.drawRows();
    setText(this.count, countOf(this.runs.length, "run") + (this.next === null ? "" : ", and more"));
    this.more.hidden = this.next === null;
  }

  private drawHead(): void {
    const shown = JSON.stringify([this.columns.map(({ key, title }) => [key, title]), this.order]);
    if (this.head.dataset.shown === shown) return;
    this.head.dataset.shown = shown;
    const first = {
      key: "name",
      title: "Name",
      name: "Name",
      order: "name",
      first: "+",
      number: false,
    } as const;
    const cells = [first, ...this.columns].map(({ key, title, name, order, first, number }) => {
      const now = order === null ? "" : this.order === `-${order}` ? "-" : this.order === order ? "+" : "";
      const sorted = now === "-" ? "descending" : now === "+" ? "ascending" : null;
      const label = h("span", { class: "th-words" }, title);
      const content =
        order === null
          ? label
          : h(
              "button",
              {
                type: "button",
                class: "sort",
                "data-order": order,
                "data-first": first,
                title: `Sort by ${name}`,
              },
              label,
              h("span", { class: "sort-sign", "aria-hidden": "true" }),
            );
      return h("th", { scope: "col", class: cellClass(key, number), "aria-sort": sorted }, content);
    });
    const last = this.options.mayEdit
      ? [h("th", { class: "cell-actions" }, h("span", { class: "unseen" }, "Actions"))]
      : [];
    this.head.replaceChildren(h("tr", {}, ...cells, ...last));
  }

  private drawRows(): void {
    const now = Date.now() / 1000;
    const columns = this.columns.map(({ key }) => key).join("\n");
    const elements = this.runs.map((run) => {
      const said = columns + JSON.stringify(run);
      const known = this.rows.get(run.id);
      if (known?.said === said) return known.element;
      const element = this.row(run, now);
      this.rows.set(run.id, { said, element });
      return element;
    });
    const ids = new Set(this.runs.map(({ id }) => id));
    for (const id of this.rows.keys()) if (!ids.has(id)) this.rows.delete(id);
    const { children } = this.body;
    elements.forEach((element, k) => {
      if (children[k] !== element) this.body.insertBefore(element, children[k] ?? null);
    });
    while (children.length > elements.length) this.body.lastElementChild?.remove();
  }

  private row(run: Run, now: number): HTMLElement {
    const name = run.name || run.id;
    const dot = h("i", { class: "state-dot", "data-state": run.state, "aria-hidden": "true" });
    const tags = run.tags.map((tag) => h("span", { class: "chip" }, tag));
    const first = h(
      "th",
      { scope: "row", class: "cell-name" },
      h(
        "div",
        { class: "name-line" },
        dot,
        h("a", { href: this.app.runAddress(run.id), title: name }, name),
        ...tags,
      ),
      h("div", { class: "name-facts" }, narrowFacts(run, now)),
    );
    const cells = this.columns.map(({ key, number, text }) => {
      const words = text(run, now);
      const title = key === "created" ? formatDate(run.created) : words;
      return h("td", { class: cellClass(key, number), title, "data-column": key }, words);
    });
    const trash = h(
      "button",
      {
        type: "button",
        class: "button quiet bare row-trash",
        "aria-label": `Delete ${name}`,
        title: "Delete",
      },
      icon("trash"),
    );
    const last = this.options.mayEdit ? [h("td", { class: "cell-actions" }, trash)] : [];
    return h("tr", { "data-run": run.id, "data-state": run.state }, first, ...cells, ...last);
  }

  /** Times go on while nothing else changes. */
  private tick(): void {
    if (document.hidden) return;
    const now = Date.now() / 1000;
    for (const run of this.runs) {
      const element = this.rows.get(run.id)?.element;
      if (!element) continue;
      for (const { key, text } of [CREATED, DURATION]) {
        const cell = element.querySelector(`[data-column="${key}"]`);
        if (cell) setText(cell, text(run, now));
      }
      const facts = element.querySelector(".name-facts");
      if (facts) setText(facts, narrowFacts(run, now));
    }
  }

  private onHead(event: MouseEvent): void {
    const pressed = event.target instanceof Element ? event.target.closest("button") : null;
    const { order, first } = pressed?.dataset ?? {};
    if (order === undefined) return;
    const [ascending, descending] = [order, `-${order}`];
    if (this.order === ascending) this.order = descending;
    else if (this.order === descending) this.order = ascending;
    else this.order = first === "-" ? descending : ascending;
    this.runs = this.runs.slice(0, PAGE);
    void this.read().then(() => {
      const again = this.head.querySelector(`[data-order="${CSS.escape(order)}"]`);
      if (document.activeElement === document.body) (again as HTMLElement | null)?.focus();
    });
  }

  private onRow(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const id = target?.closest("tr")?.dataset.run;
    const run = this.runs.find((each) => each.id === id);
    if (!run || target?.closest("a")) return;
    if (target?.closest(".row-trash")) void this.trash(run);
    else if (!getSelection()?.toString()) this.app.go(this.app.runAddress(run.id));
  }

  private async trash(run: Run): Promise<void> {
    try {
      await this.app.api.trash(run.id);
    } catch (error) {
      this.app.problem(error);
      return;
    }
    const at = this.runs.indexOf(run);
    this.runs = this.runs.filter(({ id }) => id !== run.id);
    this.draw();
    // The keyboard goes on where it was.
    const next = this.body.children[Math.min(at, this.runs.length - 1)];
    if (document.activeElement === document.body) next?.querySelector<HTMLElement>(".row-trash")?.focus();
    this.app.notices.say(`${run.name || run.id} is in the trash.`, {
      words: "Undo",
      take: () =>
        this.app.api.restore(run.id).then(
          () => this.readSoon(),
          (error) => this.app.problem(error),
        ),
    });
  }

  private chooseColumns(): void {
    const chosen = this.chosen ?? suggested(this.runs);
    openColumnDialog(this.runs, chosen, this.life, (columns) => {
      this.chosen = columns;
      keepColumns(this.project, columns);
      this.draw();
    });
  }
}

function cellClass(key: string, number: boolean): string {
  return `cell-${key.includes(".") ? "chosen" : key}${number ? " number" : ""}`;
}
