"""Time of a whole process until a share of MNIST's test images is classified correctly: Tinysight and other programs.

Each other program (peer) is in ``peers/``, is written as in its library's documentation, and has a virtual environment
of its own. It scores the test images after each epoch, and ends when its goals are reached.

Tinysight's process is ``tinysight train mnist``, from start to saved run. Its schedule is fixed in advance, and it
scores the test images once, at the end. It runs twice: first with an empty cache, so that it decodes the images and
compiles its program; then with both in the cache. All programs take turns, because a machine's speed drifts.
"""

import tempfile

from . import processes

PEERS = {
    "plain_keras": ["tensorflow"],
    "compiled_keras": ["tensorflow"],
    "scikit_learn": ["scikit-learn"],
    "pytorch": ["torch==2.13.0", "numpy"],
    "tuned_pytorch": ["torch==2.13.0", "numpy"],
    "jax_optax": ["jax", "optax", "numpy"],
}
OPTIONS = {
    0.98: ["--epochs", "2", "--learning-rate", "0.004"],  # chosen on validation images, see docs/experiments.md
    0.99: ["--recipe", "accurate", "--epochs", "10"],  # also chosen there
}
OWN = ("tinysight_first", "tinysight")
MAX_EPOCHS = 10  # of a peer, whose accuracy hardly rises after that


def measure(num_runs: int, goals: list[float], peers: list[str], before: dict) -> dict:
    """Run every program `num_runs` times, in turn. Goals that are not in `goals` keep their earlier figures."""
    pythons = {peer: processes.environment(peer, PEERS[peer]) for peer in peers}
    runs: dict[float, dict[str, list[dict]]] = {goal: {name: [] for name in (*OWN, *peers)} for goal in goals}
    for seed in range(num_runs):
        for goal in goals:
            with tempfile.TemporaryDirectory() as cache:
                for name in OWN:
                    runs[goal][name].append(_train(goal, seed, cache))
                    print(name, goal, runs[goal][name][-1], flush=True)
        for peer, python in pythons.items():
            program = str(processes.FOLDER / "peers" / f"{peer}.py")
            finished = processes.run([python, program, ",".join(map(str, goals)), str(seed), str(MAX_EPOCHS)])
            for seconds, line in finished.lines:
                goal, note = line.split(maxsplit=1)
                runs[float(goal)][peer].append({"seconds": seconds, "note": note})
            print(peer, finished.lines, flush=True)
    about = {
        **processes.machine(),
        "peers": {peer: processes.versions_in(python, PEERS[peer]) for peer, python in pythons.items()},
    }
    measured = {str(goal): {**about, "options": OPTIONS[goal], "runs": runs[goal]} for goal in goals}
    return {"goals": {**before.get("goals", {}), **measured}}


def _train(goal: float, seed: int, cache: str) -> dict:
    finished, evaluation, _ = processes.train("mnist", *OPTIONS[goal], "--seed", str(seed), TINYSIGHT_CACHE=cache)
    if evaluation["accuracy"] < goal:
        raise SystemExit(f"tinysight did not reach {goal:.1%} with seed {seed}: {evaluation['accuracy']:.2%}")
    return {"seconds": finished.seconds, "note": f"{evaluation['accuracy']:.2%}"}
