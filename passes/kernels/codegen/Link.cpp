//===- Link.cpp - objects of kernels become one shared object ---------------------------------===//
//
// lld reads and writes files, so objects pass through a directory of temporary files. They are
// named by their position: the names do not reach the result.
//
//===------------------------------------------------------------------------------------------===//

#include "passes/kernels/codegen/Link.h"

#include "passes/kernels/codegen/TemporaryDirectory.h"

#include "lld/Common/Driver.h"
#include "llvm/Support/raw_ostream.h"

#include <mutex>
#include <vector>

LLD_HAS_DRIVER(elf)

using namespace llvm;

namespace deepshard {

Expected<std::string> linkObjects(ArrayRef<std::string> objects) {
  TemporaryDirectory directory;
  if (Error error = directory.create("linked"))
    return error;
  const std::string output = directory.file("kernels.so");
  std::vector<std::string> arguments = {
      "ld.lld", "-shared", "-o", output,
      // Without what only debuggers and other libraries look for.
      "--build-id=none", "--strip-all", "--hash-style=gnu", "--gc-sections",
      // Small: code and constants may share pages, and nothing is relocated after loading.
      "-z", "noseparate-code", "-z", "norelro", "--no-rosegment",
      // A symbol that is missing is found here, not by the loader.
      "-z", "defs", "--threads=1"};
  for (auto [index, object] : enumerate(objects)) {
    std::string path = directory.file(Twine(index) + ".o");
    if (Error error = directory.write(path, object))
      return error;
    arguments.push_back(std::move(path));
  }
  std::vector<const char *> pointers;
  for (const std::string &argument : arguments)
    pointers.push_back(argument.c_str());

  std::string messages;
  raw_string_ostream errors(messages);
  {
    static std::mutex oneAtATime; // lld keeps its state in globals
    std::lock_guard lock(oneAtATime);
    lld::Result result = lld::lldMain(pointers, nulls(), errors, {{lld::Gnu, &lld::elf::link}});
    if (result.retCode != 0)
      return createStringError("kernels cannot be linked: " + StringRef(messages).trim());
  }
  return directory.read(output);
}

} // namespace deepshard
