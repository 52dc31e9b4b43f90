"""Golden traces of optimizers, schedulers and gradient clipping on one small smooth problem.

minimise mean((tanh(x w + b) - y)^2) over w (4, 3) and b (3). Each trace `name.f64` or `name.f32`
has the parameters after every fifth of 60 steps: `name.f64/w` is (12, 4, 3), `name.f64/b` (12, 3).
"""

import torch

STEPS, EVERY = 60, 5

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, dict(lr=0.1)),
    "sgd.momentum": (torch.optim.SGD, dict(lr=0.1, momentum=0.9)),
    "sgd.dampening": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, dampening=0.3)),
    "sgd.nesterov": (torch.optim.SGD, dict(lr=0.1, momentum=0.9, nesterov=True)),
    "sgd.decay": (torch.optim.SGD, dict(lr=0.1, weight_decay=0.05)),
    "sgd.nesterov_decay": (
        torch.optim.SGD,
        dict(lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.05),
    ),
    "adam": (torch.optim.Adam, dict(lr=0.05)),
    "adam.decay": (torch.optim.Adam, dict(lr=0.05, weight_decay=0.1)),
    "adam.amsgrad": (torch.optim.Adam, dict(lr=0.05, amsgrad=True)),
    "adam.betas": (torch.optim.Adam, dict(lr=0.05, betas=(0.7, 0.9), eps=1e-3)),
    "adamw": (torch.optim.AdamW, dict(lr=0.05)),
    "adamw.decay": (torch.optim.AdamW, dict(lr=0.05, weight_decay=0.2)),
    "adamw.amsgrad": (torch.optim.AdamW, dict(lr=0.05, weight_decay=0.2, amsgrad=True)),
}


def start():
    generator = torch.Generator().manual_seed(7)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)
    return draw(10, 4), draw(10, 3).tanh(), draw(4, 3) * 0.5, draw(3) * 0.1


def traces(t):
    x, y, w0, b0 = start()
    t.update({"problem/x": x, "problem/y": y, "problem/w": w0, "problem/b": b0})
    for name, (kind, options) in OPTIMIZERS.items():
        for tag, dtype in (("f64", torch.float64), ("f32", torch.float32)):
            w, b = (p.to(dtype).clone().requires_grad_() for p in (w0, b0))
            optimizer = kind([w, b], **options)
            seen = []
            for step in range(1, STEPS + 1):
                optimizer.zero_grad()
                ((x.to(dtype) @ w + b).tanh() - y.to(dtype)).square().mean().backward()
                optimizer.step()
                if step % EVERY == 0:
                    seen.append((w.detach().clone(), b.detach().clone()))
            t[f"{name}.{tag}/w"], t[f"{name}.{tag}/b"] = (
                torch.stack(column) for column in zip(*seen)
            )


def schedules(t):
    """Learning rates before each of 60 steps."""
    schedulers = {
        "step_lr": lambda o: torch.optim.lr_scheduler.StepLR(o, 7, gamma=0.5),
        "step_lr.default": lambda o: torch.optim.lr_scheduler.StepLR(o, 20),
        "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 60),
        "cosine.floor": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 25, eta_min=0.01),
    }
    for name, make_scheduler in schedulers.items():
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
        scheduler, rates = make_scheduler(optimizer), []
        for _ in range(STEPS):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        t[f"{name}/lr"] = torch.tensor(rates, dtype=torch.float64)


def clipping(t):
    generator = torch.Generator().manual_seed(8)
    grads = [
        torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((3, 4), (5,))
    ]
    t.update({f"clip/grad{i}": g for i, g in enumerate(grads)})
    for tag, limit, kind in (
        ("l2", 1.5, 2.0),
        ("l1", 4.0, 1.0),
        ("max", 0.5, float("inf")),
        ("loose", 100.0, 2.0),
    ):
        parameters = [torch.zeros_like(g, requires_grad=True) for g in grads]
        for parameter, grad in zip(parameters, grads):
            parameter.grad = grad.clone()
        total = torch.nn.utils.clip_grad_norm_(parameters, limit, kind)
        t[f"clip.{tag}/total"] = total.detach().clone()
        t.update({f"clip.{tag}/grad{i}": p.grad for i, p in enumerate(parameters)})


def make(tensors):
    traces(tensors)
    schedules(tensors)
    clipping(tensors)
