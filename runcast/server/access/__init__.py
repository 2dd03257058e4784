"""Who may do what on a server.

An actor (`User`, `Token`, `Share`, `Anonymous`) asks for an `Action` on a resource (`Server`, `Project`, `Run`, …), and one pure
function decides: `allowed`. Routes declare what they ask (`@requires(Action.VIEW, run_in_path)`); `check_routes` refuses an
application that has one that does not. `Access`, the application's `app.state.access`, knows who sends a request.
"""

from __future__ import annotations

from runcast.server.access.access import CSRF_HEADER, Access
from runcast.server.access.errors import AccessError
from runcast.server.access.guard import (
    access_of,
    admit_project,
    admit_run,
    authenticate,
    authorize,
    check_routes,
    open_to_all,
    project_in_path,
    requirement_of,
    requires,
    run_in_path,
    still_allowed,
    the_server,
    visible_to,
)
from runcast.server.access.policy import (
    Action,
    Actor,
    Anonymous,
    Project,
    Resource,
    Role,
    Run,
    Scope,
    Server,
    Share,
    Standing,
    Token,
    User,
    Visible,
    allowed,
    sees,
    visible,
)

__all__ = [
    "CSRF_HEADER",
    "Access",
    "AccessError",
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
    "Standing",
    "Token",
    "User",
    "Visible",
    "access_of",
    "admit_project",
    "admit_run",
    "allowed",
    "authenticate",
    "authorize",
    "check_routes",
    "open_to_all",
    "project_in_path",
    "requirement_of",
    "requires",
    "run_in_path",
    "sees",
    "still_allowed",
    "the_server",
    "visible",
    "visible_to",
]
