import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lib.models.two_tower import (
    TextTower,
    Tokeniser,
    TwoTower,
    descriptor_scores,
    feature_tower,
    info_nce,
    zero_shot,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(seed: int = 0) -> TwoTower:
    torch.manual_seed(seed)
    return TwoTower(feature_tower(6, 5), TextTower(12, 5, width=8)).eval()


def pairs(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    chance = generator(seed)
    return torch.randn(n, 6, generator=chance), torch.randint(1, 12, (n, 7), generator=chance)


def test_info_nce_is_the_mean_negative_log_share_of_the_pair() -> None:
    logits = 3 * torch.randn(6, 6, generator=generator()).double()
    share = logits.exp()
    rows = [-math.log(share[i, i] / share[i].sum()) for i in range(6)]
    columns = [-math.log(share[i, i] / share[:, i].sum()) for i in range(6)]
    assert float(info_nce(logits)) == pytest.approx((sum(rows) + sum(columns)) / 12, rel=1e-12)


def test_info_nce_ends() -> None:
    assert float(info_nce(torch.zeros(8, 8))) == pytest.approx(math.log(8), rel=1e-6)
    assert float(info_nce(100 * torch.eye(8))) < 1e-6


def test_info_nce_does_not_mind_the_order_of_pairs_or_which_tower_comes_first() -> None:
    logits, order = torch.randn(7, 7, generator=generator(1)).double(), torch.randperm(7, generator=generator(2))
    assert float(info_nce(logits[order][:, order])) == pytest.approx(float(info_nce(logits)), rel=1e-12)
    assert float(info_nce(logits.T)) == pytest.approx(float(info_nce(logits)), rel=1e-12)
    assert float(info_nce(logits[order])) != pytest.approx(float(info_nce(logits)), rel=1e-3)


def test_logits_are_cosines_over_the_temperature() -> None:
    model, (x, tokens) = small(), pairs(4)
    with torch.no_grad():
        images, texts = model.image(x), model.text(tokens)
        expected = functional.cosine_similarity(images[:, None], texts[None], dim=2) / model.temperature
        torch.testing.assert_close(model(x, tokens), expected, atol=1e-5, rtol=1e-5)  # float32 sums
    assert model.temperature == pytest.approx(0.07, rel=1e-5)


def test_the_temperature_is_learnt_and_bounded() -> None:
    model, (x, tokens) = small(), pairs(4)
    info_nce(model(x, tokens)).backward()
    assert model.log_scale.grad is not None
    assert float(model.log_scale.grad) != 0
    model.log_scale.data.fill_(50.0)
    assert model.temperature == pytest.approx(0.01, rel=1e-5)


def test_embeddings_have_length_one_and_do_not_see_padding_or_neighbours() -> None:
    model, (x, tokens) = small(), pairs(5)
    longer = functional.pad(tokens, (0, 9))
    with torch.no_grad():
        for found in (model.embed_images(x), model.embed_texts(tokens)):
            torch.testing.assert_close(found.norm(dim=1), torch.ones(5))
        torch.testing.assert_close(model.embed_texts(longer), model.embed_texts(tokens))
        torch.testing.assert_close(model.embed_texts(tokens[:1]), model.embed_texts(tokens)[:1])


def test_word_order_matters_within_the_context() -> None:
    tower = TextTower(12, 5, width=8)
    one, other = torch.tensor([[1, 2, 3]]), torch.tensor([[2, 1, 3]])
    assert not torch.allclose(tower(one), tower(other))


def test_tokeniser_splits_marks_and_refuses_what_it_does_not_know() -> None:
    words = Tokeniser(["no", "effusion", ".", "nodule"])
    assert words.size == 5
    assert words.encode(["No nodule.", "effusion"]).tolist() == [[1, 4, 3], [2, 0, 0]]
    assert words.encode([]).shape == (0, 0)
    with pytest.raises(ValueError, match="unknown words oedema"):
        words.encode(["no oedema"])
    with pytest.raises(ValueError, match="no word"):
        words.encode([" "])
    with pytest.raises(ValueError, match="drop copies"):
        Tokeniser(["no", "no"])


def test_two_prompts_are_a_softmax_over_two_cosines() -> None:
    films, present, absent = (functional.normalize(torch.randn(n, 4, generator=generator(n)), dim=1) for n in (5, 1, 2))
    cosines = torch.cat([films @ present.T, films @ absent[:1].T], 1) / 0.3
    torch.testing.assert_close(zero_shot(films, present, absent[:1], temperature=0.3), cosines.softmax(1)[:, 0])
    turned = zero_shot(films, absent[:1], present, temperature=0.3)
    torch.testing.assert_close(turned, 1 - zero_shot(films, present, absent[:1], temperature=0.3))
    with pytest.raises(ValueError, match="one prompt"):
        zero_shot(films, absent, absent, temperature=0.3)


def test_descriptors_are_asked_one_by_one() -> None:
    films, present, absent = (functional.normalize(torch.randn(n, 4, generator=generator(n)), dim=1) for n in (6, 3, 9))
    found = descriptor_scores(films, present, absent[:3], temperature=0.5)
    assert found.shape == (6, 3)
    for k in range(3):
        alone = zero_shot(films, present[k : k + 1], absent[k : k + 1], temperature=0.5)
        torch.testing.assert_close(found[:, k].exp(), alone)
    order = torch.tensor([2, 0, 1])
    mixed = descriptor_scores(films, present[order], absent[:3][order])
    torch.testing.assert_close(mixed.mean(1), descriptor_scores(films, present, absent[:3]).mean(1))
    with pytest.raises(ValueError, match="embed them alike"):
        descriptor_scores(films, present, absent)
    with pytest.raises(ValueError, match="temperature must be > 0"):
        descriptor_scores(films, present, present, temperature=0.0)


def test_it_learns_what_a_word_means() -> None:
    """Images hold one bit; texts say "opacity" or "no opacity" among other words. Unseen pairs must be told apart."""
    words, chance = Tokeniser(["no", "opacity", "heart", "lung", "."]), generator(3)
    bit = torch.randint(0, 2, (256,), generator=chance)
    x = torch.randn(256, 6, generator=chance) * 0.3
    x[:, 0] += 2.0 * bit
    other = torch.randint(0, 2, (256,), generator=chance)
    x[:, 1] += 2.0 * other
    texts = [
        f"{'lung' if o else 'heart'} . {'' if b else 'no '}opacity ."
        for b, o in zip(bit.tolist(), other.tolist(), strict=True)
    ]
    tokens = words.encode(texts)
    torch.manual_seed(0)
    model = TwoTower(feature_tower(6, 4), TextTower(words.size, 4, width=16))

    search = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(120):
        rows = torch.randperm(192, generator=chance)[:32]
        search.zero_grad()
        info_nce(model(x[rows], tokens[rows])).backward()
        search.step()
    with torch.no_grad():
        present, absent = (model.embed_texts(words.encode([text])) for text in ("opacity", "no opacity"))
        p = zero_shot(model.embed_images(x[192:]), present, absent, temperature=model.temperature)
    sick, well = p[bit[192:] == 1], p[bit[192:] == 0]
    assert float((sick[:, None] > well[None]).float().mean()) > 0.95


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="square|must be \\(n, n\\)"):
        info_nce(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="temperature must be at least"):
        TwoTower(feature_tower(2, 2), TextTower(3, 2), temperature=0.001)
    with pytest.raises(ValueError, match="size must be >= 2"):
        TextTower(1, 2)
    with pytest.raises(ValueError, match="dropout in"):
        feature_tower(2, 2, dropout=1.0)
    assert feature_tower(3, 2, hidden=4)(torch.zeros(1, 3)).shape == (1, 2)
