"""Twenty short calls of the catalogue, each as the code that makes it: `fn` and its arguments `args`.

bench_twenty.py gives them to torchgauge, counts.py to torch's own Timer, so that both count the same.
"""

from __future__ import annotations

NET = """
from torch import nn
torch.manual_seed(4)
net = nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(), nn.Linear(5, 5), nn.ReLU(),
                    nn.Linear(5, 1))
x = torch.rand(32, 1)
y = torch.sin(x + 1)
optimizer = torch.optim.Adam(net.parameters(), lr=0.0)
def step():
    optimizer.zero_grad()
    nn.functional.mse_loss(net(x), y).backward()
    optimizer.step()
step()
"""
CALLS = {
    "zeros": "fn, args = torch.zeros, (6,)",
    "ones": "fn, args = torch.ones, (1024,)",
    "rand": "fn, args = torch.rand, (6,)",
    "arange": "fn, args = torch.arange, (1024,)",
    "tensor from a list": "fn, args = torch.tensor, ([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],)",
    "clone": "fn, args = torch.randn(1024).clone, ()",
    "double": "fn, args = torch.randn(1024).double, ()",
    "from_numpy": "import numpy\nfn, args = torch.from_numpy, (numpy.ones(1000),)",
    "row": "t = torch.randn(5, 6)\nfn, args = t.__getitem__, (0,)",
    "mask": "t = torch.randn(5, 6)\nfn, args = t.__getitem__, (t > 0,)",
    "add": "fn, args = torch.add, (torch.randn(1024), torch.randn(1024))",
    "mul": "fn, args = torch.mul, (torch.randn(1024), torch.randn(1024))",
    "sin": "fn, args = torch.sin, (torch.randn(6),)",
    "sum": "fn, args = torch.randn(1024).sum, ()",
    "matmul": "fn, args = torch.matmul, (torch.randn(32, 32), torch.randn(32, 32))",
    "A v": "fn, args = torch.matmul, (torch.randn(3, 3), torch.randn(3))",
    "cross entropy": "fn = torch.nn.CrossEntropyLoss()\nargs = torch.randn(32, 10), torch.randint(10, (32,))",
    "sine forward": NET + "fn, args = net, (x,)",
    "sine optimizer step": NET + "fn, args = optimizer.step, ()",
    "sine training step": NET + "fn, args = step, ()",
}
