//===- PeakMemory.h - the most memory that a rank has had -------------------------------------===//

#ifndef DEEPSHARD_RUNTIME_TRACE_PEAKMEMORY_H
#define DEEPSHARD_RUNTIME_TRACE_PEAKMEMORY_H

#include <cstdint>

namespace deepshard::runtime {

/// The largest resident size that this process has had (VmHWM), in bytes; 0 if the system does not
/// say. It counts the pages of other ranks' windows that are mapped at that time (PeerPages.h).
uint64_t peakResidentBytes();

} // namespace deepshard::runtime

#endif // DEEPSHARD_RUNTIME_TRACE_PEAKMEMORY_H
