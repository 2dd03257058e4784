import { h, listen } from "../dom.ts";
import type { Member, Project, Role } from "./api.ts";
import type { Visit } from "./app.ts";
import { address } from "./base.ts";
import { button, choice, field, onSubmit, textInput } from "./controls.ts";
import { confirm } from "./dialog.ts";

const ROLES: Record<Role, string> = { viewer: "Viewer", writer: "Writer", owner: "Owner" };
const MAY: Record<Role, string> = {
  viewer: "sees the runs",
  writer: "records and edits runs too",
  owner: "decides who may do what, too",
};

/** A project's members; its owners can change them. */
export async function manageMembers(visit: Visit, project: Project): Promise<HTMLElement> {
  const { app, life } = visit;
  const manages = project.may.includes("manage");
  const list = h("ul", { class: "rows" });
  const refresh = async () => {
    const members = await app.api.members(project.name);
    list.replaceChildren(...members.map((member) => memberRow(visit, project, member, refresh)));
    if (!members.length) list.append(h("li", { class: "soft" }, "Nobody: admins alone see this project."));
  };
  await refresh();
  const parts: Node[] = [list];
  if (manages) parts.push(addForm(visit, project, refresh));
  const explained = (Object.keys(ROLES) as Role[]).map(
    (role) => `A ${ROLES[role].toLowerCase()} ${MAY[role]}.`,
  );
  parts.push(h("p", { class: "soft small" }, explained.join(" ").replace("A owner", "An owner")));
  life.throwIfAborted();
  return h("div", { class: "narrow" }, ...parts);
}

function memberRow(
  { app, life }: Visit,
  project: Project,
  { user, role }: Member,
  refresh: () => Promise<void>,
): HTMLElement {
  const manages = project.may.includes("manage");
  const me = app.session.user?.name === user;
  const row = h(
    "li",
    { class: "row" },
    h("span", { class: "row-name" }, user, me ? h("span", { class: "badge" }, "you") : ""),
  );
  const change = async (work: () => Promise<unknown>) => {
    try {
      await work();
    } catch (error) {
      app.problem(error);
    }
    await refresh();
  };
  if (manages) {
    const roles = choice(ROLES, role);
    roles.setAttribute("aria-label", `Role of ${user}`);
    listen(roles, "change", life, () =>
      change(() => app.api.setMember(project.name, user, roles.value as Role)),
    );
    row.append(roles);
  } else row.append(h("span", { class: "soft" }, ROLES[role]));
  if (manages || me) {
    const words = me ? "Leave the project" : `Remove ${user}`;
    const leave = async () => {
      const sure = await confirm(
        words,
        me
          ? `You will no longer see ${project.name}, unless it is open to everyone here.`
          : `${user} will no longer see ${project.name}, unless it is open to everyone here.`,
        me ? "Leave" : "Remove",
        life,
      );
      if (!sure) return;
      await change(() => app.api.removeMember(project.name, user));
      if (me) app.go(address());
    };
    row.append(button(words, life, leave, { icon: "close", bare: true, tone: "quiet" }));
  }
  return row;
}

function addForm({ app, life }: Visit, project: Project, refresh: () => Promise<void>): HTMLElement {
  const name = field(
    "Add a member",
    textInput({ placeholder: "Name", required: true, autocapitalize: "none" }),
  );
  const role = choice(ROLES, "writer");
  role.setAttribute("aria-label", "Role");
  const submit = button("Add", life, () => {}, { submit: true });
  const form = h("form", { class: "form inline-form" }, name.element, role, submit);
  onSubmit(form, submit, life, async () => {
    await app.api.setMember(project.name, name.input.value.trim(), role.value as Role);
    name.input.value = "";
    await refresh();
  });
  return form;
}
