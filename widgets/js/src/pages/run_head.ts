import { h, listen, setText } from "../dom.ts";
import type { RunFacts } from "../frame.ts";
import type { Right, Run } from "./api.ts";
import type { Visit } from "./app.ts";
import { address } from "./base.ts";
import { button, choice, field, onSubmit, textInput } from "./controls.ts";
import { openDialog } from "./dialog.ts";
import { menuButton } from "./menu.ts";
import { openShareDialog } from "./sharing.ts";

/** What stands above the panel: labels, and what can be done. */
export class RunHead {
  readonly element = h("div", { class: "run-head" });
  private readonly title = h("h1", { class: "unseen" });
  private readonly tags = h("div", { class: "chips" });
  private readonly notes = h("p", { class: "notes" });

  constructor(
    private readonly visit: Visit,
    private run: Run,
    may: readonly Right[],
  ) {
    const { app, life } = visit;
    const actions = h("div", { class: "actions" });
    if (may.includes("write")) {
      actions.append(button("Edit", life, () => this.edit(), { icon: "edit", tone: "quiet" }));
    }
    if (may.includes("share") || may.includes("write")) {
      const share = () => openShareDialog(app, { run: run.id }, this.run.name || run.id, life);
      actions.append(button("Share", life, share, { icon: "link" }));
    }
    if (may.includes("write")) {
      const opener = button("More", life, () => {}, { icon: "more", bare: true, tone: "quiet" });
      const items = [
        { words: "Delete", icon: "trash", danger: true, take: () => void this.trash() },
      ] as const;
      actions.append(menuButton(opener, items, life));
    }
    this.element.append(this.title, h("div", { class: "run-labels" }, this.tags, this.notes), actions);
    this.draw();
  }

  /** Take what the frames say of the run: somebody else may edit it. */
  refresh({ name, project, facts = {} }: RunFacts): void {
    if (name === undefined) return;
    const tags = Array.isArray(facts.tags) ? facts.tags.map(String) : [];
    const notes = typeof facts.notes === "string" ? facts.notes : "";
    const run = { ...this.run, name, project: project ?? this.run.project, tags, notes };
    if (JSON.stringify(run) === JSON.stringify(this.run)) return;
    this.run = run;
    this.draw();
  }

  private draw(): void {
    const { app } = this.visit;
    const { name, id, project, tags, notes } = this.run;
    const whole = !app.isShare || !app.session.share?.run;
    app.place(
      ...(app.isShare ? [] : [{ words: "Projects", href: address() }]),
      whole ? { words: project, href: app.projectAddress(project) } : { words: project },
      { words: name || id },
    );
    this.tags.replaceChildren(...tags.map((tag) => h("span", { class: "chip" }, tag)));
    setText(this.title, name || id);
    setText(this.notes, notes);
    this.notes.title = notes;
    this.tags.hidden = !tags.length;
    this.notes.hidden = !notes;
    this.element.classList.toggle("unlabelled", !tags.length && !notes);
  }

  private edit(): void {
    const { app, life: page } = this.visit;
    const { body, life, close } = openDialog("Edit run", page);
    const name = field("Name", textInput({ value: this.run.name, required: true, maxlength: "1000" }));
    const project = field("Project", choice({ [this.run.project]: this.run.project }, this.run.project));
    void this.offerProjects(project.input, life);
    const tags = field("Tags", textInput({ value: this.run.tags.join(", ") }), "Separated by commas");
    const notes = field("Notes", h("textarea", { class: "input", rows: 5 }, this.run.notes));
    const submit = button("Save", life, () => {}, { tone: "primary", submit: true });
    const actions = h("div", { class: "actions" }, button("Cancel", life, close), submit);
    const fields = [name, project, tags, notes].map(({ element }) => element);
    const form = h("form", { class: "form" }, ...fields, actions);
    onSubmit(form, submit, life, async () => {
      this.run = await app.api.editRun(this.run.id, {
        name: name.input.value.trim(),
        ...(project.input.value === this.run.project ? {} : { project: project.input.value }),
        facts: { tags: tagsOf(tags.input.value), notes: notes.input.value.trim() },
      });
      this.draw();
      close();
      app.notices.say("Saved.");
    });
    listen(notes.input, "keydown", life, (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    body.append(form);
    name.input.focus();
  }

  /** Offer the projects that the reader may move the run to. */
  private async offerProjects(select: HTMLSelectElement, life: AbortSignal): Promise<void> {
    try {
      for (const { name, may } of await this.visit.app.api.projects()) {
        if (life.aborted) return;
        if (may.includes("write") && name !== this.run.project)
          select.append(h("option", { value: name }, name));
      }
    } catch {
      // Then it stays where it is.
    }
  }

  private async trash(): Promise<void> {
    const { app } = this.visit;
    const { id, name, project } = this.run;
    try {
      await app.api.trash(id);
    } catch (error) {
      app.problem(error);
      return;
    }
    app.go(app.projectAddress(project));
    app.notices.say(`${name || id} is in the trash.`, {
      words: "Undo",
      take: () =>
        app.api.restore(id).then(
          () => app.go(app.runAddress(id)),
          (error) => app.problem(error),
        ),
    });
  }
}

/** `a, b, a` as two tags. */
export function tagsOf(typed: string): string[] {
  return [...new Set(typed.split(",").map((tag) => tag.trim()))].filter(Boolean);
}
