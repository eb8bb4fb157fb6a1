//===- EmitGpuKernel.cpp - row loops in the gpu dialect ---------------------------------------===//

#include "passes/kernels/gpu/GpuEmitter.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace deepshard {

static constexpr unsigned kGlobalMemory = 1, kSharedMemory = 3;

//===------------------------------------------------------------------------------------------===//
// Functions and memory
//===------------------------------------------------------------------------------------------===//

void GpuEmitter::startFunction(const GpuFunction &launch) {
  b.setInsertionPointToEnd(module.getBody());
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), kGlobalMemory);
  ArrayRef<Value> inputs = loops.getInputs(), outputs = loops.getOutputs();
  bool hasWorkspace = gpu.getWorkspaceBytes() > 0;
  SmallVector<Type> types(inputs.size() + outputs.size() + (hasWorkspace ? 1 : 0), pointer);
  function = gpu::GPUFuncOp::create(b, loc, launch.name, b.getFunctionType(types, {}));
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function.setKnownBlockSizeAttr(
      b.getDenseI32ArrayAttr({static_cast<int32_t>(launch.threads), 1, 1}));
  // What shares no bytes with another operand.
  auto isApart = [&](unsigned input, unsigned output) {
    return !loops.mayOverwrite(input, output);
  };
  auto inputRange = llvm::seq<unsigned>(inputs.size());
  auto outputRange = llvm::seq<unsigned>(outputs.size());
  for (unsigned i : inputRange)
    if (llvm::all_of(outputRange, [&](unsigned output) { return isApart(i, output); })) {
      function.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
      function.setArgAttr(i, LLVM::LLVMDialect::getReadonlyAttrName(), b.getUnitAttr());
    }
  for (unsigned i : outputRange)
    if (llvm::all_of(inputRange, [&](unsigned input) { return isApart(input, i); }))
      function.setArgAttr(inputs.size() + i, LLVM::LLVMDialect::getNoAliasAttrName(),
                          b.getUnitAttr());
  if (hasWorkspace)
    function.setArgAttr(types.size() - 1, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
  b.setInsertionPointToStart(&function.getBody().front());
  row = Row();
  thread = threadId();
  startRows();
  if (launch.sharedBytes > 0) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    sharedName = launch.name + "_shared";
    sharedFloats = launch.sharedBytes / 4;
    LLVM::GlobalOp::create(b, loc, LLVM::LLVMArrayType::get(b.getF32Type(), sharedFloats),
                           /*isConstant=*/false, LLVM::Linkage::Internal, sharedName, Attribute(),
                           /*alignment=*/16, kSharedMemory);
  }
}

Value GpuEmitter::sharedAddress(Value offset) {
  auto pointer = LLVM::LLVMPointerType::get(b.getContext(), kSharedMemory);
  Value base = LLVM::AddressOfOp::create(b, loc, pointer, sharedName);
  return address(base, b.getF32Type(), offset);
}

