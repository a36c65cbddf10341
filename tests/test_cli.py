"""The command line: what it prints, and its exit status."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from fgssl_edu import cli, config, paths
from fgssl_edu.runs import notebook


@pytest.fixture
def fgssl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command line; returns its status, what it printed, and what it complained of."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fgssl", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    monkeypatch.delenv("FGSSL_SCALE", raising=False)
    return call


def test_help_is_there_in_less_than_a_cpu_second_and_without_torch():
    code = "import sys, time; from fgssl_edu import cli\ntry: cli.app(['--help'])\nexcept SystemExit: pass\n"
    code += "print(time.process_time(), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("run", "join", "report", "lab", "warm", "data", "doctor", "bench", "reference", "coreset"):
        assert f"\n  {name} " in done.stdout
    assert not any(line.endswith("...") for line in done.stdout.splitlines()[1:])  # none is cut off
    seconds, torch_loaded = done.stdout.splitlines()[-1].split()
    assert float(seconds) < 1.0 and torch_loaded == "False"


@pytest.mark.parametrize("scale", list(config.SCALES))
@pytest.mark.parametrize("slug", list(config.LESSONS))
def test_a_dry_run_prints_every_value_with_its_source(fgssl, slug: str, scale: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(notebook, "execute", None)  # no kernel
    status, out, _ = fgssl("run", slug, "-p", f"scale={scale}", "-p", "seed=3", "--dry-run")
    assert status == 0
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines()}
    for name in config.Settings.__dataclass_fields__:
        assert len(rows[name]) == 2, name
    assert rows["scale"] == [scale, "given"] and rows["seed"] == ["3", "given"]
    steps_source = rows["steps"][1].strip()
    known = (f"scale {scale}", f"lesson {slug} at {scale}")
    assert steps_source in known or (scale == "full" and steps_source.startswith("arm ") and "arXiv" in steps_source)
    assert ("NOTE:" in rows) == (scale == "full")
    assert rows["folder"]


def test_devices_and_nodes_are_settings_of_every_lesson(fgssl):
    status, out, _ = fgssl("run", "contrast", "--devices", "2", "--nodes", "4", "--dry-run")
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines()}
    assert status == 0 and rows["devices"] == ["2", "given"] and rows["nodes"] == ["4", "given"]


def test_a_dry_run_shows_what_makes_an_arm_what_it_is(fgssl):
    _, out, _ = fgssl("run", "contrast", "-p", "method=tau_1", "--dry-run")
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines()}
    assert rows["temperature"] == ["1.0", "arm tau_1"]
    _, plain, _ = fgssl("run", "contrast", "--dry-run")
    assert out.splitlines()[-1] != plain.splitlines()[-1]  # another folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "contrats"), "no lesson 'contrats' (did you mean 'contrast'?)"),
        (("run", "contrast", "-p", "stepz=3"), "no parameter 'stepz' (did you mean 'steps'?)"),
        (("run", "contrast", "-p", "steps=many"), "steps='many' is of type str"),
        (("run", "contrast", "-p", "steps"), "-p steps: write it as -p name=value"),
        (("run", "contrast", "-p", "steps=1", "-p", "steps=2"), "-p steps is given twice"),
        (("run", "contrast", "-p", "devices=4", "--devices", "2"), "-p devices is given twice: '4' and '2'"),
        (("run", "contrast", "--devices", "3", "--dry-run"), "does not divide by devices x nodes = 3"),
        (("run", "synthesised-pairs", "-p", "norm=group", "--dry-run"), "such weights have norm='batch'"),
        (("join", "nowhere.json"), "nowhere.json: no run waits there"),
        (("run", "contrast", "-p", "method=mocco"), "method='mocco' (did you mean 'moco'?)"),
        (("run", "contrast", "-p", "dataset=cub200"), "fgssl data get cub200"),
        (
            ("run", "contrast", "-p", "method=random", "--dry-run"),
            "method='random' is not trained; the arms that can be",
        ),
        (("run", "contrast", "-p", "method=folder:x", "--dry-run"), "method='folder:x' should be one of"),
        (("run", "contrast", "-p", "init=imagenet", "--dry-run"), "no such weights for encoder='resnet10'"),
        (("run", "contrast", "-p", "dataset=folder:", "--dry-run"), "dataset='folder:' names no folder"),
        (("lab", "--ip=0.0.0.0"), "--ip=0.0.0.0: the course is served to this machine alone"),
        (("warm", "contrats"), "no lesson 'contrats'"),
        (("data", "get", "cub20"), "no data set 'cub20' (did you mean 'cub200'?)"),
        (("data", "get", "birdsnap"), "birdsnap (Birdsnap) is not offered: published as a list of Flickr addresses"),
        (("data", "get", "cub200", "--from", "nowhere"), "--from nowhere: there is no such folder"),
        (("data", "info", "cub20"), "did you mean 'cub200'?"),
        (("data", "verify", "cars200"), "no data set 'cars200'"),
        (("data", "verify", "cub200"), "fetch it with `fgssl data get cub200`"),
        (("bench", "trains"), "no bench 'trains'"),
        (("reference", "strat"), "no lesson 'strat'"),
    ],
)
def test_a_users_mistake_is_one_message_and_status_two(fgssl, words: tuple[str, ...], message: str):
    status, out, err = fgssl(*words)
    assert status == 2 and message in err
    assert err.startswith("fgssl: ") and err.count("\n") == 1 and "Traceback" not in out + err


def test_an_unknown_command_or_option_is_a_mistake_too(fgssl):
    assert fgssl("rum")[0] == 2
    assert fgssl("run", "contrast", "--drain")[0] == 2


def test_ctrl_c_ends_cleanly(fgssl, monkeypatch: pytest.MonkeyPatch):
    def interrupted(planned: notebook.Plan) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(notebook, "execute", interrupted)
    status, _, err = fgssl("run", "contrast", "-p", "scale=ci")
    assert status == 130 and "stopped; what did not end was not recorded" in err and "Traceback" not in err


def test_warm_runs_lessons_at_lecture_scale_and_checks_all_of_them_first(fgssl, monkeypatch: pytest.MonkeyPatch):
    ran = []

    def execute(planned: notebook.Plan) -> dict[str, object]:
        ran.append((planned.slug, planned.resolved.settings.scale))
        return {"run_seconds": 1.0}

    monkeypatch.setattr(notebook, "execute", execute)
    monkeypatch.setenv("FGSSL_SCALE", "ci")
    assert fgssl("warm", "start", "nonsense")[0] == 2 and not ran
    assert fgssl("warm", "all")[0] == 0
    assert ran == [(slug, "lecture") for slug in config.LESSONS]


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data scripts with one script and its table."""
    (tmp_path / "toys.py").write_text("def main(given=None):\n    return f'fetched {given}'\n")
    (tmp_path / "sources.csv").write_text(
        "name,kind,title,way,how,file,url,bytes,checksum,classes,train,test,unlabelled,licence,terms,citation,remark\n"
        "toys,open,Toys,,login,a.zip,http://a.b,2000000,md5:0,2,2,1,,CC0,for play,Someone 2020,noisy\n"
        "dolls,not offered,Dolls,,,,,,,,,,,,,,too many faces\n"
    )
    monkeypatch.setattr(paths, "data_scripts_dir", lambda: tmp_path)
    return tmp_path


