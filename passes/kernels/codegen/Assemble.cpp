//===- Assemble.cpp - PTX becomes machine code ------------------------------------------------===//

#include "passes/kernels/codegen/Assemble.h"

#include "passes/kernels/codegen/KernelCache.h"
#include "passes/kernels/codegen/TemporaryDirectory.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"

#include <cstdlib>

using namespace llvm;

namespace deepshard {

std::string findGpuAssembler() {
  if (ErrorOr<std::string> program = sys::findProgramByName("ptxas"))
    return *program;
  for (const char *variable : {"CUDA_PATH", "CUDA_HOME", ""}) {
    const char *root = *variable ? std::getenv(variable) : "/usr/local/cuda";
    if (!root)
      continue;
    SmallString<128> path(root);
    sys::path::append(path, "bin", "ptxas");
    if (sys::fs::can_execute(path))
      return std::string(path);
  }
#ifdef DEEPSHARD_PTXAS // of the build
  if (sys::fs::can_execute(DEEPSHARD_PTXAS))
    return DEEPSHARD_PTXAS;
#endif
  return "";
}

/// The number in front of `unit`, as in "24 bytes spill stores"; 0 if there is none.
static int64_t numberBefore(StringRef line, StringRef unit) {
  size_t end = line.find(unit);
  if (end == StringRef::npos)
    return 0;
  StringRef digits = line.take_front(end).rtrim();
  digits = digits.drop_front(digits.find_last_not_of("0123456789") + 1);
  int64_t number = 0;
  digits.getAsInteger(10, number);
  return number;
}

std::vector<GpuResources> parseResources(StringRef messages) {
  std::vector<GpuResources> resources;
  SmallVector<StringRef> lines;
  messages.split(lines, '\n');
  for (StringRef line : lines) {
    constexpr StringLiteral kEntry("Compiling entry function '");
    if (size_t at = line.find(kEntry); at != StringRef::npos)
      resources.push_back({line.drop_front(at + kEntry.size()).split('\'').first.str()});
    if (resources.empty())
      continue;
    GpuResources &last = resources.back();
    last.spilledBytes +=
        numberBefore(line, "bytes spill stores") + numberBefore(line, "bytes spill loads");
    last.registers += numberBefore(line, "registers");
    last.sharedBytes += numberBefore(line, "bytes smem");
  }
  return resources;
}

static Expected<Assembled> run(StringRef ptx, StringRef chip, StringRef assembler) {
  TemporaryDirectory directory;
  if (Error error = directory.create("assembled"))
    return error;
  std::string input = directory.file("kernels.ptx"), output = directory.file("kernels.cubin"),
              messages = directory.file("messages");
  if (Error error = directory.write(input, ptx))
    return error;
  std::string error, architecture = ("-arch=" + chip).str();
  int status =
      sys::ExecuteAndWait(assembler, {assembler, architecture, "-O3", "-v", input, "-o", output},
                          /*Env=*/std::nullopt,
                          /*Redirects=*/{StringRef(""), messages, messages},
                          /*SecondsToWait=*/0, /*MemoryLimit=*/0, &error);
  Expected<std::string> said = directory.read(messages);
  if (!said)
    return said.takeError();
  if (status != 0)
    return createStringError("kernels cannot be assembled: " + assembler + ": " +
                             (error.empty() ? StringRef(*said).trim().str() : error));
  Expected<std::string> cubin = directory.read(output);
  if (!cubin)
    return cubin.takeError();
  return Assembled{std::move(*cubin), std::move(*said)};
}

/// Differs for another program or another version of it.
static std::string identityOf(StringRef program) {
  sys::fs::file_status status;
  if (sys::fs::status(program, status))
    return program.str();
  return formatv("{0} {1} {2}", program, status.getSize(),
                 sys::toTimeT(status.getLastModificationTime()))
      .str();
}

/// An entry of the cache: the length of the messages, a line feed, messages, cubin.
static std::string entryOf(const Assembled &assembled) {
  return std::to_string(assembled.messages.size()) + "\n" + assembled.messages + assembled.cubin;
}

static Assembled ofEntry(StringRef entry) {
  auto [digits, rest] = entry.split('\n');
  size_t length = 0;
  digits.getAsInteger(10, length);
  return {rest.drop_front(length).str(), rest.take_front(length).str()};
}

Expected<Assembled> assemble(StringRef ptx, StringRef chip, StringRef assembler,
                             const std::string &cacheDirectory) {
  KernelCache cache(cacheDirectory);
  const KernelCache::Key key =
      KernelCache::keyOf(ptx, (chip + " assembled by " + identityOf(assembler)).str());
  if (std::optional<std::string> entry = cache.find(key))
    return ofEntry(*entry);
  Expected<Assembled> assembled = run(ptx, chip, assembler);
  if (assembled) {
    cache.store(key, entryOf(*assembled));
    cache.prune();
  }
  return assembled;
}

} // namespace deepshard
