#!/usr/bin/env bash
# fetch_nvidia_headers.sh DIR: NVIDIA's own headers of CUDA 13.0 under DIR/include, for builds on
# machines without the whole toolkit. Needs python3 with pip; the libraries in the packages are
# thrown away. Running it again does nothing unless the versions below have changed.
set -euo pipefail

packages=(
  nvidia-cuda-runtime==13.0.96
  nvidia-cuda-crt==13.0.88
  nvidia-cuda-cccl==13.0.85  # for nv/target alone
  nvidia-cublas==13.1.0.3
  nvidia-curand==10.4.0.35
)

if [ $# -ne 1 ]; then
  echo "usage: $0 DIR" >&2
  exit 2
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
if [ "$(cat "$dir/versions" 2>/dev/null)" = "${packages[*]}" ]; then
  echo "$dir: headers of ${packages[*]} are there"
  exit 0
fi

if ! python3 -m pip --version >/dev/null 2>&1; then
  echo "$0: python3 has no pip (Debian: apt-get install python3-pip)" >&2
  exit 1
fi
scratch=$(mktemp -d "$dir/download.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# The headers are the same for every CPU: one platform is named so that any machine gets a wheel.
for package in "${packages[@]}"; do
  echo "fetching $package"
  python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
    --only-binary=:all: --platform manylinux_2_27_x86_64 --platform manylinux2014_x86_64 \
    --dest "$scratch" "$package"
  python3 - "$scratch" <<'PYTHON'
import pathlib, sys, zipfile

scratch = pathlib.Path(sys.argv[1])
for wheel in scratch.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            _, inside, path = name.partition("/include/")
            path = path.removeprefix("cccl/")
            library = path.startswith(("cub/", "cuda/", "thrust/"))
            if inside and path and not path.endswith("/") and not library:
                target = scratch / "include" / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(name))
    wheel.unlink()
PYTHON
done

rm -rf "$dir/include"
mv "$scratch/include" "$dir/include"
echo "${packages[*]}" > "$dir/versions"
echo "$dir/include: $(find "$dir/include" -type f | wc -l) headers"
