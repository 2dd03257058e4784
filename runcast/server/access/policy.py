"""Who may do what: `allowed`, one pure function of an actor, an action and a resource.

What decides is loaded before: an actor holds its roles, a resource its project. Nothing here asks a database or a request.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Account",
    "Action",
    "Actor",
    "Anonymous",
    "Project",
    "Resource",
    "Role",
    "Run",
    "Scope",
    "Server",
    "Share",
    "ShareLink",
    "Standing",
    "Token",
    "User",
    "Visible",
    "allowed",
    "sees",
    "visible",
]


class Role(IntEnum):
    """What a user is in a project; each may do what those before it may."""

    VIEWER = 1
    WRITER = 2
    OWNER = 3


class Standing(IntEnum):
    """What a user is on the server. A guest makes no projects, and sees only those that it is a member of."""

    GUEST = 1
    MEMBER = 2
    ADMIN = 3


class Scope(IntEnum):
    """How much of its user's power a token has; each has what those before it have."""

    READ = 1
    WRITE = 2
    ADMIN = 3


class Action(Enum):
    """What can be done, and the scope that a token needs for it (None: no token may)."""

    LIST = "list", Scope.READ
    """Ask who one is, and for lists, which hold only what the actor sees."""

    VIEW = "view", Scope.READ
    """Read a project, a run, its files and series."""

    SEE_MEMBERS = "see members", Scope.READ
    """Read who is a member of a project."""

    WRITE = "write", Scope.WRITE
    """Append to a run, change its facts, put it into the trash and take it out."""

    CREATE_RUN = "create a run", Scope.WRITE
    """Make a run in a project, and the project with it where there is none."""

    CREATE_PROJECT = "create a project", Scope.WRITE
    """Make a project, to be its owner."""

    SHARE = "share", Scope.ADMIN
    """Make links to a run or a project, list them and revoke one's own."""

    MANAGE = "manage", Scope.ADMIN
    """Change a project's members, visibility and retention; delete it, or its runs for good; revoke any of its links."""

    ADMINISTER = "administer", Scope.ADMIN
    """Manage the server: users, and everyone's tokens."""

    MONITOR = "read the server's figures", Scope.READ
    """Read `/metrics`: for admins."""

    SEE_ACCOUNT = "see an account", Scope.READ
    """Read what is known of a user."""

    MANAGE_ACCOUNT = "manage an account", None
    """Change a user's password, and make, list and revoke its tokens: for people who are logged in."""

    REVOKE_TOKEN = "revoke a token", Scope.ADMIN
    """Make a user's token worthless."""

    def __init__(self, words: str, scope: Scope | None) -> None:
        self.words = words
        self.scope = scope


