"""inspect and check: what a file holds, and what the hosts' own loaders make of it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lib_lora.core.errors import DataError
from lib_lora.core.messages import words
from lib_lora.model import Family
from lib_lora.networks import check as rules
from lib_lora.networks import file, keys
from lib_lora.networks.check import check
from lib_lora.networks.inspect import inspect
from lib_lora.networks.layers import unet_layers
from lib_lora.networks.lora import make

DATA = Path(__file__).resolve().parent / "data"
VERSION = {
    Family.SD1: {"ss_base_model_version": "sd_v1", "ss_v2": "False"},
    Family.SD2: {"ss_v2": "True"},
    Family.SDXL: {"ss_base_model_version": "sdxl_base_v1-0"},
}
ATTENTION = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def golden(name: str) -> dict[str, Tensor]:
    """The tensors of a network as sd-scripts writes it (rank 4, convolutions 2), of its shapes, empty of content."""
    tensors = {}
    for line in (DATA / f"networks_{name}.txt").read_text(encoding="utf-8").splitlines()[1:]:
        key, down, up = line.split()
        tensors[f"{key}.lora_down.weight"] = torch.zeros(ast.literal_eval(down)).half()
        tensors[f"{key}.lora_up.weight"] = torch.zeros(ast.literal_eval(up)).half()
        tensors[f"{key}.alpha"] = torch.tensor(2.0)
    return tensors


def saved(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file(tensors, str(path), metadata)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """sd-scripts' networks of rank 4 in every family."""
    folder = tmp_path_factory.mktemp("files")
    return {family.value: saved(folder / f"{family.value}.safetensors", golden(family.value), VERSION[family]) for family in Family}


@pytest.mark.parametrize(("name", "unet", "te"), [("sd1", 192, {"te1": 72}), ("sd2", 192, {"te1": 138}), ("sdxl", 722, {"te1": 72, "te2": 192})])
def test_inspect_tells_family_ranks_and_alphas(files: dict[str, Path], name: str, unet: int, te: dict[str, int]) -> None:
    found = inspect(files[name])
    assert (found["family"], found["family_in_metadata"], found["kinds"], found["layers"]) == (name, name, ["lora"], unet + sum(te.values()))
    assert {part: facts["layers"] for part, facts in found["parts"].items()} == {"unet": unet, **te}
    assert all(facts["ranks"] == {"4": facts["layers"]} and facts["alphas"] == {"2": facts["layers"]} for facts in found["parts"].values())


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_sd_scripts_files_load_in_every_host_that_reads_them(files: dict[str, Path], name: str) -> None:
    found = check(files[name])
    for host, answer in found["hosts"].items():
        # diffusers cannot read SD2's proj_in and proj_out as sd-scripts stores them.
        able = (name, host) != ("sd2", "diffusers")
        assert (answer["loads"], answer["complete"], answer["dropped"] == 0) == (able, able, able), (host, answer)
        assert bool(answer["refused"]) != able
        assert all((words[host] == "ok") == able for words in found["keys"].values())
    assert found["hosts"]["a1111"]["card"] == {"sd1": "SD1", "sd2": "SD2", "sdxl": "SDXL"}[name]


def test_check_answers_in_the_language_that_is_asked_for(tmp_path: Path, files: dict[str, Path]) -> None:
    """All three places of a sentence: why a file is refused, what is wrong with a key, and what is noted of a host."""
    stranger = saved(tmp_path / "x.safetensors", {"weight": torch.zeros(2)})
    found = [check(files["sd2"], words("zh_CN")), check(saved(tmp_path / "n.safetensors", golden("sd1")), words("zh_CN")), check(stranger, words("zh_CN"))]
    told = [sentence for one in found for host in one["hosts"].values() for sentence in (*host["refused"], *host["notes"])]
    told += [word for one in found for hosts in one["keys"].values() for word in hosts.values() if word != "ok"]
    assert told and all(any("\u4e00" <= letter <= "\u9fff" for letter in sentence) for sentence in told), told


@pytest.mark.parametrize("family", list(Family))
def test_convolutions_load_everywhere(tmp_path: Path, family: Family) -> None:
    found = check(saved(tmp_path / "a.safetensors", golden(f"{family.value}_conv"), VERSION[family]))
    assert found["layers"] == (66 if family is Family.SDXL else 86)
    assert all(answer["complete"] for answer in found["hosts"].values())


def plain(*names: str, rank: int = 2) -> dict[str, Tensor]:
    return {
        name: tensor
        for key in names
        for name, tensor in {
            f"{key}.lora_down.weight": torch.zeros(rank, 6),
            f"{key}.lora_up.weight": torch.zeros(6, rank),
            f"{key}.alpha": torch.tensor(1.0),
        }.items()
    }


