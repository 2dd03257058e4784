import { h } from "../dom.ts";
import { serverAddress } from "./base.ts";
import { copyable } from "./controls.ts";

/** What to run to see a first run here. */
export function firstSteps(life: AbortSignal, project = ""): HTMLElement {
  const server = serverAddress();
  const flag = project ? ` --project ${/^[\w./-]+$/.test(project) ? project : JSON.stringify(project)}` : "";
  return h(
    "ol",
    { class: "first-steps" },
    h(
      "li",
      {},
      h("p", {}, "In a terminal where you train, once:"),
      copyable(`runcast login ${server}`, life),
    ),
    h(
      "li",
      {},
      h("p", {}, "In a notebook, before the code that writes to TensorBoard:"),
      copyable(`%load_ext runcast\n%sync_tensorboard --to ${server}${flag}`, life),
    ),
    h("li", {}, h("p", { class: "soft" }, "Run it. This page shows the run as soon as it begins.")),
  );
}
