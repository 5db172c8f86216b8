"""Who answers questions; `spoken_user` has those who hedge, `played_user` the one that a model plays."""

from envs.users.user import DECLINED, PersonUser, ProfileUser, Reply, User, read_line, scenario_of

__all__ = ["DECLINED", "PersonUser", "ProfileUser", "Reply", "User", "read_line", "scenario_of"]
