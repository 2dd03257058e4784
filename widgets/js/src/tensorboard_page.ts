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
    this.element.replaceChildren(h("div", { class: "rc-frame-bar" }, link), frame);
  }

  private explain(port: number): void {
    this.say("This page cannot reach TensorBoard", "");
    const again = h("button", { class: "rc-button", type: "button" }, "Try again");
    listen(again, "click", this.life, () => void this.connect());
    const local = `http://localhost:${port}/`;
    const notebookServer = addressesOf(port, document, window.location).some((address) =>
      address.includes("/proxy/"),
    );
    const advice = h("ul", {});
    if (notebookServer) {
      advice.append(
        h(
          "li",
          {},
          "To have it in this tab, run ",
          h("code", {}, "pip install jupyter-server-proxy"),
          " where JupyterLab is installed, and restart JupyterLab.",
        ),
      );
    }
    advice.append(
      h(
        "li",
        {},
        "If the kernel runs on this computer, open ",
        h("a", { href: local, target: "_blank", rel: "noopener", class: "rc-link" }, local),
        ".",
      ),
      h(
        "li",
        {},
        "If it runs on another, forward the port: ",
        h("code", {}, `ssh -L ${port}:localhost:${port} THAT-COMPUTER`),
      ),
    );
    this.element.firstElementChild?.append(advice, again);
  }

  private say(headline: string, text: string, waiting = false): void {
    const message = h("div", { class: "rc-empty" }, h("strong", {}, headline), h("span", {}, text));
    message.classList.toggle("rc-waiting", waiting);
    this.element.replaceChildren(message);
  }
}
