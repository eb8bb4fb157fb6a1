//===- HostGpu.cpp - device IR, run on the host -----------------------------------------------===//

#include "HostGpu.h"

#include "Fibers.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/TargetSelect.h"

#include <cmath>
#include <cstring>

using namespace llvm;

namespace deepshard {

//===------------------------------------------------------------------------------------------===//
// What device IR calls
//===------------------------------------------------------------------------------------------===//

static uint32_t threadId() { return Block::current->thread(); }
static uint32_t blockIdX() { return Block::current->blockX; }
static uint32_t blockIdY() { return Block::current->blockY; }
static float shuffle(uint32_t mask, float value, uint32_t distance, uint32_t clamp) {
  return Block::current->shuffle(mask, value, distance, clamp);
}
static void barrier(uint32_t) { Block::current->barrier(); }
static float exp2OfFloat(float x) { return std::exp2(x); }

/// What compilers call to round to bf16; the result is in the low bits of the register of an f32.
static float roundToBF16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits = std::isnan(x) ? 0x7fc0 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  std::memcpy(&x, &bits, 4);
  return x;
}

namespace {
struct Replacement {
  const char *intrinsic;
  const char *name;
  void *function;
};
} // namespace

#define FUNCTION(f) reinterpret_cast<void *>(f)
static const Replacement kReplacements[] = {
    {"llvm.nvvm.read.ptx.sreg.tid.x", "emulated_tid_x", FUNCTION(threadId)},
    {"llvm.nvvm.read.ptx.sreg.ctaid.x", "emulated_ctaid_x", FUNCTION(blockIdX)},
    {"llvm.nvvm.read.ptx.sreg.ctaid.y", "emulated_ctaid_y", FUNCTION(blockIdY)},
    {"llvm.nvvm.shfl.sync.bfly.f32", "emulated_shuffle", FUNCTION(shuffle)},
    {"llvm.nvvm.barrier.cta.sync.aligned.all", "emulated_barrier", FUNCTION(barrier)},
};

//===------------------------------------------------------------------------------------------===//
// From device IR to host code
//===------------------------------------------------------------------------------------------===//

static Error replaceIntrinsics(Module &module) {
  for (Function &function : make_early_inc_range(module)) {
    if (!function.isDeclaration() || !function.getName().starts_with("llvm.nvvm"))
      continue;
    const auto *replacement = find_if(kReplacements, [&](const Replacement &candidate) {
      return function.getName() == candidate.intrinsic;
    });
    if (replacement == std::end(kReplacements))
      return createStringError("the host has nothing for " + function.getName());
    // Without the intrinsic's attributes: others run meanwhile.
    Function *emulated = Function::Create(function.getFunctionType(), Function::ExternalLinkage,
                                          replacement->name, module);
    for (User *user : function.users())
      cast<CallBase>(user)->setAttributes({});
    function.replaceAllUsesWith(emulated);
    function.eraseFromParent();
  }
  return Error::success();
}

/// `name`_entry takes an array of the operands.
static void addEntry(Function &kernel) {
  Module &module = *kernel.getParent();
  IRBuilder<> builder(module.getContext());
  Function *entry =
      Function::Create(FunctionType::get(builder.getVoidTy(), {builder.getPtrTy()}, false),
                       Function::ExternalLinkage, kernel.getName() + "_entry", module);
  builder.SetInsertPoint(BasicBlock::Create(module.getContext(), "", entry));
  SmallVector<Value *> operands;
  for (Argument &argument : kernel.args()) {
    Value *slot =
        builder.CreateConstGEP1_32(builder.getPtrTy(), entry->getArg(0), argument.getArgNo());
    operands.push_back(builder.CreateAddrSpaceCast(builder.CreateLoad(builder.getPtrTy(), slot),
                                                   argument.getType()));
  }
  builder.CreateCall(&kernel, operands);
  builder.CreateRetVoid();
}

static Error toHost(Module &module, const orc::LLJIT &jit) {
  module.setTargetTriple(jit.getTargetTriple());
  module.setDataLayout(jit.getDataLayout());
  if (Error error = replaceIntrinsics(module))
    return error;
  // What other threads see, they may change.
  for (GlobalVariable &global : module.globals())
    if (global.getAddressSpace() == 3)
      global.setLinkage(GlobalValue::ExternalLinkage);
  SmallVector<Function *> kernels;
  for (Function &function : module)
    if (!function.isDeclaration())
      kernels.push_back(&function);
  for (Function *kernel : kernels) {
    kernel->setCallingConv(CallingConv::C);
    kernel->removeFnAttr("target-cpu");
    kernel->removeFnAttr("target-features");
    addEntry(*kernel);
  }
  std::string message;
  raw_string_ostream stream(message);
  return verifyModule(module, &stream) ? createStringError(message) : Error::success();
}

HostGpu::HostGpu() {
  static const bool isReady = !InitializeNativeTarget() && !InitializeNativeTargetAsmPrinter();
  (void)isReady;
  jit = cantFail(orc::LLJITBuilder().create());
  orc::SymbolMap symbols;
  auto define = [&](StringRef name, void *function) {
    symbols[jit->mangleAndIntern(name)] = {orc::ExecutorAddr::fromPtr(function),
                                           JITSymbolFlags::Exported | JITSymbolFlags::Callable};
  };
  for (const Replacement &replacement : kReplacements)
    define(replacement.name, replacement.function);
  // What the host's code calls for want of an instruction.
  define("__truncsfbf2", FUNCTION(roundToBF16));
  define("exp2f", FUNCTION(exp2OfFloat));
  cantFail(jit->getMainJITDylib().define(orc::absoluteSymbols(std::move(symbols))));
}

HostGpu::~HostGpu() = default;

Error HostGpu::add(const Module &module) {
  // Into a context that the JIT owns.
  SmallVector<char> bitcode;
  BitcodeWriter writer(bitcode);
  writer.writeModule(module);
  writer.writeSymtab();
  writer.writeStrtab();
  auto context = std::make_unique<LLVMContext>();
  Expected<std::unique_ptr<Module>> copy = parseBitcodeFile(
      MemoryBufferRef(StringRef(bitcode.data(), bitcode.size()), "device"), *context);
  if (!copy)
    return copy.takeError();
  if (Error error = toHost(**copy, *jit))
    return error;
  return jit->addIRModule(orc::ThreadSafeModule(std::move(*copy), std::move(context)));
}

std::string HostGpu::run(const GpuFunction &function, ArrayRef<void *> operands, uint64_t seed) {
  Expected<orc::ExecutorAddr> entry = jit->lookup(function.name + "_entry");
  if (!entry)
    return toString(entry.takeError());
  auto *body = entry->toPtr<void (*)(void *const *)>();
  char *shared = nullptr;
  if (function.sharedBytes > 0) {
    Expected<orc::ExecutorAddr> address = jit->lookup(function.name + "_shared");
    if (!address)
      return toString(address.takeError());
    shared = address->toPtr<char *>();
  }
  Block block(static_cast<uint32_t>(function.threads), seed);
  for (block.blockY = 0; block.blockY < function.grid[1]; ++block.blockY)
    for (block.blockX = 0; block.blockX < function.grid[0]; ++block.blockX) {
      // Nothing is known of shared memory at first.
      if (shared)
        std::memset(shared, 0xFF, function.sharedBytes);
      std::string error = block.run([&] { body(operands.data()); });
      if (!error.empty())
        return error + " (" + function.name + ", block " + std::to_string(block.blockX) + ", " +
               std::to_string(block.blockY) + ")";
    }
  return "";
}

} // namespace deepshard
