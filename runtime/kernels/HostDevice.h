//===- HostDevice.h - functions that CPUs and GPUs share --------------------------------------===//
//
// A formula that kernels of both have to compute alike is a function of a header that g++ and nvcc
// include.
//
//===------------------------------------------------------------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_KERNELS_HOSTDEVICE_H
#define DEEPSHARD_RUNTIME_KERNELS_HOSTDEVICE_H

#ifdef __CUDACC__
#define DS_HOST_DEVICE __host__ __device__
#else
#define DS_HOST_DEVICE
#endif

#endif // DEEPSHARD_RUNTIME_KERNELS_HOSTDEVICE_H
