"""Optimizers: one `optimizer.step()` of each of `torch.optim`, in each form that it has.

For-loop takes the tensors one by one, foreach takes all of them in each of its operations, fused does
all in one kernel; each is asked for explicitly. Which is fastest depends on how many tensors there are
and how large they are: the sine MLP's 8 (76 values), 1,000 of 1,024 values, 10 of 2²² and, on
accelerators, 10 of 2²⁴.
"""

import inspect
import math

import pytest
import torch

# FLOP and moves (elements read and written) of one step for each parameter, at the least. g is the
# gradient, p the parameter; factors that are the same for all elements (learning rate over bias
# correction) are computed once.
#   SGD       p -= lr·g                                                      2
#   momentum  b = μ·b + g, p -= lr·b                                         4
#   Nesterov  b = μ·b + g, p -= lr·(g + μ·b)                                 6
#   RMSprop   v = α·v + (1-α)·g², p -= lr·g / (√v + ε)                       4 + 5
#   Adagrad   v += g², p -= lr·g / (√v + ε)                                  2 + 5
#   Adadelta  v = ρ·v + (1-ρ)·g², d = g·√((a+ε)/(v+ε)), p -= d,
#             a = ρ·a + (1-ρ)·d²                                             4 + 5 + 1 + 4
#   Adam      m += (1-β₁)·(g-m), v = β₂·v + (1-β₂)·g², p -= lr·m / (√v + ε)  3 + 4 + 5
#   AdamW     p *= 1 - lr·λ, then as Adam                                    1 + 12
#   Adamax    m as Adam, u = max(β₂·u, |g| + ε), p -= lr·m / u               3 + 4 + 3
OPTIMIZERS = {
    "SGD": (torch.optim.SGD, {"lr": 1e-3}, 2, 3),
    "momentum": (torch.optim.SGD, {"lr": 1e-3, "momentum": 0.9}, 4, 5),
    # The foreach form of Nesterov adds the momentum to the gradients themselves: repeated with the same
    # gradients they grow without end, by a factor of 1 + μ a step. So little momentum, and bench_step
    # restores them for each block.
    "Nesterov": (torch.optim.SGD, {"lr": 1e-3, "momentum": 1e-3, "nesterov": True}, 6, 5),
    "RMSprop": (torch.optim.RMSprop, {"lr": 1e-3}, 9, 5),
    "Adagrad": (torch.optim.Adagrad, {"lr": 1e-2}, 7, 5),
    # The usual ε of 1e-6 makes denormals of Adadelta's averages in float16.
    "Adadelta": (torch.optim.Adadelta, {"lr": 1.0, "eps": 1e-3}, 14, 7),
    "Adam": (torch.optim.Adam, {"lr": 1e-3}, 12, 7),
    "Adamax": (torch.optim.Adamax, {"lr": 1e-3}, 10, 7),
    "AdamW": (torch.optim.AdamW, {"lr": 1e-3}, 13, 7),
}
FORMS = {"for-loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}
TENSORS = {
    "sine-MLP": [(5, 1), (5,), (5, 5), (5,), (5, 5), (5,), (1, 5), (1,)],
    "1000x1024": [(1024,)] * 1000,
    "10x4194304": [(2**22,)] * 10,
    "10x16777216": [(2**24,)] * 10,
}


def limits(optimizer, tensors):
    if tensors == "10x16777216":
        return pytest.mark.gauge(devices=["accelerator"], budget="standard")
    if tensors == "sine-MLP":
        return pytest.mark.gauge(budget="quick")
    many = tensors == "1000x1024" and optimizer in ("SGD", "Adam")
    return pytest.mark.gauge(budget="standard" if many else "thorough")


GRID = [
    pytest.param(optimizer, form, tensors, marks=limits(optimizer, tensors))
    for tensors in TENSORS
    for optimizer in OPTIMIZERS
    for form in FORMS
]


def parameters(shapes, device, dtype):
    """Parameters with gradients, for ever the same ones.

    Parameters between 0.5 and 1.5, gradients between -1.5 and -0.5: parameters only grow, so that none
    comes near 0 where denormals are, until a step is below half a unit in their last place.
    """
    sizes = [math.prod(shape) for shape in shapes]
    # Drawing 2²⁴ values takes long on a CPU; larger tensors repeat those drawn.
    drawn = torch.empty(2, min(2**16, max(sizes)), device=device).uniform_(0.5, 1.5).to(dtype)
    drawn[1].neg_()
    tensors = []
    for shape, size in zip(shapes, sizes, strict=True):
        repeats = -(-size // drawn.shape[1])
        values, gradients = (row.repeat(repeats)[:size].view(shape) for row in drawn)
        values.requires_grad_().grad = gradients
        tensors.append(values)
    return tensors


def agrees(kind, options, device, dtype):
    """Try whether two large steps of this form give what the for-loop gives.

    They do not everywhere: fused SGD in float16 and bfloat16 on the CPU leaves out most of its work
    (pytorch#191763, torch 2.12 and 2.13), and the time of work left out is no time of a step.
    """
    results = []
    for form in (options, {**options, "foreach": False, "fused": None}):
        known = {key: value for key, value in form.items() if key in inspect.signature(kind).parameters}
        weight = torch.linspace(0.5, 1.5, 67).to(device, dtype).requires_grad_()
        optimizer = kind([weight], **known | {"lr": 0.1})
        for _ in range(2):
            weight.grad = torch.linspace(-1.5, -0.5, 67).to(device, dtype)
            optimizer.step()
        results.append(weight.detach())
    return torch.allclose(*results, rtol=0.03)


@pytest.mark.gauge(dtypes=["float32", "bfloat16", "float64", "float16"])
@pytest.mark.parametrize(("optimizer", "form", "tensors"), GRID)
def bench_step(gauge, device, dtype, optimizer, form, tensors):
    kind, options, flop, moves = OPTIMIZERS[optimizer]
    options = options | FORMS[form]
    missing = options.keys() - inspect.signature(kind).parameters
    if missing:
        pytest.skip(
            f"torch.optim.{kind.__name__} has no {'/'.join(missing)} form in torch {torch.__version__}"
        )
    if form != "for-loop" and not agrees(kind, options, device, dtype):
        pytest.skip(f"{kind.__name__} {form} in {dtype} does not compute what its for-loop does")
    weights = parameters(TENSORS[tensors], device, dtype)
    n = sum(weight.numel() for weight in weights)
    step = kind(weights, **options).step
    if optimizer == "Nesterov":
        kept = [weight.grad.clone() for weight in weights]

        def restore():
            for weight, gradient in zip(weights, kept, strict=True):
                weight.grad.copy_(gradient)
            return ()

        gauge.prepare(restore, each="block")
    gauge.work(flop=flop * n, bytes=moves * n * dtype.itemsize, items=len(weights))
    gauge(step)
    assert all(weight.isfinite().all() for weight in weights)
