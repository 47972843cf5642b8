"""Reports of runs of every kind: nothing unproven is green, nothing a host printed steers the page."""

from __future__ import annotations

import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import jmespath
import pytest
from sample_run import make_run

from medsec.evidence.findings import Verdict, WaiverNote
from medsec.evidence.reading import Run, RunDamaged
from medsec.inventory.ledger import Deadlines
from medsec.reports import html_report, json_report, junit_report, summary
from medsec.reports.folding import fold, named
from medsec.reports.overview import overview
from medsec.text import Language

LANGUAGES: list[Language] = ["zh", "en"]


@pytest.fixture(scope="module")
def worst(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("worst"), hosts=12, deadlines=Deadlines(critical=1))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("good"), hosts=4, worst=False)


@pytest.fixture(scope="module")
def cut_short(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("cut"), hosts=4, worst=False, finish=False)


class Page(html.parser.HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "link", "img"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_stands_alone_and_runs_nothing(worst: Run, language: Language) -> None:
    text = html_report(worst, language)
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "form", "base"}
    loaded = [
        v
        for _, attrs in page.tags
        for k, v in attrs.items()
        if k in ("src", "href") and not str(v).startswith("#")
    ]
    assert not loaded
    assert not re.search(r"url\(|@import|https?://|onclick|javascript:", text)
    assert "\x1b" not in text
    assert "<script>alert('gateway')</script>" in page.text  # shown as text, so the host's output is all there


def test_every_link_leads_somewhere(worst: Run) -> None:
    page = Page(html_report(worst, "zh"))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {str(a["href"]).removeprefix("#") for tag, a in page.tags if tag == "a"} <= set(ids)


def test_the_first_screen_answers_the_five_questions(worst: Run) -> None:
    text = Page(html_report(worst, "zh")).text
    first = text[: text.index("三、主机与检查项对照")]
    conclusion = worst.conclusion
    left = conclusion.applicable - conclusion.judged
    assert f"不具备迎检条件：10 项要求不符合（重大 2 项），{left} 项次未能判定" in first
    assert "日志留存不少于 190 天" in first
    assert "李晓红 ：zd-002" in first
    assert "2025-11-23" in first
    assert "查看佐证" in first
    assert f"/ {len(worst.hosts)} 台" in first
    assert "/ 70 项" in first
    assert "连接超时无应答" in first


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_run_that_was_cut_short_says_how_to_go_on(cut_short: Run, language: Language) -> None:
    assert f"medsec verify --resume runs/{cut_short.path.name}" in "\n".join(summary(cut_short, language))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_was_not_judged_never_looks_like_a_pass(cut_short: Run, language: Language) -> None:
    page = Page(html_report(cut_short, language))
    assert ("尚不能下结论" if language == "zh" else "No conclusion yet") in page.text
    assert ("核查中断" if language == "zh" else "cut short") in page.text
    banner = next(attrs for tag, attrs in page.tags if tag == "p" and "verdict" in str(attrs.get("class")))
    assert banner["class"] == "verdict open"
    matrix = html_report(cut_short, language).split('class="matrix"')[1].split("</table>")[0]
    missing = {
        host for host, item in ((h, c.item) for h in cut_short.hosts for c in cut_short.header.controls)
    } - {host for host, _ in cut_short.conclusion.cells}
    assert missing
    for row in matrix.split("<tr>")[2:]:
        if any(f'<th scope="row">{host}<' in row for host in missing):
            assert 'class="good"' not in row


def test_a_clean_run_says_what_it_does_not_cover(good: Run) -> None:
    # Of these twelve items people are left a part.
    assert (
        "自动核查部分全部符合；另有 58 个检查项及 12 个的其余部分须人工核查" in Page(html_report(good, "zh")).text
    )
    assert "自动核查部分全部符合；另有 58 个检查项及 12 个的其余部分" in "\n".join(summary(good, "zh"))


