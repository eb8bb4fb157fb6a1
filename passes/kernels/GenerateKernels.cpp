//===- GenerateKernels.cpp - groups of ops become row loops -----------------------------------===//

#include "passes/kernels/Passes.h"

#include "dialects/graph/KernelAttrs.h"
#include "dialects/plan/Plan.h"
#include "passes/kernels/KernelSpecs.h"
#include "passes/kernels/gpu/GpuKernel.h"
#include "passes/kernels/rowloops/RowKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_GENERATEKERNELSPASS
#include "passes/kernels/Passes.h.inc"

namespace {

/// f32 in a vector register.
unsigned lanesOf(StringRef cpuLevel) { return cpuLevel == "x86-64-v3" ? 8 : 16; }

struct GenerateKernels : impl::GenerateKernelsPassBase<GenerateKernels> {
  using GenerateKernelsPassBase::GenerateKernelsPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    kernels = ModuleOp::create(builder, module.getLoc(), "kernels");
    SmallVector<plan::LaunchOp> launches;
    module.walk([&](plan::LaunchOp launch) {
      if (launch.getProvider() == kGeneratedProvider)
        launches.push_back(launch);
    });
    for (plan::LaunchOp launch : launches)
      if (failed(generate(launch)))
        return signalPassFailure();
    if (kernels.getBody()->empty())
      kernels.erase();
    for (auto function : llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
      function.erase();
  }

private:
  struct Generated {
    StringAttr name;
    DictionaryAttr attributes;
  };

  LogicalResult generate(plan::LaunchOp launch) {
    // Equal launches: the same ops on the same views; accesses of GPUs have to be aligned.
    SmallVector<Attribute> key = {launch.getKernelAttr()};
    for (Type type : launch->getOperandTypes())
      key.push_back(TypeAttr::get(type));
    if (isGpu)
      key.push_back(Builder(&getContext()).getDenseI64ArrayAttr(alignmentsOf(launch)));
    Generated &generated = known[ArrayAttr::get(&getContext(), key)];
    if (!generated.name && failed(emit(launch, generated)))
      return failure();
    launch.setKernelAttr(generated.name);
    launch.setKernelAttributesAttr(generated.attributes);
    return success();
  }

  LogicalResult emit(plan::LaunchOp launch, Generated &generated) {
    auto function = getOperation().lookupSymbol<func::FuncOp>(launch.getKernel());
    if (!function)
      return launch.emitOpError() << "names no function @" << launch.getKernel();
    auto held = function->getAttrOfType<StringAttr>(graph::kHoldsAttr);
    holds = held ? held.getValue() : "kernel";
    std::optional<RowLoops> loops = RowLoops::of(function);
    auto strides = [](ValueRange views) {
      return llvm::map_to_vector(views, [](Value view) {
        return Strides(cast<plan::ViewType>(view.getType()).getStrides());
      });
    };
    SmallVector<Strides> inputs = strides(launch.getInputs()),
                         outputs = strides(launch.getOutputs());
    bool isEmitted = false;
    if (loops)
      isEmitted = !isGpu ? emitForCpu(std::move(*loops), inputs, outputs, generated)
                         : emitForGpu(*loops, inputs, outputs, alignmentsOf(launch), generated);
    if (!isEmitted)
      return launch.emitOpError() << "has views that no row loops fit";
    return success();
  }

  bool emitForCpu(RowLoops loops, ArrayRef<Strides> inputs, ArrayRef<Strides> outputs,
                  Generated &generated) {
    std::optional<RowKernel> kernel = RowKernel::of(std::move(loops), inputs, outputs, threads);
    if (!kernel)
      return false;
    Builder builder(&getContext());
    SmallVector<int64_t> extents;
    generated.name = add([&](StringRef name, ModuleOp source) {
      extents = emitRowKernel(*kernel, name, lanesOf(cpuLevel), source);
    });
    SmallVector<int64_t> chunks = {kernel->getChunks()};
    if (extents.size() > 1)
      chunks.push_back(std::min(kernel->getChunks(), extents[1]));
    generated.attributes = builder.getDictionaryAttr(
        {builder.getNamedAttr("extents", builder.getDenseI64ArrayAttr(extents)),
         builder.getNamedAttr("chunks", builder.getDenseI64ArrayAttr(chunks)),
         builder.getNamedAttr("workspace_bytes",
                              builder.getI64IntegerAttr(kernel->getWorkspaceBytes()))});
    return true;
  }

  bool emitForGpu(const RowLoops &loops, ArrayRef<Strides> inputs, ArrayRef<Strides> outputs,
                  ArrayRef<int64_t> alignments, Generated &generated) {
    std::optional<GpuKernel> kernel = GpuKernel::of(loops, inputs, outputs, alignments);
    if (!kernel)
      return false;
    Builder builder(&getContext());
    SmallVector<GpuFunction> functions;
    generated.name = add(
        [&](StringRef name, ModuleOp source) { functions = emitGpuKernel(*kernel, name, source); });
    // Of each function, as runtime/kernels/cuda/Generated.h wants it; what they share is static.
    SmallVector<int64_t> grid, block;
    for (const GpuFunction &function : functions) {
      llvm::append_range(grid, function.grid);
      block.append({function.threads, 1, 1});
    }
    SmallVector<int64_t> sharedBytes(functions.size(), 0);
    generated.attributes = builder.getDictionaryAttr(
        {builder.getNamedAttr("grid", builder.getDenseI64ArrayAttr(grid)),
         builder.getNamedAttr("block", builder.getDenseI64ArrayAttr(block)),
         builder.getNamedAttr("shared_bytes", builder.getDenseI64ArrayAttr(sharedBytes)),
         builder.getNamedAttr("workspace_bytes",
                              builder.getI64IntegerAttr(kernel->getWorkspaceBytes()))});
    return true;
  }

  /// Adds what `emit` makes, unless it is there already, named after what it holds and is, so that
  /// equal kernels of other plans are found in the cache. Returns the name.
  StringAttr add(llvm::function_ref<void(StringRef, ModuleOp)> emit) {
    OpBuilder builder(&getContext());
    OwningOpRef<ModuleOp> nameless = ModuleOp::create(builder.getUnknownLoc());
    emit("kernel", *nameless);
    std::string text;
    llvm::raw_string_ostream(text) << *nameless;
    uint64_t hash = llvm::xxh3_64bits(text);
    StringAttr &name = names[hash];
    if (!name) {
      name = builder.getStringAttr(holds + "_" + llvm::utohexstr(hash, /*LowerCase=*/true, 16));
      auto source = ModuleOp::create(builder.getUnknownLoc(), name.getValue());
      emit(name.getValue(), source);
      kernels.push_back(source);
    }
    return name;
  }

  ModuleOp kernels;
  StringRef holds;                            // what the kernel that is emitted is called after
  llvm::DenseMap<uint64_t, StringAttr> names; // of kernels, by the hash of their text
  llvm::DenseMap<Attribute, Generated> known;
};

} // namespace
} // namespace deepshard
