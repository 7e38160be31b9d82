#!/usr/bin/env bash
# Run lmzip on an emulated ARM64 and compare what it decodes and encodes with this machine.
#
#     tests/arm/run.sh [NAME...]    golden files, or beginnings of their names; all by default, which takes an hour
#
# Needs Debian with qemu-user-static, and PYTHON (.venv/bin/python), which has lmzip and its dependencies. Debian's own
# Python for ARM64 and the wheels are unpacked into ARM (.arm): nothing is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=${PYTHON:-.venv/bin/python}
mkdir -p "${ARM:=.arm}"
arm=$(realpath "$ARM")

command -v qemu-aarch64-static >/dev/null || { echo "install qemu-user-static" >&2; exit 1; }

if [[ ! -x $arm/root/usr/bin/python3 ]]; then
    mkdir -p "$arm"/apt/{lists,cache/archives}/partial
    : >"$arm/apt/status"
    apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User="$(id -un)"
        -o Dir::State="$arm/apt" -o Dir::State::lists="$arm/apt/lists" -o Dir::State::status="$arm/apt/status"
        -o Dir::Cache="$arm/apt/cache")
    "${apt[@]}" update
    "${apt[@]}" -y --no-install-recommends --download-only install python3 libstdc++6
    for package in "$arm"/apt/cache/archives/*.deb; do dpkg-deb -x "$package" "$arm/root"; done
fi
emulated=(env HOME="$arm/home" NUMBA_CACHE_DIR="$arm/kernels" PYTHONPATH="$arm/package:$arm/site"
    PYTHONDONTWRITEBYTECODE=1 qemu-aarch64-static -L "$arm/root" "$arm/root/usr/bin/python3")

if [[ ! -d $arm/site ]]; then
    version=$("${emulated[@]}" -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")')
    "$python" tests/arm/requirements.py >"$arm/requirements.txt"
    python3 -m pip install --quiet --target "$arm/site.part" --only-binary :all: --python-version "$version" \
        --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 --platform manylinux_2_27_aarch64 \
        --platform manylinux_2_28_aarch64 -c constraints.txt -r "$arm/requirements.txt"
    mv "$arm/site.part" "$arm/site"
fi

rm -rf "$arm/package"
mkdir -p "$arm/package" "$arm/home"
cp -r lmzip "$arm/package/"
cp -r coders models "$arm/package/lmzip/"
"$python" tests/arm/check.py "$@" | tee "$arm/here.txt"
"${emulated[@]}" tests/arm/check.py "$@" | tee "$arm/emulated.txt"
diff "$arm/here.txt" "$arm/emulated.txt"
echo "the same on both: $(wc -l <"$arm/here.txt") results"