def test_english_pages_speak_english(worst: Run) -> None:
    owners = {host.owner for host in worst.header.hosts} | {worst.header.operator, worst.header.controller}
    waivers = {
        t
        for f in worst.findings
        if f.waiver
        for t in (f.waiver.reason, f.waiver.owner, f.waiver.approver, *f.waiver.compensation)
    }
    clauses = {clause for item in worst.header.items for clause in item.clauses}
    text = Page(html_report(worst, "en")).text
    for name in sorted(owners | waivers | clauses, key=len, reverse=True):
        text = text.replace(name, "")
    assert not re.findall(r"[\u4e00-\u9fff]+", text)


def test_changed_evidence_makes_no_page(tmp_path: Path) -> None:
    run = make_run(tmp_path, hosts=2)
    file = next((run.path / "evidence").rglob("*.json"))
    file.write_text(file.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(RunDamaged, match="changed after the run"):
        html_report(run, "zh")
    with pytest.raises(RunDamaged, match="changed after the run"):
        json_report(run)


def test_two_names_of_one_machine_are_told(good: Run) -> None:
    identity = good.identities["gateway"]
    double = replace(good, identities={**good.identities, "backup": identity})
    assert "gateway、backup 的机器标识与主机密钥相同" in Page(html_report(double, "zh")).text
    assert "gateway, backup answered with one machine id" in "\n".join(summary(double, "en"))
    assert "相同：" not in Page(html_report(good, "zh")).text


def width(line: str) -> int:
    return sum(1 if ord(char) < 0x1100 else 2 for char in line)


@pytest.fixture(scope="module", params=[1, 40, 400])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("fleet"), hosts=request.param)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_summary_fits_one_screen(fleet: Run, language: Language) -> None:
    run = fleet
    lines = summary(run, language)
    assert len(lines) <= 24
    assert max(map(width, lines[:-1])) <= 80
    assert str(run.path) in lines[-1]
    text = "\n".join(lines)
    counts = {verdict: n for verdict, n in run.conclusion.counts.items() if n or verdict != "not_selected"}
    for count in (*counts.values(), run.conclusion.applicable, run.conclusion.exit_code, len(run.hosts)):
        assert re.search(rf"(?<!\d){count}(?!\d)", text)
    text.encode("gbk")
    assert re.search(r"medsec (plan|verify|report)[^.]*$", text, re.MULTILINE)


def test_the_summary_names_the_gravest_first(worst: Run) -> None:
    rows = [line.strip() for line in summary(worst, "zh") if line.startswith("  [")]
    assert [row[1:3] for row in rows[:3]] == ["重大", "重大", "高]"]
    assert any(row.startswith("[不可达]") for row in rows)


def test_the_summary_says_whose_it_is_by_when_and_where_the_proof_lies(worst: Run) -> None:
    for language, due, others in (("zh", "11-23 前", "等 2 人"), ("en", "by 11-23", "+1")):
        lines = summary(worst, language)  # type: ignore[arg-type]
        row = next(line for line in lines if "LG-02" in line)
        assert due in row
        assert "李晓红" in row
        assert "zd-002" in row
        assert any(others in line for line in lines if line.startswith("  ["))
        assert any("2026-03-31" in line and "信息科" in line for line in lines)
        assert lines[-1].endswith(("CONTROL.json)", "控制项.json）"))


def test_what_an_expired_waiver_permitted_was_due_when_it_expired(worst: Run) -> None:
    entry = next(entry for entry in worst.stored if entry.finding.control == "root_login_refused")
    note = WaiverNote("r", "o", "a", ("c",), "2025-11-20", "expired")
    late = replace(entry, finding=replace(entry.finding, verdict=Verdict.FAIL, waiver=note))
    run = replace(worst, stored=[late if other is entry else other for other in worst.stored])
    gap = next(gap for gap in overview(run).gaps if gap.control.id == "root_login_refused")
    assert gap.due.isoformat() == "2025-11-20"
    assert any("11-20 已逾期" in line for line in summary(run, "zh"))
    (found,) = [
        f
        for f in json_report(run, evidence=False)["findings"]
        if f["waiver"] and f["waiver"]["state"] == "expired"
    ]
    assert found["due"] == "2025-11-20"


