"""The image, what a release consists of, and the commands for a first look."""

import hashlib
import http.client
import json
import re
import socket
import subprocess
import tarfile
import urllib.request

import pytest
from conftest import ROOT, commands, eventually, run


def test_the_image_has_the_program_certificates_and_time_zones_and_nothing_else():
    files = set(run("scripts/image", "files").split("\n")) - {""}
    zones = {name for name in files if name.startswith("usr/share/zoneinfo/")}
    assert {"usr/share/zoneinfo/Asia/Shanghai", "usr/share/zoneinfo/UTC"} <= zones
    assert files - zones == {"etc/group", "etc/nsswitch.conf", "etc/passwd", "etc/ssl/certs/ca-certificates.crt", "usr/bin/sluice"}


def test_the_program_of_the_image_needs_no_library():
    assert "INTERP" not in run("readelf", "--program-headers", "target/image/sluice")


def test_the_image_runs_as_a_user_who_is_not_root_and_says_what_it_serves(tmp_path):
    run("scripts/image", "archive", str(tmp_path / "image.tar"))
    with tarfile.open(tmp_path / "image.tar") as archive:
        name = json.load(archive.extractfile("manifest.json"))[0]["Config"]
        config = json.load(archive.extractfile(name))["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/usr/bin/sluice"]
    assert config["Cmd"] == ["serve", "--listen", "0.0.0.0:8080"]
    assert "8080/tcp" in config["ExposedPorts"]


def test_the_dockerfile_compiles_for_both_architectures_with_the_script_that_a_release_uses():
    text = (ROOT / "docker/Dockerfile").read_text()
    assert "docker/compile /program/sluice ${TARGETARCH}" in text
    refused = subprocess.run(["docker/compile", "target/never", "riscv64"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert refused.returncode != 0 and "riscv64" in refused.stderr and "amd64 and arm64" in refused.stderr


@pytest.fixture
def database(tmp_path):
    yield run("scripts/postgres", "start", str(tmp_path / "postgres"), "--port").strip()
    run("scripts/postgres", "stop", str(tmp_path / "postgres"))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_the_commands_for_a_first_look_end_with_a_console_that_opens(programs, database):
    given = commands("docs/install.md", "## For a first look")
    assert len(given) <= 5
    port = free_port()
    environment = {**programs, "DATABASE_URL": database, "SLUICE_PORT": str(port)}
    try:
        said = [run("bash", "-c", command, env=environment) for command in given]
        assert re.search(r"^AccessKeySecret [0-9a-f]{40}$", said[-2], re.MULTILINE), "the key's secret is printed"
        link = re.fullmatch(r"http://127\.0\.0\.1:8080(/console/link/[0-9a-f]+)\n", said[-1])[1]

        def ready():
            """the server answers"""
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).status == 200
            except OSError:
                return False

        eventually(ready)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", link)
        page = connection.getresponse()
        assert page.status in (200, 302, 303), (page.status, page.read())
    finally:
        run("bash", "-c", "docker compose -f docker/compose.yaml down --volumes", env=environment)


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = ROOT / "target/test/dist"
    run("scripts/release", "--development", str(folder.relative_to(ROOT)))
    return folder


def only(folder, ending):
    (found,) = [path for path in folder.iterdir() if path.name.endswith(ending)]
    return found


def test_a_release_has_checksums_of_all_its_files(release):
    lines = (release / "SHA256SUMS").read_text().splitlines()
    told = {name: digest for digest, name in (line.split("  ") for line in lines)}
    assert told == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in release.iterdir() if path.name != "SHA256SUMS"}
    assert len(told) == 7, sorted(told)


def test_a_release_has_manual_pages_and_completions_of_every_command(release):
    with tarfile.open(only(release, "-man.tar.gz")) as archive:
        pages = set(archive.getnames())
        assert b"SLUICE_LISTEN" in archive.extractfile("man/sluice-serve.1").read()
    assert {"man/sluice.1", "man/sluice-migrate.1", "man/sluice-key-create.1", "man/sluice-release.1"} <= pages
    with tarfile.open(only(release, "-completions.tar.gz")) as archive:
        assert b"fetch-package" in archive.extractfile("completions/sluice.bash").read()
        assert len([name for name in archive.getnames() if "." in name]) == 5


def test_the_chart_of_a_release_is_whole(release):
    with tarfile.open(only(release, "-chart.tgz")) as archive:
        rights = archive.getmember("sluice/files/rights.yaml")
        assert rights.isfile() and archive.extractfile(rights).read() == (ROOT / "docs/rights.yaml").read_bytes()


def test_the_bill_of_materials_names_every_crate_that_the_program_is_made_of(release):
    bill = json.loads(only(release, ".cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    told = {(it["name"], it["version"]) for it in bill["components"]}
    tree = run("cargo", "tree", "--locked", "--package", "sluice", "--edges", "normal", "--prefix", "none", "--format", "{p}")
    used = {tuple(line.split(" ")[:2]) for line in tree.splitlines() if line}
    used = {(name, version.removeprefix("v")) for name, version in used if name != "sluice"}
    assert len(used) > 200
    assert used <= told, sorted(used - told)
    names = {name for name, _ in told}
    assert not names & {"proptest", "rstest", "fantoccini", "sluice-test-support"}, "what only tests need is not in it"
    for it in bill["components"]:
        assert it["licenses"], it["name"]
        assert "hashes" in it or it["name"].startswith("sluice-") or it["name"] == "simulated-kubernetes", it["name"]


def test_systemd_takes_the_unit_and_finds_it_closed(tmp_path):
    text = (ROOT / "packaging/systemd/sluice.service").read_text()
    unit = tmp_path / "sluice.service"
    unit.write_text(text.replace("/usr/local/bin/sluice", str(ROOT / "target/image/sluice")))
    said = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert said == "", said
    # Of 10, which is a unit that may do everything.
    run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit))