def test_data_scripts_are_run_from_their_folder(fgssl, toys: Path):
    assert fgssl("data", "get", "toys")[:2] == (0, "toys: fetched None\n")
    assert fgssl("data", "get", "toys", "--from", "x")[:2] == (0, "toys: fetched x\n")


def test_data_sets_are_listed_with_size_way_and_licence(fgssl, toys: Path, own_home: Path):
    status, out, _ = fgssl("data", "list")
    lines = [line.split() for line in out.splitlines()]
    assert status == 0 and ["toys", "-", "2.0", "MB", "login", "CC0", "Toys"] in lines
    assert out.index("NOT OFFERED") < out.index("Dolls: too many faces")
    (own_home / "data" / "toys").mkdir(parents=True)
    (own_home / "data" / "toys" / "manifest.csv").write_text("path,label,split\n")
    assert ["toys", "here", "2.0", "MB", "login", "CC0", "Toys"] in map(
        str.split, fgssl("data", "list")[1].splitlines()
    )
    status, out, _ = fgssl("data", "info", "toys")
    assert status == 0 and re.search(r"a.zip \(2,000,000 bytes, md5:0\)\n +from http://a.b \[login\]", out)
    assert "Someone 2020" in out


def test_verify_fails_where_a_file_is_missing_and_says_what_is_known(fgssl, toys: Path, own_home: Path):
    folder = own_home / "data" / "toys"
    folder.mkdir(parents=True)
    (folder / "manifest.csv").write_text("path,label,split\na.png,x,train\n")
    status, out, _ = fgssl("data", "verify", "toys")
    assert status == 1 and "a.png: missing" in out and "known: noisy" in out


