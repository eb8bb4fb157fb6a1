//===- RowKernelTesting.cpp - compiles and runs groups of ops ---------------------------------===//

#include "RowKernelTesting.h"

#include "dialects/graph/Interpreter.h"
#include "passes/kernels/codegen/Compile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/Format.h"

#include <cmath>
#include <cstring>
#include <numeric>

using namespace mlir;

namespace deepshard {

using graph::HostTensor;

//===------------------------------------------------------------------------------------------===//
// Tensors
//===------------------------------------------------------------------------------------------===//

void Placed::forRows(llvm::function_ref<void(char *, int64_t, int64_t)> body) {
  auto size = static_cast<int64_t>(sizeOf(desc.dtype));
  bool isRow = !desc.shape.empty() && desc.strides.back() == 1;
  int64_t row = isRow ? desc.shape.back() : 1;
  for (int64_t first = 0, end = desc.elements(); first < end; first += row) {
    int64_t offset = 0, rest = first / row;
    for (size_t dim = desc.shape.size() - isRow; dim-- > 0; rest /= desc.shape[dim])
      offset += rest % desc.shape[dim] * desc.strides[dim];
    body(bytes.data() + offset * size, first * size, row * size);
  }
}

void Placed::set(const HostTensor &tensor) {
  forRows([&](char *at, int64_t first, int64_t size) {
    std::memcpy(at, static_cast<const char *>(tensor.data()) + first, size);
  });
}

HostTensor Placed::get(RankedTensorType type) {
  HostTensor tensor(type);
  forRows([&](char *at, int64_t first, int64_t size) {
    std::memcpy(static_cast<char *>(tensor.data()) + first, at, size);
  });
  return tensor;
}

static double elementOf(HostTensor &tensor, int64_t index) {
  Type element = tensor.getType().getElementType();
  if (element.isF32())
    return tensor.as<float>()[index];
  if (element.isF64())
    return tensor.as<double>()[index];
  if (element.isBF16() || element.isF16()) {
    const llvm::fltSemantics &semantics = cast<FloatType>(element).getFloatSemantics();
    llvm::APFloat value(semantics, llvm::APInt(16, tensor.as<uint16_t>()[index]));
    bool losesInfo;
    value.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &losesInfo);
    return value.convertToDouble();
  }
  if (element.isInteger(64))
    return static_cast<double>(tensor.as<int64_t>()[index]);
  return element.isInteger(32) ? tensor.as<int32_t>()[index] : tensor.as<int8_t>()[index];
}

std::string difference(HostTensor got, HostTensor want, double tolerance) {
  Type element = want.getType().getElementType();
  size_t size = sizeOf(graph::toDType(element));
  if (std::memcmp(got.data(), want.data(), want.size()) == 0)
    return "";
  for (int64_t i = 0, end = want.getType().getNumElements(); i < end; ++i) {
    if (std::memcmp(got.as<char>() + i * size, want.as<char>() + i * size, size) == 0)
      continue;
    double a = elementOf(got, i), b = elementOf(want, i);
    if (std::isnan(a) && std::isnan(b))
      continue;
    // Half a unit in the last place of a narrow float decides which way a sum is rounded.
    double unit = element.isBF16() ? 8e-3 : element.isF16() ? 1e-3 : 0;
    double allowed = tolerance > 0 ? std::max(tolerance, unit) : tolerance;
    if (isa<FloatType>(element) && tolerance > 0 && std::isfinite(b) &&
        std::abs(a - b) <= allowed * std::max(1.0, std::abs(b)))
      continue;
    std::string text;
    llvm::raw_string_ostream(text) << "element " << i << " of " << want.getType() << " is "
                                   << llvm::format("%.17g, expected %.17g", a, b);
    return text;
  }
  return "";
}

static Type doubled(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || !tensor.getElementType().isF32())
    return type;
  return tensor.clone(Float64Type::get(type.getContext()));
}

func::FuncOp inDoubles(func::FuncOp function) {
  func::FuncOp clone = function.clone();
  clone.setName((function.getName() + "_in_doubles").str());
  function->getParentOfType<ModuleOp>().push_back(clone);
  auto convert = [](TypeRange types) { return llvm::map_to_vector(types, doubled); };
  clone.setType(FunctionType::get(function.getContext(), convert(function.getArgumentTypes()),
                                  convert(function.getResultTypes())));
  for (BlockArgument argument : clone.getArguments())
    argument.setType(doubled(argument.getType()));
  clone.walk([](Operation *op) {
    for (Value result : op->getResults())
      result.setType(doubled(result.getType()));
    auto constant = dyn_cast<graph::ConstantOp>(op);
    if (constant && constant.getType() != constant.getValue().getType())
      constant.setValueAttr(graph::toElements(toDoubles(graph::toHostTensor(constant.getValue()))));
  });
  return clone;
}

