"""What a submitter declares: read from a file, refused with every fault, carried to the row that shows it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.server.submitting import DECLARATION
from vla_bench.results.store import Store
from vla_bench.server.boards import read
from vla_bench.server.boards.enter import enter_run
from vla_bench.server.submissions.declaration import Declaration, read_declaration, template_of
from vla_bench.spec.errors import UsageError

MACHINE = {"device": "NVIDIA H200", "precision": "bfloat16", "batch": 1}


def test_the_template_lacks_what_only_its_writer_knows_and_every_line_of_it_can_be_filled_in(
    toy_run: Path, tmp_path: Path
) -> None:
    with Store.open(toy_run, read_only=True) as store:
        text = template_of(store, "toy")
    path = tmp_path / "declaration.yaml"
    path.write_text(text)
    with pytest.raises(UsageError) as refusal:
        read_declaration(path)
    for name in ("training_data", "trained_on", "demonstrations_per_task", "selection_rule"):
        assert f"declaration.{name}: " in str(refusal.value)
    filled = text.replace('training_data: ""', "training_data: none").replace("trained_on: ", "trained_on: zero-shot")
    filled = filled.replace("demonstrations_per_task:", "demonstrations_per_task: 0")
    filled = filled.replace('selection_rule: ""', "selection_rule: the only one").replace("\n# ", "\n")
    path.write_text(filled)
    found = read_declaration(path)
    assert (found.implementation, found.device, found.batch) == ("authors", "NVIDIA H200", 1)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("batch", 0, "greater than or equal to 1"), ("implementation", "ours", "'authors' or 'other'"),
     ("device", "a\u202eb", "U+202E"), ("devise", "x", "Extra inputs")],
)  # fmt: skip
def test_a_field_that_says_nothing_is_refused(tmp_path: Path, field: str, value: object, words: str) -> None:
    import yaml

    path = tmp_path / "declaration.yaml"
    path.write_text(yaml.safe_dump({**DECLARATION.model_dump(), field: value}))
    with pytest.raises(UsageError, match=f"declaration.{field}: ") as refusal:
        read_declaration(path)
    assert words in str(refusal.value)


def test_answer_times_are_compared_where_device_precision_and_a_batch_of_one_are_declared(
    toy_run: Path, tmp_path: Path
) -> None:
    declared = Declaration.model_validate({**DECLARATION.model_dump(), **MACHINE})
    path = tmp_path / "results.db"
    shutil.copy(toy_run, path)
    with Store.open(path) as store:
        with store.database.write() as connection:
            enter_run(connection, "toy", declaration=declared.model_dump(mode="json"))
        with store.database.read() as connection:
            row = connection.exec_driver_sql("SELECT efficiency FROM board_row WHERE run_id IS NOT NULL").scalar_one()
        assert '"device": "NVIDIA H200"' in row
        # An expert's answer times compare with nobody's.
        assert read.latency_tables(store.database) == ()