def test_bench_and_reference_are_handed_on(fgssl, monkeypatch: pytest.MonkeyPatch):
    from fgssl_edu import bench
    from fgssl_edu.runs import experiment

    heard = types.SimpleNamespace(bench=None, reference=None)
    monkeypatch.setattr(bench, "main", lambda *words: setattr(heard, "bench", words))
    monkeypatch.setattr(experiment, "reference", lambda slug, **words: setattr(heard, "reference", (slug, words)))
    assert fgssl("bench", "train", "--json")[0] == 0 and heard.bench == ("train", True)
    status, _, err = fgssl("reference", "start", "-p", "steps=9")
    assert status == 2 and heard.reference is None and "name a file with --out" in err
    assert fgssl("reference", "start", "--seeds", "2", "-p", "steps=9", "--out", "own.json")[0] == 0
    slug, words = heard.reference
    assert slug == "start" and words["seeds"] == 2 and words["given"] == {"steps": 9}
    assert words["target"] == Path("own.json")


def test_coreset_hands_its_options_on(fgssl, monkeypatch: pytest.MonkeyPatch):
    from fgssl_edu.runs import coreset_list

    heard: list[tuple] = []
    monkeypatch.setattr(coreset_list, "write_list", lambda *words: heard.append(words) or words[2])
    status, out, _ = fgssl("coreset", "birds", "heap", "own.csv", "-p", "budget=.01", "--jobs", "2", "--skip-bad")
    assert status == 0 and out == "own.csv\n"
    fgssl("coreset", "birds", "heap", "own.csv", "--scheduler", "tcp://127.0.0.1:8786")
    places = "birds", Path("heap"), Path("own.csv")
    assert heard[0] == (*places, {"budget": 0.01}, 2, None, "skip")
    assert heard[1] == (*places, {}, None, "tcp://127.0.0.1:8786", "raise")


def test_help_of_bench_names_every_bench(fgssl):
    from fgssl_edu.bench import BENCHES

    _, out, _ = fgssl("bench", "--help")
    argument = out[out.index("Arguments:") :]
    assert all(name in argument for name in BENCHES)


def test_doctor_prints_two_columns(fgssl):
    status, out, _ = fgssl("doctor")
    assert status == 0 and any(line.startswith("device ") for line in out.splitlines())


def test_lab_hands_further_options_on(fgssl, monkeypatch: pytest.MonkeyPatch):
    from fgssl_edu.runs import lab

    heard = []
    monkeypatch.setattr(lab, "open_lab", lambda browser, further: heard.append((browser, further)) or 0)
    assert fgssl("lab", "--no-browser", "--port=9999")[0] == 0
    assert heard == [(False, ["--port=9999"])]