def words_of(path: Path, key: str) -> dict[str, bool]:
    return {host: word == "ok" for host, word in check(path)["keys"][key].items()}


def everywhere(ok: bool) -> dict[str, bool]:
    return dict.fromkeys(("a1111", "forge", "reforge", "diffusers"), ok)


def test_a_name_no_host_has_is_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", plain(ATTENTION, "lora_unet_down_blocks_9_attentions_0_proj_in"), VERSION[Family.SD1])
    assert words_of(path, "lora_unet_down_blocks_9_attentions_0_proj_in") == everywhere(False)
    assert words_of(path, ATTENTION) == everywhere(True)
    assert [answer["dropped"] for answer in check(path)["hosts"].values()] == [1, 1, 1, 1]
    assert [answer["loads"] for answer in check(path)["hosts"].values()] == [True] * 4


def test_openclip_needs_q_k_v_and_out_in_the_webui(tmp_path: Path) -> None:
    front = "lora_te2_text_model_encoder_layers_3"
    path = saved(tmp_path / "a.safetensors", plain(*(f"{front}_self_attn_{name}_proj" for name in ("q", "k", "v")), f"{front}_mlp_fc1"), VERSION[Family.SDXL])
    assert words_of(path, f"{front}_self_attn_q_proj") == {**everywhere(True), "a1111": False}
    assert words_of(path, f"{front}_mlp_fc1") == everywhere(True)
    assert "self_attn_out_proj" in check(path)["keys"][f"{front}_self_attn_q_proj"]["a1111"]


ALGORITHMS: dict[str, tuple[dict[str, Tensor], dict[str, bool]]] = {
    "loha": ({f"hada_w{n}_{x}": torch.zeros(2, 2) for n in (1, 2) for x in "ab"}, {**everywhere(True), "diffusers": False}),
    "lokr": ({"lokr_w1": torch.zeros(2, 2), "lokr_w2_a": torch.zeros(2, 2), "lokr_w2_b": torch.zeros(2, 2)}, {**everywhere(True), "diffusers": False}),
    "full": ({"diff": torch.zeros(2, 2)}, {**everywhere(True), "diffusers": False}),
    "ia3": ({"weight": torch.zeros(2), "on_input": torch.tensor(False)}, {**everywhere(False), "a1111": True}),
    "oft": ({"oft_blocks": torch.zeros(2, 2, 2), "alpha": torch.tensor(1.0)}, {"a1111": True, "forge": False, "reforge": True, "diffusers": False}),
    "boft": ({"oft_blocks": torch.zeros(2, 2, 2, 2)}, {"a1111": False, "forge": False, "reforge": True, "diffusers": False}),
    "unknown": ({"something.weight": torch.zeros(2, 2)}, everywhere(False)),
}


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_algorithms_that_hosts_know(tmp_path: Path, kind: str) -> None:
    tensors, expected = ALGORITHMS[kind]
    path = saved(tmp_path / "a.safetensors", {f"{ATTENTION}.{name}": tensor for name, tensor in tensors.items()}, VERSION[Family.SD1])
    assert words_of(path, ATTENTION) == expected
    assert inspect(path)["kinds"] == [kind]


def test_one_unknown_algorithm_makes_the_webui_refuse_the_whole_file(tmp_path: Path) -> None:
    other = ATTENTION.replace("to_q", "to_k")
    path = saved(tmp_path / "a.safetensors", {**plain(ATTENTION), f"{other}.something": torch.zeros(2)}, VERSION[Family.SD1])
    hosts = check(path)["hosts"]
    assert {host: answer["loads"] for host, answer in hosts.items()} == {"a1111": False, "forge": True, "reforge": True, "diffusers": False}
    assert words_of(path, ATTENTION)["a1111"] is False


@pytest.mark.parametrize(("strays", "loads"), [(12, True), (13, False)])
def test_forge_drops_a_file_with_too_many_strays(tmp_path: Path, strays: int, loads: bool) -> None:
    extra = {f"lora_unet_nothing_{n}.lora_up.weight": torch.zeros(2, 2) for n in range(strays)}
    hosts = check(saved(tmp_path / "a.safetensors", {**plain(ATTENTION), **extra}, VERSION[Family.SD1]))["hosts"]
    assert hosts["forge"]["loads"] is loads
    assert hosts["reforge"]["loads"] is True


@pytest.mark.parametrize(("shape", "ok"), [((1, 6), True), ((6, 1), False)])
def test_dora_means_the_same_only_per_input(tmp_path: Path, shape: tuple[int, int], ok: bool) -> None:
    path = saved(tmp_path / "a.safetensors", {**plain(ATTENTION), f"{ATTENTION}.dora_scale": torch.ones(shape)}, VERSION[Family.SD1])
    assert words_of(path, ATTENTION) == {**everywhere(ok), "diffusers": False}


