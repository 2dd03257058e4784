import { h, listen } from "../dom.ts";
import { Api, ApiError, type Session } from "./api.ts";
import { appearance, nextAppearance, setAppearance } from "./appearance.ts";
import { address } from "./base.ts";
import { button } from "./controls.ts";
import { brandMark, icon } from "./icons.ts";
import { type MenuItem, menuButton } from "./menu.ts";
import { Notices } from "./notices.ts";
import type { Router } from "./router.ts";
import { failure, loadingRows } from "./states.ts";

/** One page while it is shown: its place, and a life that ends when the reader goes elsewhere. */
export interface Visit {
  readonly app: App;
  readonly main: HTMLElement;
  readonly life: AbortSignal;
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

/** Who may open a page: anyone, who is logged in, or who holds a share link. */
export type Audience = "anyone" | "user" | "share";

export interface View {
  readonly audience: Audience;
  readonly show: (visit: Visit) => void | Promise<void>;
}

export interface Crumb {
  readonly words: string;
  readonly href?: string;
}

/** A page that is quicker than this shows no sign of loading. */
const PATIENCE_MS = 180;

/** The frame around all pages: what is at the top, which page is shown, and who looks at it. */
export class App {
  readonly notices = new Notices();
  session: Session = {};
  api = new Api();
  private readonly main = h("main", { class: "main", id: "main", tabindex: -1 });
  private readonly crumbs = h("nav", { class: "crumbs", "aria-label": "Where you are" });
  private readonly account = h("div", { class: "account" });
  private readonly life = new AbortController();
  private visit = new AbortController();
  private shown = "";

  constructor(
    place: HTMLElement,
    private readonly router: Router<View>,
  ) {
    const brand = h("a", { href: address(), class: "brand" }, brandMark(), h("span", {}, "runcast"));
    place.replaceChildren(
      h("a", { href: "#main", class: "skip" }, "Skip to content"),
      h("header", { class: "top" }, brand, this.crumbs, this.appearanceButton(), this.account),
      this.main,
      this.notices.element,
    );
    listen(place, "click", this.life.signal, (event) => this.onClick(event));
    window.addEventListener("popstate", () => void this.render());
  }

  /** Whether the reader came by a share link. */
  get isShare(): boolean {
    return this.api.share !== null;
  }

  go(href: string, { replace = false } = {}): void {
    if (replace) history.replaceState(null, "", href);
    else history.pushState(null, "", href);
    void this.render(true);
  }

  /** Name the page: at the top, and to the browser. */
  place(...crumbs: Crumb[]): void {
    const items = crumbs.flatMap(({ words, href }, k) => {
      const last = k === crumbs.length - 1;
      const item =
        href && !last ? h("a", { href }, words) : h("span", { "aria-current": last && "page" }, words);
      item.classList.add("crumb");
      return k ? [h("span", { class: "crumb-slash", "aria-hidden": "true" }, "/"), item] : [item];
    });
    this.crumbs.replaceChildren(...items);
    const title = crumbs
      .map(({ words }) => words)
      .reverse()
      .join(" · ");
    document.title = title ? `${title} · runcast` : "runcast";
  }

  /** The address of a run's page, for whoever looks. */
  runAddress(id: string): string {
    return this.isShare ? `${address("share", "runs", id)}#${this.api.share}` : address("runs", id);
  }

  projectAddress(name: string): string {
    return this.isShare ? `${address("share")}#${this.api.share}` : address("projects", name);
  }

  /** Show the page that the address names. */
  async render(moved = false): Promise<void> {
    const { pathname, search, hash } = location;
    const key = `${pathname}${search}${hash}`;
    if (hash === "#main" || (moved && key === this.shown)) return;
    this.shown = key;
    this.visit.abort();
    this.visit = new AbortController();
    const { signal: life } = this.visit;
    const main = this.main;
    main.className = "main";
    const match = this.router.match(pathname);
    const loading = setTimeout(() => {
      if (main.dataset.ready) return;
      for (const child of [...main.children]) if (!(child as HTMLElement).hidden) child.remove();
      main.prepend(loadingRows(6));
    }, PATIENCE_MS);
    delete main.dataset.ready;
    try {
      if (!match) throw new ApiError(404, "There is no such page.");
      await this.identify(match.view.audience, hash.slice(1));
      if (life.aborted) return;
      this.drawAccount(match.view.audience);
      // In the document, so that what is drawn finds its colours, and not seen before it is whole.
      const page = h("div", { class: "page", hidden: true });
      main.append(page);
      await match.view.show({
        app: this,
        main: page,
        life,
        parameters: match.parameters,
        query: new URLSearchParams(search),
      });
      if (life.aborted) return;
      main.dataset.ready = "true";
      page.hidden = false;
      for (const child of [...main.children]) if (child !== page) child.remove();
      if (moved) {
        window.scrollTo(0, 0);
        main.focus({ preventScroll: true });
      }
    } catch (error) {
      if (life.aborted) return;
      main.dataset.ready = "true";
      this.refused(error, match?.view.audience ?? "user", life);
    } finally {
      clearTimeout(loading);
    }
  }

