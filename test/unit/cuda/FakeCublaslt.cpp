//===- FakeCublaslt.cpp - cuBLASLt on the fake runtime, adding up in f64
//------------------------===//

#include "test/unit/cuda/FakeCuda.h"

#include <cublasLt.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>

using deepshard::runtime::test::FakeCuda;
using deepshard::runtime::test::FakeEntry;
using deepshard::runtime::test::kFakeEntry;

namespace {

FakeCuda &fake() {
  static FakeCuda *found = [] {
    void *library = ::dlopen(std::getenv("DEEPSHARD_CUDA_LIBRARY"), RTLD_NOW | RTLD_NOLOAD);
    return reinterpret_cast<FakeEntry *>(::dlsym(library, kFakeEntry))();
  }();
  return *found;
}

struct Operation {
  bool isDouble = true; // else it computes in f32, as far as its scalars show it
  cublasOperation_t a = CUBLAS_OP_N, b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void *bias = nullptr;
  cudaDataType biasType = CUDA_R_64F;
};

struct Layout {
  cudaDataType type;
  int64_t rows, columns, leading;
  int32_t batch = 1;
  int64_t stride = 0;
};

template <typename T> T *own(void *handle) { return static_cast<T *>(handle); }

double load(const void *data, cudaDataType type, int64_t index) {
  switch (type) {
  case CUDA_R_64F:
    return static_cast<const double *>(data)[index];
  case CUDA_R_32F:
    return static_cast<const float *>(data)[index];
  case CUDA_R_16F:
    return static_cast<const _Float16 *>(data)[index];
  default: // bf16
    return std::bit_cast<float>(uint32_t{static_cast<const uint16_t *>(data)[index]} << 16);
  }
}

void store(void *data, cudaDataType type, int64_t index, double number) {
  auto narrow = static_cast<float>(number);
  auto bits = std::bit_cast<uint32_t>(narrow);
  switch (type) {
  case CUDA_R_64F:
    static_cast<double *>(data)[index] = number;
    break;
  case CUDA_R_32F:
    static_cast<float *>(data)[index] = narrow;
    break;
  case CUDA_R_16F:
    static_cast<_Float16 *>(data)[index] = static_cast<_Float16>(narrow);
    break;
  default:
    static_cast<uint16_t *>(data)[index] = static_cast<uint16_t>(
        narrow != narrow ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
}

/// The element of what a layout stands for.
double at(const void *matrix, const Layout &layout, cublasOperation_t operation, int64_t batch,
          int64_t row, int64_t column) {
  return load(matrix, layout.type,
              batch * layout.stride + (operation == CUBLAS_OP_N ? row + column * layout.leading
                                                                : column + row * layout.leading));
}

void multiply(const Operation &operation, const void *a, const Layout &aLayout, const void *b,
              const Layout &bLayout, double beta, const void *c, void *d, const Layout &dLayout) {
  int64_t inner = operation.a == CUBLAS_OP_N ? aLayout.columns : aLayout.rows;
  if (inner * dLayout.rows * dLayout.columns > int64_t{1} << 32)
    return; // for its time only, which is nobody's here
  for (int64_t i = 0; i < dLayout.batch; ++i)
    for (int64_t row = 0; row < dLayout.rows; ++row)
      for (int64_t column = 0; column < dLayout.columns; ++column) {
        double sum = 0;
        for (int64_t k = 0; k < inner; ++k)
          sum += at(a, aLayout, operation.a, i, row, k) * at(b, bLayout, operation.b, i, k, column);
        int64_t place = i * dLayout.stride + row + column * dLayout.leading;
        if (beta != 0)
          sum += beta * load(c, dLayout.type, place);
        if (operation.epilogue == CUBLASLT_EPILOGUE_BIAS)
          sum += load(operation.bias, operation.biasType, row);
        store(d, dLayout.type, place, sum);
      }
}

} // namespace

extern "C" {

size_t cublasLtGetVersion() { return 130102; }
const char *cublasLtGetStatusString(cublasStatus_t) { return "made to fail"; }
cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
  *handle = nullptr;
  return fake().fails("cublasLtCreate") ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *operation,
                                        cublasComputeType_t compute, cudaDataType_t) {
  if (fake().fails("cublasLtMatmulDescCreate"))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  *operation = reinterpret_cast<cublasLtMatmulDesc_t>(
      new Operation{.isDouble = compute == CUBLAS_COMPUTE_64F});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
  delete own<Operation>(operation);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes) {
  if (fake().fails("cublasLtMatmulDescSetAttribute"))
    return CUBLAS_STATUS_INVALID_VALUE;
  auto *operation = own<Operation>(handle);
  switch (attribute) {
  case CUBLASLT_MATMUL_DESC_TRANSA:
    std::memcpy(&operation->a, value, bytes);
    break;
  case CUBLASLT_MATMUL_DESC_TRANSB:
    std::memcpy(&operation->b, value, bytes);
    break;
  case CUBLASLT_MATMUL_DESC_EPILOGUE:
    std::memcpy(&operation->epilogue, value, bytes);
    break;
  case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
    std::memcpy(&operation->bias, value, bytes);
    break;
  case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
    std::memcpy(&operation->biasType, value, bytes);
    break;
  default:
    break;
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t columns, int64_t leading) {
  if (fake().fails("cublasLtMatrixLayoutCreate") || leading < static_cast<int64_t>(rows))
    return CUBLAS_STATUS_INVALID_VALUE;
  *layout = reinterpret_cast<cublasLtMatrixLayout_t>(
      new Layout{type, static_cast<int64_t>(rows), static_cast<int64_t>(columns), leading});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete own<Layout>(layout);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes) {
  if (fake().fails("cublasLtMatrixLayoutSetAttribute"))
    return CUBLAS_STATUS_INVALID_VALUE;
  auto *layout = own<Layout>(handle);
  if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT)
    std::memcpy(&layout->batch, value, bytes);
  if (attribute == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)
    std::memcpy(&layout->stride, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
  *preference = reinterpret_cast<cublasLtMatmulPreference_t>(new uint64_t(0));
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete own<uint64_t>(preference);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t,
                                                    const void *, size_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int *found) {
  if (fake().fails("cublasLtMatmulAlgoGetHeuristic"))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  results[0] = {};
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t operation, const void *,
                              const void *a, cublasLtMatrixLayout_t aLayout, const void *b,
                              cublasLtMatrixLayout_t bLayout, const void *beta, const void *c,
                              cublasLtMatrixLayout_t, void *d, cublasLtMatrixLayout_t dLayout,
                              const cublasLtMatmulAlgo_t *, void *workspace, size_t bytes,
                              cudaStream_t stream) {
  if (fake().fails("cublasLtMatmul"))
    return CUBLAS_STATUS_EXECUTION_FAILED;
  // As NVIDIA's documentation demands.
  if (reinterpret_cast<uintptr_t>(workspace) % 256 != 0 || (!workspace && bytes > 0))
    return CUBLAS_STATUS_INVALID_VALUE;
  double factor = own<Operation>(operation)->isDouble ? *static_cast<const double *>(beta)
                                                      : double{*static_cast<const float *>(beta)};
  fake().issue(stream, "cublasLtMatmul",
               [operation = *own<Operation>(operation), aLayout = *own<Layout>(aLayout),
                bLayout = *own<Layout>(bLayout), dLayout = *own<Layout>(dLayout), factor, a, b, c,
                d, workspace, bytes] {
                 if (bytes > 0)
                   std::memset(workspace, 0xff, bytes);
                 multiply(operation, a, aLayout, b, bLayout, factor, c, d, dLayout);
                 return true;
               });
  return CUBLAS_STATUS_SUCCESS;
}

} // extern "C"
