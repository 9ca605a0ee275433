#!/usr/bin/env bash
# Move the server out of the unpacked wheel to the paths of NVIDIA's image, and leave out what serving never loads.
set -euo pipefail

wheel=/opt/wheel
server=$wheel/pytriton/tritonserver
target=/opt/tritonserver
packages=$(echo "$target"/python/lib/python3.*/site-packages)
python_version=$(basename "$(dirname "$packages")")

mv "$server/bin" "$server/backends" "$server/caches" "$target/"
mv "$wheel/nvidia_pytriton.libs" "$target/lib"
mv "$server/python_backend_stubs/${python_version#python}/triton_python_backend_stub" "$target/backends/python/"
cp "$wheel"/nvidia_pytriton-*.dist-info/licenses/LICENSE "$target/LICENSE" 2>/dev/null \
  || cp "$wheel"/nvidia_pytriton-*.dist-info/LICENSE "$target/LICENSE"
# 32 MB for the one stub (Python 3.13) that is not used here.
rm -f "$target"/lib/libpython3-*

# Training, conversion and test code of the libraries.
rm -rf "$packages"/onnxruntime/{transformers,tools,quantization,datasets,backend}
find "$packages" -depth -type d -name tests -exec rm -rf {} +
