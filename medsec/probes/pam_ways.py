"""Every way through a PAM stack, as libpam's dispatcher would take it, whatever its modules answer.

A real attempt shows what happens to one account. A line such as `[success=2 default=ignore] pam_succeed_if user = x`
opens a way for another account only; following all ways finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from medsec.probes.pam import Action, Rule, Step

STRENGTH = frozenset({"pam_pwquality", "pam_cracklib", "pam_passwdqc"})
# Modules that take a password and check it, and (in password stacks) store a new one.
PASSWORD = frozenset(
    {
        *("pam_unix", "pam_unix2", "pam_sss", "pam_ldap", "pam_krb5", "pam_winbind", "pam_systemd_home"),
        *("pam_mysql", "pam_pgsql", "pam_userdb", "pam_pwdfile", "pam_radius_auth", "pam_tacplus"),
    }
)
# Modules that let somebody in for another reason than a password.
OTHER_PROOF = frozenset(
    {"pam_rootok", "pam_fprintd", "pam_pkcs11", "pam_u2f", "pam_yubico", "pam_ssh_agent_auth", "pam_sepermit"}
)

_STRAIGHT_ON = ("ok", "ignore", "bad")

Way = tuple[tuple[Rule, str], ...]


@dataclass(frozen=True)
class End:
    """How one way through a stack ends: whether PAM grants, what happened on the way, and which modules it called."""

    granted: bool
    facts: frozenset[str]
    way: Way

    def __str__(self) -> str:
        """Name the modules that decide this way: those that steer it, and those that it is about."""
        return ", ".join(
            f"{rule.module}={answer} ({rule})"
            for rule, answer in self.way
            if rule.module in PASSWORD | STRENGTH | {"pam_faillock"} or action_of(rule, answer) not in _STRAIGHT_ON
        )


def ways(
    stack: Sequence[Step],
    answers: Callable[[Rule], Iterable[str]],
    notice: Callable[[Rule, str, frozenset[str]], frozenset[str]],
) -> list[End]:
    """Return one example of each distinct end of `stack`.

    `answers` names the return values that a rule's module may give, `notice` the facts that hold after one was given.
    """
    ends: dict[tuple[bool, frozenset[str]], End] = {}
    seen: set[tuple[int, str, str, frozenset[str]]] = set()
    todo: list[tuple[int, str, str, frozenset[str], Way]] = [(0, "undecided", "none", frozenset(), ())]
    while todo:
        position, impression, status, facts, way = todo.pop()
        if (position, impression, status, facts) in seen:
            continue
        seen.add((position, impression, status, facts))
        if position >= len(stack):
            granted = impression == "positive" and status == "success"
            ends.setdefault((granted, facts), End(granted, facts, way))
            continue
        step = stack[position]
        for answer in answers(step.rule):
            after = _dispatch(step, position, answer, impression, status)
            todo.append((*after, notice(step.rule, answer, facts), (*way, (step.rule, answer))))
    return list(ends.values())


def action_of(rule: Rule, answer: str) -> Action:
    """Return what a rule's control does with an answer of its module; libpam lets a value fail that nobody named."""
    actions = rule.actions
    return actions.get(answer, actions.get("default", "bad"))


def _dispatch(step: Step, position: int, answer: str, impression: str, status: str) -> tuple[int, str, str]:
    """Return where libpam goes from here and what it thinks by then."""
    action = action_of(step.rule, answer)
    onward = position + 1
    if isinstance(action, int):
        return position + 1 + action, impression, status
    if action in ("ok", "done"):
        if impression == "undecided" or (impression == "positive" and status == "success"):
            if impression == "undecided" and answer == "success":
                impression = "positive"
            if answer != "ignore":
                status = answer
        if action == "done" and impression == "positive":
            onward = step.end
    elif action in ("bad", "die"):
        if impression != "negative":
            impression, status = "negative", answer
        if action == "die":
            onward = step.end
    elif action == "reset":
        impression, status = "undecided", "none"
    return onward, impression, status


def unchecked_change(stack: Sequence[Step]) -> End | None:
    """Return a way by which a password stack stores a password that no strength module accepted, or None."""

    def answers(rule: Rule) -> tuple[str, ...]:
        if rule.module in STRENGTH or rule.module in PASSWORD:
            return ("success", "authtok_err")
        return _common(rule)

    def notice(rule: Rule, answer: str, facts: frozenset[str]) -> frozenset[str]:
        if answer == "success" and rule.module in STRENGTH:
            return facts | {"checked"}
        if answer == "success" and rule.module in PASSWORD and "checked" not in facts:
            return facts | {"unchecked"}
        return facts

    return next((end for end in ways(stack, answers, notice) if end.granted and "unchecked" in end.facts), None)


def asks_again(stack: Sequence[Step]) -> Rule | None:
    """Return a pam_unix rule that, where it refuses a judged password, asks by itself for one that nobody judges."""
    judged = False
    for step in stack:
        judged = judged or step.rule.module in STRENGTH
        if judged and step.rule.module == "pam_unix" and step.rule.option("use_authtok") is None:
            return step.rule
    return None


