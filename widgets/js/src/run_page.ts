import { h, listen } from "./dom.ts";
import type { Feed } from "./feed.ts";
import { formatBytes, formatCount, formatDate, formatDuration } from "./format.ts";
import { isRecord, OLDER, type WatchedFile } from "./frame.ts";
import type { Page } from "./tabs.ts";

type Fact = readonly [name: string, content: string | Node];

/** The Run tab: what the run is, and every file that it watches. */
export class RunPage implements Page {
  readonly title = "Run";
  readonly element: HTMLElement;
  private readonly content = h("div", { class: "rc-run" });
  private shown = "";

  constructor(
    private readonly feed: Feed,
    private readonly life: AbortSignal,
  ) {
    this.element = h("div", { class: "rc-page" }, h("div", { class: "rc-scroller" }, this.content));
    feed.factsChanged.listen(life, () => this.refresh());
  }

  onOpen(): void {
    this.refresh();
  }

  private refresh(): void {
    const { run, files } = this.feed;
    // Facts come several times a second and seldom differ: a table that is made anew loses the reader's selection.
    const shown = JSON.stringify([run, files]);
    if (this.element.hidden || shown === this.shown) return;
    this.shown = shown;
    this.content.replaceChildren(...this.sections());
  }

  private sections(): Node[] {
    const sections = [section("Run", definitions(this.facts()))];
    const config = flatten(this.feed.run.config ?? {});
    if (config.length) sections.push(section("Config", definitions(config)));
    if (this.feed.files.length) sections.push(section("Watched files", fileTable(this.feed.files)));
    return sections;
  }

  private facts(): Fact[] {
    const { id, folder, project, name, created, ended, facts = {} } = this.feed.run;
    const git = isRecord(facts.git) ? facts.git : {};
    const found: (readonly [string, unknown])[] = [
      ["Name", name],
      ["Project", project],
      ["Id", id && this.copyable(id)],
      ["Folder", folder && this.copyable(folder)],
      ["State", this.feed.state],
      ["Started", typeof created === "number" && formatDate(created)],
      [
        "Duration",
        typeof created === "number" && typeof ended === "number" && formatDuration(ended - created),
      ],
      ["Host", facts.host],
      ["User", facts.user],
      ["Command", Array.isArray(facts.command) ? facts.command.join(" ") : facts.command],
      ["Working folder", facts.cwd],
      ["Python", facts.python],
      ["System", facts.os],
      ["CPUs", facts.cpu_count ?? facts.cpus],
      ["Memory", memory(facts)],
      ["GPUs", Array.isArray(facts.gpus) && facts.gpus.map(gpuName).join(", ")],
      ["Git commit", typeof git.commit === "string" && this.copyable(git.commit, git.commit.slice(0, 12))],
      ["Git branch", git.branch],
      ["Git remote", git.remote],
      ["Uncommitted changes", git.dirty === undefined ? null : git.dirty ? "yes" : "no"],
    ];
    return found.flatMap(([name_, value]): Fact[] => {
      if (value === null || value === undefined || value === false || value === "") return [];
      return [[name_, value instanceof Node ? value : String(value)]];
    });
  }

  private copyable(text: string, shown = text): HTMLElement {
    const button = h("button", { class: "rc-copy", type: "button", title: `Copy ${text}` }, "Copy");
    listen(button, "click", this.life, () => {
      navigator.clipboard?.writeText(text).then(
        () => flash(button, "Copied"),
        () => flash(button, "Not allowed here"),
      );
    });
    return h("span", {}, h("code", {}, shown), button);
  }
}

/** Nested settings as one row each: `optimizer.lr`. */
export function flatten(config: Record<string, unknown>, prefix = ""): [string, string][] {
  return Object.entries(config).flatMap(([key, value]): [string, string][] => {
    const name = prefix + key;
    if (isRecord(value) && Object.keys(value).length) return flatten(value, `${name}.`);
    return [[name, typeof value === "string" ? value : JSON.stringify(value)]];
  });
}

function section(title: string, content: Node): HTMLElement {
  return h("section", { class: "rc-section" }, h("h4", { class: "rc-heading" }, title), content);
}

function definitions(rows: readonly Fact[]): HTMLElement {
  const list = h("dl", { class: "rc-facts" });
  for (const [name, content] of rows) list.append(h("dt", {}, name), h("dd", {}, content));
  return list;
}

function fileTable(files: readonly WatchedFile[]): HTMLElement {
  const headings = ["File", "State", "Recorded", "Lag", "Skipped"];
  const numeric = new Set(["Recorded", "Lag", "Skipped"]);
  const cell = (name: string, heading: string, text: string, title?: string) =>
    h(name as "td", { class: numeric.has(heading) ? "rc-number" : null, title }, text);
  const rows = files.map((file) => {
    const path = file.path ?? "";
    const state = cell("td", "State", file.state ?? "");
    if (file.why) state.append(h("span", { class: "rc-why" }, file.why));
    return h(
      "tr",
      {},
      h(
        "td",
        { class: "rc-path", title: path },
        path.split(/[/\\]/).at(-1) ?? path,
        h("span", { class: "rc-why" }, file.source ?? ""),
      ),
      state,
      cell("td", "Recorded", recorded(file)),
      cell("td", "Lag", file.lag && file.state !== OLDER ? formatBytes(file.lag) : "–"),
      cell("td", "Skipped", file.skipped ? formatCount(file.skipped) : "–"),
    );
  });
  const head = h("tr", {}, ...headings.map((heading) => cell("th", heading, heading)));
  return h(
    "div",
    { class: "rc-wide" },
    h("table", { class: "rc-table" }, h("thead", {}, head), h("tbody", {}, ...rows)),
  );
}

function recorded({ recorded: done, size }: WatchedFile): string {
  if (typeof done !== "number") return typeof size === "number" ? `of ${formatBytes(size)}` : "–";
  return typeof size === "number" && size !== done
    ? `${formatBytes(done)} of ${formatBytes(size)}`
    : formatBytes(done);
}

function memory(facts: Record<string, unknown>): string | null {
  if (typeof facts.memory_gb === "number") return `${formatCount(facts.memory_gb)} GB`;
  return typeof facts.memory === "number" ? formatBytes(facts.memory) : null;
}

function gpuName(gpu: unknown): string {
  return isRecord(gpu) ? String(gpu.name ?? JSON.stringify(gpu)) : String(gpu);
}

function flash(button: HTMLButtonElement, text: string): void {
  button.textContent = text;
  setTimeout(() => {
    button.textContent = "Copy";
  }, 1200);
}
