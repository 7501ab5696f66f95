"""Prompts as files."""

import pytest
import torch

from fieldmark.base.errors import UserError
from fieldmark.texts.prompts import TENSORS, Prompts, read_prompts, write_prompts

TEMPLATES = ["a photo of a {}.", "a drawing of a {}."]


@pytest.mark.parametrize("images", [None, torch.rand(5, 4)])
def test_written_prompts_come_back(tmp_path, images):
    per_template = torch.rand(2, 3, 4)
    before = Prompts(["a", "b\u00e9", "c d"], per_template.mean(0), per_template, images)
    write_prompts(before, TEMPLATES, ["a", "b\u00e9", "c d"], tmp_path / "prompts")
    after = read_prompts(tmp_path / "prompts")
    assert after.names == before.names
    assert torch.equal(after.embeddings, before.embeddings)
    assert torch.equal(after.per_template, before.per_template)
    assert (after.image_embeddings is None) == (images is None)
    if images is not None:
        assert torch.equal(after.image_embeddings, images)


def test_absent_or_damaged_prompts_are_refused(tmp_path):
    with pytest.raises(UserError, match="holds no prompts; run dvc repro prompts@scenes"):
        read_prompts(tmp_path / "scenes")
    write_prompts(Prompts(["a"], torch.rand(1, 2), torch.rand(1, 1, 2)), ["{}"], ["a"], tmp_path / "scenes")
    (tmp_path / "scenes" / TENSORS).write_bytes(b"half a file")
    with pytest.raises(UserError, match="is damaged"):
        read_prompts(tmp_path / "scenes")
