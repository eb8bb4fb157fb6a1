//===- GpuKernelTesting.cpp - kernels for GPUs, run without one -------------------------------===//

#include "GpuKernelTesting.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Verifier.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

#include <cstring>

using namespace mlir;

namespace deepshard {

using graph::HostTensor;

std::vector<HostTensor> GpuKernelTest::GpuCase::results() {
  std::vector<HostTensor> tensors;
  for (auto [type, output] : llvm::zip_equal(function.getResultTypes(), outputs))
    tensors.push_back(output.get(cast<RankedTensorType>(type)));
  return tensors;
}

GpuKernelTest::GpuKernelTest() { context.loadDialect<gpu::GPUDialect>(); }

static Strides stridesOf(const Placed &placed) {
  return {placed.desc.strides.begin(), placed.desc.strides.end()};
}

GpuKernelTest::GpuCase *GpuKernelTest::addGpu(func::FuncOp function,
                                              std::vector<HostTensor> arguments, bool isStrided) {
  std::optional<RowLoops> loops = RowLoops::of(function);
  if (!loops)
    return nullptr;
  GpuCase &test = gpuCases.emplace_back();
  test.function = function;
  test.arguments = std::move(arguments);
  std::vector<int64_t> alignments;
  auto put = [&](Type type, bool moves) {
    Placed placed =
        place(cast<RankedTensorType>(type), moves ? Layout::Strided : Layout::RowMajor, random);
    size_t size = sizeOf(placed.desc.dtype);
    test.shifts.push_back(moves ? random() % 3 * size : 0);
    alignments.push_back(test.shifts.back() == 0
                             ? 16
                             : static_cast<int64_t>(test.shifts.back() & -test.shifts.back()));
    return placed;
  };
  // Dropout reads its counter and offsets from one place.
  for (Type type : function.getArgumentTypes())
    test.inputs.push_back(
        put(type, isStrided && !cast<RankedTensorType>(type).getElementType().isInteger(64)));
  for (Type type : function.getResultTypes())
    test.outputs.push_back(put(type, isStrided));
  return emit(test, *loops, alignments);
}

GpuKernelTest::GpuCase *GpuKernelTest::addGpu(func::FuncOp function,
                                              std::vector<HostTensor> arguments,
                                              ArrayRef<Strides> strides,
                                              ArrayRef<int64_t> alignments) {
  std::optional<RowLoops> loops = RowLoops::of(function);
  if (!loops)
    return nullptr;
  GpuCase &test = gpuCases.emplace_back();
  test.function = function;
  test.arguments = std::move(arguments);
  size_t next = 0;
  auto put = [&](Type type) {
    test.shifts.push_back(static_cast<size_t>(alignments[next] % GpuKernel::kAccessBytes));
    return place(cast<RankedTensorType>(type), strides[next++]);
  };
  for (Type type : function.getArgumentTypes())
    test.inputs.push_back(put(type));
  for (Type type : function.getResultTypes())
    test.outputs.push_back(put(type));
  for (auto [input, argument] : llvm::zip_equal(test.inputs, test.arguments)) {
    input.set(argument);
    argument = input.get(argument.getType());
  }
  return emit(test, *loops, alignments);
}

GpuKernelTest::GpuCase *GpuKernelTest::emit(GpuCase &test, const RowLoops &loops,
                                            ArrayRef<int64_t> alignments) {
  auto strides = [](const std::vector<Placed> &places) {
    return llvm::map_to_vector(places, stridesOf);
  };
  test.name = "k" + std::to_string(gpuCases.size());
  test.kernel = GpuKernel::of(loops, strides(test.inputs), strides(test.outputs), alignments);
  if (!test.kernel) {
    gpuCases.pop_back();
    return nullptr;
  }
  test.source = ModuleOp::create(UnknownLoc::get(&context));
  test.launches = emitGpuKernel(*test.kernel, test.name, *test.source);
  EXPECT_TRUE(succeeded(verify(*test.source)));
  return &test;
}

void GpuKernelTest::compile(GpuCase &test) {
  std::string text;
  llvm::raw_string_ostream(text) << *test.source;
  llvm::LLVMContext llvmContext;
  llvm::Expected<std::unique_ptr<llvm::Module>> device = lowering.lower(text, llvmContext);
  ASSERT_TRUE(static_cast<bool>(device)) << llvm::toString(device.takeError()) << text;
  compiler.optimise(**device);
  llvm::Error added = host.add(**device);
  ASSERT_FALSE(static_cast<bool>(added)) << llvm::toString(std::move(added));
  llvm::Expected<std::string> ptx = compiler.compile(**device);
  ASSERT_TRUE(static_cast<bool>(ptx)) << llvm::toString(ptx.takeError());
  test.ptx = *ptx;
  test.functions = ptx::parse(*ptx);
}

std::string GpuKernelTest::run(GpuCase &test, Way way,
                               ArrayRef<std::pair<unsigned, unsigned>> inPlace) {
  DeviceMemory memory;
  std::vector<void *> operands;
  for (auto [i, input] : llvm::enumerate(test.inputs)) {
    input.set(test.arguments[i]);
    operands.push_back(memory.allocate(input.bytes.size(), test.shifts[i]));
    std::memcpy(operands.back(), input.bytes.data(), input.bytes.size());
  }
  for (auto [i, output] : llvm::enumerate(test.outputs)) {
    std::fill(output.bytes.begin(), output.bytes.end(), 0x7B);
    const auto *pair = llvm::find_if(inPlace, [&](auto pair) { return pair.second == i; });
    if (pair != inPlace.end()) {
      operands.push_back(operands[pair->first]);
      continue;
    }
    operands.push_back(memory.allocate(output.bytes.size(), test.shifts[test.inputs.size() + i]));
    std::memset(operands.back(), 0x7B, output.bytes.size());
  }
  if (int64_t bytes = test.kernel->getWorkspaceBytes(); bytes > 0) {
    operands.push_back(memory.allocate(static_cast<size_t>(bytes)));
    std::memset(operands.back(), 0xFF, static_cast<size_t>(bytes));
  }
  traffic = {};
  ptx::Interpreter interpreter(memory);
  std::string error;
  for (const GpuFunction &launch : test.launches)
    if (error.empty())
      error = way == Way::Host
                  ? host.run(launch, operands, random())
                  : interpreter.run(test.functions.at(launch.name), launch.grid,
                                    static_cast<uint32_t>(launch.threads), operands, random());
  traffic = interpreter.traffic();
  for (auto [i, output] : llvm::enumerate(test.outputs))
    std::memcpy(output.bytes.data(), operands[test.inputs.size() + i], output.bytes.size());
  return error;
}

void GpuKernelTest::runAndCheck(GpuCase &test, double tolerance, bool inF64,
                                ArrayRef<std::pair<unsigned, unsigned>> inPlace) {
  for (Way way : {Way::Host, Way::Interpreter}) {
    SCOPED_TRACE(way == Way::Host ? "on the host" : "by the interpreter");
    std::string error = run(test, way, inPlace);
    if (!error.empty()) {
      llvm::raw_string_ostream(error) << "\n" << test.function << "\n" << test.ptx;
      FAIL() << error;
    }
    check(test.function, test.arguments, test.results(), tolerance, inF64);
    if (HasFatalFailure())
      return;
  }
}

} // namespace deepshard
