//===- LowerToPlan.cpp - the step's functions become buffers and tasks ------------------------===//

#include "passes/plan/Passes.h"

#include "passes/kernels/KernelSpecs.h"
#include "passes/plan/SegmentLowering.h"

using namespace mlir;

namespace deepshard {

#define GEN_PASS_DEF_LOWERTOPLANPASS
#include "passes/plan/Passes.h.inc"

namespace {

constexpr llvm::StringLiteral kGather = "gather";
constexpr llvm::StringLiteral kMicroBatch = "micro_batch";
constexpr llvm::StringLiteral kUpdate = "update";
constexpr llvm::StringLiteral kZero = "zero";

struct LowerToPlan : impl::LowerToPlanPassBase<LowerToPlan> {
  using LowerToPlanPassBase::LowerToPlanPassBase;

  void runOnOperation() override {
    if (failed(lower()))
      signalPassFailure();
  }

  LogicalResult lower() {
    ModuleOp module = getOperation();
    auto gather = module.lookupSymbol<func::FuncOp>(kGather);
    auto microBatch = module.lookupSymbol<func::FuncOp>(kMicroBatch);
    auto update = module.lookupSymbol<func::FuncOp>(kUpdate);
    if (!microBatch)
      return module.emitError("expects a function @micro_batch");
    SmallVector<func::FuncOp> functions;
    for (func::FuncOp function : {gather, microBatch, update})
      if (function)
        functions.push_back(function);

    sharding::MeshOp mesh = sharding::onlyMesh(module);
    bool communicates = mesh && mesh.getAxes().getRanks() > 1;
    auto body = OpBuilder::atBlockEnd(module.getBody());
    SmallVector<StringRef> streams = {"compute"};
    if (communicates && overlap)
      streams.push_back("communication");
    auto program =
        plan::ProgramOp::create(body, module.getLoc(), "train", body.getStrArrayAttr(streams),
                                IntegerAttr(), IntegerAttr(), IntegerAttr(), IntegerAttr());
    OpBuilder segments = OpBuilder::atBlockEnd(&program.getBody().emplaceBlock());
    auto zeroSegment = createSegment(segments, module.getLoc(), kZero);
    ProgramLowering whole(program, threads, isGpu, mesh);
    for (func::FuncOp function : functions)
      if (failed(whole.declareBuckets(function)))
        return failure();
    for (func::FuncOp function : functions)
      if (failed(SegmentLowering(whole, function,
                                 createSegment(segments, function.getLoc(), function.getName()))
                     .run()))
        return failure();
    auto zeroes = OpBuilder::atBlockEnd(&zeroSegment.getBody().front());
    for (const Strided &place : whole.getAccumulators())
      zero(place, zeroes);
    zeroPadding(program, whole.padding());
    schedule(module, program, gather != nullptr, update != nullptr,
             !whole.getAccumulators().empty());
    if (whole.getAccumulators().empty())
      zeroSegment.erase();
    for (func::FuncOp function : functions)
      function.erase();
    return success();
  }

  plan::SegmentOp createSegment(OpBuilder &builder, Location location, StringRef name) {
    auto segment = plan::SegmentOp::create(builder, location, name);
    segment.getBody().emplaceBlock();
    return segment;
  }

  void zero(const Strided &place, OpBuilder &tasks) {
    Location location = place.buffer.getLoc();
    auto attributes =
        tasks.getDictionaryAttr(tasks.getNamedAttr("value", tasks.getF64FloatAttr(0)));
    Value view = createView(tasks, location, place);
    plan::LaunchOp::create(tasks, location, primitivesProvider(isGpu), "fill", ValueRange(), view,
                           Value(), ArrayRef<int64_t>(), plan::kComputeStream, attributes, 0,
                           "forward");
  }

  /// Zeroes gaps of buckets before the first task that uses the bucket: until then its bytes are
  /// free for others.
  void zeroPadding(plan::ProgramOp program, ArrayRef<Strided> gaps) {
    llvm::DenseMap<Value, Operation *> firstUse;
    program.walk([&](plan::TaskOpInterface task) {
      for (Value operand : task->getOperands())
        if (auto view = operand.getDefiningOp<plan::ViewOp>())
          firstUse.try_emplace(view.getBuffer(), task);
    });
    for (const Strided &gap : gaps) {
      OpBuilder tasks(firstUse.lookup(gap.buffer));
      zero(gap, tasks);
    }
  }

  void schedule(ModuleOp module, plan::ProgramOp program, bool gathers, bool updates, bool zeroes) {
    auto steps = module->getAttrOfType<IntegerAttr>(graph::kAccumulationAttr);
    int64_t microBatches = steps ? steps.getInt() : 1;
    auto builder = OpBuilder::atBlockEnd(&program.getBody().front());
    SmallVector<Attribute> calls;
    auto call = [&](StringRef segment, int64_t microBatch) {
      calls.push_back(plan::CallAttr::get(
          &getContext(), FlatSymbolRefAttr::get(&getContext(), segment), microBatch, 0));
    };
    if (zeroes)
      call(kZero, 0);
    if (gathers)
      call(kGather, 0);
    for (int64_t i = 0; i < microBatches; ++i)
      call(kMicroBatch, i);
    if (updates)
      call(kUpdate, microBatches - 1);
    plan::ScheduleOp::create(builder, module.getLoc(), builder.getArrayAttr(calls));
  }
};

} // namespace
} // namespace deepshard
