"""Service files as libpam reads them, and every way through their stacks; the texts are those of Debian and RHEL."""

from __future__ import annotations

import pytest

from medsec.errors import ProbeError
from medsec.probes import pam, pam_ways

DEBIAN = {
    "common-auth": """
# here are the per-package modules (the "Primary" block)
auth	requisite	pam_faillock.so preauth
auth	[success=2 default=ignore]	pam_unix.so nullok try_first_pass
auth	[default=die]	pam_faillock.so authfail
auth	requisite			pam_deny.so
auth	required			pam_permit.so
""",
    "common-password": """
password	requisite			pam_pwquality.so retry=3
password	[success=1 default=ignore]	pam_unix.so obscure use_authtok try_first_pass yescrypt
password	requisite			pam_deny.so
password	required			pam_permit.so
""",
    "su": """
auth       sufficient pam_rootok.so
# auth       required   pam_wheel.so
@include common-auth
""",
    "login": """
auth       optional   pam_faildelay.so  delay=3000000
auth       requisite  pam_nologin.so
@include common-auth
auth       optional   pam_group.so
@include common-password
""",
}
# As authselect writes them for the profile sssd with the feature with-faillock.
RHEL = {
    "password-auth": """
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
auth        required                                     pam_faillock.so preauth silent
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        [default=1 ignore=ignore success=ok]         pam_localuser.so
auth        sufficient                                   pam_unix.so nullok
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        sufficient                                   pam_sss.so forward_pass
auth        required                                     pam_faillock.so authfail
auth        required                                     pam_deny.so
password    requisite                                    pam_pwquality.so local_users_only
password    sufficient                                   pam_unix.so sha512 shadow nullok use_authtok
password    [success=1 default=ignore]                   pam_localuser.so
password    sufficient                                   pam_sss.so use_authtok
password    required                                     pam_deny.so
""",
    "sshd": """
auth       substack     password-auth
auth       include      postlogin
password   include      password-auth
""",
    "postlogin": "session     optional                   pam_umask.so silent\n",
}


def services(texts: dict[str, str]) -> pam.Services:
    return pam.Services({name: (f"/etc/pam.d/{name}", text) for name, text in texts.items()})


def changed(texts: dict[str, str], name: str, old: str, new: str) -> pam.Services:
    assert old in texts[name]
    return services({**texts, name: texts[name].replace(old, new)})


def test_lines_are_read_as_libpam_reads_them() -> None:
    text = "auth [success=1  default=ignore] /lib/security/pam_unix.so a=b \\\n  nullok # not this\n-auth OPTIONAL pam_x.so\n"
    first, second = pam.rules("/etc/pam.d/x", text)
    assert (first.module, first.arguments, first.line) == ("pam_unix", ("a=b", "nullok"), 1)
    assert first.actions == {"success": 1, "default": "ignore"}
    assert (second.type, second.module, second.actions["default"]) == ("auth", "pam_x", "ignore")
    assert first.option("a") == "b"
    assert first.option("nullok") == ""
    assert first.option("deny") is None


def test_includes_are_resolved_and_leftovers_left_out() -> None:
    output = "\x1e/etc/pam.d/su\n@include common-auth\n\x1e/etc/pam.d/common-auth\nauth required pam_unix.so\n"
    output += "\x1e/etc/pam.d/su.dpkg-old\nauth required pam_permit.so\n\x1e/usr/lib/pam.d/su\nauth required pam_deny.so\n"
    found = pam.parse_services(output)
    assert [step.rule.module for step in found.stack("su", "auth")] == ["pam_unix"]
    assert found.names() == ["su", "common-auth"]


def test_an_include_without_a_file_is_an_error() -> None:
    with pytest.raises(ProbeError, match="common-auth"):
        services({"su": "@include common-auth\n"}).stack("su", "auth")


def test_a_service_without_a_file_gets_other() -> None:
    found = services({"other": "auth required pam_deny.so\n"})
    assert [step.rule.module for step in found.stack("cockpit", "auth")] == ["pam_deny"]


