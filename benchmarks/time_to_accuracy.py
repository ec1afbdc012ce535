"""Whole-process time until a share of MNIST's test images is read rightly: Tinysight against other ways.

Each peer is a program of its own in ``peers/``, in a virtual environment of its own, written as its documentation
writes it; it may look at the test images after each epoch, and ends when its goals are reached. Tinysight's process is
``tinysight train mnist``, from start to saved run; its schedule is fixed in advance, and it sees the test images once,
at the end. The programs take turns, so that a machine whose speed drifts is fair to all.
"""

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
    0.98: ["--epochs", "2", "--batch-size", "192"],  # chosen on validation images: see docs/experiments.md
    0.99: ["--recipe", "accurate", "--epochs", "14"],  # the same
}
MAX_EPOCHS = 10  # of a peer; then it has all but stopped learning


def measure(num_runs: int, goals: list[float], peers: list[str]) -> dict:
    """Run every program `num_runs` times, in turn."""
    pythons = {peer: processes.environment(peer, PEERS[peer]) for peer in peers}
    runs: dict[str, list[dict]] = {name: [] for name in ("tinysight", *peers)}
    for seed in range(num_runs):
        runs["tinysight"].append({})
        for goal in goals:
            finished, evaluation, _ = processes.train("mnist", *OPTIONS[goal], "--seed", str(seed))
            if evaluation["accuracy"] < goal:
                raise SystemExit(f"tinysight did not reach {goal:.1%} with seed {seed}: {evaluation['accuracy']:.2%}")
            runs["tinysight"][-1][str(goal)] = {"seconds": finished.seconds, "note": f"{evaluation['accuracy']:.2%}"}
        print("tinysight", runs["tinysight"][-1], flush=True)
        for peer, python in pythons.items():
            program = str(processes.FOLDER / "peers" / f"{peer}.py")
            finished = processes.run([python, program, ",".join(map(str, goals)), str(seed), str(MAX_EPOCHS)])
            lines = [(seconds, *line.split(maxsplit=1)) for seconds, line in finished.lines]
            runs[peer].append({goal: {"seconds": seconds, "note": note} for seconds, goal, note in lines})
            print(peer, runs[peer][-1], flush=True)
    return {
        "options": {str(goal): OPTIONS[goal] for goal in goals},
        "runs": runs,
        "peers": {peer: processes.versions_in(python, PEERS[peer]) for peer, python in pythons.items()},
    }
