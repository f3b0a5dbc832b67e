"""Compare Wye's three modes on the same prompts.

Each prompt is sent in each mode. For every answer the program shows the model
that served, the time, the tokens and what Wye had expected the call to cost;
then, per mode, which models served how often.

    compare.py [--deployment auto] [--wye bin/wye] [--policy FILE] [--prompts FILE] [PROMPT ...]
"""

import argparse
import collections
import concurrent.futures
import functools
import json
import pathlib
import subprocess
import time

import openai

MODES = ("quality", "balanced", "cost")


def explain(args, messages, mode):
    """Wye's decision for a request, without sending it: see wye explain --help."""
    command = [args.wye, "explain", "--json", "--mode", mode]
    if args.policy:
        command += ["--policy", args.policy]
    request = json.dumps({"model": args.deployment, "messages": messages})
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def ask(client, args, prompt, mode):
    """One prompt in one mode: a row of the table."""
    messages = [{"role": "user", "content": prompt}]
    choice = explain(args, messages, mode)["candidates"][0]
    start = time.monotonic()
    response = client.chat.completions.with_raw_response.create(
        model=args.deployment, messages=messages, extra_headers={"x-wye-mode": mode}
    )
    usage = response.parse().usage
    return {
        "mode": mode,
        "model": response.headers["x-wye-model"],
        "seconds": time.monotonic() - start,
        "in": usage.prompt_tokens,
        "out": usage.completion_tokens,
        "quality": choice["quality"],
        "cost": choice["cost_usd"],
        "attempts": int(response.headers["x-wye-attempts"]),
    }


def show(prompt, rows):
    print(prompt if len(prompt) <= 100 else prompt[:99] + "…")
    for row in rows:
        retried = f"  after {row['attempts']} attempts" if row["attempts"] > 1 else ""
        print(
            f"  {row['mode']:9}{row['model']:32}{row['seconds'] * 1000:6.0f} ms"
            f"{row['in']:6} in{row['out']:6} out   expected quality {row['quality']:.2f}, ${row['cost']:.6f}{retried}"
        )


def distribution(rows):
    """Which models served, and what the mode was expected to cost."""
    for mode in MODES:
        mine = [row for row in rows if row["mode"] == mode]
        print(f"\n{mode}: {len(mine)} calls, expected ${sum(row['cost'] for row in mine):.6f}")
        for model, count in collections.Counter(row["model"] for row in mine).most_common():
            print(f"  {model:32}{'█' * round(30 * count / len(mine)):30} {count}")


def main():
    here = pathlib.Path(__file__).parent
    parser = argparse.ArgumentParser(description="Compare Wye's three modes on the same prompts.")
    parser.add_argument("--deployment", default="auto", help="deployment to call (default: auto)")
    parser.add_argument("--wye", default="bin/wye", help="wye binary, for expected quality and cost (default: bin/wye)")
    parser.add_argument("--policy", help="policy that Wye runs on (default: the embedded one)")
    parser.add_argument("--prompts", type=pathlib.Path, default=here / "prompts.txt", help="file with a prompt a line")
    parser.add_argument("prompt", nargs="*", help="prompts to send in place of the file's")
    args = parser.parse_args()
    prompts = args.prompt or [line for line in args.prompts.read_text("utf-8").splitlines() if line.strip()]

    client = openai.OpenAI()
    rows = []
    with concurrent.futures.ThreadPoolExecutor(len(MODES)) as pool:
        for prompt in prompts:
            new = list(pool.map(functools.partial(ask, client, args, prompt), MODES))
            show(prompt, new)
            rows += new
    distribution(rows)


if __name__ == "__main__":
    main()
