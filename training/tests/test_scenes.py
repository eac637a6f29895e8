"""Pictures of scenes, and the checks before a pack is used."""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from corpus_fixture import PALETTE, catalogue_document, write_pack

from pixart_edge_training.catalogue import LicenceError, PackError, parse_catalogue
from pixart_edge_training.contact_sheet import contact_sheet
from pixart_edge_training.errors import UnwritableFolderError
from pixart_edge_training.grammar import Backdrop, GrammarError, Placement, Scene, Wording
from pixart_edge_training.oklab import from_oklab, parse_hex, to_oklab
from pixart_edge_training.scenes import SceneSampler
from pixart_edge_training.splits import HeldOutError, held_out_styles

SIZE = 48


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("corpus") / "sprites")


@pytest.fixture(scope="module")
def sampler(pack: Path) -> SceneSampler:
    return SceneSampler(pack, "train", size=SIZE)


def still(sampler: SceneSampler, backdrop: Backdrop) -> Scene:
    """A scene with its thing upright in the middle, over 0.8 of the frame."""
    scene = sampler.grammar.scene("train", 0)
    drawn = replace(
        scene.things[0],
        concept="cat",
        colour=None,
        recoloured=False,
        name=None,
        colour_word=None,
        placement=Placement(0.5, 0.5, 0.8, 0.0),
    )
    return replace(
        scene,
        style=free_style(sampler),
        things=(drawn,),
        backdrop=backdrop,
        style_said=False,
        wording=Wording("{thing}", None, None, None, ()),
    )


def free_style(sampler: SceneSampler) -> str:
    return next(s for s in ("flat", "3d") if s not in held_out_styles("cat", sampler.catalogue.styles))


def rgb_at(image: torch.Tensor, y: int, x: int) -> list[int]:
    return ((image[:, y, x] + 1) * 127.5).round().int().tolist()


def test_batch_has_the_promised_shapes_and_ranges(sampler: SceneSampler) -> None:
    batch = sampler.batch(range(8))
    assert batch.images.shape == (8, 4, SIZE, SIZE)
    assert batch.images.dtype == torch.float32
    assert batch.object_mask.shape == (8, 1, SIZE, SIZE)
    assert batch.images.abs().max() <= 1
    assert len(batch.captions) == len(batch.scenes) == 8
    for ids in (batch.concept_ids, batch.style_ids, batch.colour_ids, batch.backdrop_ids):
        assert ids.shape == (8,)
        assert ids.dtype == torch.int64


def test_batch_of_a_seed_is_the_same_whatever_it_is_drawn_with(sampler: SceneSampler) -> None:
    together = sampler.batch([4, 5, 6])
    alone = sampler.batch([5])
    assert together.captions[1] == alone.captions[0]
    assert torch.allclose(together.images[1], alone.images[0], atol=1e-6)


def test_batch_of_a_second_sampler_is_the_same(pack: Path, sampler: SceneSampler) -> None:
    again = SceneSampler(pack, "train", size=SIZE).batch(range(4))
    assert torch.equal(again.images, sampler.batch(range(4)).images)


def test_batch_refuses_a_held_out_scene_in_training(sampler: SceneSampler) -> None:
    with pytest.raises(HeldOutError):
        sampler.batch([sampler.grammar.scene("heldout-colour", 0)])


def test_batch_draws_held_out_scenes_for_evaluation(pack: Path, sampler: SceneSampler) -> None:
    evaluation = SceneSampler(pack, "heldout-colour", size=SIZE, bank=sampler.bank)
    assert evaluation.batch(range(3)).images.shape[0] == 3


def test_batch_paints_a_plain_backdrop_in_exactly_its_colour(sampler: SceneSampler) -> None:
    batch = sampler.batch([still(sampler, Backdrop("plain", ("blue",), False))])
    assert rgb_at(batch.images[0], 0, 0) == [0x1E, 0x88, 0xE5, 255]
    assert sampler.vocabulary.backdrops[batch.backdrop_ids[0]] == "blue"


