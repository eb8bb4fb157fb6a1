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
//           reader
//   write:  the last writer and all readers since then happen before the writer; the range changes
//           its owner
//
// A strided view counts with all bytes from its first to its last element.
//
// Many ranks. The replay of one rank stands for all ranks that run the program:
//
//   Own parts. A view with axis strides (OwnParts.h) lies elsewhere on each rank. It is ordered
//   against its whole reach, which is what some rank touches. Its bytes count as written where each
//   rank has written them through a view that moves alike, or all of the reach was written; the
//   rest of the reach keeps what the buffer held, and other buffers lose what they held there.
//
//   Collectives. Other ranks touch this rank's memory only between the entry of all members and the
//   exit of the first, hence while this rank is inside the task; and only what the task itself
//   reads and writes, because all members name the same bytes of their windows: their views are
//   equal (one program; Rendezvous.cpp compares programs that differ) and are not moved by
//   coordinates that differ inside the group, but for the own part that plan.proto documents. So
//   for the memory of a rank, a collective is a task that reads its input and writes its output,
//   and whatever is ordered against that task is ordered against the other ranks. Bytes that the
//   members touch at once are those of the in-place forms, part j by member j alone.
//
//   Across ranks. An order that runs through other ranks enters and leaves this one by collectives;
//   with one program the same tasks in the same order are here, so it is an order of this rank's
//   own streams already. Programs that differ are held to that too. And what a collective yields
//   depends on its inputs alone, so with each rank's memory the same in every order, all are.
//
// Collectives of one group are matched by the order in which a rank calls them, so that order must
// not depend on the race of two streams.
//
// Cost: O(a log r) for a accesses and r ranges, times the number of different shifts for a write; a
// range that a write covers is dropped, so r stays about the number of buffers.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/OwnParts.h"

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

/// Contiguous bytes with one history.
struct Range {
  uint64_t end = 0;
  uint64_t owner = UINT64_MAX;
  uint32_t writer = kNobody;     // node; kNobody: not in this step
  uint32_t call = 0;             // schedule entry in which all bytes were written
  bool isWritten = false;        // all bytes, not only a part that differs from rank to rank
  std::vector<uint32_t> readers; // per stream the last node that read since the write
};

bool shareBytes(const Access &a, const Access &b) {
  return a.arena == b.arena && a.begin < b.reachEnd() && b.begin < a.reachEnd() &&
         a.begin != a.end && b.begin != b.end;
}

class OrderCheck {
public:
  OrderCheck(const Mesh &mesh, const planpb::Program &program, Faults &faults)
      : mesh(mesh), program(program), faults(faults), slots(slotCount(program)),
        streams(std::max(1, program.streams_size())), shadow(program.arenas_size()),
        ownParts(shadow.size()), lastOnStream(streams, kNobody),
        lastRecord(program.events(), kNobody) {}

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
  void checkCollective(const planpb::Collective &collective, const Access &input,
                       const Access &output);
  bool isOwnPart(const Access &part, const Access &whole, const std::vector<Digit> &group) const;
  bool holds(const Range &bytes, const Access &access) const;
  void reportUnwritten(const Range &bytes, uint64_t begin, const Access &access);
  void read(const Access &access);
  void write(const Access &access);
  void split(Ranges &ranges, uint64_t at);
  const planpb::Buffer &bufferOf(uint64_t owner) const {
    return program.buffers(static_cast<int>(owner / slots));
  }
  std::string describe(uint32_t node) const;

