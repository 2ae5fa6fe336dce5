"""Chain files: those of the distribution, and what is told of wrong ones."""

from textwrap import dedent

import pytest

from refsys.services.common.names import parse_name
from refsys.services.production.chains import ByDataTake, BySession, Chain, triggering
from refsys.services.production.check import ChainError, check_together, cycle, read_chain
from refsys.services.production.patterns import problem_of, samples
from refsys.services.production.shelf import SHIPPED, Shelf, shipped

GOOD = dedent(
    """\
    name: one
    mission: S1
    processor: {image: one, name: ONE, version: "1"}
    resources: {cpus: 1, memory_mib: 64, workdir_mib: 64}
    task_tables:
      - name: "{mode}_ONE"
        each: {mode: [IW, EW]}
        trigger: {kind: product, family: L0_SLICE, product_types: ["{mode}_RAW__0S"]}
        give_up: {default: 60}
        inputs:
          - name: orbit
            alternatives:
              - {family: AUXILIARY_FILE, product_type: AUX_RESORB}
        tasks:
          - {name: RUN, command: [run]}
        outputs:
          - {family: L1_SLICE, product_types: ["{mode}_GRDH_1S"]}
    """
)


def problems(text: str) -> list[tuple[int, str, str, str]]:
    with pytest.raises(ChainError) as caught:
        read_chain(text)
    return [(each.line, each.field, each.message, each.fix) for each in caught.value.problems]


def test_a_table_stands_for_several() -> None:
    chain = read_chain(GOOD)
    assert [table.name for table in chain.task_tables] == ["IW_ONE", "EW_ONE"]
    assert [kind for _, kind, _ in chain.patterns(chain.task_tables[1])] == ["EW_GRDH_1S"]


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_shipped_chain_is_named_as_its_file(file: object) -> None:
    assert read_chain(SHIPPED.joinpath(file.name).read_text()).name == file.stem  # type: ignore[attr-defined]


def test_shipped_chains_go_together() -> None:
    assert cycle(shipped().values()) == []
    levels = {"s1-aiop", "s1-asp", "s1-l1", "s1-l2", "s2-l0u", "s2-l0c", "s2-l1", "s2-l2", "s3-l0", "s3-l1", "s3-l2"}
    assert set(shipped()) == levels
    assert {chain.name for chain in shipped().values() if chain.enabled} == {"s1-aiop", "s2-l0u", "s3-l0"}


def test_what_one_level_makes_is_taken_by_the_next() -> None:
    made = {
        (str(output.family), kind)
        for chain in shipped().values()
        for table in chain.task_tables
        for output, kind, _ in chain.patterns(table)
    }
    needed = {
        cause
        for chain in shipped().values()
        for table in chain.task_tables
        if not isinstance(table.trigger, BySession)
        for cause in triggering(table.trigger)
    }
    assert {(str(family), kind) for family, kind in needed} <= made


def test_patterns_of_shipped_outputs_are_names_of_their_types() -> None:
    for chain in shipped().values():
        for table in chain.task_tables:
            for _, kind, pattern in chain.patterns(table):
                if chain.mission != "S2":  # names there end in what they like
                    assert {parse_name(each).product_type for each in samples(pattern)[:3]} == {kind}


def test_slices_and_waits_are_those_of_the_reference() -> None:
    cut = {
        table.name: (table.slices.length_seconds, table.slices.overlap_seconds)
        for table in shipped()["s1-asp"].task_tables
        if table.slices
    }
    assert cut["IW_ASP"] == (25, 7.4)
    assert cut["EW_ASP"] == (60, 8.2)
    assert {cut[f"S{number}_ASP"] for number in range(1, 7)} == {(25, 7.7)}
    assert cut["WV_ASP"] == (0, 0)
    for name in ("s1-asp", "s1-l1"):
        for table in shipped()[name].task_tables:
            (orbit,) = (each for each in table.inputs if each.name == "orbit")
            for urgent in ("PT", "NRT"):
                wait = orbit.wait_of(urgent)
                assert wait is not None
                assert (wait.from_downlink, wait.from_ingestion) == (0, 1800)
            wait = orbit.wait_of("FAST24")
            assert wait is not None
            assert (wait.from_downlink, wait.from_ingestion) == (57600, None)


