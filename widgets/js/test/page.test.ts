// @vitest-environment jsdom

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Feed } from "../src/feed.ts";
import { Header } from "../src/header.ts";
import { Legend } from "../src/legend.ts";
import { Palette } from "../src/palette.ts";
import { flatten, gpuNames, RunPage, remoteLink } from "../src/run_page.ts";
import { Settings } from "../src/settings.ts";
import { Tabs } from "../src/tabs.ts";
import { addressesOf } from "../src/tensorboard.ts";
import { pageTheme } from "../src/theme.ts";
import { Toolbar } from "../src/toolbar.ts";

const SCRIPT = '<img src=x onerror="window.hacked=1">';
let life: AbortController;

beforeEach(() => {
  life = new AbortController();
  document.body.replaceChildren();
});

afterEach(() => {
  life.abort();
});

function settings(): Settings {
  return new Settings({ smoothing: 0.6, x: "step", y: "linear", filter: "" });
}

function tabs(): Tabs {
  const pages = ["Charts", "System", "Run"].map((title) => ({
    title,
    element: document.createElement("div"),
  }));
  const made = new Tabs(pages, life.signal);
  document.body.append(made.bar, made.body);
  return made;
}

function press(target: Element, key: string): void {
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
}

test("arrow keys, Home and End walk through the tabs and open them", () => {
  const { bar } = tabs();
  const opened = () => bar.querySelector('[aria-selected="true"]')?.textContent;
  const walked = ["ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft", "Home", "End"].map((key) => {
    press(bar.querySelector('[aria-selected="true"]') as Element, key);
    return opened();
  });
  expect(walked).toEqual(["System", "Run", "Charts", "Run", "Charts", "Run"]);
  expect(document.activeElement?.textContent).toBe("Run");
});

test("one tab is in the order of the Tab key, and its panel alone is shown", () => {
  const { bar, body } = tabs();
  (bar.children[1] as HTMLElement).click();
  expect([...bar.children].map((tab) => (tab as HTMLElement).tabIndex)).toEqual([-1, 0, -1]);
  expect([...body.children].map((page) => (page as HTMLElement).hidden)).toEqual([true, false, true]);
  expect(bar.children[1].getAttribute("aria-controls")).toBe(body.children[1].id);
});

test("names, tags, sources and facts are text, whatever stands in them", () => {
  const feed = new Feed("u");
  const facts = { host: SCRIPT, command: [SCRIPT], git: { commit: SCRIPT, branch: SCRIPT } };
  const files = [{ path: SCRIPT, source: SCRIPT, state: SCRIPT, why: SCRIPT }];
  const page = new RunPage(feed, life.signal);
  const legend = new Legend(
    { settings: settings(), palette: new Palette(), onEmphasis: () => {} },
    life.signal,
  );
  const header = new Header(feed, life.signal);
  feed.receive(
    {
      kind: "run",
      run: { id: SCRIPT, name: SCRIPT, project: SCRIPT, state: SCRIPT, facts, config: { [SCRIPT]: SCRIPT } },
      files,
    },
    [],
  );
  legend.show([{ root: SCRIPT, source: SCRIPT }]);
  for (const element of [page.element, legend.element, header.element]) {
    expect(element.textContent).toContain("onerror");
    expect(element.querySelector("img")).toBeNull();
  }
});

test("the legend hides and shows a source, and a double click shows it alone", () => {
  const shared = settings();
  const legend = new Legend({ settings: shared, palette: new Palette(), onEmphasis: () => {} }, life.signal);
  legend.show(["a", "b", "c"].map((source) => ({ root: "logs", source })));
  const chips = [...legend.element.querySelectorAll("button")];
  const pressed = () => chips.map((chip) => chip.getAttribute("aria-pressed"));
  chips[0].dispatchEvent(new MouseEvent("click", { detail: 1 }));
  expect(pressed()).toEqual(["false", "true", "true"]);
  for (const [type, detail] of [
    ["click", 1],
    ["click", 2],
    ["dblclick", 2],
  ] as const) {
    chips[1].dispatchEvent(new MouseEvent(type, { detail }));
  }
  expect(pressed()).toEqual(["false", "true", "false"]);
});

