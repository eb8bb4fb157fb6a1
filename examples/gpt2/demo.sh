#!/usr/bin/env bash
# Exports a small GPT-2, plans it, trains it on a licence text (byte tokens), and shows the loss falling.
# `./dev demo` calls this with ds-opt, ds-run and the project's Python on the PATH.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

cd "$work"
run python "$here/../tokenize_text.py" /usr/share/common-licenses/GPL-3 -o text.bin
run python "$here/../export_hf.py" gpt2 --set n_layer=4 --set n_embd=192 --set n_head=6 --set vocab_size=256 \
  --seq 128 -o gpt2.pt
run ds-opt gpt2.pt --input 'input_ids=i64[batchx128]' --input 'labels=i64[batchx128]' \
  --config "$here/ds_config.json" --set train_micro_batch_size_per_gpu=8 -o gpt2.dsplan
run ds-run gpt2.dsplan --check
run ds-run gpt2.dsplan --data input_ids=text.bin --data labels=text.bin --steps 120 --metrics run.jsonl \
  --save-weights out.safetensors

python - <<'PY'
import json

losses = [json.loads(line)["loss"] for line in open("run.jsonl")]
first, last = losses[0], sum(losses[-10:]) / 10
print(f"\nloss: {first:.3f} at step 1, {last:.3f} over the last 10 of {len(losses)} steps")
if not last < 0.75 * first:
    raise SystemExit("the loss did not fall as it should")
PY
