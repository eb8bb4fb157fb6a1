//===- Order.cpp - checks that reads follow writes and reuse follows the last use -------------===//
//
// One step is replayed over a shadow of the memory. State: per arena a map of disjoint byte ranges,
// each with the buffer (and slot) through which it was last written, the node that wrote it and,
// with several streams, the last reader per stream. A node is one executed task, or the runtime's
// write of the run state before a segment call.
//
// Invariant: after node i the shadow is what the memory holds if the nodes run in the order of the
// file. Each access is then compared with happens-before, kept as a vector clock per node (one
// counter per stream; a wait joins the clock of the latest record of its event, as streams of
// devices do). If every pair of accesses of which one writes is ordered, every order that the
// streams allow gives the same memory, so the replay stands for all of them.
//
//   read:   each byte was last written through the same buffer; the writer happens before the
//   reader write:  the last writer and all readers since then happen before the writer; the range
//   changes its owner
//
// A strided view counts with all bytes from its first to its last element. Cost: O(a log r) for a
// accesses and r ranges; a range that a write covers is dropped, so r stays about the number of
// buffers.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/Geometry.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <vector>

namespace deepshard::runtime {

namespace {

constexpr uint32_t kNobody = UINT32_MAX;

/// Something that runs on a stream.
struct Node {
  uint32_t stream = 0;
  uint32_t position = 0; // on its stream, from 1
  uint32_t call = 0;     // index in the schedule
  int task = -1;         // index in the segment; -1: the runtime writes the run state
};

/// Bytes of an arena that a view touches, and through what.
struct Access {
  const planpb::View *view = nullptr;
  uint32_t arena = 0;
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t owner = 0; // buffer * slots + slot
};

/// Contiguous bytes with one history.
struct Range {
  uint64_t end = 0;
  uint64_t owner = UINT64_MAX;
  uint32_t writer = kNobody; // node; kNobody: not in this step
  uint32_t call = 0;         // schedule entry of the writer
  bool isWritten = false;
  std::vector<uint32_t> readers; // per stream the last node that read since the write
};

class OrderCheck {
public:
  OrderCheck(const planpb::Program &program, Faults &faults)
      : program(program), faults(faults), slots(slotCount(program)),
        streams(std::max(1, program.streams_size())), shadow(program.arenas_size()),
        lastOnStream(streams, kNobody), lastRecord(program.events(), kNobody) {}

  void run();

private:
  using Ranges = std::map<uint64_t, Range>;

  void startStep();
  void runCall(uint32_t call);
  void runTask(const planpb::Task &task, uint32_t slot);
  bool repeats(int call) const;
  uint32_t issue(uint32_t stream, uint32_t call, int task);
  void join(uint32_t node, uint32_t earlier);
  bool happensBefore(uint32_t earlier, uint32_t later) const;
  Access accessOf(const planpb::View &view, uint32_t slot) const;
  void checkInside(const std::vector<Access> &reads, const std::vector<Access> &writes,
                   bool lastIsWorkspace);
  void read(const Access &access);
  void write(const Access &access);
  void split(Ranges &ranges, uint64_t at);
  const planpb::Buffer &bufferOf(uint64_t owner) const {
    return program.buffers(static_cast<int>(owner / slots));
  }
  std::string describe(uint32_t node) const;

