//===- SharedObject.h - what a shared object exports and needs --------------------------------===//

#ifndef DEEPSHARD_RUNTIME_PLAN_SHAREDOBJECT_H
#define DEEPSHARD_RUNTIME_PLAN_SHAREDOBJECT_H

#include <set>
#include <string>
#include <string_view>

namespace deepshard::runtime {

/// An ELF shared object for x86-64, as its section headers describe it.
struct SharedObject {
  std::set<std::string_view> functions; ///< that it exports; they point into the bytes
  bool needsLibraries = false;          ///< it asks the loader for others
  std::string fault;                    ///< why the bytes are no such object; empty: they are
};

/// Reads `bytes`, whatever they are.
SharedObject readSharedObject(std::string_view bytes);

/// The functions of an ELF object for NVIDIA's GPUs.
SharedObject readCubin(std::string_view bytes);

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_PLAN_SHAREDOBJECT_H