test("a filter that is no regular expression is marked, and says so politely", () => {
  const toolbar = new Toolbar(settings(), () => {}, life.signal);
  const filter = toolbar.element.querySelector<HTMLInputElement>("input[type=search]") as HTMLInputElement;
  filter.value = "loss(";
  filter.dispatchEvent(new Event("input"));
  expect(filter.getAttribute("aria-invalid")).toBe("true");
  expect(toolbar.element.querySelector('[role="status"]')?.textContent).toContain("not a regular expression");
});

test("a view that ended no longer listens", () => {
  const shared = settings();
  const toolbar = new Toolbar(shared, () => {}, life.signal);
  life.abort();
  shared.set({ smoothing: 0.1 });
  expect(toolbar.element.querySelector("output")?.textContent).toBe("0.60");
});

test("the theme is JupyterLab's, VS Code's or Colab's, else the system's", () => {
  const page = document.implementation.createHTMLDocument();
  const theme = (change: () => void, prefersDark = false) => {
    change();
    return pageTheme(page, prefersDark);
  };
  expect(theme(() => {})).toBe("light");
  expect(theme(() => {}, true)).toBe("dark");
  expect(theme(() => page.documentElement.setAttribute("theme", "dark"))).toBe("dark");
  expect(theme(() => page.body.classList.add("vscode-light"), true)).toBe("light");
  expect(theme(() => page.body.classList.replace("vscode-light", "vscode-high-contrast"))).toBe("dark");
  expect(theme(() => page.body.setAttribute("data-jp-theme-light", "true"), true)).toBe("light");
  expect(theme(() => page.body.setAttribute("data-jp-theme-light", "false"))).toBe("dark");
});

test("nested settings are one row each", () => {
  expect(flatten({ lr: 0.1, optimizer: { name: "adam", betas: [0.9, 0.99] }, empty: {} })).toEqual([
    ["lr", "0.1"],
    ["optimizer.name", "adam"],
    ["optimizer.betas", "[0.9,0.99]"],
    ["empty", "{}"],
  ]);
});

test("TensorBoard is looked for behind the notebook server first, under its base URL", () => {
  const config = document.createElement("script");
  config.id = "jupyter-config-data";
  config.type = "application/json";
  config.textContent = JSON.stringify({ baseUrl: "/user/ada/" });
  document.body.append(config);
  const place = new URL("http://localhost:8888/user/ada/lab") as unknown as Location;
  expect(addressesOf(6007, document, place)).toEqual([
    "http://localhost:8888/user/ada/proxy/6007/",
    "http://localhost:6007/",
  ]);
});

test("GPUs that are alike are counted", () => {
  const gpu = { name: "NVIDIA H100", memory: 80e9 };
  expect(gpuNames([gpu, gpu, "Tesla T4"])).toMatch(/^2 × NVIDIA H100 \(80\sGB\), Tesla T4$/);
});

test("only a remote that a browser can open is a link", () => {
  const link = remoteLink("https://git.example/team/project.git") as HTMLAnchorElement;
  expect([link.href, link.rel, link.textContent]).toEqual([
    "https://git.example/team/project",
    "noopener noreferrer",
    "https://git.example/team/project.git",
  ]);
  for (const remote of [
    "git@git.example:team/project",
    "javascript:alert(1)",
    "ssh://git.example/a",
    "/srv/git",
  ]) {
    expect(remoteLink(remote).nodeType).toBe(Node.TEXT_NODE);
  }
});

