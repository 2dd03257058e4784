import { h } from "../dom.ts";
import { formatAgo } from "../format.ts";
import type { Scope, Token } from "./api.ts";
import type { Visit } from "./app.ts";
import { serverAddress } from "./base.ts";
import { button, choice, copyable, field, onSubmit, textInput } from "./controls.ts";
import { confirm } from "./dialog.ts";
import { ended, expiry, LIFETIMES } from "./sharing.ts";
import { emptyState } from "./states.ts";

const SCOPES: Record<Scope, string> = {
  read: "Read: look at runs",
  write: "Write: record and edit runs too",
  admin: "Admin: share and manage projects too",
};

/** One's API tokens: how programs act for a person. */
export async function tokensPage({ app, main, life }: Visit): Promise<void> {
  app.place({ words: "API tokens" });
  const list = h("div", {});
  const refresh = async () => {
    const tokens = await app.api.tokens();
    const rows = tokens.map((token) => row(token));
    list.replaceChildren(
      rows.length
        ? h("ul", { class: "rows" }, ...rows)
        : emptyState("empty", "No tokens yet", "Programs show one to act for you."),
    );
  };
  const row = (token: Token) => {
    const now = Date.now() / 1000;
    const facts = [
      SCOPES[token.scope].split(":")[0],
      token.project,
      ended(token.expires, now),
      token.used === null ? "not used yet" : `used ${formatAgo(token.used, now)}`,
    ];
    const revoke = async () => {
      const text = `Programs that use “${token.name}” are refused from now on.`;
      if (!(await confirm("Revoke the token", text, "Revoke", life))) return;
      try {
        await app.api.revokeToken(token.id);
        await refresh();
        app.notices.say("The token is revoked.");
      } catch (error) {
        app.problem(error);
      }
    };
    return h(
      "li",
      { class: "row" },
      h(
        "span",
        { class: "row-name" },
        h("span", {}, token.name),
        h("span", { class: "row-facts" }, facts.filter(Boolean).join(" · ")),
      ),
      button("Revoke", life, revoke, { tone: "quiet" }),
    );
  };
  const name = field(
    "Name",
    textInput({ required: true, maxlength: "100", placeholder: "Where it is used" }),
  );
  const scope = field("It may", choice(SCOPES, "write"));
  const projects = (await app.api.projects()).map(({ name }) => [name, name]);
  const project = field("In", choice({ "": "All my projects", ...Object.fromEntries(projects) }));
  const expires = field("Ends", choice(LIFETIMES, "365"));
  const submit = button("Create token", life, () => {}, { tone: "primary", submit: true });
  const made = h("div", { class: "made-link" });
  const form = h(
    "form",
    { class: "form" },
    h("div", { class: "pair" }, name.element, scope.element, project.element, expires.element),
    submit,
    made,
  );
  onSubmit(form, submit, life, async () => {
    const secret = await app.api.createToken(
      name.input.value.trim(),
      scope.input.value as Scope,
      project.input.value || null,
      expiry(expires.input.value),
    );
    name.input.value = "";
    made.replaceChildren(
      copyable(secret, life, "Copy token"),
      h("p", { class: "hint" }, "Take it along now: it is not shown again. "),
      h("p", { class: "hint" }, "To use it: ", h("code", {}, `runcast login ${serverAddress()}`)),
    );
    made.querySelector("button")?.focus();
    await refresh();
  });
  await refresh();
  main.append(
    h(
      "div",
      { class: "narrow" },
      h("h1", {}, "API tokens"),
      h("p", { class: "lead" }, "With a token, a program acts for you: a recorder, a script, a notebook."),
      h("section", { class: "card" }, h("h2", {}, "New token"), form),
      list,
    ),
  );
}
