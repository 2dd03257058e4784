/** The script inside a saved notebook: `runcastStatic.mount(element, data)` shows a panel that needs no kernel. */

import type { StaticForm } from "./frame.ts";
import { DEFAULT_HEIGHT, showPanel } from "./panel.ts";
import { holdFeed } from "./registry.ts";

/** Show the form in `element` until the returned function is called. */
function mount(element: HTMLElement, form: StaticForm): () => void {
  const life = new AbortController();
  // The living widget of the same run may stand in the same page, with points of its own.
  const feed = holdFeed(`static:${form.uid ?? ""}`, life.signal);
  feed.load(form);
  element.replaceChildren();
  showPanel(element, feed, { height: DEFAULT_HEIGHT, tensorboard: false }, life.signal);
  return () => life.abort();
}

declare global {
  var runcastStatic: { readonly mount: typeof mount };
}

globalThis.runcastStatic = { mount };
