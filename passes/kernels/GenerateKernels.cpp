//===- GenerateKernels.cpp - groups of ops become row loops -----------------------------------===//

#include "passes/kernels/Passes.h"

#include "dialects/plan/Plan.h"
#include "passes/kernels/rowloops/RowKernel.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
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
    // Equal launches: the same ops on the same views.
    SmallVector<Attribute> key = {launch.getKernelAttr()};
    for (Type type : launch->getOperandTypes())
      key.push_back(TypeAttr::get(type));
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
    std::optional<RowLoops> loops = RowLoops::of(function);
    auto strides = [](ValueRange views) {
      return llvm::map_to_vector(views, [](Value view) {
        return Strides(cast<plan::ViewType>(view.getType()).getStrides());
      });
    };
    std::optional<RowKernel> kernel;
    if (loops)
      kernel = RowKernel::of(std::move(*loops), strides(launch.getInputs()),
                             strides(launch.getOutputs()), threads);
    if (!kernel)
      return launch.emitOpError() << "has views that no row loops fit";

    // Named after what it is, so that equal kernels of other plans are found in the cache.
    OpBuilder builder(&getContext());
    auto source = ModuleOp::create(builder, builder.getUnknownLoc());
    SmallVector<int64_t> extents = emitRowKernel(*kernel, "kernel", lanesOf(cpuLevel), source);
    std::string text;
    llvm::raw_string_ostream(text) << source;
    std::string name = "k" + llvm::utohexstr(llvm::xxh3_64bits(text), /*LowerCase=*/true, 16);
    source.setName(name);
    for (auto [i, loop] : llvm::enumerate(source.getOps<func::FuncOp>()))
      loop.setName((name + "_" + llvm::Twine(i)).str());
    if (kernels.lookupSymbol(name))
      source.erase();
    else
      kernels.push_back(source);
    generated.name = builder.getStringAttr(name);
    SmallVector<int64_t> chunks = {kernel->getChunks()};
    if (extents.size() > 1)
      chunks.push_back(std::min(kernel->getChunks(), extents[1]));
    generated.attributes = builder.getDictionaryAttr(
        {builder.getNamedAttr("extents", builder.getDenseI64ArrayAttr(extents)),
         builder.getNamedAttr("chunks", builder.getDenseI64ArrayAttr(chunks)),
         builder.getNamedAttr("workspace_bytes",
                              builder.getI64IntegerAttr(kernel->getWorkspaceBytes()))});
    return success();
  }

  ModuleOp kernels;
  llvm::DenseMap<Attribute, Generated> known;
};

} // namespace
} // namespace deepshard