  const planpb::Program &program;
  Faults &faults;
  uint64_t slots;
  uint32_t streams;
  std::vector<Ranges> shadow;
  std::vector<Node> nodes;
  std::vector<uint32_t> clocks; // `streams` counters per node; empty if there is one stream
  std::vector<uint32_t> lastOnStream;
  std::vector<uint32_t> lastRecord;
  uint32_t current = kNobody; // node being replayed; kNobody: the runtime after all streams joined
};

std::string OrderCheck::describe(uint32_t index) const {
  if (index == kNobody)
    return "the runtime after the step";
  const Node &node = nodes[index];
  const planpb::SegmentCall &call = program.schedule(static_cast<int>(node.call));
  if (node.task < 0)
    return fmt::format("the run state of schedule entry {}", node.call);
  return fmt::format("schedule entry {}, {}", node.call,
                     describeTask(program.segments(static_cast<int>(call.segment())), node.task));
}

/// At the start of a step, persistent buffers hold what an earlier step or the loader wrote; all
/// else is undefined.
void OrderCheck::startStep() {
  for (int i = 0; i < program.arenas_size(); ++i)
    if (program.arenas(i).bytes() > 0)
      shadow[i][0] = {program.arenas(i).bytes(), UINT64_MAX, kNobody, 0, false, {}};
  for (int i = 0; i < program.buffers_size(); ++i) {
    const planpb::Buffer &buffer = program.buffers(i);
    if (buffer.lifetime() != planpb::PERSISTENT || buffer.bytes() == 0)
      continue;
    Ranges &ranges = shadow[buffer.arena()];
    split(ranges, buffer.offset());
    split(ranges, buffer.offset() + buffer.bytes());
    Range &range = ranges.at(buffer.offset());
    range.owner = static_cast<uint64_t>(i) * slots;
    range.isWritten = true;
  }
}

uint32_t OrderCheck::issue(uint32_t stream, uint32_t call, int task) {
  uint32_t node = static_cast<uint32_t>(nodes.size());
  uint32_t previous = lastOnStream[stream];
  uint32_t position = previous == kNobody ? 1 : nodes[previous].position + 1;
  nodes.push_back({stream, position, call, task});
  lastOnStream[stream] = node;
  if (streams > 1) {
    clocks.resize(clocks.size() + streams, 0);
    if (previous != kNobody)
      join(node, previous);
    clocks[size_t{node} * streams + stream] = position;
  }
  return node;
}

void OrderCheck::join(uint32_t node, uint32_t earlier) {
  for (uint32_t i = 0; i < streams && streams > 1; ++i) {
    uint32_t &clock = clocks[size_t{node} * streams + i];
    clock = std::max(clock, clocks[size_t{earlier} * streams + i]);
  }
}

bool OrderCheck::happensBefore(uint32_t earlier, uint32_t later) const {
  if (earlier == kNobody || later == kNobody || earlier == later || streams == 1)
    return true;
  const Node &node = nodes[earlier];
  return clocks[size_t{later} * streams + node.stream] >= node.position;
}

Access OrderCheck::accessOf(const planpb::View &view, uint32_t slot) const {
  const planpb::Buffer &buffer = program.buffers(static_cast<int>(view.buffer()));
  uint64_t used = buffer.lifetime() == planpb::SLOT ? slot : 0;
  uint64_t begin = buffer.offset() + used * buffer.slot_stride() + view.offset();
  return {&view, buffer.arena(), begin, begin + *byteSpan(view), view.buffer() * slots + used};
}

void OrderCheck::split(Ranges &ranges, uint64_t at) {
  auto after = ranges.upper_bound(at);
  if (after == ranges.begin())
    return;
  auto before = std::prev(after);
  if (before->first == at || before->second.end <= at)
    return;
  Range rest = before->second;
  before->second.end = at;
  ranges.emplace_hint(after, at, std::move(rest));
}

void OrderCheck::read(const Access &access) {
  if (access.begin == access.end)
    return;
  Ranges &ranges = shadow[access.arena];
  if (streams > 1) {
    split(ranges, access.begin);
    split(ranges, access.end);
  }
  const planpb::Buffer &buffer = bufferOf(access.owner);
  auto range = std::prev(ranges.upper_bound(access.begin));
  for (; range != ranges.end() && range->first < access.end; ++range) {
    Range &bytes = range->second;
    bool isStale = bytes.isWritten && bytes.owner == access.owner && current != kNobody &&
                   buffer.lifetime() == planpb::TRANSIENT && bytes.call != nodes[current].call;
    if (bytes.isWritten && bytes.owner != access.owner) {
      faults.add("{}: reads buffer {}, but bytes {} to {} of arena {} were overwritten or never "
                 "written: they hold buffer {}, written by {}",
                 describe(current), buffer.name(), std::max(access.begin, range->first),
                 std::min(access.end, bytes.end), access.arena, bufferOf(bytes.owner).name(),
                 bytes.writer == kNobody ? "the loader" : describe(bytes.writer));
      return;
    }
    if (!bytes.isWritten || isStale) {
      faults.add("{}: reads buffer {}, but bytes {} to {} of arena {} were never written {}",
                 describe(current), buffer.name(), std::max(access.begin, range->first),
                 std::min(access.end, bytes.end), access.arena,
                 isStale ? "in this segment call" : "in this step");
      return;
    }
    if (!happensBefore(bytes.writer, current)) {
      faults.add("{}: reads buffer {} without waiting for {}, which writes it", describe(current),
                 buffer.name(), describe(bytes.writer));
      return;
    }
    if (streams > 1 && current != kNobody) {
      bytes.readers.resize(streams, kNobody);
      bytes.readers[nodes[current].stream] = current;
    }
  }
}

void OrderCheck::write(const Access &access) {
  if (access.begin == access.end)
    return;
  Ranges &ranges = shadow[access.arena];
  split(ranges, access.begin);
  split(ranges, access.end);
  auto first = ranges.lower_bound(access.begin);
  auto last = ranges.lower_bound(access.end);
  for (auto range = first; range != last && streams > 1; ++range) {
    std::vector<uint32_t> earlier = range->second.readers;
    earlier.push_back(range->second.writer);
    for (uint32_t node : earlier)
      if (!happensBefore(node, current)) {
        faults.add("{}: writes buffer {} without waiting for {}, which uses the same bytes as "
                   "buffer {}",
                   describe(current), bufferOf(access.owner).name(), describe(node),
                   bufferOf(range->second.owner).name());
        return;
      }
  }
  ranges.erase(first, last);
  ranges[access.begin] = {access.end, access.owner, current, nodes[current].call, true, {}};
}

/// Rule 5 inside a task: what is written shares no byte with another buffer that the task uses; a
/// workspace shares none with anything.
void OrderCheck::checkInside(const std::vector<Access> &reads, const std::vector<Access> &writes,
                             bool lastIsWorkspace) {
  auto disagree = [&](const Access &a, const Access &b, bool hasWorkspace) {
    bool isShared = a.arena == b.arena && a.begin < b.end && b.begin < a.end;
    if (isShared && (hasWorkspace || a.owner != b.owner))
      faults.add("{}: buffer {} is written while buffer {} at the same bytes is in use",
                 describe(current), bufferOf(a.owner).name(), bufferOf(b.owner).name());
  };
  for (size_t i = 0; i < writes.size(); ++i) {
    bool isWorkspace = lastIsWorkspace && i + 1 == writes.size();
    for (const Access &access : reads)
      disagree(writes[i], access, isWorkspace);
    for (size_t j = 0; j < i; ++j)
      disagree(writes[i], writes[j], isWorkspace);
  }
}

void OrderCheck::runTask(const planpb::Task &task, uint32_t slot) {
  std::vector<Access> reads;
  std::vector<Access> writes;
  bool hasWorkspace = false;
  switch (task.kind_case()) {
  case planpb::Task::kLaunch:
    for (const planpb::View &view : task.launch().inputs())
      reads.push_back(accessOf(view, slot));
    for (const planpb::View &view : task.launch().outputs())
      writes.push_back(accessOf(view, slot));
    hasWorkspace = task.launch().has_workspace();
    if (hasWorkspace)
      writes.push_back(accessOf(task.launch().workspace(), slot));
    break;
  case planpb::Task::kFeed:
    writes.push_back(accessOf(task.feed().view(), slot));
    break;
  case planpb::Task::kCopy:
    reads.push_back(accessOf(task.copy().from(), slot));
    writes.push_back(accessOf(task.copy().to(), slot));
    break;
  case planpb::Task::kCollective:
    reads.push_back(accessOf(task.collective().input(), slot));
    writes.push_back(accessOf(task.collective().output(), slot));
    break;
  case planpb::Task::kRecord:
    lastRecord[task.record()] = current;
    return;
  case planpb::Task::kWait:
    if (lastRecord[task.wait()] == kNobody)
      faults.add("{}: waits for event {}, which was not recorded before in this step",
                 describe(current), task.wait());
    else
      join(current, lastRecord[task.wait()]);
    return;
  case planpb::Task::KIND_NOT_SET:
    return;
  }
  checkInside(reads, writes, hasWorkspace);
  for (const Access &access : reads)
    read(access);
  for (const Access &access : writes)
    write(access);
}

/// On one stream, the third and further calls in a row of one segment with one slot see the memory
/// that the second saw: a call overwrites the same bytes through the same buffers each time.
bool OrderCheck::repeats(int call) const {
  auto isSame = [&](int a, int b) {
    return program.schedule(a).segment() == program.schedule(b).segment() &&
           program.schedule(a).slot() == program.schedule(b).slot();
  };
  return streams == 1 && call >= 2 && isSame(call, call - 1) && isSame(call, call - 2);
}

void OrderCheck::runCall(uint32_t call) {
  const planpb::SegmentCall &entry = program.schedule(static_cast<int>(call));
  const planpb::Segment &segment = program.segments(static_cast<int>(entry.segment()));
  current = issue(0, call, -1);
  for (const planpb::Slot &state : program.run_state())
    write(accessOf(state.view(), entry.slot()));
  for (int i = 0; i < segment.tasks_size(); ++i) {
    current = issue(segment.tasks(i).stream(), call, i);
    runTask(segment.tasks(i), entry.slot());
  }
}

void OrderCheck::run() {
  startStep();
  for (int call = 0; call < program.schedule_size(); ++call)
    if (!repeats(call))
      runCall(static_cast<uint32_t>(call));
  uint32_t lastSlot = program.schedule().empty() ? 0 : program.schedule().rbegin()->slot();
  current = kNobody;
  for (const planpb::Slot &metric : program.metrics())
    read(accessOf(metric.view(), lastSlot));
}

} // namespace

void checkOrder(const planpb::Program &program, Faults &faults) {
  OrderCheck(program, faults).run();
}

} // namespace deepshard::runtime