  /** Answer an error that happened while a page is shown; one that ends the session leads to the login. */
  problem(error: unknown): void {
    if (error instanceof ApiError && error.status === 401 && !this.isShare) this.toLogin();
    else this.notices.problem(error);
  }

  /** Answer that a live stream was refused: what it was about is gone from the page, too. */
  lost(error: ApiError, place: HTMLElement, life: AbortSignal): void {
    if (this.isShare) void this.render();
    else if (error.status === 401) this.toLogin();
    else place.replaceChildren(failure(error, life, () => void this.render()));
  }

  /** Take on a new session. */
  enter(session: Session): void {
    this.session = session;
  }

  private async identify(audience: Audience, secret: string): Promise<void> {
    if (audience === "share") {
      if (this.api.share !== secret) this.api = new Api(secret);
      this.session = await this.api.session();
    } else if (this.isShare) {
      this.api = new Api();
      this.session = {};
    }
    if (audience === "user" && !this.session.user) this.session = await this.api.session();
  }

  private refused(error: unknown, audience: Audience, life: AbortSignal): void {
    const unknown = error instanceof ApiError && error.status === 401;
    if (unknown && audience === "user") {
      this.toLogin();
      return;
    }
    if (audience === "share") this.place();
    const shown = unknown ? new ApiError(404, error.message) : error;
    this.drawAccount(audience);
    this.main.replaceChildren(
      audience === "share" && shown instanceof ApiError && shown.status === 404
        ? goneLink()
        : failure(shown, life, () => void this.render()),
    );
  }

  private toLogin(): void {
    this.session = {};
    const here = location.pathname + location.search;
    const login = address("login");
    this.go(here === address() ? login : `${login}?next=${encodeURIComponent(here)}`, { replace: true });
  }

  private drawAccount(audience: Audience): void {
    const { user } = this.session;
    document.body.dataset.audience = audience;
    if (audience === "share") {
      this.account.replaceChildren(h("span", { class: "badge" }, "Shared, read-only"));
      return;
    }
    if (!user || audience === "anyone") {
      this.account.replaceChildren();
      return;
    }
    const { signal } = this.visit;
    const opener = h(
      "button",
      { type: "button", class: "button quiet" },
      icon("user"),
      user.name,
      icon("down"),
    );
    opener.setAttribute("aria-label", `Account of ${user.name}`);
    const items: MenuItem[] = [
      { words: "API tokens", href: address("tokens") },
      { words: "Password", href: address("account") },
      ...(user.standing === "admin" ? [{ words: "People", href: address("people") }] : []),
      { words: "Log out", take: () => void this.logOut() },
    ];
    this.account.replaceChildren(menuButton(opener, items, signal));
  }

  private async logOut(): Promise<void> {
    try {
      await this.api.logOut();
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 401)) {
        this.notices.problem(error);
        return;
      }
    }
    this.session = {};
    this.api = new Api();
    this.go(address("login"));
  }

  private appearanceButton(): HTMLElement {
    const names = { system: "as the system has it", light: "light", dark: "dark" };
    const made = button(
      "",
      this.life.signal,
      () => {
        setAppearance(nextAppearance(appearance()));
        refresh();
      },
      { tone: "quiet", icon: "system", bare: true },
    );
    made.classList.add("appearance");
    const refresh = () => {
      const words = `Appearance: ${names[appearance()]}`;
      made.replaceChildren(icon(appearance()));
      made.title = words;
      made.setAttribute("aria-label", words);
    };
    refresh();
    return made;
  }

  /** Links within the site change the page without loading it anew. */
  private onClick(event: MouseEvent): void {
    const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
    const anchor = event.target instanceof Element ? event.target.closest("a") : null;
    if (!plain || event.defaultPrevented || !anchor || anchor.target || anchor.hasAttribute("download"))
      return;
    const url = new URL(anchor.href, location.href);
    if (url.origin !== location.origin || !this.router.match(url.pathname)) return;
    if (anchor.classList.contains("skip")) return;
    event.preventDefault();
    this.go(url.pathname + url.search + url.hash);
  }
}

function goneLink(): HTMLElement {
  return h(
    "div",
    { class: "empty" },
    h("span", { class: "empty-sign" }, icon("link")),
    h("h2", {}, "This link does not work any more"),
    h("p", {}, "It was revoked, has expired, or is not whole. Ask whoever sent it for a new one."),
  );
}
