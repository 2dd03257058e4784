import { h } from "../dom.ts";
import type { Visit } from "./app.ts";
import { address } from "./base.ts";
import { button, field, onSubmit, textInput } from "./controls.ts";
import { passwordField } from "./setup_page.ts";

/** One's own account. */
export function accountPage({ app, main, life }: Visit): void {
  app.place({ words: "Password" });
  const user = app.session.user!;
  const old = field(
    "Password now",
    textInput({ type: "password", autocomplete: "current-password", required: true }),
  );
  const password = passwordField("New password");
  const again = passwordField("New password again");
  const submit = button("Change password", life, () => {}, { tone: "primary", submit: true });
  // Password managers want to know whose it is.
  const name = h("input", { type: "text", autocomplete: "username", value: user.name, hidden: true });
  const form = h("form", { class: "form" }, name, old.element, password.element, again.element, submit);
  onSubmit(form, submit, life, async () => {
    const same = password.input.value === again.input.value;
    again.problem(same ? "" : "The two are not the same.");
    if (!same) return;
    app.enter(await app.api.changePassword(user.name, old.input.value, password.input.value));
    form.reset();
    app.notices.say("Your password is changed. You are logged out everywhere else.");
  });
  const everywhere = button("Log out everywhere", life, async () => {
    try {
      await app.api.logOut(true);
      app.enter({});
      app.go(address("login"));
    } catch (error) {
      app.problem(error);
    }
  });
  main.append(
    h(
      "div",
      { class: "narrow" },
      h("h1", {}, user.name),
      h("section", { class: "card" }, h("h2", {}, "Password"), form),
      h(
        "section",
        { class: "card" },
        h("h2", {}, "Sessions"),
        h("p", { class: "soft" }, "Ends every browser's session, this one's too. API tokens go on working."),
        everywhere,
      ),
    ),
  );
}