def test_factors_that_do_not_fit_load_nowhere(tmp_path: Path) -> None:
    tensors = {**plain(ATTENTION), f"{ATTENTION}.lora_up.weight": torch.zeros(6, 3)}
    assert words_of(saved(tmp_path / "a.safetensors", tensors, VERSION[Family.SD1]), ATTENTION) == everywhere(False)


def test_bundled_embeddings(tmp_path: Path) -> None:
    tensors = {**plain(ATTENTION), "bundle_emb.word.string_to_param.*": torch.zeros(1, 6)}
    path = saved(tmp_path / "a.safetensors", tensors, VERSION[Family.SD1])
    assert inspect(path)["embeddings"] == ["word"]
    assert words_of(path, ATTENTION) == {**everywhere(True), "diffusers": False}


@pytest.mark.parametrize(
    ("metadata", "a1111", "forge"),
    [
        ({}, "Unknown", "Unknown"),
        ({"format": "pt"}, "SD1", "Unknown"),
        ({"ss_base_model_version": "sdxl_base_v1-0", "ss_v2": "False"}, "SDXL", "SDXL"),
        ({"ss_v2": "True"}, "SD2", "SD2"),
        ({"ss_v2": "False", "modelspec.architecture": "stable-diffusion-v1/lora"}, "SD1", "SD1"),
    ],
)
def test_cards_go_by_metadata(tmp_path: Path, metadata: dict[str, str], a1111: str, forge: str) -> None:
    hosts = check(saved(tmp_path / "a.safetensors", plain(ATTENTION), metadata or None))["hosts"]
    assert (hosts["a1111"]["card"], hosts["reforge"]["card"], hosts["forge"]["card"]) == (a1111, a1111, forge)


def test_a_card_of_another_family_is_said_to_be_hidden(tmp_path: Path) -> None:
    """An SDXL network whose metadata lacks the version: the WebUI takes it for SD1's."""
    key = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    tensors = {f"{key}.lora_down.weight": torch.zeros(4, 2048), f"{key}.lora_up.weight": torch.zeros(640, 4)}
    found = check(saved(tmp_path / "a.safetensors", tensors, {"made by": "another trainer"}))
    assert found["family"] == "sdxl"
    assert any("SD1" in note and "hides" in note for note in found["hosts"]["a1111"]["notes"])