HostTensor toDoubles(const HostTensor &tensor) {
  if (!tensor.getType().getElementType().isF32())
    return tensor;
  HostTensor result(cast<RankedTensorType>(doubled(tensor.getType())));
  std::copy_n(tensor.as<float>(), tensor.getType().getNumElements(), result.as<double>());
  return result;
}

HostTensor toFloats(const HostTensor &tensor) {
  if (!tensor.getType().getElementType().isF64())
    return tensor;
  HostTensor result(tensor.getType().clone(Float32Type::get(tensor.getType().getContext())));
  std::transform(tensor.as<double>(), tensor.as<double>() + tensor.getType().getNumElements(),
                 result.as<float>(), [](double x) { return static_cast<float>(x); });
  return result;
}

//===------------------------------------------------------------------------------------------===//
// Groups
//===------------------------------------------------------------------------------------------===//

static runtime::TensorDesc contiguousDesc(RankedTensorType type) {
  return runtime::TensorDesc::contiguous(graph::toDType(type.getElementType()),
                                         {type.getShape().begin(), type.getShape().end()});
}

Placed place(RankedTensorType type, const Strides &strides) {
  Placed placed;
  placed.desc = contiguousDesc(type);
  placed.desc.strides.assign(strides.begin(), strides.end());
  int64_t last = 0;
  for (auto [size, stride] : llvm::zip_equal(type.getShape(), strides))
    last += (size - 1) * stride;
  placed.bytes.assign((last + 1) * sizeOf(placed.desc.dtype), 0x7B);
  return placed;
}

Placed place(RankedTensorType type, Layout layout, std::mt19937_64 &random) {
  runtime::TensorDesc desc = contiguousDesc(type);
  std::vector<int64_t> &strides = desc.strides;
  size_t rank = strides.size();
  if (layout != Layout::RowMajor && rank > 1) {
    int64_t gap = static_cast<int64_t>(random() % 3) * 16;
    bool isScattered = layout == Layout::Scattered;
    std::vector<size_t> order(rank - !isScattered);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    int64_t stride =
        isScattered ? 1 + static_cast<int64_t>(random() % 2) : desc.shape[rank - 1] + gap;
    for (size_t dim : order) {
      strides[dim] = stride;
      stride *= desc.shape[dim];
    }
  }
  return place(type, Strides(strides.begin(), strides.end()));
}

std::vector<HostTensor> RowKernelTest::Case::results() {
  std::vector<HostTensor> tensors;
  for (auto [type, output] : llvm::zip_equal(function.getResultTypes(), outputs))
    tensors.push_back(output.get(cast<RankedTensorType>(type)));
  return tensors;
}

RowKernelTest::RowKernelTest() : module(ModuleOp::create(UnknownLoc::get(&context))) {
  context
      .loadDialect<arith::ArithDialect, func::FuncDialect, graph::GraphDialect, LLVM::LLVMDialect,
                   math::MathDialect, scf::SCFDialect, vector::VectorDialect>();
}

RowKernelTest::~RowKernelTest() = default;

func::FuncOp RowKernelTest::parse(const std::string &text, StringRef name) {
  OwningOpRef<ModuleOp> parsed = parseSourceString<ModuleOp>(text, &context);
  EXPECT_TRUE(parsed) << text;
  func::FuncOp found;
  for (auto function : llvm::make_early_inc_range(parsed->getOps<func::FuncOp>())) {
    if (function.getName() == name)
      found = function;
    function->moveBefore(module->getBody(), module->getBody()->end());
  }
  return found;
}

void RowKernelTest::decompose(func::FuncOp function) {
  SmallVector<graph::DecomposableOpInterface> composites;
  do {
    composites.clear();
    function.walk([&](graph::DecomposableOpInterface op) { composites.push_back(op); });
    for (graph::DecomposableOpInterface op : composites) {
      OpBuilder builder(op);
      FailureOr<SmallVector<Value>> values = op.decompose(builder);
      ASSERT_TRUE(succeeded(values));
      op->replaceAllUsesWith(*values);
      op->erase();
    }
  } while (!composites.empty());
}

