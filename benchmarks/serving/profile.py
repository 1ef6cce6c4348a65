"""A picture of what one step of the replies spends its time on.

Importing this module imports torch.
"""

from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.serving.opening import Plan
from benchmarks.serving.workload import draw_asks
from bot.engine.batching.cuda.opening import load_on_cuda
from bot.engine.batching.kv_cache import PrefixCache
from bot.engine.batching.loader import LoadedGpt2, load_gpt2
from bot.engine.batching.runner import Runner
from bot.engine.batching.running_request import Run
from bot.engine.checks import EngineLimits
from bot.engine.protocol import GenerationRequest
from bot.engine.scheduler import Job

_NUM_LINES = 15
_NUM_WARM_UPS = 3


def profile_step(plan: Plan, file: Path) -> str:
    """Write a step's picture to `file`, after the prompts are read; returns a table of it."""
    loaded, limits = _load(plan)
    runner = Runner(loaded, PrefixCache(limits.cache_bytes), _raise)
    asks = draw_asks(plan.users[0], plan.sizes, plan.shape.window, plan.shape.num_ids, 0)
    for ask in asks:
        runner.begin(Job(GenerationRequest(ask.prompt_ids, ask.params)))
    while any(run.unread for run in runner.runs):
        runner.step(len(asks))
    for _ in range(_NUM_WARM_UPS):
        _step(runner)
    on_gpu = plan.device == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as seen:
        num_tokens = _step(runner)
    seen.export_chrome_trace(str(file))
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    table = seen.key_averages().table(sort_by=order, row_limit=_NUM_LINES)
    return f"{table}\na step of {num_tokens} tokens; the whole picture is in {file}"


def _load(plan: Plan) -> tuple[LoadedGpt2, EngineLimits]:
    folder, dtype = plan.folder, plan.dtypes[-1]
    if plan.device == "cuda":
        return load_on_cuda(folder, plan.device, dtype, plan.limits)
    return load_gpt2(folder, plan.device, dtype), plan.limits


def _step(runner: Runner) -> int:
    """A step with nothing else in it; replies that are over go."""
    num_tokens = runner.step(len(runner.runs))
    for run in [run for run in runner.runs if run.is_over]:
        runner.drop(run)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return num_tokens


def _raise(_: Run, error: BaseException) -> None:
    raise error
