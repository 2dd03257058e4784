import { h } from "../dom.ts";
import type { SetUpLink } from "./api.ts";
import type { Visit } from "./app.ts";
import { address } from "./base.ts";
import { button, field, onSubmit, textInput } from "./controls.ts";
import { card } from "./login_page.ts";

const WORDS: Record<SetUpLink["kind"], { title: string; text: string; submit: string }> = {
  setup: {
    title: "Set up this server",
    text: "You are the first here. Choose the name and password of its admin.",
    submit: "Set up",
  },
  invitation: {
    title: "Welcome",
    text: "You are invited to this server. Choose a password.",
    submit: "Join",
  },
  reset: { title: "Choose a new password", text: "The old one stops working.", submit: "Set password" },
};

/** What a one-time link opens: the first admin's name and password, an invited user's or a forgotten password. */
export async function setUpPage({ app, main, life }: Visit): Promise<void> {
  app.place({ words: "Set up" });
  const secret = location.hash.slice(1);
  let link: SetUpLink;
  try {
    link = await app.api.setUpLink(secret);
  } catch {
    main.append(
      card(
        "This link does not work any more",
        h(
          "p",
          {},
          "It can be used once, and expires. Ask for a new one, or start the server again for the first.",
        ),
        h("p", {}, h("a", { href: address("login"), class: "button" }, "Log in")),
      ),
    );
    return;
  }
  const words = WORDS[link.kind];
  const name = field(
    "Name",
    textInput({ autocomplete: "username", autocapitalize: "none", required: true }),
    link.user === null ? "Letters, digits and . _ @ + -" : "",
  );
  if (link.user !== null) {
    name.input.value = link.user;
    name.input.readOnly = true;
  }
  const password = passwordField("Password");
  const again = passwordField("Password again");
  const submit = button(words.submit, life, () => {}, { tone: "primary", submit: true });
  const form = h("form", { class: "form" }, name.element, password.element, again.element, submit);
  onSubmit(form, submit, life, async () => {
    const same = password.input.value === again.input.value;
    again.problem(same ? "" : "The two are not the same.");
    if (!same) return;
    app.enter(
      await app.api.setUp(secret, password.input.value, link.user === null ? name.input.value : null),
    );
    app.go(address(), { replace: true });
  });
  main.append(card(words.title, h("p", {}, words.text), form));
  requestAnimationFrame(() => (link.user === null ? name : password).input.focus());
}

export function passwordField(label: string) {
  return field(
    label,
    textInput({ type: "password", autocomplete: "new-password", required: true, minlength: "8" }),
  );
}
