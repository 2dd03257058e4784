import { h } from "../dom.ts";
import { button } from "./controls.ts";

/** How long a notice stands, in milliseconds; one that offers something stands longer. */
const STANDS = 4000;
const STANDS_WITH_OFFER = 10_000;

export interface Offer {
  readonly words: string;
  readonly take: () => void;
}

/** What has just happened, said at the bottom of the page for a while. */
export class Notices {
  readonly element = h("div", { class: "notices", role: "status", "aria-live": "polite" });

  say(text: string, offer?: Offer): void {
    const life = new AbortController();
    const notice = h("div", { class: "notice" }, h("span", {}, text));
    const end = () => {
      life.abort();
      notice.remove();
    };
    if (offer) {
      const take = button(
        offer.words,
        life.signal,
        () => {
          end();
          offer.take();
        },
        { tone: "quiet" },
      );
      notice.append(take);
    }
    notice.append(button("Dismiss", life.signal, end, { icon: "close", bare: true, tone: "quiet" }));
    this.element.append(notice);
    let left = setTimeout(end, offer ? STANDS_WITH_OFFER : STANDS);
    // Whoever reads or is about to press is not hurried.
    notice.addEventListener("pointerenter", () => clearTimeout(left), { signal: life.signal });
    notice.addEventListener("focusin", () => clearTimeout(left), { signal: life.signal });
    notice.addEventListener(
      "pointerleave",
      () => {
        left = setTimeout(end, STANDS);
      },
      { signal: life.signal },
    );
  }

  problem(error: unknown): void {
    this.say(error instanceof Error ? error.message : String(error));
  }
}
