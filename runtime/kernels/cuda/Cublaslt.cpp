//===- Cublaslt.cpp - matrix products of cuBLASLt ---------------------------------------------===//
//
// To the library every matrix is column-major. Our row-major result [m, n] is its result D, n x m,
// and D = A B with A, n x k, from our right operand and B, k x m, from our left one.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/kernels/cuda/Cublaslt.h"

#include "runtime/device/cuda/Library.h"
#include "runtime/kernels/Accumulate.h"
#include "runtime/kernels/Contraction.h"
#include "runtime/kernels/Require.h"
#include "runtime/kernels/cuda/CudaKernel.h"
#include "runtime/plan/Error.h"

#include <cublasLt.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

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

constexpr uint32_t kAlignment = 16;

/// A matrix as the library stores it, column-major; `leading` from one column to the next.
struct Matrix {
  int64_t rows, columns, leading;
  bool isTransposed; // it stands for the transposed of what is stored
};

/// What is computed, in the library's terms.
struct Product {
  Matrix a, b, d;
  int64_t batch = 1, aStride = 0, bStride = 0, dStride = 0; // in elements
  std::vector<ContractionDim> outer;                        // batch dimensions that are a call each
  DType operandType, resultType;
  std::optional<DType> bias;
  bool accumulates = false;
  unsigned aInput = 1, bInput = 0; // which of ours they are
};

ContractionDim single(const std::vector<ContractionDim> &dims, const char *what) {
  require(dims.size() <= 1,
          fmt::format("the {} dimensions are not contiguous with each other", what));
  return dims.empty() ? ContractionDim{1, 0, 0, 0} : dims[0];
}

/// The matrix rows x columns with these steps, as it is or as the transposed of what is stored.
Matrix matrixOf(int64_t rows, int64_t rowStep, int64_t columns, int64_t columnStep) {
  if (rowStep == 1 || rows == 1)
    return {rows, columns, columns == 1 ? rows : std::max(columnStep, rows), false};
  require(columnStep == 1 || columns == 1, "neither dimension of an operand is contiguous");
  return {columns, rows, rowStep, true};
}

void requireSteps(const Matrix &matrix) {
  require(matrix.leading >= matrix.rows, "an operand repeats its elements within a matrix");
}

Product productOf(const KernelSpec &matmul) {
  Contraction dims = Contraction::of(matmul);
  Product product;
  product.operandType = matmul.inputs[0].dtype;
  product.resultType = matmul.outputs[0].dtype;
  for (DType type : {product.operandType, product.resultType})
    require(type == DType::F32 || type == DType::F64 || type == DType::BF16 || type == DType::F16,
            fmt::format("elements of type {}", nameOf(type)));
  ContractionDim m = single(dims.m, "free lhs"), n = single(dims.n, "free rhs"),
                 k = single(dims.k, "contracting");
  require(k.size > 0, "there is nothing to contract");
  if (n.size > 1 && n.out != 1) {
    // A column-major result is the row-major one of the operands exchanged.
    std::swap(m, n);
    std::swap(product.aInput, product.bInput);
    for (ContractionDim *dim : {&m, &n, &k})
      std::swap(dim->lhs, dim->rhs);
    for (ContractionDim &dim : dims.batch)
      std::swap(dim.lhs, dim.rhs);
  }
  product.a = matrixOf(n.size, n.rhs, k.size, k.rhs);
  product.b = matrixOf(k.size, k.lhs, m.size, m.lhs);
  product.d = matrixOf(n.size, n.out, m.size, m.out);
  require(!product.d.isTransposed, "the result is contiguous along no dimension");
  for (const Matrix *matrix : {&product.a, &product.b, &product.d})
    requireSteps(*matrix);
  product.outer = dims.batch;
  if (!product.outer.empty()) {
    const ContractionDim &inner = product.outer.back();
    product.batch = inner.size;
    product.aStride = inner.rhs;
    product.bStride = inner.lhs;
    product.dStride = inner.out;
    product.outer.pop_back();
  }
  return product;
}

/// x [.., k], w ([k, n..], or [n.., k] with `transpose_weight`) as a matmul.
KernelSpec asMatmul(const KernelSpec &linear) {
  const TensorDesc &x = linear.inputs[0], &weight = linear.inputs[1];
  require(x.rank() >= 1 && weight.rank() >= 2, "expected [.., k] and a matrix");
  int64_t contract = linear.attributes.flag("transpose_weight") ? weight.rank() - 1 : 0;
  KernelSpec spec{"matmul", {x, weight}, linear.outputs, {}, linear.threads};
  spec.attributes = {{"lhs_batch", std::vector<int64_t>{}},
                     {"rhs_batch", std::vector<int64_t>{}},
                     {"lhs_contract", std::vector<int64_t>{x.rank() - 1}},
                     {"rhs_contract", std::vector<int64_t>{contract}}};
  return spec;
}

/// Throws std::invalid_argument.
Product productOf(const KernelSpec &spec, bool isLinear) {
  bool adds = accumulates(spec);
  size_t operands = spec.inputs.size() - (adds && !spec.inputs.empty() ? 1 : 0);
  require(spec.outputs.size() == 1 && operands >= 2 && operands <= (isLinear ? 3u : 2u),
          fmt::format("{} inputs and {} outputs", spec.inputs.size(), spec.outputs.size()));
  KernelSpec matmul = isLinear ? asMatmul(spec) : spec;
  matmul.inputs.resize(2);
  Product product = productOf(matmul);
  product.accumulates = adds;
  if (adds)
    require(spec.inputs.back() == spec.outputs[0],
            fmt::format("{} is to be added to {}", textOf(spec.inputs.back()),
                        textOf(spec.outputs[0])));
  if (operands == 3) {
    const TensorDesc &bias = spec.inputs[2];
    require(
        bias.isContiguous() && bias.elements() == product.d.rows && product.aInput == 1,
        fmt::format("the bias {} does not lie along contiguous rows of the result", textOf(bias)));
    product.bias = bias.dtype;
  }
  return product;
}

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
    prefer(attribute, kAlignment);
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
  for (char *operand : {at.a, at.b, at.c, at.d})
    if (reinterpret_cast<uintptr_t>(operand) % kAlignment != 0)
      throw Error(fmt::format("an operand of a product is not aligned to {} bytes", kAlignment),
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

uint64_t plannedWorkspace(const KernelSpec &spec) {
  int64_t bytes = spec.attributes.integer("workspace_bytes");
  require(bytes >= 0, "attribute workspace_bytes is negative");
  return static_cast<uint64_t>(bytes);
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
  return plannedWorkspace(spec);
}

std::unique_ptr<Kernel> CublasltProvider::prepare(const KernelSpec &spec) const {
  bool isLinear = spec.name == "linear";
  require(isLinear || spec.name == "matmul", "there is no cuBLASLt kernel called " + spec.name);
  return std::make_unique<MatmulKernel>(*api, productOf(spec, isLinear), plannedWorkspace(spec),
                                        streams);
}

} // namespace deepshard::runtime::cuda