def test_a_shelf_finds_what_a_product_triggers() -> None:
    shelf = Shelf({"one": read_chain(GOOD)})
    assert [place.table.name for place in shelf.triggered("L0_SLICE", "EW_RAW__0S", "S1")] == ["EW_ONE"]
    assert list(shelf.triggered("L0_SLICE", "EW_RAW__0S", "S2")) == []
    off = Shelf({"one": read_chain(GOOD + "enabled: false\n")})
    assert list(off.triggered("L0_SLICE", "EW_RAW__0S", "S1")) == []
    assert off.find("one", "EW_ONE") is not None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("family: L0_SLICE", "family: L0_SLIC", (8, "task_tables.0.trigger.family", "L0_SLIC", "write L0_SLICE")),
        ("give_up:", "giveup:", (9, "task_tables.0.giveup", "no such field", "write give_up")),
        ("    give_up: {default: 60}\n", "", (6, "task_tables.0.give_up", "is missing", "add it")),
        ("{default: 60}", "{NRT: 60}", (9, "task_tables.0.give_up", "no default", "add default:")),
        ("kind: product", "kind: sun", (8, "task_tables.0.trigger", "what triggers it", "write kind: product")),
        ("cpus: 1,", "cpus: 0,", (4, "resources.cpus", "greater than 0", "correct it")),
        ("mission: S1", "mission: S4", (2, "mission", "S4", "S1")),
        ('"{mode}_GRDH_1S"', '"{mod}_GRDH_1S"', (17, "task_tables.0.outputs.0.product_types.0", "{mod}", "correct")),
        ("{mode: [IW, EW]}", "{mode: IW}", (7, "task_tables.0.each", "is not names with lists", "write it as")),
        ('name: "{mode}_ONE"', "name: ONE", (6, "task_tables.0.name", "there twice", "another name")),
        ("command: [run]", "command: []", (15, "task_tables.0.tasks.0.command", "at least 1 item", "correct")),
        ("AUX_RESORB}", "AUX_RESORB, policy: Best}", (13, "policy", "'Best' is not known", "take one of")),
        ("AUX_RESORB}", "AUX_RESORB, before: -1}", (13, "before", "greater than or equal to 0", "correct it")),
        (
            "AUX_RESORB}",
            "AUX_RESORB, largest_gap_seconds: 1}",
            (13, "alternatives.0", "is for policy", "change policy"),
        ),
        ("name: one\n", "name: one\nname: two\n", (2, "name", "there twice", "leave one")),
        ("name: one\n", "name: [\n", (3, "file", "not YAML", "correct it")),
        (
            '1S"]}',
            '1S"], pattern: "S1(A"}',
            (17, "outputs.0.pattern", "no regular expression", "correct it"),
        ),
        ('1S"]}', '1S"], pattern: "(a+)+b"}', (17, "outputs.0.pattern", "can take for ever", "repeat only")),
        (
            'product_types: ["{mode}_GRDH_1S"]}',
            'product_types: ["{mode}_GRDH_1S"]}\n      - {family: L1_ACN, product_types: ["{mode}_GRDH_1S"]}',
            (18, "task_tables.0.outputs.1", "overlap: both are called", "give them patterns"),
        ),
        (
            'family: L1_SLICE, product_types: ["{mode}_GRDH_1S"]',
            'family: L0_SLICE, product_types: ["{mode}_RAW__0S"]',
            (16, "task_tables.0.outputs", "one/IW_ONE -> one/IW_ONE", "let one make"),
        ),
    ],
)
def test_what_is_wrong_is_told_with_line_field_and_fix(
    before: str, after: str, expected: tuple[int, str, str, str]
) -> None:
    assert before in GOOD
    found = problems(GOOD.replace(before, after, 1))
    line, field, message, fix = expected
    assert any(
        each[0] == line and field in (each[1] or "file") and message in each[2] and fix in each[3] for each in found
    ), found


def test_what_grows_without_end_is_refused_at_once() -> None:
    lines = ["a: &l0 {x: 1}", *(f"b{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 9)}]}}" for n in range(1, 12))]
    assert "its aliases" in problems("\n".join(lines))[0][2]
    assert "over 100 task tables" in problems(GOOD.replace("[IW, EW]", f"{list(range(101))}"))[0][2]


@pytest.mark.parametrize(
    "text", ["", "- a", "5", "a: &a [*a]", "\x00", "!!python/object:os.system {}", "x: " + "[" * 5000, "a" * 2**21]
)
def test_what_is_no_chain_is_refused(text: str) -> None:
    assert problems(text)


def test_checks_need_their_mask_and_slices_a_data_take() -> None:
    given = GOOD + "    checks: [{task: SeaCoverageCheck, mask: ocean}]\n    slices: {length_seconds: 5}\n"
    fields = {(field, message) for _, field, message, _ in problems(given)}
    assert {field for field, _ in fields} == {"task_tables.0.checks.0.mask", "task_tables.0.slices"}


def test_chains_that_make_each_other_are_refused() -> None:
    one = read_chain(GOOD)
    back = GOOD.replace("name: one", "name: back").replace("L0_SLICE", "X").replace("L1_SLICE", "L0_SLICE")
    back = back.replace("family: X", "family: L1_SLICE")
    back = back.replace("_GRDH_1S", "_Y").replace("_RAW__0S", "_GRDH_1S").replace("_Y", "_RAW__0S")
    with pytest.raises(ChainError, match="one/IW_ONE -> back/IW_ONE -> one/IW_ONE"):
        check_together([one], read_chain(back))
    check_together([one], one)


@pytest.mark.parametrize(
    ("pattern", "usable"),
    [
        (r"S1[A-D]_\d{8}T\d{6}.*", True),
        (r"(\w{1,200}){2}", True),
        (r"(?:a|b)_(?:c)?x{2}", True),
        (r"(a|b*)*", False),
        (r"(x+x+)+y", False),
        (r"(a|a)*b", False),
        (r"((a{1,60}){1,60}){1,60}", False),
        (".*.*.*.*.*x", False),
        ("a{300}", False),
        ("(a{200}){200}", False),
        ("[", False),
    ],
)
def test_patterns_that_can_take_for_ever_are_refused(pattern: str, usable: bool) -> None:
    assert (problem_of(pattern) == "") is usable


def test_a_data_take_names_its_segments() -> None:
    chain: Chain = shipped()["s1-asp"]
    assert all(isinstance(table.trigger, ByDataTake) for table in chain.task_tables)
