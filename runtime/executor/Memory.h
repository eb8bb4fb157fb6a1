//===- Memory.h - the arenas of a program and where its views lie -----------------------------===//

#ifndef DEEPSHARD_RUNTIME_EXECUTOR_MEMORY_H
#define DEEPSHARD_RUNTIME_EXECUTOR_MEMORY_H

#include "runtime/device/Device.h"
#include "runtime/plan/Mesh.h"
#include "runtime/plan/plan.pb.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace deepshard::runtime {

/// Bytes of a rank's window that the window arenas of `program` take.
uint64_t windowBytes(const planpb::Program &program);

/// The memory of one rank: private arenas, and window arenas one after another in the rank's
/// window.
class Memory {
public:
  /// Takes it from `device`, a window only if the program has window arenas. All must outlive this.
  Memory(const planpb::Program &program, const Mesh &mesh, int rank, Device &device);

  /// Address of the first element of `view` on this rank in slot `slot`.
  char *at(const planpb::View &view, uint32_t slot = 0) const {
    const planpb::Buffer &buffer = theProgram.buffers(static_cast<int>(view.buffer()));
    return at(buffer) + slot * buffer.slot_stride() + view.offset() +
           theMesh.shift(view, static_cast<uint64_t>(theRank));
  }

  /// Address of the start of a buffer.
  char *at(const planpb::Buffer &buffer) const { return bases[buffer.arena()] + buffer.offset(); }

  uint64_t bytes() const;

  const planpb::Program &program() const { return theProgram; }
  const Mesh &mesh() const { return theMesh; }
  int rank() const { return theRank; }

private:
  const planpb::Program &theProgram;
  const Mesh &theMesh;
  int theRank;
  std::vector<std::unique_ptr<Arena>> arenas; // the private ones and the window
  std::vector<char *> bases;                  // of all
};

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_EXECUTOR_MEMORY_H
