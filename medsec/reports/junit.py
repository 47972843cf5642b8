"""A run as JUnit XML, for CI servers: one suite per host, one case per control."""

from __future__ import annotations

from xml.etree import ElementTree

from medsec.evidence.findings import Finding, Verdict
from medsec.evidence.plain import plain
from medsec.evidence.reading import Run
from medsec.reports.overview import Overview, conclusion_words, overview
from medsec.reports.words import VERDICTS
from medsec.text import Language


def junit_report(run: Run, language: Language) -> str:
    """Return the XML text.

    `fail` is a failure; `error`, `unreachable` and what was never judged are errors; `waived`,
    `not_applicable` and `not_selected` are skipped. The case `run_is_complete` errs when the run is incomplete, since most servers take a suite of
    skipped cases for green.
    """
    view = overview(run)
    root = ElementTree.Element("testsuites", name="medsec")
    _completeness(root, view, language)
    missing: dict[str, list[str]] = {}
    for host, control in view.missing:
        missing.setdefault(host, []).append(control)
    for host in run.hosts:
        found = [finding for finding in run.findings if finding.host == host]
        suite = _suite(root, host, len(found) + len(missing.get(host, [])))
        for finding in found:
            _case(suite, finding, language)
        for control in missing.get(host, []):
            case = ElementTree.SubElement(
                suite, "testcase", classname=run.controls[control].item, name=control, time="0.000"
            )
            _outcome(case, "error", "not_judged", _not_judged(language))
        _count(suite)
    _count(root)
    return str(ElementTree.tostring(root, encoding="unicode", xml_declaration=True)) + "\n"


def _suite(root: ElementTree.Element, name: str, tests: int) -> ElementTree.Element:
    return ElementTree.SubElement(root, "testsuite", name=plain(name), tests=str(tests))


def _case(suite: ElementTree.Element, finding: Finding, language: Language) -> None:
    case = ElementTree.SubElement(
        suite, "testcase", classname=finding.item, name=finding.control, time=f"{finding.seconds:.3f}"
    )
    text = plain(finding.text.in_language(language))
    match finding.verdict:
        case Verdict.FAIL:
            _outcome(case, "failure", "fail", text)
        case Verdict.ERROR | Verdict.UNREACHABLE:
            _outcome(case, "error", finding.verdict.value, text)
        case Verdict.WAIVED | Verdict.NOT_APPLICABLE | Verdict.NOT_SELECTED:
            word = VERDICTS[finding.verdict].in_language(language)
            ElementTree.SubElement(case, "skipped", message=f"{word}: {text}")
        case Verdict.PASS:
            return


def _outcome(case: ElementTree.Element, tag: str, kind: str, text: str) -> None:
    ElementTree.SubElement(case, tag, type=kind, message=text.splitlines()[0][:300]).text = text


def _completeness(root: ElementTree.Element, view: Overview, language: Language) -> None:
    suite = _suite(root, "medsec", 1)
    case = ElementTree.SubElement(suite, "testcase", classname="medsec", name="run_is_complete", time="0.000")
    if not view.run.conclusion.complete:
        _outcome(case, "error", "incomplete", conclusion_words(view).in_language(language))
    _count(suite)


def _count(element: ElementTree.Element) -> None:
    cases = list(element.iter("testcase"))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    element.set("tests", str(len(cases)))
    element.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")


def _not_judged(language: Language) -> str:
    return "本次核查中断，未判定" if language == "zh" else "the run was cut short before this was judged"