void GpuEmitter::where(Value mask, llvm::function_ref<void()> emit) {
  if (!mask)
    return emit();
  auto conditional = scf::IfOp::create(b, loc, mask, /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(conditional.thenBlock());
  emit();
}

Value GpuEmitter::loadVector(Value base, Type element, Value offset, Value mask) {
  VectorType type = vectorOf(memoryType(element));
  Value from = address(base, element, offset);
  auto load = [&] {
    return LLVM::LoadOp::create(b, loc, type, from, alignmentOf(element)).getResult();
  };
  if (!mask)
    return fromMemory(load(), element);
  auto conditional = scf::IfOp::create(b, loc, TypeRange(type), mask, /*withElseRegion=*/true);
  {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(conditional.thenBlock());
    scf::YieldOp::create(b, loc, load());
    b.setInsertionPointToStart(conditional.elseBlock());
    scf::YieldOp::create(b, loc, zeros(type));
  }
  return fromMemory(conditional.getResult(0), element);
}

void GpuEmitter::storeVector(Value value, Value base, Value offset, Value mask) {
  Type element = cast<VectorType>(value.getType()).getElementType();
  value = toMemory(value);
  Value to = address(base, element, offset);
  where(mask, [&] { LLVM::StoreOp::create(b, loc, value, to, alignmentOf(element)); });
}

void GpuEmitter::flush(SmallVectorImpl<Store> &stores) {
  for (const Store &store : stores) {
    if (store.column)
      storeVector(store.value, store.base, store.column, store.mask);
    else
      where(store.mask, [&] { storeScalar(store.value, store.base, number(0)); });
  }
  stores.clear();
}

void GpuEmitter::setChunk(Value chunk) {
  if (gpu.getWorkspaceBytes() > 0)
    chunkMemory = address(workspacePointer(), b.getI8Type(), mul(wide(chunk), gpu.chunkBytes()));
}

//===------------------------------------------------------------------------------------------===//
// Reductions along the columns
//===------------------------------------------------------------------------------------------===//

/// Every one of `lanes` neighbouring lanes, a power of two, gets the result.
Value GpuEmitter::acrossLanes(Operation *reduction, Value value, int64_t lanes) {
  for (int64_t distance = lanes / 2; distance > 0; distance /= 2) {
    auto shuffle =
        gpu::ShuffleOp::create(b, loc, value, static_cast<int32_t>(distance),
                               static_cast<int32_t>(GpuKernel::kWarp), gpu::ShuffleMode::XOR);
    value = emitCombine(b, reduction, value, shuffle.getShuffleResult());
  }
  return value;
}

/// Halves, quarters, ... are combined.
Value GpuEmitter::acrossVector(Operation *reduction, Value vector) {
  SmallVector<Value> parts;
  for (int64_t i = 0; i < width; ++i)
    parts.push_back(vector::ExtractOp::create(b, loc, vector, i));
  for (size_t half = parts.size() / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i)
      parts[i] = emitCombine(b, reduction, parts[i], parts[i + half]);
  return parts[0];
}

/// Rows of more than a warp: the warps' results meet in shared memory, where each reduction has a
/// place of its own.
void GpuEmitter::acrossThreads(const Partials &partials) {
  int64_t threads = gpu.threadsPerRow, warps = threads / GpuKernel::kWarp;
  if (threads <= GpuKernel::kWarp) {
    for (auto [op, value] : partials)
      row.scalars[op->getResult(0)] = acrossLanes(op, value, threads);
    return;
  }
  auto placeOf = [&](Operation *op, Value offset) {
    ArrayRef<Operation *> all = loops.reductions(Direction::AlongColumns);
    int64_t first = (llvm::find(all, op) - all.begin()) * GpuKernel::kWarp;
    return sharedAddress(add(offset, number(first)));
  };
  Value warp = divide(thread, GpuKernel::kWarp), lane = remainder(thread, GpuKernel::kWarp);
  Value isFirst = isZero(lane);
  for (auto [op, value] : partials) {
    Value sum = acrossLanes(op, value, GpuKernel::kWarp);
    where(isFirst, [&] { LLVM::StoreOp::create(b, loc, sum, placeOf(op, warp), 4); });
  }
  gpu::BarrierOp::create(b, loc);
  auto slots = static_cast<int64_t>(llvm::bit_ceil<uint64_t>(warps));
  Value own = remainder(lane, slots);
  Value isThere = slots == warps ? Value() : isBelow(own, number(warps));
  Value from = isThere ? arith::SelectOp::create(b, loc, isThere, own, number(0)).getResult() : own;
  for (auto [op, value] : partials) {
    Value part = LLVM::LoadOp::create(b, loc, b.getF32Type(), placeOf(op, from), 4);
    row.scalars[op->getResult(0)] = acrossLanes(op, orNeutral(isThere, part, op), slots);
  }
}

/// With two barriers a row, each keeps the places of the other's reductions.
bool GpuEmitter::needsBarrierBehindRow() const {
  int64_t barriers = 0;
  for (unsigned phase = 0; phase < loops.getPhases(); ++phase)
    barriers += !columnReductionsOf(phase).empty();
  return gpu.threadsPerRow > GpuKernel::kWarp && barriers == 1 && gpu.rowBlocks < kernel.getRows();
}

SmallVector<GpuFunction> emitGpuKernel(const GpuKernel &kernel, StringRef name, ModuleOp module) {
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  auto gpuModule = gpu::GPUModuleOp::create(builder, builder.getUnknownLoc(), name);
  SmallVector<GpuFunction> launches;
  auto next = [&] { return (name + "_" + llvm::Twine(launches.size())).str(); };
  if (kernel.hasRowLoop())
    launches.push_back(GpuEmitter(kernel, gpuModule).emitRows(next()));
  if (kernel.getRowKernel().hasColumnLoop())
    launches.push_back(GpuEmitter(kernel, gpuModule).emitColumns(next()));
  return launches;
}

} // namespace deepshard
