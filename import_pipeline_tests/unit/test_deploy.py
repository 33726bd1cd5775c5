"""The files of deploy/ fit the project and the formats of compose, the chart, systemd and Docker."""

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose
from dagster._core.workspace.load_target import WorkspaceFileTarget

from import_pipeline.cli.up import DEFINITIONS
from import_pipeline.settings import SETTINGS, SOURCE_SETTINGS, load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
#: Variables that compose passes to its own servers only.
OF_COMPOSE = {"POSTGRES_PASSWORD", "REDIS_PASSWORD"}


def example():
    """Return name -> value of the environment file, read as compose and systemd do."""
    lines = [line for line in (DEPLOY / "import_pipeline.env.example").read_text().splitlines() if line]
    given = [re.fullmatch(r'([A-Z_]+)="([^"$\\]*)"', line) for line in lines if not line.startswith("#")]
    assert all(given), lines
    return dict(match.groups() for match in given)


def compose():
    """Return the compose file with its merge keys resolved."""
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_the_environment_file_holds_settings_that_can_be_read(tmp_path):
    known = {setting.name for setting in SETTINGS} | {f"ITEMS_{setting.name}" for setting in SOURCE_SETTINGS}
    assert set(example()) - known == OF_COMPOSE
    settings = load_settings(example(), tmp_path)
    assert settings.is_postgres
    assert settings.redis_url is not None
    assert settings.source("items").limits == "500/20 second; 2000/100 second"


def test_every_secret_of_the_environment_file_is_to_be_changed():
    secrets = {setting.name for setting in SETTINGS if setting.secret} | {"ITEMS_TOKEN"} | OF_COMPOSE
    assert {name for name, value in example().items() if "CHANGE_ME" in value} == secrets


def test_the_environment_file_means_the_same_to_a_shell_to_systemd_and_to_dotenv(tmp_path):
    file = DEPLOY / "import_pipeline.env.example"
    print_all = f"set -a; . {file}; exec env -0"
    said = subprocess.run(["/bin/sh", "-c", print_all], env={}, capture_output=True, text=True, check=True).stdout
    of_shell = dict(pair.split("=", 1) for pair in said.split("\0") if pair)
    assert {name: of_shell[name] for name in example()} == example()
    (tmp_path / ".env").write_text(file.read_text())
    of_dotenv = load_settings({}, tmp_path).environment
    assert {name: of_dotenv[name] for name in example()} == example()


def test_the_compose_file_is_one_by_the_specification():
    assert set(checked(compose()).service_names()) == set(compose()["services"])


def checked(whole):
    return PyCompose.from_yaml(yaml.safe_dump(whole))


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("services", "panel", "healthcheck", "interval"), "soon"),
        (("services", "panel", "imag"), "x"),
        (("services", "code", "depends_on", "redis", "condition"), "happy"),
    ],
)
def test_a_wrong_compose_file_would_be_refused(place, wrong):
    whole = compose()
    part = whole
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = wrong
    with pytest.raises(ValueError, match=place[1]):
        checked(whole)


def test_containers_depend_on_what_exists_and_says_that_it_is_healthy():
    services = compose()["services"]
    assert {"postgres", "redis", "migrate", "code", "webserver", "daemon", "panel"} == set(services)
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[name]
            else:
                assert (how["condition"], services[name]["restart"]) == ("service_completed_successfully", "no")
    assert all("healthcheck" in service for name, service in services.items() if name != "migrate")
    named = {volume.partition(":")[0] for service in services.values() for volume in service["volumes"]}
    assert named == set(compose()["volumes"])


def test_only_this_machine_reaches_the_containers_which_hold_no_privilege_and_no_password():
    services = compose()["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:3000:3000", "127.0.0.1:3001:3001"]
    for name in ("migrate", "code", "webserver", "daemon", "panel"):
        service = services[name]
        assert (service["cap_drop"], service["read_only"], service["env_file"]) == (
            ["ALL"],
            True,
            "import_pipeline.env",
        )
        assert service["security_opt"] == ["no-new-privileges:true"]
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            assert not name.endswith(("PASSWORD", "TOKEN")) or value.startswith("${"), name
            assert "URL" not in name or re.search(r":\$\{\w+_PASSWORD:\?.*\}@", value), name