  const Mesh &mesh;
  const planpb::Program &program;
  Faults &faults;
  uint64_t slots;
  uint32_t streams;
  std::vector<Ranges> shadow;
  OwnParts ownParts;
  std::vector<Node> nodes;
  std::vector<uint32_t> clocks; // `streams` counters per node; empty if there is one stream
  std::vector<uint32_t> lastOnStream;
  std::vector<uint32_t> lastRecord;
  std::map<std::vector<Digit>, uint32_t> lastOfGroup; // collective; by the digits of the group
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
  return {buffer.arena(),
          begin,
          begin + *byteSpan(view),
          *mesh.largestShift(view),
          view.buffer() * slots + used,
          shiftOf(mesh, view)};
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

/// Whether all of a range was written through the buffer of `access` and still counts.
bool OrderCheck::holds(const Range &bytes, const Access &access) const {
  bool isStale = bufferOf(access.owner).lifetime() == planpb::TRANSIENT && current != kNobody &&
                 bytes.call != nodes[current].call;
  return bytes.isWritten && bytes.owner == access.owner && !isStale;
}

void OrderCheck::reportUnwritten(const Range &bytes, uint64_t begin, const Access &access) {
  uint64_t end = std::min(access.reachEnd(), bytes.end);
  begin = std::max(access.begin, begin);
  const std::string &name = bufferOf(access.owner).name();
  if (bytes.isWritten && bytes.owner != access.owner)
    faults.add("{}: reads buffer {}, but bytes {} to {} of arena {} were overwritten or never "
               "written: they hold buffer {}, written by {}",
               describe(current), name, begin, end, access.arena, bufferOf(bytes.owner).name(),
               bytes.writer == kNobody ? "the loader" : describe(bytes.writer));
  else if (!bytes.isWritten && bytes.writer != kNobody)
    faults.add("{}: reads buffer {}, but of bytes {} to {} of arena {} only a part of each rank's "
               "own was written, to buffer {} by {}",
               describe(current), name, begin, end, access.arena, bufferOf(bytes.owner).name(),
               describe(bytes.writer));
  else
    faults.add("{}: reads buffer {}, but bytes {} to {} of arena {} were never written {}",
               describe(current), name, begin, end, access.arena,
               bytes.isWritten ? "in this segment call" : "in this step");
}

void OrderCheck::read(const Access &access) {
  if (access.begin == access.end)
    return;
  Ranges &ranges = shadow[access.arena];
  if (streams > 1) {
    split(ranges, access.begin);
    split(ranges, access.reachEnd());
  }
  bool isTransient = bufferOf(access.owner).lifetime() == planpb::TRANSIENT && current != kNobody;
  const uint32_t *call = isTransient ? &nodes[current].call : nullptr;
  auto range = std::prev(ranges.upper_bound(access.begin));
  for (; range != ranges.end() && range->first < access.reachEnd(); ++range) {
    Range &bytes = range->second;
    if (!holds(bytes, access) && !ownParts.cover(access, range->first, bytes.end, call)) {
      // A part that another buffer took says more than one that was never whole.
      auto lost = range;
      while (lost != ranges.end() && lost->first < access.reachEnd() &&
             (!lost->second.isWritten || lost->second.owner == access.owner))
        ++lost;
      bool isLost = lost != ranges.end() && lost->first < access.reachEnd();
      const auto &[begin, found] = isLost ? *lost : *range;
      return reportUnwritten(found, begin, access);
    }
    if (!happensBefore(bytes.writer, current)) {
      faults.add("{}: reads buffer {} without waiting for {}, which writes it", describe(current),
                 bufferOf(access.owner).name(), describe(bytes.writer));
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
  split(ranges, access.reachEnd());
  auto first = ranges.lower_bound(access.begin);
  auto last = ranges.lower_bound(access.reachEnd());
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
  uint32_t call = nodes[current].call;
  ownParts.overwrite(access);
  if (access.shift.empty()) {
    ranges.erase(first, last);
    ranges[access.begin] = {access.end, access.owner, current, call, true, {}};
    return;
  }
  ownParts.write(access, call);
  for (auto range = first; range != last; ++range) {
    Range &bytes = range->second;
    bool isKept = bytes.isWritten && bytes.owner == access.owner;
    bytes = {bytes.end, access.owner, current, isKept ? bytes.call : call, isKept, {}};
  }
}

/// Rule 5 inside a task: what is written shares no byte with another buffer that the task uses; a
/// workspace shares none with anything.
void OrderCheck::checkInside(const std::vector<Access> &reads, const std::vector<Access> &writes,
                             bool lastIsWorkspace) {
  auto disagree = [&](const Access &a, const Access &b, bool hasWorkspace) {
    if (shareBytes(a, b) && (hasWorkspace || a.owner != b.owner))
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

/// Whether `part` is, on each member of a group, its part of the equal parts of `whole`.
bool OrderCheck::isOwnPart(const Access &part, const Access &whole,
                           const std::vector<Digit> &group) const {
  uint64_t bytes = part.end - part.begin;
  Shift shift = whole.shift;
  for (auto digit = group.rbegin(); digit != group.rend(); ++digit) {
    shift.push_back({*digit, bytes});
    bytes *= digit->size;
  }
  return part.owner == whole.owner && part.begin == whole.begin &&
         bytes == whole.end - whole.begin && part.shift == normalised(std::move(shift));
}

/// What the members touch at once, in this rank's memory, is the same on all of them and apart, but
/// for the in-place forms of plan.proto.
void OrderCheck::checkCollective(const planpb::Collective &collective, const Access &input,
                                 const Access &output) {
  std::vector<Digit> group = mesh.digits(collective.group());
  if (streams > 1 && !group.empty()) {
    auto [last, isFirst] = lastOfGroup.try_emplace(group, current);
    if (!happensBefore(last->second, current))
      faults.add("{}: does not wait for {}, a collective of the same ranks on another stream, so "
                 "ranks may disagree on which comes first",
                 describe(current), describe(last->second));
    last->second = current;
  }
  auto requireSamePlace = [&](const Access &access, const char *what) {
    for (const ShiftStep &step : access.shift)
      for (const Digit &digit : group)
        if (overlap(step.digit, digit)) {
          faults.add("{}: its {} in buffer {} lies elsewhere on each rank of its group, which find "
                     "it at one place",
                     describe(current), what, bufferOf(access.owner).name());
          return;
        }
  };
  using planpb::Collective;
  bool isGather = collective.kind() == Collective::ALL_GATHER && collective.concat() == 0 &&
                  isOwnPart(input, output, group);
  bool isScatter = collective.kind() == Collective::REDUCE_SCATTER && collective.split() == 0 &&
                   isOwnPart(output, input, group);
  bool isReduce = collective.kind() == Collective::ALL_REDUCE && input == output;
  if (!isGather)
    requireSamePlace(input, "input");
  if (isGather || collective.kind() == Collective::ALL_REDUCE)
    requireSamePlace(output, "output");
  if (!isGather && !isScatter && !isReduce && input.owner == output.owner &&
      shareBytes(input, output))
    faults.add("{}: input and output share bytes of buffer {}, but not in a way in which it may "
               "work in place",
               describe(current), bufferOf(input.owner).name());
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
    checkCollective(task.collective(), reads[0], writes[0]);
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

void checkOrder(const Mesh &mesh, const planpb::Program &program, Faults &faults) {
  OrderCheck(mesh, program, faults).run();
}

} // namespace deepshard::runtime
