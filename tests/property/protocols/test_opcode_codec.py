"""Laws of the opcodes' codec: what is written is read back, what is read is checked."""

import json
from typing import cast

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.property.protocols.typed_values import JSON, values

from gantry.protocols.opcodes.opcode import Opcode
from gantry.protocols.opcodes.parsing import BadOpcode, parse_opcode
from gantry.protocols.opcodes.registry import OPCODES, opcode_class
from gantry.protocols.opcodes.rendering import dump_opcode, send_opcode, shown_float, summary
from gantry.protocols.opcodes.secret_parameters import secrets_of, with_secrets
from gantry.protocols.values import Json

large = settings(
    max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def through_json(value: Json) -> Json:
    return cast(Json, json.loads(json.dumps(value)))


@pytest.mark.parametrize("op_id", OPCODES)
@given(data=st.data())
@large
def test_an_opcode_is_read_back_as_it_was(op_id: str, data: st.DataObject) -> None:
    opcode = data.draw(values(opcode_class(op_id)))
    assert parse_opcode(through_json(send_opcode(opcode))) == opcode
    stored = parse_opcode(through_json(dump_opcode(opcode)))
    assert with_secrets(stored, secrets_of(opcode)) == opcode
    assert dump_opcode(stored) == dump_opcode(opcode)
    assert summary(opcode).startswith(op_id.removeprefix("OP_"))


@pytest.mark.parametrize("op_id", OPCODES)
@given(data=st.data(), replacement=JSON)
@large
def test_a_changed_opcode_is_refused_by_name_or_read_back(
    op_id: str, data: st.DataObject, replacement: Json
) -> None:
    cls = opcode_class(op_id)
    name = data.draw(st.sampled_from([each.name for each in attrs.fields(cls)]))
    sent = {**send_opcode(data.draw(values(cls))), name: replacement}
    outcome = parsed_or_refused(sent)
    if isinstance(outcome, BadOpcode):
        assert (outcome.op_id, outcome.parameter) == (op_id, name)
    else:
        assert parse_opcode(send_opcode(outcome)) == outcome


def parsed_or_refused(sent: Json) -> Opcode | BadOpcode:
    try:
        return parse_opcode(sent)
    except BadOpcode as error:
        return error


@given(value=JSON)
def test_any_json_value_is_refused(value: Json) -> None:
    with pytest.raises(BadOpcode):
        parse_opcode(value)


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_a_shown_number_is_the_number(value: float) -> None:
    assert float(shown_float(value)) == value
