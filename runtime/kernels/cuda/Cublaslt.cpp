//===- Cublaslt.cpp - matrix products of cuBLASLt ---------------------------------------------===//

#include "runtime/kernels/cuda/Cublaslt.h"

#include "runtime/device/cuda/Library.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/CudaKernel.h"
#include "runtime/kernels/cuda/Product.h"
#include "runtime/plan/Error.h"

#include <cublasLt.h>
#include <fmt/format.h>

#include <stdexcept>

namespace deepshard::runtime::cuda {

/// The functions of the library and its handle.
struct CublasltApi {
  Library library;
  decltype(cublasLtGetVersion) *version;
  decltype(cublasLtGetStatusString) *statusText;
  decltype(cublasLtCreate) *create;
  decltype(cublasLtDestroy) *destroy;
  decltype(cublasLtMatmulDescCreate) *createOperation;
  decltype(cublasLtMatmulDescDestroy) *destroyOperation;
  decltype(cublasLtMatmulDescSetAttribute) *setOperation;
  decltype(cublasLtMatrixLayoutCreate) *createLayout;
  decltype(cublasLtMatrixLayoutDestroy) *destroyLayout;
  decltype(cublasLtMatrixLayoutSetAttribute) *setLayout;
  decltype(cublasLtMatmulPreferenceCreate) *createPreference;
  decltype(cublasLtMatmulPreferenceDestroy) *destroyPreference;
  decltype(cublasLtMatmulPreferenceSetAttribute) *setPreference;
  decltype(cublasLtMatmulAlgoGetHeuristic) *heuristic;
  decltype(cublasLtMatmul) *matmul;
  cublasLtHandle_t handle = nullptr;

  explicit CublasltApi(const std::string &libraries)
      : library("cuBLASLt", {"libcublasLt.so.13"}, libraries) {
    library.find("cublasLtGetVersion", version);
    library.find("cublasLtGetStatusString", statusText);
    library.find("cublasLtCreate", create);
    library.find("cublasLtDestroy", destroy);
    library.find("cublasLtMatmulDescCreate", createOperation);
    library.find("cublasLtMatmulDescDestroy", destroyOperation);
    library.find("cublasLtMatmulDescSetAttribute", setOperation);
    library.find("cublasLtMatrixLayoutCreate", createLayout);
    library.find("cublasLtMatrixLayoutDestroy", destroyLayout);
    library.find("cublasLtMatrixLayoutSetAttribute", setLayout);
    library.find("cublasLtMatmulPreferenceCreate", createPreference);
    library.find("cublasLtMatmulPreferenceDestroy", destroyPreference);
    library.find("cublasLtMatmulPreferenceSetAttribute", setPreference);
    library.find("cublasLtMatmulAlgoGetHeuristic", heuristic);
    library.find("cublasLtMatmul", matmul);
    check(create(&handle), "cublasLtCreate", ExitCode::BadInput);
  }
  ~CublasltApi() { (void)destroy(handle); }
  CublasltApi(const CublasltApi &) = delete;

  void check(cublasStatus_t status, const char *call, ExitCode code = ExitCode::RankFailed) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      throw Error(fmt::format("{} ({}): {}", call, library.path(), statusText(status)), code);
  }
};

namespace {

cudaDataType_t typeOf(DType type) {
  switch (type) {
  case DType::F64:
    return CUDA_R_64F;
  case DType::BF16:
    return CUDA_R_16BF;
  case DType::F16:
    return CUDA_R_16F;
  default:
    return CUDA_R_32F;
  }
}

/// A prepared product: descriptors, and the algorithm that the heuristic chose.
class MatmulKernel final : public CudaKernel {
public:
  /// Throws std::invalid_argument if the library has no algorithm for it.
  MatmulKernel(const CublasltApi &api, const Product &product, uint64_t workspaceBytes,
               Streams &streams)
      : CudaKernel(streams), api(api), product(product), workspaceBytes(workspaceBytes) {
    try {
      describe();
      choose();
    } catch (...) {
      destroy();
      throw;
    }
  }
  ~MatmulKernel() override { destroy(); }

  void start(const KernelArguments &arguments, cudaStream_t stream) override {
    char *a = static_cast<char *>(arguments.inputs[product.aInput]);
    char *b = static_cast<char *>(arguments.inputs[product.bInput]);
    char *d = static_cast<char *>(arguments.outputs[0]);
    char *c = product.accumulates ? static_cast<char *>(arguments.inputs.back()) : d;
    if (product.bias)
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, arguments.inputs[2]);
    runOuter(0, {a, b, c, d, arguments.workspace, stream});
  }

private:
  void describe();
  void choose();
  void destroy();
  cublasLtMatrixLayout_t layout(DType type, const Matrix &matrix, int64_t stride);
  template <typename T> void set(cublasLtMatmulDescAttributes_t attribute, const T &value) {
    api.check(api.setOperation(operation, attribute, &value, sizeof(value)),
              "cublasLtMatmulDescSetAttribute");
  }
  struct Places {
    char *a, *b, *c, *d;
    void *workspace;
    cudaStream_t stream;
  };
  void runOuter(size_t dim, const Places &at);
  void runOne(const Places &at);

  const CublasltApi &api;
  Product product;
  uint64_t workspaceBytes;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t aLayout = nullptr, bLayout = nullptr, dLayout = nullptr;
  cublasLtMatmulAlgo_t algorithm = {};
};