def test_what_is_no_network_is_said_so(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.safetensors", {"model.diffusion_model.out.2.weight": torch.zeros(2, 2)})
    assert all(not answer["loads"] and answer["refused"] for answer in check(path)["hosts"].values())
    assert inspect(path)["family"] is None
    (tmp_path / "b.safetensors").write_bytes(b"nothing of the kind")
    for look in (inspect, check):
        with pytest.raises(DataError):
            look(tmp_path / "b.safetensors")


def test_inspect_tells_words_and_numbers_of_the_training(tmp_path: Path) -> None:
    metadata = {
        **VERSION[Family.SD1],
        "ss_tag_frequency": '{"10_cat": {"cat": 3, "sofa": 1}, "5_dog": {"dog": 2, "sofa": 4}}',
        "ss_steps": "120",
        "ss_clip_skip": "None",
        "modelspec.trigger_phrase": "ohwx",
        "modelspec.author": "somebody",
    }
    found = inspect(saved(tmp_path / "a.safetensors", plain(ATTENTION), metadata))
    assert found["tags"] == [("sofa", 5), ("cat", 3), ("dog", 2)]
    assert found["training"] == {"steps": "120", "author": "somebody"}
    assert (found["trigger"], found["metadata"]) == ("ohwx", metadata)
    (tmp_path / "b.json").write_text('{"activation text": "beside"}', encoding="utf-8")
    assert inspect(saved(tmp_path / "b.safetensors", plain(ATTENTION), {"ss_tag_frequency": "broken"}))["trigger"] == "beside"


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_inspect_reads_alpha_in_every_precision(tmp_path: Path, precision) -> None:
    path = tmp_path / "a.safetensors"
    file.write(path, {**plain(ATTENTION), f"{ATTENTION}.alpha": torch.tensor(0.5)}, {}, precision)
    assert inspect(path)["parts"]["unet"]["alphas"] == {"0.5": 1}


def test_check_agrees_with_diffusers_itself(tmp_path: Path) -> None:
    """SD1 with a convolution rank is taken whole, SD2 as sd-scripts writes it is refused: both by the real loader."""
    diffusers = pytest.importorskip("diffusers")
    pytest.importorskip("peft")
    from diffusers.loaders import StableDiffusionLoraLoaderMixin

    sizes = {"block_out_channels": [32, 32, 32, 32], "layers_per_block": 2, "cross_attention_dim": 32, "attention_head_dim": 1}
    for family, linear in ((Family.SD1, False), (Family.SD2, True)):
        with torch.random.fork_rng(devices=[]):
            unet = diffusers.UNet2DConditionModel(**sizes, use_linear_projection=linear)
        network = make(unet_layers(unet, family), 2, 1.0, 2, 1.0, torch.device("cpu"), torch.Generator().manual_seed(0))
        path = tmp_path / f"{family.value}.safetensors"
        file.write(path, network.tensors(), VERSION[family], "fp32")
        found = check(path)
        state, alphas = StableDiffusionLoraLoaderMixin.lora_state_dict(str(path.parent), weight_name=path.name)  # offline, a folder and a name are asked for
        try:
            StableDiffusionLoraLoaderMixin.load_lora_into_unet(state, alphas, unet=unet, adapter_name="x")
        except RuntimeError:
            assert not found["hosts"]["diffusers"]["loads"]
            continue
        taken = {keys.unet_key(name, family) for name, module in unet.named_modules() if "x" in getattr(module, "lora_A", {})}
        assert taken == {key for key, words in found["keys"].items() if words["diffusers"] == "ok"}
        assert found["hosts"]["diffusers"]["complete"]


@pytest.mark.webui
@pytest.mark.skipif("SD_WEBUI_ROOT" not in os.environ, reason="SD_WEBUI_ROOT names no WebUI")
@pytest.mark.parametrize("family", list(Family))
def test_names_agree_with_the_webui_itself(family: Family) -> None:
    """Every name in either style, under every prefix, through the WebUI's own conversion: the same are taken."""
    convert, modules = _webui_convert(), _webui_modules(family)
    candidates = {"lora_te2_text_projection", "lora_unet_nothing"}
    for other in Family:
        candidates |= rules._both_styles(other) | rules._text_names(other, ("lora_te", "lora_te1", "lora_te2"))
    taken = {key for key in candidates if _webui_finds(key, convert(key, family is Family.SD2), modules)}
    assert taken == rules._a1111_names(family) & candidates
    assert len(taken) > 900


def _webui_convert() -> Callable[[str, bool], str]:
    """`convert_diffusers_name_to_compvis` out of the built-in Lora extension, without the program around it."""
    source = Path(os.environ["SD_WEBUI_ROOT"]) / "extensions-builtin" / "Lora" / "networks.py"
    wanted = {"convert_diffusers_name_to_compvis", "suffix_conversion"}
    body = [
        node
        for node in ast.parse(source.read_text(encoding="utf-8")).body
        if {getattr(node, "name", ""), *(getattr(target, "id", "") for target in getattr(node, "targets", []))} & wanted
    ]
    space = {"re": re, "re_digits": re.compile(r"\d+"), "re_compiled": {}}
    exec(compile(ast.Module(body, []), str(source), "exec"), space)
    return space["convert_diffusers_name_to_compvis"]


def _webui_modules(family: Family) -> set[str]:
    """Names of `network_layer_mapping`, as the WebUI gives them to the modules of such a model."""
    found = {"diffusion_model_" + keys.ldm_path(path, family).replace(".", "_") for path in rules._paths(family)}
    clip = [f"self_attn_{name}_proj" for name in ("q", "k", "v", "out")] + ["mlp_fc1", "mlp_fc2"]
    fused = ["attn", "attn_out_proj", "mlp_c_fc", "mlp_c_proj"]
    towers = {Family.SD1: [("", clip, 12)], Family.SD2: [("", fused, 24)], Family.SDXL: [("0_", clip, 12), ("1_", fused, 32)]}[family]
    for front, leaves, layers in towers:
        path = "transformer_text_model_encoder_layers" if leaves is clip else "model_transformer_resblocks"
        found |= {f"{front}{path}_{layer}_{leaf}" for layer in range(layers) for leaf in leaves}
    return found


def _webui_finds(key: str, converted: str, modules: set[str]) -> bool:
    """load_network's look-up: the converted name, the fused attention of a q/k/v name, or the name with its prefix replaced."""
    fused = re.match(r"(.*)_([qkv]_proj)$", converted)
    if converted in modules or (fused is not None and fused.group(1) in modules):
        return True
    if "lora_unet" in key:
        return key.replace("lora_unet", "diffusion_model") in modules
    return "lora_te1_text_model" in key and any(key.replace("lora_te1_text_model", front + "transformer_text_model") in modules for front in ("0_", ""))