@pytest.mark.parametrize(("texts", "service"), [(DEBIAN, "su"), (DEBIAN, "login"), (RHEL, "sshd")])
def test_a_sound_lock_has_no_way_past_it(texts: dict[str, str], service: str) -> None:
    assert pam_ways.lock_bypass(services(texts).stack(service, "auth")) is None


@pytest.mark.parametrize(
    ("texts", "name", "old", "new", "kind"),
    [
        (DEBIAN, "common-auth", "[default=die]\tpam_faillock", "[default=die]\tpam_x", "uncounted"),
        (DEBIAN, "common-auth", "success=2 default=ignore", "success=2 default=die", "uncounted"),
        (DEBIAN, "common-auth", "success=2 default=ignore", "success=2 default=1", "uncounted"),
        (DEBIAN, "common-auth", "auth	requisite	pam_faillock.so preauth", "", "unasked"),
        (
            DEBIAN,
            "common-auth",
            "requisite	pam_faillock.so preauth",
            "optional pam_faillock.so preauth",
            "unasked",
        ),
        (
            DEBIAN,
            "common-auth",
            "auth	requisite	pam_faillock",
            "auth [success=1 default=ignore] pam_succeed_if.so user = x\nauth	requisite	pam_faillock",
            "unasked",
        ),
        (
            RHEL,
            "password-auth",
            "sufficient                                   pam_unix",
            "requisite pam_unix",
            "uncounted",
        ),
        (
            RHEL,
            "password-auth",
            "required                                     pam_faillock.so preauth",
            "optional pam_faillock.so preauth",
            "unasked",
        ),
    ],
)
def test_a_way_past_the_lock_is_found(texts: dict[str, str], name: str, old: str, new: str, kind: str) -> None:
    service = "sshd" if texts is RHEL else "su"
    bypass = pam_ways.lock_bypass(changed(texts, name, old, new).stack(service, "auth"))
    assert bypass is not None
    assert bypass.kind == kind


OPEN_TO = "auth [success=ignore default=1] pam_succeed_if.so quiet user in {}\nauth sufficient pam_unix.so\nauth\trequisite\tpam_faillock"


@pytest.mark.parametrize("module", ["pam_userdb", "pam_pwdfile", "pam_radius_auth", "pam_tacplus", "pam_pgsql"])
def test_a_password_of_another_kind_before_the_lock_is_found(module: str) -> None:
    first = f"auth sufficient {module}.so\nauth\trequisite\tpam_faillock"
    stack = changed(DEBIAN, "common-auth", "auth\trequisite\tpam_faillock", first).stack("su", "auth")
    assert module in str(pam_ways.lock_bypass(stack))


@pytest.mark.parametrize(
    ("line", "permitted"),
    [
        (OPEN_TO.format("emergency"), ["emergency"]),
        (OPEN_TO.format("emergency:other"), ["other", "emergency"]),
        (OPEN_TO.format("emergency").replace("in ", "= "), ["emergency", "other"]),
        ("auth [success=1 default=ignore] pam_succeed_if.so user = emergency\nauth\trequisite\tpam_faillock", ["emergency"]),
    ],
)  # fmt: skip
def test_a_way_that_is_open_to_permitted_accounts_alone_is_none_for_others(
    line: str, permitted: list[str]
) -> None:
    stack = changed(DEBIAN, "common-auth", "auth\trequisite\tpam_faillock", line).stack("su", "auth")
    assert pam_ways.lock_bypass(stack, permitted) is None
    for fewer in ([], permitted[:-1] if len(permitted) > 1 and ":" in line else ["nobody"]):
        assert pam_ways.lock_bypass(stack, fewer) is not None