HostTensor RowKernelTest::randomTensor(RankedTensorType type) {
  HostTensor tensor(type);
  Type element = type.getElementType();
  std::normal_distribution<float> normal;
  for (int64_t i = 0, end = type.getNumElements(); i < end; ++i) {
    if (element.isF32())
      tensor.as<float>()[i] = normal(random);
    else if (element.isF64())
      tensor.as<double>()[i] = normal(random);
    else if (auto narrow = dyn_cast<FloatType>(element)) {
      llvm::APFloat value(normal(random));
      bool losesInfo;
      value.convert(narrow.getFloatSemantics(), llvm::APFloat::rmTowardZero, &losesInfo);
      tensor.as<uint16_t>()[i] = static_cast<uint16_t>(value.bitcastToAPInt().getZExtValue());
    } else if (element.isInteger(64))
      tensor.as<int64_t>()[i] = static_cast<int64_t>(random() % 1000);
    else if (element.isInteger(32))
      tensor.as<int32_t>()[i] = static_cast<int32_t>(random() % 1000);
    else
      tensor.as<int8_t>()[i] = static_cast<int8_t>(random() % 2);
  }
  return tensor;
}

std::vector<HostTensor> RowKernelTest::randomArguments(func::FuncOp function) {
  std::vector<HostTensor> arguments;
  for (Type type : function.getArgumentTypes())
    arguments.push_back(randomTensor(cast<RankedTensorType>(type)));
  return arguments;
}

Placed RowKernelTest::placeArgument(Value argument, Layout layout) {
  auto type = cast<RankedTensorType>(argument.getType());
  // Dropout reads its counter and offsets from one place.
  if (type.getElementType().isInteger(64))
    return place(type, Layout::RowMajor, random);
  auto transpose = argument.hasOneUse() ? dyn_cast<graph::TransposeOp>(*argument.user_begin())
                                        : graph::TransposeOp();
  if (!transpose || layout == Layout::Scattered)
    return place(type, layout, random);
  // So that what the loops see lies in their order.
  Placed seen = place(cast<RankedTensorType>(transpose.getResult().getType()), layout, random),
         placed = seen;
  for (auto [to, from] : llvm::enumerate(transpose.getPermutation())) {
    placed.desc.shape[from] = seen.desc.shape[to];
    placed.desc.strides[from] = seen.desc.strides[to];
  }
  return placed;
}

void RowKernelTest::addSpecialNumbers(std::vector<HostTensor> &tensors) {
  // NaN, infinity, -infinity, -0, and a denormal, of f32, bf16 and f16.
  constexpr uint32_t wide[] = {0x7fc00000, 0x7f800000, 0xff800000, 0x80000000, 0x80000123};
  constexpr uint16_t brain[] = {0x7fc0, 0x7f80, 0xff80, 0x8000, 0x0012},
                     half[] = {0x7e00, 0x7c00, 0xfc00, 0x8000, 0x0012};
  for (HostTensor &tensor : tensors) {
    Type element = tensor.getType().getElementType();
    int64_t count = tensor.getType().getNumElements();
    if (!isa<FloatType>(element) || random() % 3 == 0)
      continue;
    for (int64_t i = 0, end = 1 + static_cast<int64_t>(random() % 4); i < end; ++i) {
      int64_t at = static_cast<int64_t>(random() % count);
      size_t which = random() % 5;
      if (element.isF32())
        tensor.as<uint32_t>()[at] = wide[which];
      else
        tensor.as<uint16_t>()[at] = element.isBF16() ? brain[which] : half[which];
    }
  }
}

RowKernelTest::Case *RowKernelTest::add(func::FuncOp function, std::vector<HostTensor> arguments,
                                        const Options &options) {
  std::optional<RowLoops> loops = RowLoops::of(function);
  if (!loops)
    return nullptr;
  Case &test = cases.emplace_back();
  test.name = "k" + std::to_string(cases.size());
  test.function = function;
  test.arguments = std::move(arguments);
  for (Value argument : function.getArguments())
    test.inputs.push_back(placeArgument(argument, options.layout));
  for (Type type : function.getResultTypes())
    test.outputs.push_back(place(cast<RankedTensorType>(type), options.layout, random));
  auto strides = [](const std::vector<Placed> &places) {
    return llvm::map_to_vector(places, [](const Placed &placed) {
      return Strides(placed.desc.strides.begin(), placed.desc.strides.end());
    });
  };
  test.kernel = RowKernel::of(std::move(*loops), strides(test.inputs), strides(test.outputs),
                              options.threads);
  if (!test.kernel) {
    cases.pop_back();
    return nullptr;
  }
  test.source = ModuleOp::create(UnknownLoc::get(&context));
  test.extents = emitRowKernel(*test.kernel, test.name, lanesOf(options.level), *test.source);
  EXPECT_TRUE(succeeded(verify(*test.source)));
  waiting[options.level].push_back(&test);
  return &test;
}

