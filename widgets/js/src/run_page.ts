import { h, listen } from "./dom.ts";
import type { Feed } from "./feed.ts";
import { countOf, formatBytes, formatCount, formatDate, formatDuration } from "./format.ts";
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
    const shown = JSON.stringify([run, files, this.feed.standing]);
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
    const { id, folder, url, project, name, created, ended, facts = {} } = this.feed.run;
    const git = isRecord(facts.git) ? facts.git : {};
    const found: (readonly [string, unknown])[] = [
      ["Name", name],
      ["Project", project],
      ["Id", id && this.copyable(id)],
      ["Folder", folder && this.copyable(folder)],
      ["On the server", typeof url === "string" && pageLink(url)],
      ["State", this.feed.standing],
      ["Started", typeof created === "number" && formatDate(created)],
      [
        "Duration",
        typeof created === "number" && typeof ended === "number" && formatDuration(ended - created),
      ],
      ["Command", Array.isArray(facts.command) ? facts.command.join(" ") : facts.command],
      ["Notebook", typeof facts.notebook === "string" && facts.notebook],
      ["Working folder", facts.cwd],
      ["Git commit", typeof git.commit === "string" && this.commit(git)],
      ["Git branch", git.branch],
      ["Not pushed", typeof git.ahead === "number" && git.ahead > 0 && ahead(git)],
      ["Git remote", typeof git.remote === "string" && remoteLink(git.remote)],
      ["Python", pythonName(facts)],
      ["Host", facts.host],
      ["User", facts.user],
      ["System", facts.os],
      ["Runs in", [facts.hosted, facts.container].filter(Boolean).join(", ")],
      ["Slurm", isRecord(facts.slurm) && pairs(facts.slurm)],
      ["Distributed", isRecord(facts.distributed) && pairs(facts.distributed)],
      ["CPU", cpuName(facts)],
      ["Memory", memory(facts)],
      ["GPUs", Array.isArray(facts.gpus) && gpuNames(facts.gpus)],
      ["NVIDIA driver", facts.cuda ? `${facts.driver ?? "?"}, CUDA ${facts.cuda}` : null],
      ["Environment", isRecord(facts.environment) && pairs(facts.environment)],
    ];
    return found.flatMap(([name_, value]): Fact[] => {
      if (value === null || value === undefined || value === false || value === "") return [];
      return [[name_, value instanceof Node ? value : String(value)]];
    });
  }

  private commit(git: Record<string, unknown>): HTMLElement {
    const hash = String(git.commit);
    const shown = this.copyable(hash, hash.slice(0, 12));
    const title = "The run has the changes as a patch, git/diff.patch, unless that was switched off";
    if (git.dirty === true)
      shown.append(h("span", { class: "rc-why", title }, "with changes that are not committed"));
    return shown;
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
  if (typeof facts.memory !== "number") return null;
  const limit =
    typeof facts.memory_limit === "number" ? `, of which ${formatBytes(facts.memory_limit)} are allowed` : "";
  return formatBytes(facts.memory) + limit;
}

/** `AMD EPYC, 16 cores, 32 threads`. */
function cpuName({ cpu, cpus, cpu_count, cores, cpus_allowed }: Record<string, unknown>): string {
  const threads = cpus ?? cpu_count;
  const same = cores === undefined || cores === threads;
  return [
    cpu,
    !same && countOf(Number(cores), "core"),
    threads !== undefined && countOf(Number(threads), same ? "CPU" : "thread"),
    cpus_allowed !== undefined && `${cpus_allowed} allowed`,
  ]
    .filter(Boolean)
    .join(", ");
}

function pythonName({ python, implementation }: Record<string, unknown>): unknown {
  return python && implementation && implementation !== "CPython" ? `${python} (${implementation})` : python;
}

/** `8 × NVIDIA H100 (80 GB)`: like ones together. */
export function gpuNames(gpus: readonly unknown[]): string {
  const counts = new Map<string, number>();
  for (const gpu of gpus) {
    const name = gpuName(gpu);
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, count]) => (count > 1 ? `${count} × ${name}` : name)).join(", ");
}

function gpuName(gpu: unknown): string {
  if (!isRecord(gpu)) return String(gpu);
  const name = String(gpu.name ?? "unknown");
  return typeof gpu.memory === "number" ? `${name} (${formatBytes(gpu.memory)})` : name;
}

function ahead({ ahead, upstream }: Record<string, unknown>): string {
  return `${countOf(Number(ahead), "commit")} beyond ${upstream ?? "upstream"}`;
}

/** A link to the run's page on its server, which the user named. */
function pageLink(page: string): Node {
  if (!/^https?:\/\//.test(page)) return document.createTextNode(page);
  return h("a", { href: page, target: "_blank", rel: "noopener noreferrer" }, page);
}

/** A remote that a browser can open is a link: https, and nothing that only looks like it. */
export function remoteLink(remote: string): Node {
  let url: URL;
  try {
    url = new URL(remote);
  } catch {
    return document.createTextNode(remote);
  }
  if (url.protocol !== "https:" || url.username || url.password) return document.createTextNode(remote);
  const href = url.href.replace(/\.git$/, "");
  return h("a", { href, target: "_blank", rel: "noopener noreferrer" }, remote);
}

function pairs(values: Record<string, unknown>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}=${value}`)
    .join("  ");
}

function flash(button: HTMLButtonElement, text: string): void {
  button.textContent = text;
  setTimeout(() => {
    button.textContent = "Copy";
  }, 1200);
}