cublasLtMatrixLayout_t MatmulKernel::layout(DType type, const Matrix &matrix, int64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  api.check(api.createLayout(&layout, typeOf(type), static_cast<uint64_t>(matrix.rows),
                             static_cast<uint64_t>(matrix.columns), matrix.leading),
            "cublasLtMatrixLayoutCreate");
  auto batch = static_cast<int32_t>(product.batch);
  cublasStatus_t status =
      api.setLayout(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof(batch));
  if (status == CUBLAS_STATUS_SUCCESS)
    status =
        api.setLayout(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof(stride));
  if (status != CUBLAS_STATUS_SUCCESS)
    (void)api.destroyLayout(layout);
  api.check(status, "cublasLtMatrixLayoutSetAttribute");
  return layout;
}

void MatmulKernel::describe() {
  bool isDouble = product.operandType == DType::F64;
  api.check(api.createOperation(&operation, isDouble ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F,
                                isDouble ? CUDA_R_64F : CUDA_R_32F),
            "cublasLtMatmulDescCreate");
  set(CUBLASLT_MATMUL_DESC_TRANSA, product.a.isTransposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(CUBLASLT_MATMUL_DESC_TRANSB, product.b.isTransposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (product.bias) {
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, typeOf(*product.bias));
    // An address that is aligned as biases are: the heuristic goes by it.
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, uintptr_t{kProductAlignment});
  }
  aLayout = layout(product.operandType, product.a, product.aStride);
  bLayout = layout(product.operandType, product.b, product.bStride);
  dLayout = layout(product.resultType, product.d, product.dStride);
}

void MatmulKernel::choose() {
  cublasLtMatmulPreference_t preference = nullptr;
  api.check(api.createPreference(&preference), "cublasLtMatmulPreferenceCreate");
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  auto prefer = [&](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    if (status == CUBLAS_STATUS_SUCCESS)
      status = api.setPreference(preference, attribute, &value, sizeof(value));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspaceBytes);
  for (auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(attribute, kProductAlignment);
  // Parts of a sum are not added up in 16 bits.
  if (sizeOf(product.resultType) == 2)
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  cublasLtMatmulHeuristicResult_t best = {};
  int found = 0;
  if (status == CUBLAS_STATUS_SUCCESS)
    status = api.heuristic(api.handle, operation, aLayout, bLayout, dLayout, dLayout, preference, 1,
                           &best, &found);
  (void)api.destroyPreference(preference);
  require(status == CUBLAS_STATUS_SUCCESS && found > 0 && best.state == CUBLAS_STATUS_SUCCESS,
          fmt::format("the library has no algorithm for it with a workspace of {} bytes: {}",
                      workspaceBytes,
                      api.statusText(status == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED
                                                                     : status)));
  algorithm = best.algo;
}

void MatmulKernel::destroy() {
  for (cublasLtMatrixLayout_t layout : {aLayout, bLayout, dLayout})
    if (layout)
      (void)api.destroyLayout(layout);
  if (operation)
    (void)api.destroyOperation(operation);
}

void MatmulKernel::runOuter(size_t dim, const Places &at) {
  if (dim == product.outer.size())
    return runOne(at);
  const ContractionDim &outer = product.outer[dim];
  auto operand = static_cast<int64_t>(sizeOf(product.operandType));
  auto result = static_cast<int64_t>(sizeOf(product.resultType));
  for (int64_t i = 0; i < outer.size; ++i)
    runOuter(dim + 1, {at.a + i * outer.rhs * operand, at.b + i * outer.lhs * operand,
                       at.c + i * outer.out * result, at.d + i * outer.out * result, at.workspace,
                       at.stream});
}

void MatmulKernel::runOne(const Places &at) {
  requireLibraryWorkspace(at.workspace);
  for (char *operand : {at.a, at.b, at.c, at.d})
    if (reinterpret_cast<uintptr_t>(operand) % kProductAlignment != 0)
      throw Error(
          fmt::format("an operand of a product is not aligned to {} bytes", kProductAlignment),
          ExitCode::BadInput);
  // Of the type that is computed in.
  const double one = 1, beta = product.accumulates ? 1 : 0;
  const float oneNarrow = 1, betaNarrow = product.accumulates ? 1 : 0;
  bool isDouble = product.operandType == DType::F64;
  const void *alphaPlace = isDouble ? static_cast<const void *>(&one) : &oneNarrow;
  const void *betaPlace = isDouble ? static_cast<const void *>(&beta) : &betaNarrow;
  api.check(api.matmul(api.handle, operation, alphaPlace, at.a, aLayout, at.b, bLayout, betaPlace,
                       at.c, dLayout, at.d, dLayout, &algorithm, at.workspace, workspaceBytes,
                       at.stream),
            "cublasLtMatmul");
}

} // namespace

CublasltProvider::CublasltProvider(const std::string &libraries, Streams &streams)
    : api(std::make_unique<CublasltApi>(libraries)), streams(streams) {}

CublasltProvider::~CublasltProvider() = default;

std::string CublasltProvider::library() const {
  size_t version = api->version();
  return fmt::format("cuBLASLt {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::optional<std::string> CublasltProvider::whyNot(const KernelSpec &spec) const {
  try {
    (void)prepare(spec);
    return std::nullopt;
  } catch (const std::invalid_argument &error) {
    return error.what();
  }
}

size_t CublasltProvider::workspaceBytes(const KernelSpec &spec) const {
  return workspaceAttribute(spec);
}

std::unique_ptr<Kernel> CublasltProvider::prepare(const KernelSpec &spec) const {
  return std::make_unique<MatmulKernel>(*api, productOf(spec), workspaceAttribute(spec), streams);
}

} // namespace deepshard::runtime::cuda
