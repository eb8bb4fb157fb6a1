//===- Layout.cuh - constants, and reshapes that are no copies of windows ---------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_LAYOUT_CUH
#define DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_LAYOUT_CUH

#include "runtime/kernels/cuda/device/Threads.cuh"

namespace deepshard::runtime::cuda {

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_fill(const __grid_constant__ FillParameters p) {
  for (int64_t i = firstElement(); i < p.nest.count; i += elementStep()) {
    Offsets<1> offsets(p.nest, i);
    ofWidth(p.width, [&](auto unit) {
      using T = decltype(unit);
      *reinterpret_cast<T *>(at(p.out, offsets.of[0])) = T(p.bits);
    });
  }
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_iota(const __grid_constant__ IotaParameters p) {
  for (int64_t i = firstElement(); i < p.nest.count; i += elementStep()) {
    Offsets<2> offsets(p.nest, i);
    char *out = at(p.out, offsets.of[0]);
    int64_t number = offsets.of[1];
    if (p.type == Element::F32)
      *reinterpret_cast<float *>(out) = float(number);
    else if (p.type == Element::F64)
      *reinterpret_cast<double *>(out) = double(number);
    else
      Computed<int64_t>::store(out, p.type, number);
  }
}

extern "C" __global__ void __launch_bounds__(kThreads)
    ds_reshape(const __grid_constant__ ReshapeParameters p) {
  for (int64_t i = firstElement(); i < p.outNest.count; i += elementStep()) {
    Offsets<1> out(p.outNest, i), in(p.inNest, i);
    ofWidth(p.width, [&](auto unit) {
      using T = decltype(unit);
      *reinterpret_cast<T *>(at(p.out, out.of[0])) =
          *reinterpret_cast<const T *>(at(p.in, in.of[0]));
    });
  }
}

} // namespace deepshard::runtime::cuda

#endif // DEEPSHARD_RUNTIME_KERNELS_CUDA_DEVICE_LAYOUT_CUH