test("a panel that hears nothing for long stops claiming that the run goes on, until it hears of it again", () => {
  vi.useFakeTimers({ now: new Date(2026, 0, 2, 14, 3, 5) });
  const feed = new Feed("u");
  const header = new Header(feed, life.signal);
  const page = new RunPage(feed, life.signal);
  page.onOpen();
  const said = () => header.element.querySelector(".rc-state")?.textContent;
  const running = { kind: "run", run: { name: "a", state: "running" } };
  feed.receive(running, []);
  vi.advanceTimersByTime(20_000);
  expect(said()).toBe("running");
  feed.receive(running, []);
  vi.advanceTimersByTime(29_000);
  expect(said()).toBe("running");
  vi.advanceTimersByTime(2_000);
  expect(said()).toMatch(/^no news since \S*03[:.]25/);
  expect(page.element.textContent).toContain("no news since");
  expect(header.element.querySelector(".rc-live")).toBeNull();
  expect(header.element.querySelector("[data-state=running]")).toBeNull();
  feed.receive(running, []);
  expect(said()).toBe("running");
  vi.advanceTimersByTime(40_000);
  feed.receive({ kind: "finished", state: "finished" }, []);
  vi.advanceTimersByTime(40_000);
  expect(said()).toBe("finished");
  feed.close();
  vi.useRealTimers();
});

test("a server that goes on talking is no sign that the recorder does: its heartbeats are", () => {
  vi.useFakeTimers({ now: new Date(2026, 0, 2, 14, 3, 5) });
  const feed = new Feed("u");
  const header = new Header(feed, life.signal);
  const said = () => header.element.querySelector(".rc-state")?.textContent;
  const start = Date.now() / 1000;
  const told = (heartbeat: number) => feed.receive({ kind: "run", run: { state: "running", heartbeat } }, []);
  told(start - 40);
  expect(said()).toBe("running");
  for (let k = 0; k < 5; k++) {
    vi.advanceTimersByTime(8_000);
    feed.receive({ kind: "alive", v: 1 }, []); // what a server's stream says when there is nothing to say
    told(start - 40); // and what it says when somebody edits the run
  }
  expect(said()).toMatch(/^no news since \S*02[:.]25/);
  told(start - 10);
  expect(said()).toBe("running");
  vi.advanceTimersByTime(70_000);
  feed.receive({ kind: "delta", series: [] }, [new Uint8Array(), new Uint8Array(), new Uint8Array()]);
  vi.advanceTimersByTime(70_000);
  expect(said()).toBe("running");
  vi.advanceTimersByTime(6_000);
  expect(said()).toMatch(/^no news since/);
  feed.close();
  const late = new Feed("v");
  late.receive({ kind: "run", run: { state: "running", heartbeat: start - 200 } }, []);
  expect(late.standing).toMatch(/^no news since/);
  late.close();
  vi.useRealTimers();
});

test("a page says that there are no scalars only once it knows", () => {
  const feed = new Feed("u");
  expect(feed.isReading).toBe(false);
  feed.describe({ state: "finished" }, true);
  expect(feed.isReading).toBe(true);
  const told = (points: number) => feed.receive({ kind: "run", run: { state: "finished" }, points }, []);
  told(0);
  expect(feed.isReading).toBe(false);
  told(5);
  expect(feed.isReading).toBe(true);
  feed.close();
});

test("a saved form of a running run says until when it was recorded", () => {
  const feed = new Feed("u");
  const series = [{ id: "1", root: "r", source: ".", tag: "loss", plugin: "scalars", total: 1, n: 1 }];
  const at = new Float64Array([1767362585]);
  const one = btoa(String.fromCharCode(...new Uint8Array(at.buffer)));
  feed.load({
    run: { state: "running" },
    series,
    buffers: { step: one, wall: one, value: one },
  });
  const header = new Header(feed, life.signal);
  expect(header.element.textContent).toMatch(/recorded up to .*2026/);
  expect(header.element.querySelector("[data-state=running]")).toBeNull();
});
