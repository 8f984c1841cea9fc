"""The benchmarks run and say what they promise; their times are nobody's test."""

from __future__ import annotations

import statistics
from contextlib import nullcontext

import pytest
import torch

from lib_lora.bench import main, memory, unets
from lib_lora.bench.model import BenchModel, RandomBatches
from lib_lora.bench.train import job
from lib_lora.networks.registry import networks
from lib_lora.training.randomness import generator

CPU = torch.device("cpu")


@pytest.mark.parametrize("backend", ["ldm", "diffusers"])
def test_a_step_is_measured_through_the_real_loop(backend: str) -> None:
    pytest.importorskip(backend)
    found = main(["train", "--model", "small", "--size", "64", "--pairs", "3", "--warmup", "1", "--backend", backend, "--device", "cpu", "--json"])
    assert {"forward_s", "step_s", "ratio", "peak_bytes", "torch", "device", "dtype", "backend"} <= set(found)
    assert (found["backend"], found["modules"], found["dtype"]) == (backend, 192, "float32")
    assert len(found["ratios"]) == 3
    assert found["ratio"] == statistics.median(found["ratios"])
    assert found["peak_bytes"] > 10**8


@pytest.mark.parametrize("backend", ["ldm", "diffusers"])
def test_a_network_on_the_model_is_not_on_its_twin(backend: unets.Backend) -> None:
    pytest.importorskip(backend)
    unet = unets.make(backend, unets.SMALL, CPU, torch.float32)
    twin = unets.twin(unet)
    assert {tensor.data_ptr() for tensor in unet.parameters()} == {tensor.data_ptr() for tensor in twin.parameters()}
    draw = torch.Generator().manual_seed(1)
    noisy, t, context = torch.randn(1, 4, 8, 8, generator=draw), torch.tensor([500]), torch.randn(1, 77, 32, generator=draw)
    with torch.no_grad(), unets.scaled_dot_product(backend):
        before = unets.predict(backend, unet, noisy, t, context)
        for module in unet.modules():
            if isinstance(module, torch.nn.Linear):
                module.forward = lambda x, base=module.forward: 2 * base(x)
        assert not torch.equal(before, unets.predict(backend, unet, noisy, t, context))
        assert torch.equal(before, unets.predict(backend, twin, noisy, t, context))


def test_attention_by_scaled_dot_product_gives_ldms_own_answer() -> None:
    pytest.importorskip("ldm")
    unet = unets.make("ldm", unets.SMALL, CPU, torch.float32)
    draw = torch.Generator().manual_seed(2)
    noisy, t, context = torch.randn(2, 4, 8, 8, generator=draw), torch.tensor([3, 900]), torch.randn(2, 77, 32, generator=draw)
    with torch.no_grad():
        own = unets.predict("ldm", unet, noisy, t, context)
        with unets.scaled_dot_product("ldm"):
            ours = unets.predict("ldm", unet, noisy, t, context)
        assert torch.equal(own, unets.predict("ldm", unet, noisy, t, context))
    torch.testing.assert_close(ours, own, rtol=1e-4, atol=1e-4)
    assert not torch.equal(ours, own)


def test_what_is_held_is_counted() -> None:
    before = memory.live_tensors()
    held = [torch.zeros(1) for _ in range(7)]
    assert memory.live_tensors() - before == len(held)


def test_installing_with_nothing_to_do_is_measured_in_an_environment_of_its_own() -> None:
    found = main(["install"])
    assert found["said"] == "", "it had something to do"
    assert found["install_s"] > 0


def test_an_unknown_benchmark_is_refused() -> None:
    with pytest.raises(SystemExit):
        main(["trian"])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("backend", ["ldm", "diffusers"])
def test_checkpointed_blocks_give_the_same_gradients_and_hold_much_less(backend: unets.Backend, precision: str) -> None:
    pytest.importorskip(backend)
    found = {}
    for checkpointing in (False, True):
        model = BenchModel(backend, unets.make(backend, unets.SMALL, CPU, torch.float32), CPU)
        config = job(4, 2, precision, checkpointing)
        network = networks.get("lora").build(model.layers(), config.network.options, CPU, generator(0, "network"))
        for weight in network.parameters("unet"):
            weight.data.normal_(0, 0.02, generator=generator(1, "weights"))
        batches, held = RandomBatches(CPU, 64, 2, unets.SMALL.context, 1), []

        def keep(tensor: torch.Tensor, held: list[int] = held) -> torch.Tensor:
            held.append(tensor.numel() * tensor.element_size())
            return tensor

        t = torch.tensor([100, 700])
        with unets.scaled_dot_product(backend), network.attached(), model.checkpoint_blocks() if checkpointing else nullcontext():
            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), model.autocast(precision):
                predicted = model.predict(batches.batch.latents.mean, t, batches.cond(batches.batch), ())
            at_forward = sum(held)
            predicted.square().mean().backward()
        found[checkpointing] = at_forward, torch.cat([weight.grad.flatten() for weight in network.parameters("unet")])
    assert found[True][0] < 0.5 * found[False][0]
    tolerance = {"fp32": 1e-5, "bf16": 2e-2}[precision] * found[False][1].abs().max().item()
    torch.testing.assert_close(found[True][1], found[False][1], rtol=0, atol=tolerance)
    assert found[False][1].abs().max() > 0


def test_a_start_is_measured_up_to_the_first_step() -> None:
    pytest.importorskip("diffusers")
    found = main(["start", "--model", "small"])
    assert found["pictures"] == 40
    assert found["start_s"] == statistics.median(found["starts"]) > 0