def test_batch_keeps_alpha_of_a_transparent_scene_and_flattens_it_on_white(sampler: SceneSampler) -> None:
    batch = sampler.batch([still(sampler, Backdrop("transparent", (), False))])
    assert rgb_at(batch.images[0], 0, 0) == [255, 255, 255, 0]
    assert rgb_at(batch.images[0], SIZE // 2, SIZE // 2) == [0xE5, 0x39, 0x35, 255]
    assert torch.allclose((batch.images[0, 3] + 1) / 2, batch.object_mask[0, 0], atol=1e-6)


def test_batch_runs_a_gradient_from_top_to_bottom(sampler: SceneSampler) -> None:
    batch = sampler.batch([still(sampler, Backdrop("gradient", ("blue", "yellow"), False))])
    assert rgb_at(batch.images[0], 0, 0)[:3] == [0x1E, 0x88, 0xE5]
    assert rgb_at(batch.images[0], SIZE - 1, 0)[:3] == [0xFD, 0xD8, 0x35]
    assert sampler.vocabulary.backdrops[batch.backdrop_ids[0]] == "gradient"


def test_batch_places_the_thing_where_the_scene_says(sampler: SceneSampler) -> None:
    scene = still(sampler, Backdrop("white", (), False))
    scene = replace(scene, things=(replace(scene.things[0], placement=Placement(0.25, 0.75, 0.5, 0.0)),))
    mask = sampler.batch([scene]).object_mask[0, 0]
    rows, columns = torch.nonzero(mask > 0.5, as_tuple=True)
    assert rows.float().mean() / SIZE == pytest.approx(0.75, abs=0.03)
    assert columns.float().mean() / SIZE == pytest.approx(0.25, abs=0.03)
    assert (columns.max() - columns.min() + 1) / SIZE == pytest.approx(0.5, abs=0.05)


def test_batch_recolours_the_thing(sampler: SceneSampler) -> None:
    scene = still(sampler, Backdrop("white", (), False))
    scene = replace(scene, things=(replace(scene.things[0], colour="blue", recoloured=True),))
    evaluation = SceneSampler("", "validation", size=SIZE, bank=sampler.bank)
    batch = evaluation.batch([scene])
    red, _, blue, _ = rgb_at(batch.images[0], SIZE // 2, SIZE // 2)
    assert blue > 180
    assert red < 80
    assert evaluation.vocabulary.colours[batch.colour_ids[0]] == "blue"


def test_sampler_counts_natural_as_colour_zero(sampler: SceneSampler) -> None:
    assert sampler.vocabulary.colours[0] == "natural"
    batch = sampler.batch([still(sampler, Backdrop("white", (), False))])
    assert batch.colour_ids.tolist() == [0]


@pytest.mark.parametrize("name", PALETTE)
def test_oklab_gives_every_palette_colour_back(name: str) -> None:
    rgb = torch.tensor(parse_hex(PALETTE[name]), dtype=torch.float64)
    assert torch.allclose(from_oklab(to_oklab(rgb)), rgb, atol=1e-4)


def test_oklab_of_red_is_the_published_value() -> None:
    # Ottosson's page gives OKLab of sRGB red (1, 0, 0) as 0.628, 0.225, 0.126.
    lab = to_oklab(torch.tensor([1.0, 0.0, 0.0]))
    assert torch.allclose(lab, torch.tensor([0.628, 0.225, 0.126]), atol=1e-3)


def test_sampler_refuses_a_damaged_pack(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "sprites")
    data = bytearray((pack / "sprites.pack").read_bytes())
    data[40] ^= 1
    (pack / "sprites.pack").write_bytes(bytes(data))
    with pytest.raises(PackError, match=r"sprites\.pack has SHA-256"):
        SceneSampler(pack)
    assert not (tmp_path / "cache").exists()


def test_sampler_refuses_a_missing_pack(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="SHA256SUMS is missing"):
        SceneSampler(tmp_path)


def test_sampler_refuses_an_unknown_licence_before_any_work(tmp_path: Path) -> None:
    document = catalogue_document()
    document["sets"][1]["license"] = "CC-BY-SA-4.0"
    pack = write_pack(tmp_path / "sprites", document)
    with pytest.raises(LicenceError, match=r'set-flat is licensed under "CC-BY-SA-4.0"'):
        SceneSampler(pack)
    assert not (tmp_path / "cache").exists()


def test_parse_catalogue_refuses_a_sprite_of_an_unlisted_set() -> None:
    document = catalogue_document()
    document["sets"].pop()
    with pytest.raises(LicenceError, match="set-cartoon, which has no licence"):
        parse_catalogue(document, "0" * 64)


def test_parse_catalogue_refuses_another_format() -> None:
    with pytest.raises(PackError, match="format is 2, supported is 1"):
        parse_catalogue({**catalogue_document(), "format": 2}, "0" * 64)


def test_parse_catalogue_names_a_missing_field() -> None:
    document = json.loads(json.dumps(catalogue_document()))
    del document["concepts"][0]["plural"]
    with pytest.raises(PackError, match="plural"):
        parse_catalogue(document, "0" * 64)


def test_contact_sheet_puts_ten_scenes_in_a_row(sampler: SceneSampler) -> None:
    sheet = contact_sheet(sampler.batch(range(11)))
    assert sheet.width == 10 * SIZE
    assert sheet.height == 2 * (SIZE + 48)


@pytest.fixture(scope="module")
def full(pack: Path, sampler: SceneSampler) -> SceneSampler:
    return SceneSampler(pack, "train", size=SIZE, mixture="full", bank=sampler.bank)


def test_full_batch_has_the_promised_shapes_and_labels(full: SceneSampler) -> None:
    batch = full.batch(range(64))
    words = full.vocabulary
    assert batch.images.shape == (64, 4, SIZE, SIZE)
    assert batch.images.abs().max() <= 1
    for i, scene in enumerate(batch.scenes):
        assert words.styles[batch.style_ids[i]] == (scene.effect or scene.style)
        assert words.relations[batch.relation_ids[i]] == (scene.relation or "none")
        assert words.accessories[batch.accessory_ids[i]] == (scene.things[0].accessory or "none")
        if scene.relation is None:
            assert words.counts[batch.count_ids[i]] == str(len(scene.things))
            assert batch.other_ids[i] == -100
        else:
            assert words.concepts[batch.other_ids[i]] == scene.things[1].concept


def test_full_vocabulary_begins_with_that_of_single(full: SceneSampler, sampler: SceneSampler) -> None:
    for name in ("concepts", "styles", "colours", "backdrops"):
        single = getattr(sampler.vocabulary, name)
        assert getattr(full.vocabulary, name)[: len(single)] == single


def test_full_batch_of_a_seed_is_the_same_whatever_it_is_drawn_with(full: SceneSampler) -> None:
    together = full.batch(range(12))
    for seed in range(12):
        assert torch.allclose(together.images[seed], full.batch([seed]).images[0], atol=1e-5), together.captions[seed]


def test_full_batch_draws_a_thing_once_for_every_count(full: SceneSampler) -> None:
    scenes = [full.grammar.scene("train", seed) for seed in range(300)]
    counted = [s for s in scenes if s.wording.number is not None and s.effect is None][:8]
    batch = full.batch(counted)
    for i, scene in enumerate(counted):
        area = sum((thing.placement.size * SIZE) ** 2 for thing in scene.things)
        covered = float(batch.object_mask[i].sum())
        assert 0.5 * area < covered < 1.1 * area


def test_sampler_refuses_an_unknown_mixture_and_a_split_it_lacks_before_the_pack_is_read(tmp_path: Path) -> None:
    with pytest.raises(GrammarError, match="mixture is 'both'"):
        SceneSampler(tmp_path, mixture="both")
    with pytest.raises(GrammarError, match="split is 'heldout-mood', known for single"):
        SceneSampler(tmp_path, "heldout-mood")


def test_sampler_refuses_a_cache_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    pack = write_pack(tmp_path / "sprites")
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(UnwritableFolderError, match="cache cannot be written to"):
        SceneSampler(pack)


@pytest.mark.parametrize("module", ["tokenizer", "vocabulary", "contact_sheet"])
def test_commands_refuse_an_unwritable_folder_before_any_work(
    module: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    main = importlib.import_module(f"pixart_edge_training.{module}").main
    with pytest.raises(SystemExit) as stopped:
        main(["--pack", str(tmp_path / "none"), "--out", str(tmp_path / "file" / "folder" / "out.png")])
    assert stopped.value.code == 2
    assert "cannot be written to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vae", "--data", "{none}", "--work", "{work}"], "pack_damaged: .*SHA256SUMS is missing"),
        (["vae", "--work", "{file}/work"], "unwritable_folder: .* cannot be written to"),
    ],
)
def test_training_command_stops_with_a_code_before_any_time_is_spent(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pixart_edge_training.command import main

    (tmp_path / "file").write_text("")
    names = {"none": tmp_path / "none", "work": tmp_path / "work", "file": tmp_path / "file"}
    with pytest.raises(SystemExit) as stopped:
        main([argument.format(**names) for argument in arguments] + ["--processes", "1", "--steps", "1"])
    assert stopped.value.code == 2
    assert re.search(message, capsys.readouterr().err)
