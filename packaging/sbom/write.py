"""Writes what the program is made of to standard output, as a CycloneDX document: every crate that
is compiled into it, with version, licence and the checksum of Cargo.lock. The same sources give the
same document. It is checked against CycloneDX' schema first.

    write.py TRIPLE
"""

import json
import os
import subprocess
import sys
import tomllib
import uuid
from datetime import datetime, timezone
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "sluice"


def metadata(triple):
    # The features of what is released, as docker/compile builds it.
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", triple, "--features", "sluice/otel"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def linked(nodes, first):
    """The ids of what is compiled into the program: no build scripts, and nothing only for tests."""
    found, left = set(), [first]
    while left:
        package = left.pop()
        if package in found:
            continue
        found.add(package)
        for dependency in nodes[package]["deps"]:
            if any(it["kind"] is None for it in dependency["dep_kinds"]):
                left.append(dependency["pkg"])
    return found


def component(package, checksums):
    checksum = checksums.get((package["name"], package["version"]))
    # Crates from before SPDX expressions wrote "or" as a slash.
    licence = (package["license"] or "").replace("/", " OR ").replace("OR  ", "OR ")
    return Component(
        type=ComponentType("application" if package["name"] == PROGRAM else "library"),
        name=package["name"],
        version=package["version"],
        bom_ref=f"{package['name']}@{package['version']}",
        purl=PackageURL("cargo", name=package["name"], version=package["version"]),
        licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
    )


def main(triple):
    known = metadata(triple)
    packages = {it["id"]: it for it in known["packages"]}
    nodes = {it["id"]: it for it in known["resolve"]["nodes"]}
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(it["name"], it["version"]): it.get("checksum") for it in lock["package"]}
    (program,) = (it["id"] for it in known["packages"] if it["name"] == PROGRAM)
    wanted = sorted(linked(nodes, program))
    components = {it: component(packages[it], checksums) for it in wanted}

    bom = Bom(components=[it for package, it in components.items() if package != program])
    bom.metadata.component = components[program]
    bom.metadata.timestamp = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), timezone.utc)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, "\n".join([triple, *sorted(components[it].bom_ref.value for it in wanted)]))
    for package in wanted:
        needed = [components[it["pkg"]] for it in nodes[package]["deps"] if it["pkg"] in components]
        bom.register_dependency(components[package], needed)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"write.py: the document is not one of CycloneDX: {fault}")
    print(text)


main(sys.argv[1])