def sets_passwords(stack: Sequence[Step]) -> bool:
    """Return whether a password stack can store a password at all."""
    return any(step.rule.module in PASSWORD for step in stack)


@dataclass(frozen=True)
class Bypass:
    """A way past the lock-out: `kind` is "uncounted" (a wrong password is not counted) or "unasked" (the right one
    is taken although the account is locked)."""

    kind: str
    end: End


def lock_bypass(stack: Sequence[Step], spared: Iterable[str] = ()) -> Bypass | None:
    """Return a way by which an auth stack passes pam_faillock by, or None.

    + spared: accounts to which such a way may be open, as long as it is to nobody else
    """
    for end in _auth_ends(stack, spared):
        if end.facts & {"proved", "spared"}:
            continue
        if {"wrong"} <= end.facts and not end.facts & {"right", "counted"}:
            return Bypass("uncounted", end)
        if end.granted and "right" in end.facts and ("locked" in end.facts or "asked" not in end.facts):
            return Bypass("unasked", end)
    return None


def _auth_ends(stack: Sequence[Step], spared: Iterable[str]) -> list[End]:
    known = frozenset(spared)

    def notice(rule: Rule, answer: str, facts: frozenset[str]) -> frozenset[str]:
        # What comes after this line on this way is met by these accounts only.
        if answer == "success" and (only := _only_users(rule)) and only <= known:
            return facts | {"spared"}
        return _auth_notice(rule, answer, facts)

    return ways(stack, _auth_answers, notice)


def _only_users(rule: Rule) -> frozenset[str]:
    """Return the accounts to which alone a pam_succeed_if rule says yes; none where it may say so to others."""
    words = [word for word in rule.arguments if word not in ("quiet", "quiet_success", "quiet_fail", "use_uid")]
    if rule.module != "pam_succeed_if" or "use_uid" in rule.arguments or len(words) != 3 or words[0] != "user":
        return frozenset()
    match words[1]:
        case "in":
            return frozenset(words[2].split(":"))
        case "=" | "eq" if not set(words[2]) & set("*?["):
            return frozenset({words[2]})
    return frozenset()


def _auth_answers(rule: Rule) -> tuple[str, ...]:
    if rule.module == "pam_faillock":
        return ("auth_err",) if "authfail" in rule.arguments else ("success", "auth_err")
    if rule.module in PASSWORD:
        return ("success", "auth_err", "user_unknown")
    return _common(rule)


def _auth_notice(rule: Rule, answer: str, facts: frozenset[str]) -> frozenset[str]:
    if rule.module == "pam_faillock":
        if "authfail" in rule.arguments:
            return facts | {"counted"}
        locked = answer != "success" and "authsucc" not in rule.arguments
        return facts | {"asked"} | ({"locked"} if locked else frozenset())
    if rule.module in PASSWORD:
        return facts | {"right" if answer == "success" else "wrong"}
    if rule.module in OTHER_PROOF and answer == "success":
        return facts | {"proved"}
    return facts


def asks_password(stack: Sequence[Step]) -> bool:
    """Return whether an auth stack lets somebody in by password."""
    return any(step.rule.module in PASSWORD for step in stack)


def _common(rule: Rule) -> tuple[str, ...]:
    if rule.module == "pam_deny":
        return ("auth_err",)
    if rule.module == "pam_permit":
        return ("success",)
    return ("success", "ignore", "auth_err")


# Modules that neither grant nor change what the others do, where they stand at either end of a stack.
_NEUTRAL = frozenset(
    {
        *(
            "pam_env",
            "pam_faildelay",
            "pam_group",
            "pam_motd",
            "pam_mail",
            "pam_cap",
            "pam_loginuid",
            "pam_selinux",
        ),
        *("pam_nologin", "pam_securetty", "pam_shells", "pam_rootok", "pam_keyinit", "pam_limits", "pam_warn"),
        *("pam_gnome_keyring", "pam_kwallet5", "pam_kwallet", "pam_echo"),
    }
)


def alike(stacks: Mapping[str, Sequence[Step]]) -> dict[str, list[str]]:
    """Return one service for each group of services whose stacks do the same, with the group's members."""
    groups: dict[tuple[tuple[str, str, tuple[str, ...]], ...], list[str]] = {}
    for service, stack in stacks.items():
        core = [step.rule for step in stack]
        while core and _neutral(core[0]):
            core.pop(0)
        while core and _neutral(core[-1]):
            core.pop()
        key = tuple((rule.control, rule.module, rule.arguments) for rule in core)
        groups.setdefault(key, []).append(service)
    return {members[0]: members for members in groups.values()}


def _neutral(rule: Rule) -> bool:
    if rule.module not in _NEUTRAL:
        return False
    grants = any(isinstance(action, int) or action == "done" for action in rule.actions.values())
    return not grants or rule.module == "pam_rootok"