def test_redis_forgets_nothing_for_lack_of_memory_and_survives_a_restart():
    command = " ".join(compose()["services"]["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def commands():
    """Return (place, program and arguments) of everything that deploy/ starts."""
    for name, service in compose()["services"].items():
        if name not in {"postgres", "redis"}:
            yield f"compose: {name}", service["command"]
    for unit in UNITS:
        yield unit.name, read(unit)["Service"]["ExecStart"].split()
    [panel] = [
        each
        for each in yaml.safe_load_all((DEPLOY / "kubernetes/panel.yaml").read_text())
        if "replicas" in each["spec"]
    ]
    yield "kubernetes", panel["spec"]["template"]["spec"]["containers"][0]["command"]
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    yield "Dockerfile", yaml.safe_load(re.search(r"^CMD (.+)$", dockerfile, re.MULTILINE).group(1))


def read(unit):
    """Return the sections of a systemd unit; names keep their capitals."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str
    parser.read(unit)
    return parser


#: The commands that deploy/ gives, with the options that it gives them.
SPOKEN = {
    ("import-pipeline", "panel"): {"--quiet"},
    ("import-pipeline", "migrate"): set(),
    ("dagster", "api", "grpc"): {"-h", "-p", "-m"},
    ("dagster-webserver",): {"-h", "-p", "-w"},
    ("dagster-daemon", "run"): {"-w"},
}


def test_the_code_has_the_name_that_up_gives_it_and_is_looked_for_where_it_listens(monkeypatch):
    read_by = {where: command[-1] for where, command in commands() if "-w" in command}
    assert read_by == {
        "compose: webserver": "/opt/dagster_home/workspace.yaml",
        "compose: daemon": "/opt/dagster_home/workspace.yaml",
        "import-pipeline-daemon.service": "/opt/import_pipeline/deploy/workspace.yaml",
        "import-pipeline-webserver.service": "/opt/import_pipeline/deploy/workspace.yaml",
    }
    monkeypatch.setenv("CODE_HOST", compose()["services"]["webserver"]["environment"]["CODE_HOST"])
    [origin] = WorkspaceFileTarget(paths=[str(DEPLOY / "workspace.yaml")]).create_origins()
    assert (origin.location_name, origin.host, origin.port) == (DEFINITIONS, "code", 4000)


@pytest.mark.parametrize(("where", "command"), list(commands()), ids=str)
def test_what_is_started_is_a_command_with_options_that_it_has(where, command):
    program, *rest = Path(command[0]).name, *command[1:]
    [spoken] = [each for each in SPOKEN if (program, *rest)[: len(each)] == each]
    assert {word for word in rest if word.startswith("-")} <= SPOKEN[spoken], where


@pytest.mark.nightly
@pytest.mark.parametrize("spoken", SPOKEN, ids=" ".join)
def test_the_installed_programs_have_these_options(spoken):
    program, *rest = spoken
    command = [Path(sys.executable).parent / program, *rest, "--help"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert SPOKEN[spoken] <= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", output))


def test_the_units_run_as_one_unprivileged_user_on_one_environment_file():
    assert [unit.stem for unit in UNITS] == [
        f"import-pipeline-{part}" for part in ("code", "daemon", "panel", "webserver")
    ]
    for unit in UNITS:
        service = read(unit)["Service"]
        assert service["EnvironmentFile"] == "/etc/import_pipeline/import_pipeline.env"
        assert (service["User"], service["NoNewPrivileges"], service["ProtectSystem"]) == (
            "import_pipeline",
            "true",
            "strict",
        )
        assert (service["CapabilityBoundingSet"], service["Restart"]) == ("", "always")
        assert read(unit)["Unit"]["PartOf"] == "import-pipeline.target"
    wanted = read(DEPLOY / "systemd/import-pipeline.target")["Unit"]["Wants"].split()
    assert sorted(wanted) == [unit.name for unit in UNITS]


@pytest.mark.nightly
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    """`systemd-analyze` verifies them; the test fails if it is not installed."""
    for unit in (DEPLOY / "systemd").iterdir():
        text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    units = sorted(str(path) for path in tmp_path.iterdir())
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    for unit in (unit for unit in units if unit.endswith(".service")):
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", unit]
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_production_is_the_same_instance_as_everywhere_except_that_it_refuses_sqlite():
    ours, production = (yaml.safe_load((folder / "dagster.yaml").read_text()) for folder in (ROOT, DEPLOY))
    assert production["storage"]["custom"].pop("config") == {"postgres_only": True}
    assert ours["storage"]["custom"].pop("config") == {}
    assert production == ours
    assert production["run_retries"]["enabled"] is False
    assert production["run_monitoring"]["max_resume_run_attempts"] == 0
    assert production["telemetry"]["enabled"] is False


def test_the_cluster_gets_the_same_queue_monitoring_and_retention():
    values = yaml.safe_load((DEPLOY / "kubernetes/values.yaml").read_text())
    production = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    daemon = values["dagsterDaemon"]
    queue = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert queue["tagConcurrencyLimits"] == production["concurrency"]["runs"]["tag_concurrency_limits"]
    assert queue["dequeueIntervalSeconds"] == production["run_coordinator"]["config"]["dequeue_interval_seconds"]
    monitoring = {snake(name): value for name, value in daemon["runMonitoring"].items()}
    assert monitoring.items() >= production["run_monitoring"].items()
    assert daemon["runRetries"] == production["run_retries"]
    for name in ("sensor", "schedule"):
        kept = production["retention"][name]["purge_after_days"]
        assert values["retention"][name] == {"purgeAfterDays": kept}
    assert values["telemetry"] == production["telemetry"]


#: The chart's values that we give, as its own schema names them (helm/dagster/values.schema.json of release 1.13).
CHART = {
    "global": {"postgresqlSecretName"},
    "postgresql": {
        "enabled",
        "postgresqlHost",
        "postgresqlUsername",
        "postgresqlDatabase",
        "postgresqlScheme",
        "service",
    },
    "rabbitmq": {"enabled"},
    "redis": {"enabled"},
    "dagster-user-deployments": {"enabled", "enableSubchart", "deployments"},
    "runLauncher": {"type", "config"},
    "dagsterWebserver": {"replicaCount", "service"},
    "dagsterDaemon": {"enabled", "runCoordinator", "runMonitoring", "runRetries"},
    "retention": {"enabled", "sensor", "schedule"},
    "telemetry": {"enabled"},
}


def test_the_chart_knows_every_value_and_takes_secrets_from_the_secret_only():
    text = (DEPLOY / "kubernetes/values.yaml").read_text()
    values = yaml.safe_load(text)
    flags = {"generatePostgresqlPasswordSecret", "generateCeleryConfigSecret"}
    assert all(values.pop(flag) is False for flag in flags)
    assert {name: set(value) for name, value in values.items()} == CHART
    [deployment] = values["dagster-user-deployments"]["deployments"]
    assert deployment["envSecrets"] == values["runLauncher"]["config"]["k8sRunLauncher"]["envSecrets"]
    assert deployment["podSecurityContext"]["runAsNonRoot"] is True
    assert not re.search(r"(?i)(password|token): *\S", text)


def snake(name):
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: "_" + match.group(1).lower(), name)


def test_the_image_is_built_from_what_there_is_and_installs_hashed_packages_only():
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    let_in = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[0] == "!"}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    assert {name for line in copied for name in line.split()} == let_in
    assert all((ROOT / name).exists() for name in let_in)
    for install in re.findall(r"pip install .*", dockerfile):
        assert "--require-hashes" in install or install.endswith("--no-deps --no-build-isolation .")
    assert re.search(r"^USER 10001$", dockerfile, re.MULTILINE)


def test_what_production_locks_is_what_the_tests_ran_with():
    locked = [
        dict(re.findall(r"^([\w.-]+)==(\S+)", lock.read_text(), re.MULTILINE))
        for lock in (ROOT / "requirements.lock", ROOT / "requirements-run.lock", DEPLOY / "requirements.lock")
    ]
    tested, running, production = locked
    assert {name: version for name, version in running.items() if tested.get(name) != version} == {}
    assert {name: version for name, version in production.items() if tested.get(name, version) != version} == {}
    assert not {"pytest", "playwright"} & {*production, *running}
    assert "dagster-k8s" in production
    assert (DEPLOY / "requirements.lock").read_text().count("--hash=sha256:") > len(production)
