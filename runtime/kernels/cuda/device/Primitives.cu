//===- Primitives.cu - the device code of provider "cuda" -------------------------------------===//
//
// One module, so that it is loaded at once. Floats are computed as the reference provider does:
// compiled so that no product and sum are contracted, except where a function asks for it. Tests
// compile it for the host.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/cuda/device/Elementwise.cuh"
#include "runtime/kernels/cuda/device/EmbeddingGrad.cuh"
#include "runtime/kernels/cuda/device/Indexing.cuh"
#include "runtime/kernels/cuda/device/Layout.cuh"
#include "runtime/kernels/cuda/device/Reduce.cuh"
#include "runtime/kernels/cuda/device/Update.cuh"
