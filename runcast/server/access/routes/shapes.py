"""Users, tokens, projects and shares as JSON. Times are seconds since the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.server.access.policy import Project, Run, Share, Token, User
from runcast.server.access.routes.fields import word

if TYPE_CHECKING:
    from runcast.server.access.policy import Actor
    from runcast.server.access.projects import Member
    from runcast.server.access.shares import ShareRecord
    from runcast.server.access.tokens import TokenRecord
    from runcast.server.access.users import UserRecord

__all__ = ["actor_shape", "member_shape", "share_shape", "token_shape", "user_shape"]


def actor_shape(actor: Actor) -> dict[str, Any]:
    """Return who sends a request: one of `user`, `user` with `token`, and `share`."""
    match actor:
        case User():
            return {"user": {"name": actor.name, "standing": word(actor.standing)}}
        case Token():
            token = {"name": actor.name, "scope": word(actor.scope), "project": actor.project}
            return {**actor_shape(actor.user), "token": token}
        case Share(target=Run() as run):
            return {"share": {"run": run.id, "project": run.project}}
        case Share(target=Project() as project):
            return {"share": {"run": None, "project": project.name}}
    return {}


def user_shape(user: UserRecord) -> dict[str, Any]:
    """Return a user."""
    return {
        "name": user.name,
        "standing": word(user.standing),
        "created": user.created,
        "invited": user.invited,
    }


def token_shape(token: TokenRecord) -> dict[str, Any]:
    """Return a token, but for its secret."""
    return {
        "id": token.id,
        "user": token.user,
        "name": token.name,
        "scope": word(token.scope),
        "project": token.project,
        "created": token.created,
        "expires": token.expires,
        "used": token.used,
    }


def member_shape(member: Member) -> dict[str, Any]:
    """Return a project's member."""
    return {"user": member.user, "role": word(member.role)}


def share_shape(share: ShareRecord) -> dict[str, Any]:
    """Return a share link, but for its secret."""
    return {
        "id": share.id,
        "project": share.project,
        "run": share.run,
        "name": share.name,
        "maker": share.maker,
        "created": share.created,
        "expires": share.expires,
        "used": share.used,
    }
