"""CLIPs of open_clip: built, saved, loaded, and their towers against open_clip's own."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.clips import CONFIG, SIDE, tiny_clip

from fieldmark.base.errors import UserError
from fieldmark.towers.clip import CONFIG as CONFIG_FILE
from fieldmark.towers.clip import WEIGHTS, Clip, content_key, create_clip, load_clip, save_clip

TEXTS = ["a photo of a duck.", "a photo of a traffic light."]


@pytest.fixture(scope="module")
def clip() -> Clip:
    return tiny_clip()


@pytest.fixture
def saved(clip, tmp_path):
    save_clip(clip, tmp_path / "clip")
    return tmp_path / "clip"


def pictures(count=3):
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=torch.manual_seed(1))


def test_both_towers_end_in_one_space_and_nothing_is_normalised(clip):
    images, texts = clip.encode_images(pictures()), clip.encode_texts(TEXTS)
    assert (images.shape, texts.shape, clip.dim) == ((3, 8), (2, 8), 8)
    for rows in (images, texts):
        assert ((rows.norm(dim=1) - 1).abs() > 1e-3).all()


def test_tokens_are_those_of_the_papers_tokenizer(clip):
    """49406 starts, 49407 ends, 0 pads; a photo of a = 320 1125 539 320 (openai/CLIP's vocabulary)."""
    ids = clip.tokenize(["a photo of a dog."])
    assert ids.tolist() == [[49406, 320, 1125, 539, 320, 1929, 269, 49407, *[0] * 8]]
    long = clip.tokenize(["a " * 40])
    assert long.shape == (1, 16)
    assert long[0, -1] == 49407


def test_a_text_feature_is_read_at_its_end_token(clip):
    """What follows the end token changes nothing."""
    ids = clip.tokenize(TEXTS)
    after = ids.clone()
    after[0, (ids[0] == 49407).nonzero().item() + 1 :] = 7
    torch.testing.assert_close(clip.encode_tokens(after), clip.encode_tokens(ids))


def test_pictures_are_normalised_once(clip):
    images = pictures()
    torch.testing.assert_close(clip.encode_images(images.float() / 255), clip.encode_images(images))
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (clip.spec.mean, clip.spec.std))
    by_hand = clip.network.visual((images / 255 - mean) / std)
    torch.testing.assert_close(clip.encode_images(images), by_hand)


def test_saved_and_loaded_it_is_the_same_and_frozen(clip, saved):
    again = load_clip(saved)
    assert again.spec == clip.spec
    assert torch.equal(again.encode_texts(TEXTS), clip.encode_texts(TEXTS))
    assert torch.equal(again.encode_images(pictures()), clip.encode_images(pictures()))
    assert not again.training
    assert not any(p.requires_grad for p in again.parameters())


def test_open_clip_itself_opens_the_folder(clip, saved):
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{saved}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{saved}")
    model.eval().requires_grad_(False)  # attention without gradients rounds differently
    assert torch.equal(model.encode_text(tokenizer(TEXTS)), clip.encode_texts(TEXTS))
    assert transform.transforms[0].size == (SIDE, SIDE)


def test_the_key_names_the_content(clip, saved, tmp_path):
    save_clip(clip, tmp_path / "same")
    save_clip(tiny_clip(seed=1), tmp_path / "other")
    assert content_key(saved) == content_key(tmp_path / "same")
    assert content_key(saved) != content_key(tmp_path / "other")
    config = json.loads((saved / CONFIG_FILE).read_text())
    config["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.5]
    (saved / CONFIG_FILE).write_text(json.dumps(config))
    assert content_key(saved) != content_key(tmp_path / "same")


@pytest.mark.parametrize("ending", [".safetensors", ".pt"])
def test_weights_come_from_a_local_file(clip, saved, tmp_path, ending):
    state = load_file(saved / WEIGHTS)
    path = tmp_path / f"weights{ending}"
    if ending == ".pt":
        torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, path)
    else:
        save_file(state, path)
    torch.manual_seed(5)
    other = create_clip(None, CONFIG, str(path), size=SIDE, squash=True).eval().requires_grad_(False)
    assert torch.equal(other.encode_texts(TEXTS), clip.encode_texts(TEXTS))


def test_a_file_with_code_in_it_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"x": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match=r"evil\.pt' do not fit the network or cannot be read"):
        create_clip(None, CONFIG, str(tmp_path / "evil.pt"), size=SIDE, squash=True)


def test_an_architecture_of_open_clip_by_name():
    """The smallest one, with random weights: its text tower is the paper's RN50 text tower, cut short."""
    import open_clip

    with pytest.raises(UserError, match="open_clip has no model 'RN5O'; did you mean 'RN50'"):
        create_clip("RN5O", {}, None, size=64, squash=False)
    assert "RN50" in open_clip.list_models()
    config = open_clip.get_model_config("RN50")
    assert (config["embed_dim"], config["text_cfg"]["layers"], config["text_cfg"]["width"]) == (1024, 12, 512)


def test_openais_weights_get_their_quick_gelu(monkeypatch):
    """open_clip only warns where the activation do not fit the weights."""
    import open_clip

    monkeypatch.setattr(open_clip, "get_model_config", lambda name: copy.deepcopy(CONFIG))
    loaded = []
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: "file")
    monkeypatch.setattr(open_clip, "load_checkpoint", lambda network, path: loaded.append(path))
    clip = create_clip("RN50", {}, "openai", size=SIDE, squash=False)
    assert clip.spec.model["quick_gelu"] is True
    assert "QuickGELU" in repr(clip.network.transformer)
    assert loaded == ["file"]
    assert clip.spec.mean == pytest.approx((0.48145466, 0.4578275, 0.40821073))


def test_weights_that_cannot_be_fetched_are_one_line_with_a_way_out(monkeypatch):
    import open_clip

    def offline(tag):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(open_clip, "get_model_config", lambda name: copy.deepcopy(CONFIG))
    monkeypatch.setattr(open_clip, "download_pretrained", offline)
    with pytest.raises(UserError, match=r"'openai' cannot be fetched .*\(no network\); name a local file"):
        create_clip("RN50", {}, "openai", size=SIDE, squash=False)


@pytest.mark.parametrize(
    ("arch", "config", "pretrained", "message"),
    [
        (None, {"embed_dim": 8}, None, "config lacks text_cfg, vision_cfg"),
        (None, {**CONFIG, "depth": 3}, None, "open_clip refuses the CLIP's configuration: .*depth"),
        (None, CONFIG, "nowhere.safetensors", "'nowhere.safetensors' is neither a file nor"),
        ("RN50", {}, "opena", "'opena' is neither a file .* did you mean 'openai'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(arch, config, pretrained, message):
    with pytest.raises(UserError, match=message) as caught:
        create_clip(arch, config, pretrained, size=SIDE, squash=True)
    assert "\n" not in str(caught.value)


def test_weights_of_another_shape_are_refused(clip, tmp_path, saved):
    state = load_file(saved / WEIGHTS)
    state["text_projection"] = torch.zeros(3, 3)
    save_file(state, tmp_path / "bad.safetensors")
    with pytest.raises(UserError, match=r"bad\.safetensors' do not fit"):
        create_clip(None, CONFIG, str(tmp_path / "bad.safetensors"), size=SIDE, squash=True)


def test_an_absent_folder_names_the_stage(tmp_path):
    with pytest.raises(UserError, match="holds no CLIP; run dvc repro clip@small"):
        load_clip(tmp_path / "small")