void RowKernelTest::compile(const std::string &level) {
  std::vector<KernelSource> sources;
  for (Case *test : waiting[level])
    sources.push_back({test->name, *test->source});
  CodegenOptions options;
  options.cpuLevel = level;
  FailureOr<std::string> object = compileKernels(sources, options);
  ASSERT_TRUE(succeeded(object));
  codes.push_back(std::make_unique<runtime::Code>(*object));
  for (Case *test : waiting[level])
    codeOf[test] = codes.back().get();
  waiting[level].clear();
}

void RowKernelTest::run(Case &test, int threads, ArrayRef<std::pair<unsigned, unsigned>> inPlace) {
  runtime::KernelSpec spec;
  spec.name = test.name;
  spec.threads = threads;
  std::vector<void *> inputs, outputs;
  for (auto [input, argument] : llvm::zip_equal(test.inputs, test.arguments)) {
    input.set(argument);
    spec.inputs.push_back(input.desc);
    inputs.push_back(input.bytes.data());
  }
  for (Placed &output : test.outputs) {
    std::fill(output.bytes.begin(), output.bytes.end(), 0x7B);
    spec.outputs.push_back(output.desc);
    outputs.push_back(output.bytes.data());
  }
  for (auto [input, output] : inPlace)
    outputs[output] = inputs[input];
  int64_t chunks = test.kernel->getChunks();
  spec.attributes.set("extents", std::vector<int64_t>(test.extents.begin(), test.extents.end()));
  spec.attributes.set("chunks", std::vector<int64_t>(test.extents.size(), chunks));
  spec.attributes.set("workspace_bytes", test.kernel->getWorkspaceBytes());
  // Bytes behind the workspace tell whether the kernel keeps within it.
  constexpr int64_t kFence = 256;
  int64_t size = test.kernel->getWorkspaceBytes();
  std::vector<char> workspace(size + 64 + kFence, 0x55);
  auto *aligned =
      reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(workspace.data()) + 63) / 64 * 64);
  runtime::GeneratedProvider provider(codeOf.lookup(&test));
  provider.prepare(spec)->run({inputs, outputs, aligned});
  EXPECT_TRUE(
      std::all_of(aligned + size, aligned + size + kFence, [](char byte) { return byte == 0x55; }))
      << test.name << " writes behind its workspace";
  for (auto [input, output] : inPlace)
    test.outputs[output].bytes = test.inputs[input].bytes;
}

std::vector<HostTensor> RowKernelTest::expected(func::FuncOp function,
                                                ArrayRef<HostTensor> arguments) {
  std::vector<HostTensor> copies(arguments);
  FailureOr<SmallVector<HostTensor>> results = graph::evaluateFunction(function, copies);
  EXPECT_TRUE(succeeded(results));
  if (failed(results))
    return {};
  return {results->begin(), results->end()};
}

void RowKernelTest::check(Case &test, double tolerance, bool inF64) {
  check(test.function, test.arguments, test.results(), tolerance, inF64);
}

void RowKernelTest::check(func::FuncOp function, ArrayRef<HostTensor> arguments,
                          ArrayRef<HostTensor> got, double tolerance, bool inF64) {
  std::vector<HostTensor> want;
  if (inF64) {
    func::FuncOp exact = inDoubles(function);
    std::vector<HostTensor> doubles;
    for (const HostTensor &argument : arguments)
      doubles.push_back(toDoubles(argument));
    for (const HostTensor &result : expected(exact, doubles))
      want.push_back(toFloats(result));
    exact.erase();
  } else {
    want = expected(function, arguments);
  }
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i)
    if (std::string text = difference(got[i], want[i], tolerance); !text.empty()) {
      llvm::raw_string_ostream(text) << "\n" << function;
      FAIL() << "result " << i << ": " << text;
    }
}

} // namespace deepshard
