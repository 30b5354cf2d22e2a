"""Pushing to the hub, by its real client, over HTTP, against a hub of the tests."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from hub import TOKEN, Hub
from offline import ran

import tamis
from tamis.data import hub as module
from tamis.errors import HubError, SettingError
from tamis.pipelines.export import export_run
from tamis.pipelines.outgoing import exports

# The hub's client hands its own HTTP client a file in a way that one calls out of date.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>':DeprecationWarning")
NAME = "me/curated"
RECIPE = """\
name: small
pool: {pool}
licences: {{alpaca: cc-by-nc-4.0, dolly: cc-by-sa-3.0}}
steps:
  - clean
  - random: {{k: 40}}
"""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub() as started:
        monkeypatch.setattr(constants, "ENDPOINT", started.url)
        places = "{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{started.url}/{places}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(module, "FIRST_WAIT_SECONDS", 0.01)
        yield started


@pytest.fixture
def run(tmp_path):
    pool = tmp_path / "pool.jsonl"
    rows = [
        {"instruction": f"say {n} aloud", "input": "", "output": f"the number is {n}",
         "source": ("alpaca", "dolly", "scraped")[n % 3]}
        for n in range(60)
    ]  # fmt: skip
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ran(RECIPE.format(pool=pool))


def metadata(hub, name=NAME):
    text = hub.files(name)["README.md"].decode()
    return yaml.safe_load(text.split("---\n")[1])


def body(hub, name=NAME):
    return hub.files(name)["README.md"].decode().split("---\n", 2)[2]


def read_back(hub, tmp_path, code, name=NAME):
    """Return what a stranger's Python prints who loads the data set from this hub."""
    environment = {
        **os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
    }  # fmt: skip
    program = f"import json, datasets\nloaded = datasets.load_dataset({name!r})\n{code}"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_what_is_pushed_is_what_datasets_reads(hub, run, tmp_path):
    url = tamis.push_to_hub(run, NAME, shard_bytes=2000)
    assert url == f"{hub.url}/datasets/{NAME}"
    read = read_back(
        hub, tmp_path,
        "print(json.dumps({s: [d.column_names, d['tamis_id'][:]] for s, d in loaded.items()}))",
    )  # fmt: skip
    columns, ids = read["train"]
    assert ids == run.dataset["tamis_id"][:]
    assert {"instruction", "output", "tamis_rank", "tamis_source", "tamis_licence"} <= set(columns)
    shards = [path for path in hub.files(NAME) if path.endswith(".parquet")]
    assert len(shards) > 1
    assert all(path.startswith("data/train-0000") for path in shards)


def test_it_is_private_unless_asked(hub, run):
    tamis.push_to_hub(run, NAME)
    assert hub.repositories[NAME]["private"]


def test_a_second_push_changes_nothing(hub, run):
    tamis.push_to_hub(run, NAME, shard_bytes=2000)
    before = hub.commits(NAME)[:], dict(hub.files(NAME)), hub.calls["put"]
    tamis.push_to_hub(run, NAME, shard_bytes=2000)
    assert (hub.commits(NAME), hub.files(NAME), hub.calls["put"]) == before


def test_another_run_changes_what_differs_and_leaves_other_files_alone(hub, run, tmp_path):
    tamis.push_to_hub(run, NAME, shard_bytes=2000)
    hub.write(NAME, **{"LICENSE": b"mine", "data/extra.parquet": b"mine too"})
    again = ran(RECIPE.replace("40", "3").format(pool=tmp_path / "pool.jsonl"))
    tamis.push_to_hub(again, NAME)
    assert set(hub.files(NAME)) == {
        "README.md", "LICENSE", "data/extra.parquet", "data/train-00000-of-00001.parquet",
    }  # fmt: skip


@pytest.mark.parametrize("fault", ["503", "429", "cut"])
def test_one_fault_at_every_call_passes_unseen(hub, run, fault):
    calls = ["create", "info", "tree", "resolve", "preupload", "batch", "put", "verify", "commit"]
    for call in calls:
        hub.faults[call] = [fault]
    tamis.push_to_hub(run, NAME)
    assert set(hub.files(NAME)) == {"README.md", "data/train-00000-of-00001.parquet"}
    assert all(hub.faults[call] == [] for call in calls)


def test_a_commit_whose_answer_is_lost_is_not_made_twice(hub, run):
    tamis.push_to_hub(run, "me/whole")
    hub.faults["commit"] = ["lost"]
    tamis.push_to_hub(run, NAME)
    assert hub.calls["commit"] == 2  # one for each repository
    assert hub.files(NAME) == hub.files("me/whole")


