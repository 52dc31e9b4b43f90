#!/usr/bin/env bash
# pack.sh NVIDIA_HEADERS FOLDER: collects what building Tarn needs and a GPU machine without network
# may lack: NVIDIA's headers of cuBLAS and cuRAND, Catch2, nlohmann-json and zlib, laid out as a
# prefix for CMAKE_PREFIX_PATH; and the name of the commit.
set -euo pipefail

from=$1 to=$2
rm -rf "$to"
mkdir -p "$to/include" "$to/lib/cmake" "$to/share/cmake"
cp -r "$from/include/." "$to/include/"
cp -r /usr/include/{catch2,nlohmann,zlib.h,zconf.h} "$to/include/"
cp "$(dpkg -L zlib1g-dev | grep 'libz\.a$')" "$to/lib/"
for package in Catch2 nlohmann_json; do
  for folder in $(dpkg -L catch2 nlohmann-json3-dev | grep "cmake/$package\$"); do
    cp -r "$folder" "$to/${folder#/usr/}"
  done
done
git rev-parse HEAD >"$to/commit"
du -sh "$to"
