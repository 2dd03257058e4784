/** The module that anywidget imports: a panel that the kernel feeds. */

import { atEnd } from "./dom.ts";
import { type Buffer, isRecord, numberOr, type RunFacts } from "./frame.ts";
import css from "./panel.css";
import { DEFAULT_HEIGHT, showPanel } from "./panel.ts";
import { holdFeed } from "./registry.ts";

type MessageHandler = (message: unknown, buffers: readonly Buffer[]) => void;

/** What anywidget gives of a model, as far as it is used here. */
interface Model {
  get(name: string): unknown;
  on(name: string, handle: MessageHandler): void;
  off(name: string, handle: MessageHandler): void;
  send(content: unknown): void;
}

function initialize({ model }: { model: Model }): () => void {
  const life = new AbortController();
  const uid = uidOf(model);
  const feed = holdFeed(uid, life.signal);
  const run = model.get("run");
  if (isRecord(run)) feed.describe(run as RunFacts);
  const receive: MessageHandler = (message, buffers) => feed.receive(message, buffers ?? []);
  const readAddress = () => {
    const address = model.get("address");
    feed.tensorboard = numberOr(isRecord(address) ? address.port : null, feed.tensorboard);
    feed.factsChanged.emit();
  };
  model.on("msg:custom", receive);
  model.on("change:address", readAddress);
  atEnd(life.signal, () => {
    model.off("msg:custom", receive);
    model.off("change:address", readAddress);
  });
  readAddress();
  // The kernel answers when it can, and never if it is gone: what it sends unasked is enough.
  feed.askForSnapshot = () => model.send({ kind: "hello", uid });
  feed.askForSnapshot();
  return () => life.abort();
}

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const life = new AbortController();
  const uid = uidOf(model);
  const feed = holdFeed(uid, life.signal);
  const options = model.get("options");
  const { height, tensorboard } = isRecord(options) ? options : {};
  hideStaticForm(uid, life.signal);
  showPanel(
    el,
    feed,
    { height: numberOr(height, DEFAULT_HEIGHT), tensorboard: tensorboard !== false, css },
    life.signal,
  );
  if (feed.seriesById.size === 0) feed.askForSnapshot?.();
  return () => life.abort();
}

/** The form for readers without a kernel stands below the widget; while the widget lives it would say everything twice. */
function hideStaticForm(uid: string, life: AbortSignal): void {
  const style = document.createElement("style");
  style.textContent = `[data-runcast-static="${CSS.escape(uid)}"] { display: none !important; }`;
  document.head.append(style);
  atEnd(life, () => style.remove());
}

function uidOf(model: Model): string {
  return String(model.get("uid") ?? "");
}

export default { initialize, render };
