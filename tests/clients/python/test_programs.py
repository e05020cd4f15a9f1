"""Clients of other languages, unmodified from their registries, release the ways their users do.

What a flow is and what it asserts is in the program's own source, in the folder of
its name beside this one.
"""

import pytest

SDKS = ["go-sdk-old", "go-tea", "java-sdk-old", "node-pop-core", "node-tea", "docs-page"]
FLOWS = [
    "insert",
    "all at once",
    "phased, confirmed",
    "canary",
    "abort and roll back",
    "roll back to a version",
    "read",
    "refusals",
    "operate and delete",
]
MAVEN_FLOWS = [
    "all at once",
    "phased, automatic",
    "phased, confirmed",
    "canary",
    "package by address",
    "local package",
    "target by name",
    "older configuration file",
]


def evidence(program, flow):
    return pytest.param(program, flow, marks=[pytest.mark.client(program), pytest.mark.flow(flow)])


EVIDENCE = [evidence(program, flow) for program in SDKS for flow in FLOWS] + [evidence("toolkit-maven", flow) for flow in MAVEN_FLOWS]


@pytest.mark.parametrize(("program", "flow"), EVIDENCE)
def test_a_program_goes_through_its_flow(programs, program, flow):
    outcome = programs[program].outcome(flow)
    assert outcome is None, outcome