# Actors.


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody: a request without credentials."""


@dataclass(frozen=True, slots=True)
class User:
    """A person. `roles` are by project, with those that everyone on the server may view."""

    id: int
    name: str
    standing: Standing = Standing.MEMBER
    roles: Mapping[str, Role] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Token:
    """A program that acts for `user`, as far as `scope` goes, in one project only if `project` names it."""

    id: int
    name: str
    user: User
    scope: Scope
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """Whoever holds a link: to one run, or to a project and all its runs."""

    id: int
    target: Project | Run


Actor = Union[Anonymous, User, Token, Share]  # noqa: UP007 - evaluated at run time, also by Python 3.10's isinstance


# Resources.


@dataclass(frozen=True, slots=True)
class Server:
    """The server as a whole."""


@dataclass(frozen=True, slots=True)
class Project:
    """A project; one that is not `known` exists only once someone makes it."""

    name: str
    known: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """A run, and the project that it is in. One in the trash is there only for those who may take it out."""

    id: str
    project: str
    trashed: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """A user, as what is acted on."""

    user: int


@dataclass(frozen=True, slots=True)
class ShareLink:
    """A link to `target`, made by the user `maker` (None: the machine's admin)."""

    id: int
    target: Project | Run
    maker: int | None


Resource = Union[Server, Project, Run, Account, ShareLink]  # noqa: UP007 - see above


@dataclass(frozen=True, slots=True)
class Visible:
    """What an actor may see: the runs of these projects (None: of every one), and the run `run`."""

    projects: frozenset[str] | None
    run: str | None = None

    def __contains__(self, run: Run) -> bool:
        return self.projects is None or run.project in self.projects or run.id == self.run


NEEDED = {
    Action.VIEW: Role.VIEWER,
    Action.SEE_MEMBERS: Role.VIEWER,
    Action.WRITE: Role.WRITER,
    Action.CREATE_RUN: Role.WRITER,
    Action.MANAGE: Role.OWNER,
}
"""The role that an action needs in the project. `SHARE` needs one that depends on what is shared."""


def allowed(actor: Actor, action: Action, resource: Resource) -> bool:
    """Say whether the actor may do this. Everything else that grants or denies access asks here."""
    match actor:
        case Anonymous():
            return False
        case User():
            return _user_may(actor, action, resource)
        case Token():
            return _token_may(actor, action, resource)
        case Share():
            return _share_may(actor, action, resource)


def sees(actor: Actor, resource: Resource) -> bool:
    """Say whether the resource exists for the actor: what it may not see is not found, the rest is forbidden."""
    match resource:
        case Server():
            return not isinstance(actor, Anonymous)
        case Project() | Run():
            return allowed(actor, Action.VIEW, resource)
        case Account():
            return allowed(actor, Action.SEE_ACCOUNT, resource)
        case ShareLink():
            return allowed(actor, Action.SHARE, resource.target)


def visible(actor: Actor) -> Visible:
    """Return what lists show to the actor: exactly the runs that it may `VIEW`."""
    match actor:
        case User():
            return Visible(None if actor.standing is Standing.ADMIN else frozenset(actor.roles))
        case Token(user=user, project=None):
            return visible(user)
        case Token(user=user, project=str(project)):
            return Visible(frozenset({project} if allowed(user, Action.VIEW, Project(project)) else ()))
        case Share(target=Project(name=project)):
            return Visible(frozenset({project}))
        case Share(target=Run(id=run)):
            return Visible(frozenset(), run)
    return Visible(frozenset())


def _user_may(user: User, action: Action, resource: Resource) -> bool:
    is_admin = user.standing is Standing.ADMIN
    match resource:
        case Server():
            if action in {Action.ADMINISTER, Action.MONITOR}:
                return is_admin
            if action is Action.CREATE_PROJECT:
                return user.standing >= Standing.MEMBER
            return action in {Action.LIST, Action.CREATE_RUN}
        case Account(user=owner):
            if action in {Action.SEE_ACCOUNT, Action.REVOKE_TOKEN}:
                return is_admin or owner == user.id
            return action is Action.MANAGE_ACCOUNT and owner == user.id
        case ShareLink():
            mine = resource.maker == user.id and allowed(user, Action.SHARE, resource.target)
            manages = allowed(user, Action.MANAGE, Project(_project_of(resource.target)))
            return action is Action.SHARE and (mine or manages)
        case Project(known=False):
            return action is Action.CREATE_RUN and user.standing >= Standing.MEMBER
        case Project() | Run():
            needed = NEEDED.get(action)
            if action is Action.SHARE:
                needed = Role.OWNER if isinstance(resource, Project) else Role.WRITER
            if needed is not None and isinstance(resource, Run) and resource.trashed:
                needed = max(needed, Role.WRITER)
            return needed is not None and _role(user, _project_of(resource)) >= needed


def _token_may(token: Token, action: Action, resource: Resource) -> bool:
    if action.scope is None or token.scope < action.scope:
        return False
    if token.project is not None:
        match resource:
            case Server():
                if action not in {Action.LIST, Action.CREATE_RUN}:
                    return False
            case Project() | Run():
                if _project_of(resource) != token.project:
                    return False
            case ShareLink():
                if _project_of(resource.target) != token.project:
                    return False
            case Account():
                return False
    return _user_may(token.user, action, resource)


def _share_may(share: Share, action: Action, resource: Resource) -> bool:
    match resource:
        case Server():
            return action is Action.LIST
        case Run(trashed=True):
            return False
        case Run() if isinstance(share.target, Run):
            return action is Action.VIEW and resource.id == share.target.id
        case Project() | Run() if isinstance(share.target, Project):
            return action is Action.VIEW and _project_of(resource) == share.target.name
    return False


def _project_of(resource: Project | Run) -> str:
    return resource.name if isinstance(resource, Project) else resource.project


def _role(user: User, project: str) -> int:
    return Role.OWNER if user.standing is Standing.ADMIN else user.roles.get(project, 0)
