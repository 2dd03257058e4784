import { h } from "../dom.ts";
import type { Visit } from "./app.ts";
import { button, field, onSubmit, textInput } from "./controls.ts";
import { brandMark } from "./icons.ts";
import { nextPage } from "./router.ts";

export async function loginPage({ app, main, life, query }: Visit): Promise<void> {
  app.place({ words: "Log in" });
  if (await app.api.needsSetUp()) {
    main.append(
      card(
        "This server waits to be set up",
        h("p", {}, "When it started, it printed a link that makes the first admin. Open that link here."),
        h("p", { class: "soft" }, "The link can be used once. Starting the server again prints a new one."),
      ),
    );
    return;
  }
  const name = field("Name", textInput({ autocomplete: "username", autocapitalize: "none", required: true }));
  const password = field(
    "Password",
    textInput({ type: "password", autocomplete: "current-password", required: true }),
  );
  const submit = button("Log in", life, () => {}, { tone: "primary", submit: true });
  const form = h("form", { class: "form" }, name.element, password.element, submit);
  onSubmit(form, submit, life, async () => {
    app.enter(await app.api.logIn(name.input.value, password.input.value));
    app.go(nextPage(query.get("next")), { replace: true });
  });
  main.append(card("Log in", form));
  requestAnimationFrame(() => name.input.focus());
}

/** What stands alone in the middle of a page. */
export function card(title: string, ...content: Node[]): HTMLElement {
  return h("section", { class: "card lone" }, brandMark(), h("h1", {}, title), ...content);
}