@pytest.mark.parametrize(
    "condition",
    ["user notin emergency", "user != emergency", "user = emerg*", "user in emergency:x", "uid < 1000", "use_uid user = emergency",
     "user = emergency uid > 0", "user ingroup emergency"],
)  # fmt: skip
def test_a_condition_that_may_hold_for_others_too_permits_nothing(condition: str) -> None:
    line = f"auth [success=1 default=ignore] pam_succeed_if.so quiet {condition}\nauth\trequisite\tpam_faillock"
    stack = changed(DEBIAN, "common-auth", "auth\trequisite\tpam_faillock", line).stack("su", "auth")
    assert pam_ways.lock_bypass(stack, ["emergency"]) is not None


@pytest.mark.parametrize(("texts", "service"), [(DEBIAN, "login"), (RHEL, "sshd")])
def test_a_sound_password_stack_stores_nothing_unchecked(texts: dict[str, str], service: str) -> None:
    stack = services(texts).stack(service, "password")
    assert pam_ways.sets_passwords(stack)
    assert pam_ways.unchecked_change(stack) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("password	requisite			pam_pwquality", "password optional pam_pwquality"),
        (
            "password	requisite			pam_pwquality",
            "password [success=1 default=ignore] pam_succeed_if.so user = x\npassword requisite pam_pwquality",
        ),
        (
            "password	requisite			pam_pwquality",
            "password sufficient pam_unix.so\npassword requisite pam_pwquality",
        ),
        ("password	requisite			pam_pwquality.so retry=3", "# password requisite pam_pwquality.so"),
    ],
)
def test_a_way_past_the_judge_of_passwords_is_found(old: str, new: str) -> None:
    stack = changed(DEBIAN, "common-password", old, new).stack("login", "password")
    assert pam_ways.unchecked_change(stack) is not None


def test_required_judges_as_well_as_requisite() -> None:
    found = changed(DEBIAN, "common-password", "requisite			pam_pwquality", "required pam_pwquality")
    assert pam_ways.unchecked_change(found.stack("login", "password")) is None


def test_done_in_a_substack_ends_the_substack_only() -> None:
    texts = {
        "a": "auth substack b\nauth required pam_deny.so\n",
        "b": "auth sufficient pam_unix.so\nauth required pam_deny.so\n",
    }
    ends = pam_ways.ways(
        services(texts).stack("a", "auth"),
        lambda rule: ("auth_err",) if rule.module == "pam_deny" else ("success",),
        lambda rule, answer, facts: facts,
    )
    assert [end.granted for end in ends] == [False]
    assert [rule.module for rule, _ in ends[0].way] == ["pam_unix", "pam_deny"]


def test_services_that_do_alike_are_tried_once() -> None:
    found = services(DEBIAN)
    stacks = {name: found.stack(name, "auth") for name in ("su", "login")}
    assert pam_ways.alike(stacks) == {"su": ["su", "login"]}


def test_a_module_that_grants_is_never_taken_for_neutral() -> None:
    texts = {**DEBIAN, "login": DEBIAN["login"].replace("requisite  pam_nologin", "sufficient  pam_nologin")}
    found = services(texts)
    assert len(pam_ways.alike({name: found.stack(name, "auth") for name in ("su", "login")})) == 2


def test_a_way_names_the_modules_that_decide_it() -> None:
    found = changed(
        DEBIAN,
        "common-auth",
        "auth	requisite	pam_faillock",
        "auth [success=1 default=ignore] pam_succeed_if.so user = x\nauth	requisite	pam_faillock",
    )
    bypass = pam_ways.lock_bypass(found.stack("login", "auth"))
    assert str(bypass and bypass.end).startswith(
        "pam_succeed_if=success (/etc/pam.d/common-auth:3), pam_unix=success"
    )


def test_pam_unix_must_not_ask_again_for_itself() -> None:
    assert pam_ways.asks_again(services(DEBIAN).stack("login", "password")) is None
    found = changed(DEBIAN, "common-password", " use_authtok ", " ").stack("login", "password")
    again = pam_ways.asks_again(found)
    assert again is not None
    assert str(again) == "/etc/pam.d/common-password:3"
