import { h } from "../dom.ts";
import { formatAgo, formatDate } from "../format.ts";
import type { Share } from "./api.ts";
import type { App } from "./app.ts";
import { button, choice, copyable, field, onSubmit, textInput } from "./controls.ts";
import { confirm, openDialog } from "./dialog.ts";

export type Target = { readonly run: string } | { readonly project: string };

const DAY = 86_400;
const UNNAMED = "Link";
export const LIFETIMES = {
  "": "Never",
  "1": "In a day",
  "7": "In a week",
  "30": "In a month",
  "365": "In a year",
};

/** When something ends that lasts so many days ("" for ever), in seconds since the epoch. */
export function expiry(days: string, now = Date.now() / 1000): number | null {
  return days === "" ? null : now + Number(days) * DAY;
}

/** Make a link, take it along, and see which there are. */
export function openShareDialog(app: App, target: Target, name: string, page: AbortSignal): void {
  const { body, life } = openDialog(`Share ${name}`, page);
  const what = "run" in target ? "this run" : "this project and all its runs";
  const label = field(
    "Name",
    textInput({ maxlength: "100", placeholder: "Who it is for" }),
    "Only for this list.",
  );
  const expires = field("Ends", choice(LIFETIMES, "30"));
  const submit = button("Create link", life, () => {}, { tone: "primary", submit: true, icon: "link" });
  const form = h(
    "form",
    { class: "form" },
    h("div", { class: "pair" }, label.element, expires.element),
    submit,
  );
  const made = h("div", { class: "made-link" });
  const list = h("div", {});
  const refresh = async () => list.replaceChildren(await shareList(app, target, life, { headed: true }));
  onSubmit(form, submit, life, async () => {
    const link = await app.api.createShare(
      target,
      label.input.value.trim() || UNNAMED,
      expiry(expires.input.value),
    );
    made.replaceChildren(
      copyable(link, life, "Copy link"),
      h("p", { class: "hint" }, "Take it along now: it is not shown again."),
    );
    made.querySelector("button")?.focus();
    await refresh();
  });
  body.append(
    h(
      "p",
      { class: "dialog-text" },
      `Whoever has the link sees ${what}, without an account, and changes nothing.`,
    ),
    form,
    made,
    list,
  );
  refresh().catch((error) => app.problem(error));
}

/** The links to a run, or to a project and its runs, each to be revoked. */
export async function shareList(
  app: App,
  target: Target,
  life: AbortSignal,
  { headed = false } = {},
): Promise<HTMLElement> {
  const shares = await app.api.shares(target);
  const place = h("div", { class: "shares" });
  const list = h("ul", { class: "rows" });
  const showEmpty = () =>
    place.replaceChildren(
      ...(headed
        ? []
        : [h("p", { class: "soft" }, "There are no links. A run or the project makes them: Share.")]),
    );
  list.append(
    ...shares.map((share) => shareRow(app, share, life, !headed, () => list.children.length || showEmpty())),
  );
  if (!shares.length) showEmpty();
  else place.append(...(headed ? [h("h3", {}, "Links")] : []), list);
  return place;
}

function shareRow(
  app: App,
  share: Share,
  life: AbortSignal,
  leads: boolean,
  removed: () => void,
): HTMLElement {
  const now = Date.now() / 1000;
  const facts = [
    share.run === null ? "whole project" : "",
    share.maker ? `by ${share.maker}` : "",
    ended(share.expires, now),
    share.used === null ? "not used yet" : `used ${formatAgo(share.used, now)}`,
  ];
  const row = h(
    "li",
    { class: "row" },
    h(
      "span",
      { class: "row-name" },
      h("span", {}, share.name),
      h("span", { class: "row-facts" }, facts.filter(Boolean).join(" · ")),
    ),
  );
  if (share.run !== null && leads)
    row.append(h("a", { href: app.runAddress(share.run), class: "button quiet" }, "Run"));
  const revoke = button(
    "Revoke",
    life,
    async () => {
      const sure = await confirm(
        "Revoke the link",
        `“${share.name}” stops working at once, for everyone who has it.`,
        "Revoke",
        life,
      );
      if (!sure) return;
      try {
        await app.api.revokeShare(share.id);
        row.remove();
        removed();
        app.notices.say("The link is revoked.");
      } catch (error) {
        app.problem(error);
      }
    },
    { tone: "quiet" },
  );
  row.append(revoke);
  return row;
}

/** When a link or a token ends, in words. */
export function ended(expires: number | null, now: number): string {
  if (expires === null) return "never ends";
  return expires <= now ? "has ended" : `ends ${formatDate(expires)}`;
}
