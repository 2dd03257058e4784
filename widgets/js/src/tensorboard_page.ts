import { atEnd, h, listen } from "./dom.ts";
import type { Feed } from "./feed.ts";
import type { Page } from "./tabs.ts";
import { addressesOf, findTensorBoard } from "./tensorboard.ts";

/** The TensorBoard tab. TensorBoard starts with the first connection, so nothing is asked for until the tab is opened. */
export class TensorBoardPage implements Page {
  readonly title = "TensorBoard";
  readonly element = h("div", { class: "rc-page rc-tensorboard" });
  private opened = false;
  private shownPort: number | null = null;

  constructor(
    private readonly feed: Feed,
    private readonly life: AbortSignal,
  ) {
    feed.factsChanged.listen(life, () => {
      if (this.opened && this.feed.tensorboard !== this.shownPort) void this.connect();
    });
  }

  onOpen(): void {
    if (this.opened) return;
    this.opened = true;
    void this.connect();
  }

  private async connect(): Promise<void> {
    const port = this.feed.tensorboard;
    this.shownPort = port;
    if (port === null) {
      this.say(
        "TensorBoard is not there yet",
        "This run has no TensorBoard, or the recorder has not said yet where it listens.",
      );
      return;
    }
    this.say("Starting TensorBoard…", "", true);
    const search = new AbortController();
    atEnd(this.life, () => search.abort());
    const address = await findTensorBoard(port, search.signal);
    if (this.life.aborted || this.shownPort !== port) return;
    if (address) this.embed(address);
    else this.explain(port);
  }

  private embed(address: string): void {
    const frame = h("iframe", {
      src: address,
      title: "TensorBoard",
      class: "rc-frame",
      allow: "clipboard-read; clipboard-write; fullscreen",
    });
    const link = h(
      "a",
      { href: address, target: "_blank", rel: "noopener", class: "rc-link" },
      "Open in a new tab",
    );
    this.element.classList.add("rc-shown");
    this.element.replaceChildren(h("div", { class: "rc-frame-bar" }, link), frame);
  }

  private explain(port: number): void {
    const { run, state } = this.feed;
    const local = `http://localhost:${port}/`;
    const link = h("a", { href: local, target: "_blank", rel: "noopener", class: "rc-link" }, local);
    const proxied = addressesOf(port, document, window.location).some((address) =>
      address.includes("/proxy/"),
    );
    const advice: (string | Node)[][] = [];
    if (state !== "running" && run.folder) {
      advice.push([
        "It ended with the run. To see the run again: ",
        code(`tensorboard --logdir "${run.folder}"`),
      ]);
    }
    if (proxied) {
      const install = code("pip install jupyter-server-proxy");
      advice.push([
        "To have it in this tab: ",
        install,
        " where JupyterLab is installed, and restart JupyterLab.",
      ]);
    }
    advice.push(["If the kernel runs on this computer, open ", link, "."]);
    advice.push([
      "If it runs on another, forward the port: ",
      code(`ssh -L ${port}:localhost:${port} THAT-COMPUTER`),
    ]);
    const again = h("button", { class: "rc-button", type: "button" }, "Try again");
    listen(again, "click", this.life, () => void this.connect());
    this.say("This page cannot reach TensorBoard", "");
    this.element.firstElementChild?.append(
      h("ul", {}, ...advice.map((parts) => h("li", {}, ...parts))),
      again,
    );
  }

  private say(headline: string, text: string, waiting = false): void {
    const message = h("div", { class: "rc-empty" }, h("strong", {}, headline), h("span", {}, text));
    message.classList.toggle("rc-waiting", waiting);
    this.element.classList.remove("rc-shown");
    this.element.replaceChildren(message);
  }
}

function code(text: string): HTMLElement {
  return h("code", {}, text);
}
