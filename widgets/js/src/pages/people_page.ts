import { h, listen } from "../dom.ts";
import type { Standing, User } from "./api.ts";
import type { Visit } from "./app.ts";
import { button, choice, copyable, field, onSubmit, textInput } from "./controls.ts";
import { confirm, openDialog } from "./dialog.ts";

const STANDINGS: Record<Standing, string> = { guest: "Guest", member: "Member", admin: "Admin" };

/** Who may log in, for admins. */
export async function peoplePage({ app, main, life }: Visit): Promise<void> {
  app.place({ words: "People" });
  const list = h("ul", { class: "rows" });
  const refresh = async () => {
    const users = await app.api.users();
    list.replaceChildren(...users.map(row));
  };
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      app.problem(error);
    }
    await refresh();
  };
  const row = (user: User) => {
    const me = user.name === app.session.user?.name;
    const standing = choice(STANDINGS, user.standing);
    standing.setAttribute("aria-label", `Standing of ${user.name}`);
    listen(standing, "change", life, () =>
      attempt(() => app.api.changeUser(user.name, standing.value as Standing)),
    );
    const newLink = button(
      user.invited ? "New invitation" : "Reset password",
      life,
      () => attempt(async () => showLink(user.name, await app.api.userLink(user.name), life)),
      { tone: "quiet" },
    );
    const remove = async () => {
      const text = `${user.name} can no longer log in; tokens and links end too. Runs and projects stay.`;
      if (await confirm(`Remove ${user.name}`, text, "Remove", life)) {
        await attempt(() => app.api.removeUser(user.name));
      }
    };
    const badge = me ? "you" : user.invited ? "invited" : "";
    return h(
      "li",
      { class: "row" },
      h(
        "span",
        { class: "row-name" },
        h("span", {}, user.name),
        badge ? h("span", { class: "badge" }, badge) : "",
      ),
      newLink,
      standing,
      button(`Remove ${user.name}`, life, remove, { icon: "close", bare: true, tone: "quiet" }),
    );
  };
  const name = field(
    "Name",
    textInput({ required: true, autocapitalize: "none" }),
    "Letters, digits and . _ @ + -",
  );
  const standing = field("Standing", choice(STANDINGS, "member"));
  const submit = button("Invite", life, () => {}, { tone: "primary", submit: true });
  const form = h(
    "form",
    { class: "form" },
    h("div", { class: "pair" }, name.element, standing.element),
    submit,
  );
  onSubmit(form, submit, life, async () => {
    const link = await app.api.addUser(name.input.value.trim(), standing.input.value as Standing);
    showLink(name.input.value.trim(), link, life);
    form.reset();
    await refresh();
  });
  await refresh();
  main.append(
    h(
      "div",
      { class: "narrow" },
      h("h1", {}, "People"),
      h("section", { class: "card" }, h("h2", {}, "Invite somebody"), form),
      list,
      h(
        "p",
        { class: "soft small" },
        "A guest sees only projects that it is a member of, and makes none. An admin sees and manages all.",
      ),
    ),
  );
}

function showLink(name: string, link: string, page: AbortSignal): void {
  const { body, life } = openDialog(`A link for ${name}`, page);
  body.append(
    h(
      "p",
      { class: "dialog-text" },
      `Send it to ${name}: it opens a page to choose a password, once, within a week.`,
    ),
    copyable(link, life, "Copy link"),
    h("p", { class: "hint" }, "Take it along now: it is not shown again."),
  );
}