def test_junit_counts_what_happened(worst: Run) -> None:
    root = ElementTree.fromstring(junit_report(worst, "zh"))
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == ["medsec", *worst.hosts]
    counts = worst.conclusion.counts
    assert root.get("tests") == str(worst.header.planned + 1)
    assert root.get("failures") == str(counts["fail"])
    assert root.get("errors") == str(counts["error"] + counts["unreachable"] + 1)
    assert root.get("skipped") == str(counts["waived"] + counts["not_applicable"])
    case = next(case for case in root.iter("testcase") if case.find("failure") is not None)
    assert case.get("classname") in worst.items
    failure = case.find("failure")
    assert failure is not None and "<b>yes</b>" in str(failure.text)


@pytest.mark.parametrize(("kind", "errors"), [("good", 0), ("cut_short", 13)])
def test_junit_of_a_run_cut_short_is_not_green(request: pytest.FixtureRequest, kind: str, errors: int) -> None:
    run: Run = request.getfixturevalue(kind)
    root = ElementTree.fromstring(junit_report(run, "en"))
    assert root.get("tests") == str(run.header.planned + 1)
    assert root.get("errors") == str(errors)


def test_json_holds_everything_and_answers_queries(worst: Run) -> None:
    value = json.loads(json.dumps(json_report(worst)))
    assert value["schema"] == "medsec.results/1"
    assert value["exit_code"] == 3
    assert len(value["findings"]) == value["totals"]["planned"] == worst.header.planned
    assert sum(value["totals"]["verdicts"].values()) == worst.header.planned
    failing = jmespath.search("findings[?verdict=='fail'].host", value)
    assert len(failing) == worst.conclusion.counts["fail"]
    assert jmespath.search("items[?verdict=='not_covered'] | length(@)", value) == 58
    finding = next(f for f in value["findings"] if f["verdict"] == "fail")
    assert finding["due"] and finding["owner"] and finding["evidence"][0]["command"]
    assert value["hosts"][0]["identity"]["host_key"].startswith("SHA256:")


def test_json_of_a_run_cut_short_names_what_is_missing(cut_short: Run) -> None:
    value = json_report(cut_short, evidence=False)
    assert value["complete"] is False
    assert len(value["missing"]) == value["totals"]["missing"] == 12
    assert all(finding["evidence"] is None for finding in value["findings"])


def test_the_schema_is_documented(worst: Run) -> None:
    """Every key of the JSON has its row in both documents."""
    value = json_report(worst)
    keys = {*value, *value["run"], *value["totals"], *value["items"][0], *value["hosts"][0], *value["findings"][0]}
    keys |= {*value["findings"][0]["evidence"][0], *next(f["waiver"] for f in value["findings"] if f["waiver"])}
    keys |= {*value["hosts"][0]["identity"], *value["controls"][0]}
    docs = Path(__file__).parents[2] / "docs"
    for name in ("results.md", "results.zh-CN.md"):
        text = (docs / name).read_text(encoding="utf-8")
        assert not [key for key in sorted(keys) if f"`{key}`" not in text], name


@pytest.mark.parametrize(
    ("names", "folded"),
    [
        (["zd-001", "zd-002", "zd-003", "zd-007"], ["zd-[001-003]", "zd-007"]),
        (["his-db", "his-app"], ["his-db", "his-app"]),
        (["t9", "t10", "t08"], ["t[9-10]", "t08"]),
        (["zd-2", "zd-2"], ["zd-2"]),
        (["a1b", "10.66.1.1", "10.66.1.2"], ["a1b", "10.66.1.[1-2]"]),
    ],
)
def test_hosts_are_folded_without_losing_one(names: list[str], folded: list[str]) -> None:
    assert fold(names) == folded


def test_many_hosts_are_named_with_their_number() -> None:
    assert named([f"host-{n * 2}" for n in range(9)], "zh", most=2) == "host-0、host-2 等 9 台"
