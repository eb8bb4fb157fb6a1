//===- NullDriver.cpp - a libcuda.so.1 that only says yes -------------------------------------===//
//
// cuDNN hands its kernels to the driver even if it plans for a GPU that is only described. This one
// takes them and runs nothing; the other functions that cuDNN looks up fail.
//
//===------------------------------------------------------------------------------------------===//

extern "C" {

int cuLibraryLoadData(void **library, const void *, void *, void *, unsigned, void *, void *,
                      unsigned) {
  *library = reinterpret_cast<void *>(0x1000);
  return 0;
}
int cuLibraryGetKernel(void **kernel, void *, const char *) {
  *kernel = reinterpret_cast<void *>(0x2000);
  return 0;
}
int cuKernelGetFunction(void **function, void *kernel) {
  *function = kernel;
  return 0;
}
int cuLibraryUnload(void *) { return 0; }
int cuFuncSetAttribute(void *, int, int) { return 0; }
int cuKernelSetAttribute(int, int, void *, int) { return 0; }

#define DEEPSHARD_STUB(name)                                                                       \
  int name() { return 34; } // CUDA_ERROR_STUB_LIBRARY
DEEPSHARD_STUB(cuGetErrorName)
DEEPSHARD_STUB(cuGetErrorString)
DEEPSHARD_STUB(cuCtxGetCurrent)
DEEPSHARD_STUB(cuCtxGetLimit)
DEEPSHARD_STUB(cuCtxPopCurrent)
DEEPSHARD_STUB(cuCtxPushCurrent)
DEEPSHARD_STUB(cuStreamGetCtx)
DEEPSHARD_STUB(cuDriverGetVersion)
DEEPSHARD_STUB(cuLinkCreate)
DEEPSHARD_STUB(cuLinkAddData)
DEEPSHARD_STUB(cuLinkComplete)
DEEPSHARD_STUB(cuLinkDestroy)
DEEPSHARD_STUB(cuLaunchKernel)
DEEPSHARD_STUB(cuLaunchCooperativeKernel)
DEEPSHARD_STUB(cuLaunchKernelEx)
DEEPSHARD_STUB(cuDeviceGetCount)
DEEPSHARD_STUB(cuDeviceGet)
DEEPSHARD_STUB(cuLibraryLoadFromFile)
DEEPSHARD_STUB(cuKernelGetAttribute)
DEEPSHARD_STUB(cuOccupancyMaxPotentialClusterSize)

} // extern "C"