def test_a_push_that_was_cut_off_goes_on_where_it_was(hub, run, monkeypatch):
    monkeypatch.setattr(module, "TRIES", 1)
    hub.faults["commit"] = ["503"]
    with pytest.raises(HubError, match=r"hf://me/curated: HTTP 503.*; run it again") as raised:
        tamis.push_to_hub(run, NAME, shard_bytes=2000)
    assert raised.value.retryable
    assert hub.files(NAME) == {}  # nobody sees half of it
    sent = hub.calls["put"]
    assert sent > 1
    tamis.push_to_hub(run, NAME, shard_bytes=2000)
    assert hub.calls["put"] == sent  # what had arrived was not sent again
    assert len(hub.files(NAME)) == sent + 1


def test_a_hub_that_stays_away_is_one_line(hub, run):
    hub.faults["create"] = ["cut"] * 100
    with pytest.raises(HubError, match=r"no answer \(\w+\); run it again") as raised:
        tamis.push_to_hub(run, NAME)
    assert "\n" not in str(raised.value)


def test_a_wrong_token_is_said_and_not_tried_again(hub, run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_someoneElsesT0ken")
    with pytest.raises(HubError, match=r"HTTP 401.*; log in with `hf auth login`") as raised:
        tamis.push_to_hub(run, NAME)
    assert not raised.value.retryable
    assert "someoneElses" not in str(raised.value)
    assert hub.calls["create"] <= 2


def test_a_public_repository_is_not_taken_for_a_private_one(hub, run):
    hub.make(NAME, private=False)
    with pytest.raises(HubError, match="it is public; say --public"):
        tamis.push_to_hub(run, NAME)
    assert hub.files(NAME) == {}


@pytest.mark.parametrize("name", ["curated", "hf://", "a/b/c", "../x/y", "me/na me", "me/é"])
def test_a_name_that_is_no_repository_is_refused(run, name):
    with pytest.raises(HubError, match="give hf://OWNER/NAME"):
        tamis.push_to_hub(run, name)


def test_a_split_holds_the_same_rows_whatever_else_is_pushed(hub, run, tmp_path):
    tamis.push_to_hub(run, NAME, test=0.3, format="prompt-completion")
    said = "print(json.dumps({s: [d.column_names, d['tamis_id'][:]] for s, d in loaded.items()}))"
    read = read_back(hub, tmp_path, said)
    columns, train = read["train"]
    test = read["test"][1]
    assert columns[:2] == ["prompt", "completion"]  # as TRL's SFTTrainer takes it
    assert sorted(train + test) == sorted(run.dataset["tamis_id"][:])
    assert 3 <= len(test) <= 21
    fewer = ran(RECIPE.replace("40", "20").format(pool=tmp_path / "pool.jsonl"))
    tamis.push_to_hub(fewer, "me/fewer", test=0.3)
    again = read_back(hub, tmp_path, said, "me/fewer")
    assert set(again["test"][1]) <= set(test)


def test_the_forms_of_trainers_are_written(hub, run, tmp_path):
    columns = {"alpaca": "instruction", "messages": "messages", "sharegpt": "conversations"}
    for form in columns:
        tamis.push_to_hub(run, f"me/{form}", format=form)
    first = "datasets.load_dataset('me/' + form)['train'][0][column]"
    code = f"print(json.dumps({{form: {first} for form, column in {columns}.items()}}))"
    read = read_back(hub, tmp_path, code, "me/alpaca")
    assert read["alpaca"].startswith("say ")
    assert [turn["role"] for turn in read["messages"]] == ["user", "assistant"]
    assert [turn["from"] for turn in read["sharegpt"]] == ["human", "gpt"]


def test_the_card_says_how_it_was_made_and_what_is_not_known(hub, run):
    tamis.push_to_hub(run, NAME, languages=["en"], test=0.3)
    card = metadata(hub)
    assert card["license"] == ["cc-by-nc-4.0", "cc-by-sa-3.0"]
    assert card["language"] == ["en"]
    assert card["size_categories"] == ["n<1K"]
    assert {"tamis", "clean", "random"} <= set(card["tags"])
    assert [f["split"] for f in card["configs"][0]["data_files"]] == ["train", "test"]
    text = body(hub)
    for said in ("40 rows chosen from 60", "| 2 | `Random(seed=0)` | 60 | 40 |", run.id,
                 "| alpaca | cc-by-nc-4.0 | ", "| scraped | unknown | ",
                 "Nobody looked for personal data.", "rows is not known."):  # fmt: skip
        assert said in text


def test_of_a_card_that_is_there_what_others_wrote_stays(hub, run):
    tamis.push_to_hub(run, NAME)
    theirs = hub.files(NAME)["README.md"].decode()
    theirs = theirs.replace("# small", "# My own title\n\nMy own words.") + "\nAnd an end.\n"
    theirs = theirs.replace("tags:\n", "tags:\n- mine\n").replace(
        "license:\n- cc-by-nc-4.0\n- cc-by-sa-3.0\n", "license: cc-by-nc-4.0\nextra: {a: 1}\n"
    )
    hub.write(NAME, **{"README.md": theirs.encode()})
    tamis.push_to_hub(run, NAME, test=0.3)
    card, text = metadata(hub), body(hub)
    assert card["license"] == "cc-by-nc-4.0"
    assert card["extra"] == {"a": 1}
    assert {"mine", "tamis"} <= set(card["tags"])
    assert len(card["configs"][0]["data_files"]) == 2
    assert text.startswith("\n# My own title\n\nMy own words.")
    assert text.rstrip().endswith("And an end.")
    assert text.count("## How it was made") == 1


def test_a_licence_that_tamis_wrote_follows_the_rows(hub, run):
    tamis.push_to_hub(run, NAME)
    tamis.push_to_hub(run, NAME, allow=["cc-by-sa-3.0"])
    assert metadata(hub)["license"] == "cc-by-sa-3.0"


def test_a_hostile_name_stays_text(hub, tmp_path):
    pool = tmp_path / "hostile.jsonl"
    row = {"prompt": "say it", "completion": "all of it here", "source": "<script>|`x`|\n# [a](b)"}
    pool.write_text(json.dumps(row) + "\n")
    text = f"name: '--- <b>```'\npool: {pool}\nsteps:\n  - random: {{k: 1}}\n"
    tamis.push_to_hub(ran(text), NAME)
    assert metadata(hub)["pretty_name"] == "--- <b>```"
    said = body(hub).replace(body(hub).split("````yaml")[1].split("````")[0], "")
    assert "<script>" not in said
    assert "<b>" not in said
    assert "\n# \\[" not in said


def test_rows_of_unknown_licence_are_not_made_public(hub, run):
    unknown = sum(source == "scraped" for source in run.dataset["source"][:])
    with pytest.raises(SettingError, match=rf"licence of {unknown} of 40 rows is unknown"):
        tamis.push_to_hub(run, NAME, private=False)
    assert hub.repositories == {}
    tamis.push_to_hub(run, NAME, private=False, allow=["cc-by-sa-3.0", "cc-by-nc-4.0"])
    assert not hub.repositories[NAME]["private"]
    assert "unknown" not in body(hub).split("## Sources")[1]
    assert f"{unknown} rows stayed behind" in body(hub)


def test_a_row_s_own_licence_comes_before_that_of_its_source(tmp_path):
    pool = tmp_path / "own.jsonl"
    rows = [{"prompt": "say it", "completion": f"it is {n}", "source": "alpaca",
             "license": ("MIT", None)[n % 2]} for n in range(4)]  # fmt: skip
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = ran(RECIPE.replace("40", "4").format(pool=pool))
    where = tmp_path / "out.parquet"
    assert export_run(done, str(where), allow=["mit"]).left_out == 2
    assert set(tamis.load(where)["tamis_licence"][:]) == {"mit"}
    with pytest.raises(SettingError, match=r"there are cc-by-nc-4\.0, mit"):
        export_run(done, str(where), allow=["apache-2.0"])


def test_personal_data_is_masked_on_the_way_out_and_not_at_home(tmp_path):
    pool = tmp_path / "personal.jsonl"
    pool.write_text(json.dumps({"prompt": "who?", "completion": "it is ada@lovelace.org"}) + "\n")
    text = f"name: x\npool: {pool}\nmask: true\nsteps:\n  - random: {{k: 1}}\n"
    done = ran(f"{text}export: [{tmp_path / 'masked.jsonl'}]\n")
    assert "[email]" in (tmp_path / "masked.jsonl").read_text()
    assert "lovelace" not in (tmp_path / "masked.jsonl").read_text()
    assert done.dataset["completion"][:] == ["it is ada@lovelace.org"]
    export_run(done, str(tmp_path / "plain.jsonl"), mask=False)
    assert "lovelace" in (tmp_path / "plain.jsonl").read_text()


def test_where_it_went_is_recorded(hub, run, tmp_path):
    export_run(run, f"hf://{NAME}", "messages")
    export_run(run, str(tmp_path / "out") + "/")
    export_run(run, str(tmp_path / "out/small.parquet"), "alpaca")
    assert [(e.where, e.form, e.rows) for e in exports(run)] == [
        (f"hf://{NAME}", "messages", 40), (str(tmp_path / "out/small.parquet"), "alpaca", 40),
    ]  # fmt: skip


def test_the_token_is_in_no_file_and_no_message(hub, run, tmp_path, caplog, capfd):
    hub.faults["commit"] = ["503"]
    tamis.push_to_hub(run, NAME)
    hub.faults["tree"] = ["403"]
    with pytest.raises(HubError) as raised:
        tamis.push_to_hub(run, NAME)
    secret = TOKEN.encode()
    held = [p for p in tmp_path.rglob("*") if p.is_file() and secret in p.read_bytes()]
    assert held == []
    assert TOKEN not in str(raised.value) + caplog.text + "".join(capfd.readouterr())
    assert not any(secret in content for content in hub.files(NAME).values())
