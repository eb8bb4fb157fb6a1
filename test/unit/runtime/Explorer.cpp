//===- Explorer.cpp - runs a small plan in every order that its streams allow
//--------------------===//

#include "test/unit/runtime/Explorer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>

namespace deepshard::runtime::test {

namespace {

using planpb::Collective;

struct Fault {
  Finding finding;
  std::string what;
};

/// Bytes of one arena.
struct Bytes {
  uint64_t begin = 0;
  uint64_t end = 0;
  bool meet(const Bytes &other) const { return begin < other.end && other.begin < end; }
  bool operator==(const Bytes &) const = default;
};

/// What a task does to memory through one view, on one rank.
struct Use {
  uint32_t arena = 0;
  Bytes exact = {}; // of this rank
  Bytes reach = {}; // of any rank
  uint32_t buffer = 0;
  uint32_t slot = 0;
  bool writes = false;
  bool isWorkspace = false;
  std::pair<size_t, size_t> exactCells = {}, reachCells = {};
};

enum class Step { Work, Record, Wait, Meet };

struct Event {
  Step step = Step::Work;
  uint32_t call = 0;
  std::string name = {};
  std::vector<Use> uses = {};             // a collective: input, output
  uint32_t stream = 0;                    // Wait: of the record,
  size_t index = 0;                       //       and its place there
  const Collective *collective = nullptr; // Meet
  std::vector<uint32_t> members = {};     // in the order of their parts
};

using Streams = std::vector<std::vector<Event>>;

/// The coordinate of a rank, as plan.proto defines it.
uint64_t coordinateOf(const planpb::Mesh &mesh, const planpb::AxisRef &axis, uint64_t rank) {
  for (int i = mesh.axes_size() - 1; i > static_cast<int>(axis.axis()); --i)
    rank /= mesh.axes(i).size();
  uint64_t size = mesh.axes(static_cast<int>(axis.axis())).size();
  uint64_t coordinate = rank % size;
  if (axis.size() == 0)
    return coordinate;
  return coordinate / (size / (uint64_t{axis.pre_size()} * axis.size())) % axis.size();
}

/// The ranks that differ from `rank` in named coordinates only, in the order of their parts.
std::vector<uint32_t> membersOf(const planpb::Plan &plan, const planpb::AxisList &group,
                                uint32_t rank) {
  auto coordinates = [&](uint32_t of, bool isNamed) {
    std::vector<uint64_t> result;
    const planpb::Mesh &mesh = plan.mesh();
    if (isNamed) {
      for (const planpb::AxisRef &axis : group.axes())
        result.push_back(coordinateOf(mesh, axis, of));
      return result;
    }
    // All coordinates with the named ones set to those of `rank`: whole axes only.
    for (int i = 0; i < mesh.axes_size(); ++i) {
      planpb::AxisRef axis;
      axis.set_axis(static_cast<uint32_t>(i));
      bool isInGroup = std::any_of(group.axes().begin(), group.axes().end(),
                                   [&](const auto &named) { return int(named.axis()) == i; });
      result.push_back(coordinateOf(mesh, axis, isInGroup ? rank : of));
    }
    return result;
  };
  std::map<std::vector<uint64_t>, uint32_t> ordered;
  for (uint32_t other = 0; other < plan.ranks(); ++other)
    if (coordinates(other, false) == coordinates(rank, false))
      ordered[coordinates(other, true)] = other;
  std::vector<uint32_t> members;
  for (const auto &[part, member] : ordered)
    members.push_back(member);
  return members;
}

/// Lays out what one rank does.
class Layout {
public:
  Layout(const planpb::Plan &plan, const planpb::Program &program, uint32_t rank)
      : plan(plan), program(program), rank(rank),
        streams(static_cast<size_t>(program.streams_size())) {}

  Streams run() {
    std::map<uint32_t, std::pair<uint32_t, size_t>> records;
    for (int call = 0; call < program.schedule_size(); ++call) {
      const planpb::SegmentCall &entry = program.schedule(call);
      slot = entry.slot();
      Event state{.call = static_cast<uint32_t>(call), .name = "run state"};
      for (const planpb::Slot &written : program.run_state())
        add(state, written.view(), true);
      streams[0].push_back(state);
      const planpb::Segment &segment = program.segments(static_cast<int>(entry.segment()));
      for (int i = 0; i < segment.tasks_size(); ++i) {
        Event event{.call = static_cast<uint32_t>(call),
                    .name = fmt::format("rank {}, call {}, task {}", rank, call, i)};
        const planpb::Task &task = segment.tasks(i);
        if (task.kind_case() == planpb::Task::kRecord) {
          event.step = Step::Record;
          records[task.record()] = {task.stream(), streams[task.stream()].size()};
        } else if (task.kind_case() == planpb::Task::kWait) {
          event.step = Step::Wait;
          if (!records.contains(task.wait()))
            throw Fault{Finding::Rule, event.name + " waits for what was not recorded"};
          std::tie(event.stream, event.index) = records[task.wait()];
        } else {
          addUses(event, task);
        }
        streams[task.stream()].push_back(event);
      }
    }
    return streams;
  }

  Use useOf(const planpb::View &view, bool writes, uint32_t inSlot) const {
    const planpb::Buffer &buffer = program.buffers(static_cast<int>(view.buffer()));
    Use use{.arena = buffer.arena(), .buffer = view.buffer(), .writes = writes};
    use.slot = buffer.lifetime() == planpb::SLOT ? inSlot : 0;
    uint64_t base = buffer.offset() + use.slot * buffer.slot_stride();
    uint64_t elements = 1;
    for (int i = 0; i < view.shape_size(); ++i)
      elements += static_cast<uint64_t>((view.shape(i) - 1) * view.strides(i));
    use.reach = {UINT64_MAX, 0};
    for (uint32_t other = 0; other < plan.ranks(); ++other) {
      uint64_t offset = view.offset();
      for (const planpb::AxisStride &stride : view.axis_strides())
        offset += coordinateOf(plan.mesh(), stride.axis(), other) * stride.bytes();
      if (offset + elements * 8 > buffer.bytes())
        throw Fault{Finding::Rule, "a view leaves buffer " + buffer.name()};
      Bytes bytes = {base + offset, base + offset + elements * 8};
      use.reach = {std::min(use.reach.begin, bytes.begin), std::max(use.reach.end, bytes.end)};
      if (other == rank)
        use.exact = bytes;
    }
    return use;
  }

private:
  void add(Event &event, const planpb::View &view, bool writes) {
    event.uses.push_back(useOf(view, writes, slot));
  }

  void addUses(Event &event, const planpb::Task &task) {
    for (const planpb::View &view : task.launch().inputs())
      add(event, view, false);
    for (const planpb::View &view : task.launch().outputs())
      add(event, view, true);
    if (task.launch().has_workspace()) {
      add(event, task.launch().workspace(), true);
      event.uses.back().isWorkspace = true;
    }
    if (task.has_copy()) {
      add(event, task.copy().from(), false);
      add(event, task.copy().to(), true);
    }
    if (task.has_collective()) {
      event.step = Step::Meet;
      event.collective = &task.collective();
      event.members = membersOf(plan, task.collective().group(), rank);
      add(event, task.collective().input(), false);
      add(event, task.collective().output(), true);
    }
  }

  const planpb::Plan &plan;
  const planpb::Program &program;
  uint32_t rank;
  uint32_t slot = 0;
  Streams streams;
};

class Explorer {
public:
  Explorer(const planpb::Plan &plan, const std::vector<uint32_t> &programOf);
  Exploration run(size_t mostStates);

private:
  /// Per rank and stream 2 * next task + 1 if it has begun; then the tags.
  using State = std::u16string;

  const planpb::Program &programAt(uint32_t rank) const {
    return plan.programs(static_cast<int>(programOf[rank]));
  }
  void cut();
  State start() const;
  void pass(State &state) const;
  bool isOver(const State &state) const;
  size_t streamAt(uint32_t rank, uint32_t stream) const { return firstStream[rank] + stream; }
  const Event *next(const State &state, uint32_t rank, uint32_t stream) const {
    size_t index = state[streamAt(rank, stream)] / 2;
    return index < ranks[rank][stream].size() ? &ranks[rank][stream][index] : nullptr;
  }
  bool hasBegun(const State &state, uint32_t rank, uint32_t stream) const {
    return state[streamAt(rank, stream)] % 2;
  }
  static char16_t tagOf(const Use &use, uint32_t call) {
    return static_cast<char16_t>(1 + (use.buffer * 4 + use.slot) * 16 + call + 1);
  }
  void expand(const State &state, std::vector<State> &successors) const;
  State begun(State state, uint32_t rank, uint32_t stream) const;
  State ended(State state, uint32_t rank, uint32_t stream) const;
  bool met(State &state, uint32_t rank, uint32_t stream) const;
  void read(const State &state, uint32_t rank, const Use &use, int call,
            const std::string &name) const;
  void write(State &state, uint32_t rank, const Use &use, uint32_t call) const;
  void checkFinal(const State &state) const;

  const planpb::Plan &plan;
  const std::vector<uint32_t> &programOf;
  std::vector<Streams> ranks;
  std::vector<std::vector<Use>> metrics; // per rank
  std::vector<size_t> firstStream;
  size_t streamCount = 0;
  std::vector<std::pair<uint32_t, uint64_t>> borders; // arena and first byte of each cell
};

Explorer::Explorer(const planpb::Plan &plan, const std::vector<uint32_t> &programOf)
    : plan(plan), programOf(programOf) {
  for (uint32_t rank = 0; rank < plan.ranks(); ++rank) {
    const planpb::Program &program = programAt(rank);
    Layout layout(plan, program, rank);
    ranks.push_back(layout.run());
    std::vector<Use> &read = metrics.emplace_back();
    for (const planpb::Slot &metric : program.metrics())
      read.push_back(layout.useOf(metric.view(), false, program.schedule().rbegin()->slot()));
    firstStream.push_back(streamCount);
    streamCount += ranks.back().size();
  }
  cut();
}

/// Cuts the arenas into cells.
void Explorer::cut() {
  std::set<std::pair<uint32_t, uint64_t>> found;
  auto forEachUse = [&](auto action) {
    for (Streams &streams : ranks)
      for (std::vector<Event> &stream : streams)
        for (Event &event : stream)
          for (Use &use : event.uses)
            action(use);
    for (std::vector<Use> &uses : metrics)
      for (Use &use : uses)
        action(use);
  };
  forEachUse([&](const Use &use) {
    for (uint64_t byte : {use.exact.begin, use.exact.end, use.reach.begin, use.reach.end})
      found.emplace(use.arena, byte);
  });
  for (const planpb::Program &program : plan.programs())
    for (const planpb::Buffer &buffer : program.buffers())
      for (uint64_t byte : {buffer.offset(), buffer.offset() + buffer.bytes()})
        found.emplace(buffer.arena(), byte);
  borders.assign(found.begin(), found.end());
  auto cellsOf = [&](uint32_t arena, const Bytes &bytes) {
    auto cell = [&](uint64_t byte) {
      return static_cast<size_t>(
          std::lower_bound(borders.begin(), borders.end(), std::pair(arena, byte)) -
          borders.begin());
    };
    return std::pair(cell(bytes.begin), cell(bytes.end));
  };
  forEachUse([&](Use &use) {
    use.exactCells = cellsOf(use.arena, use.exact);
    use.reachCells = cellsOf(use.arena, use.reach);
  });
}

/// Persistent buffers are loaded, all else is undefined.
Explorer::State Explorer::start() const {
  State state(streamCount + ranks.size() * borders.size(), 0);
  for (uint32_t rank = 0; rank < ranks.size(); ++rank)
    for (int i = 0; i < programAt(rank).buffers_size(); ++i) {
      const planpb::Buffer &buffer = programAt(rank).buffers(i);
      Use use{.buffer = static_cast<uint32_t>(i)};
      for (size_t cell = 0; cell < borders.size(); ++cell)
        if (buffer.lifetime() == planpb::PERSISTENT && borders[cell].first == buffer.arena() &&
            borders[cell].second >= buffer.offset() &&
            borders[cell].second < buffer.offset() + buffer.bytes())
          state[streamCount + rank * borders.size() + cell] = tagOf(use, UINT32_MAX);
    }
  pass(state);
  return state;
}

/// Passes all records and waits that can pass.
void Explorer::pass(State &state) const {
  bool moves = true;
  while (moves) {
    moves = false;
    for (uint32_t rank = 0; rank < ranks.size(); ++rank)
      for (uint32_t stream = 0; stream < ranks[rank].size(); ++stream) {
        const Event *event = next(state, rank, stream);
        if (!event || event->step == Step::Work || event->step == Step::Meet)
          continue;
        if (event->step == Step::Wait &&
            size_t{state[streamAt(rank, event->stream)]} / 2 <= event->index)
          continue;
        state[streamAt(rank, stream)] += 2;
        moves = true;
      }
  }
}

bool Explorer::isOver(const State &state) const {
  for (uint32_t rank = 0; rank < ranks.size(); ++rank)
    for (uint32_t stream = 0; stream < ranks[rank].size(); ++stream)
      if (next(state, rank, stream))
        return false;
  return true;
}

/// `call`: of the reader; -1: the runtime after the step.
void Explorer::read(const State &state, uint32_t rank, const Use &use, int call,
                    const std::string &name) const {
  const planpb::Buffer &buffer = programAt(rank).buffers(static_cast<int>(use.buffer));
  for (size_t cell = use.exactCells.first; cell < use.exactCells.second; ++cell) {
    char16_t tag = state[streamCount + rank * borders.size() + cell];
    bool isOfBuffer = tag != 0 && (tag - 1) / 16 == static_cast<int>(use.buffer * 4 + use.slot);
    bool isOfCall =
        buffer.lifetime() != planpb::TRANSIENT || call < 0 || (tag - 1) % 16 == call + 1;
    if (!isOfBuffer || !isOfCall)
      throw Fault{Finding::Value, fmt::format("{} reads a wrong value of {} at byte {}", name,
                                              buffer.name(), borders[cell].second)};
  }
}

void Explorer::write(State &state, uint32_t rank, const Use &use, uint32_t call) const {
  size_t memory = streamCount + rank * borders.size();
  for (size_t cell = use.reachCells.first; cell < use.reachCells.second; ++cell)
    if ((state[memory + cell] - 1) / 16 != static_cast<int>(use.buffer * 4 + use.slot))
      state[memory + cell] = 0;
  for (size_t cell = use.exactCells.first; cell < use.exactCells.second; ++cell)
    state[memory + cell] = tagOf(use, call);
}

Explorer::State Explorer::begun(State state, uint32_t rank, uint32_t stream) const {
  const Event &event = *next(state, rank, stream);
  for (uint32_t other = 0; other < ranks[rank].size(); ++other) {
    if (other == stream || !hasBegun(state, rank, other))
      continue;
    const Event &active = *next(state, rank, other);
    if (event.step == Step::Meet && active.step == Step::Meet && event.members.size() > 1 &&
        event.members == active.members)
      throw Fault{Finding::Mismatch, event.name + " and " + active.name + " at once"};
    for (const Use &use : event.uses)
      for (const Use &used : active.uses)
        if (use.arena == used.arena && use.reach.meet(used.reach) && (use.writes || used.writes))
          throw Fault{Finding::Race, event.name + " and " + active.name};
  }
  for (const Use &use : event.uses)
    if (!use.writes)
      read(state, rank, use, static_cast<int>(event.call), event.name);
  ++state[streamAt(rank, stream)];
  return state;
}

Explorer::State Explorer::ended(State state, uint32_t rank, uint32_t stream) const {
  const Event &event = *next(state, rank, stream);
  for (const Use &use : event.uses)
    if (use.writes)
      write(state, rank, use, event.call);
  ++state[streamAt(rank, stream)];
  return state;
}

/// What a task does to bytes that it uses twice; collectives: on the memory of member `part`.
void checkInside(const Event &event, size_t part) {
  for (size_t i = 0; i < event.uses.size() && event.step == Step::Work; ++i)
    for (size_t j = 0; j < event.uses.size(); ++j) {
      const Use &a = event.uses[i], &b = event.uses[j];
      bool isOne = a.buffer == b.buffer && a.slot == b.slot && !a.isWorkspace && !b.isWorkspace;
      if (i != j && a.writes && a.arena == b.arena && a.reach.meet(b.reach) && !isOne)
        throw Fault{Finding::Overlap, event.name};
    }
  if (event.step != Step::Meet)
    return;
  const Use &input = event.uses[0], &output = event.uses[1];
  if (input.arena != output.arena || !input.exact.meet(output.exact))
    return;
  const Collective &collective = *event.collective;
  auto partOf = [&](const Bytes &whole) {
    uint64_t bytes = (whole.end - whole.begin) / event.members.size();
    return Bytes{whole.begin + part * bytes, whole.begin + (part + 1) * bytes};
  };
  bool isAllowed = false;
  if (collective.kind() == Collective::ALL_REDUCE)
    isAllowed = input.exact == output.exact;
  else if (collective.kind() == Collective::REDUCE_SCATTER)
    isAllowed = collective.split() == 0 && output.exact == partOf(input.exact);
  else if (collective.kind() == Collective::ALL_GATHER)
    isAllowed = collective.concat() == 0 && input.exact == partOf(output.exact);
  if (!isAllowed || input.buffer != output.buffer)
    throw Fault{Finding::Overlap, event.name};
}

/// Whether two members that meet do the same, and each finds the memory of the other where it is.
void checkMeeting(const Event &one, size_t part, const Event &other, size_t otherPart) {
  Collective a = *one.collective, b = *other.collective;
  for (Collective *collective : {&a, &b})
    for (planpb::View *view : {collective->mutable_input(), collective->mutable_output()}) {
      view->clear_buffer();
      view->clear_offset();
      view->clear_axis_strides();
    }
  const Use &input = one.uses[0], &output = one.uses[1];
  uint64_t bytes = input.exact.end - input.exact.begin;
  uint64_t found = input.exact.begin; // where `one` looks for the input of `other`
  if (a.kind() == Collective::ALL_GATHER && input.buffer == output.buffer &&
      input.exact.begin == output.exact.begin + part * bytes)
    found = output.exact.begin + otherPart * bytes;
  bool isFound =
      found == other.uses[0].exact.begin &&
      (a.kind() != Collective::ALL_REDUCE || output.exact.begin == other.uses[1].exact.begin);
  if (a.SerializeAsString() != b.SerializeAsString() || !isFound)
    throw Fault{Finding::Mismatch, one.name + " meets " + other.name};
}

/// Ends a collective if all members have begun one of the group.
bool Explorer::met(State &state, uint32_t rank, uint32_t stream) const {
  const Event &event = *next(state, rank, stream);
  std::vector<std::pair<uint32_t, uint32_t>> met;
  for (uint32_t member : event.members)
    for (uint32_t other = 0; other < ranks[member].size(); ++other)
      if (const Event *begun = next(state, member, other); begun && begun->step == Step::Meet &&
                                                           hasBegun(state, member, other) &&
                                                           begun->members == event.members)
        met.emplace_back(member, other);
  if (met.size() != event.members.size())
    return false;
  for (size_t i = 0; i < met.size(); ++i)
    for (size_t j = 0; j < met.size(); ++j)
      checkMeeting(*next(state, met[i].first, met[i].second), i,
                   *next(state, met[j].first, met[j].second), j);
  for (auto [member, other] : met)
    state = ended(std::move(state), member, other);
  return true;
}

void Explorer::expand(const State &state, std::vector<State> &successors) const {
  for (uint32_t rank = 0; rank < ranks.size(); ++rank)
    for (uint32_t stream = 0; stream < ranks[rank].size(); ++stream) {
      const Event *event = next(state, rank, stream);
      if (!event || event->step == Step::Wait)
        continue;
      if (!hasBegun(state, rank, stream)) {
        successors.push_back(begun(state, rank, stream));
      } else if (event->step == Step::Work) {
        successors.push_back(ended(state, rank, stream));
      } else if (event->members.front() == rank) {
        if (State after = state; met(after, rank, stream))
          successors.push_back(std::move(after));
      }
    }
  for (State &after : successors)
    pass(after);
}

void Explorer::checkFinal(const State &state) const {
  if (!isOver(state))
    throw Fault{Finding::Deadlock, "nothing can move"};
  for (uint32_t rank = 0; rank < ranks.size(); ++rank)
    for (const Use &use : metrics[rank])
      read(state, rank, use, -1, "a metric");
}

Exploration Explorer::run(size_t mostStates) {
  for (uint32_t rank = 0; rank < ranks.size(); ++rank)
    for (const std::vector<Event> &stream : ranks[rank])
      for (const Event &event : stream)
        checkInside(
            event, static_cast<size_t>(std::find(event.members.begin(), event.members.end(), rank) -
                                       event.members.begin()));
  std::unordered_set<State> seen = {start()};
  std::vector<State> left = {start()};
  std::vector<State> successors;
  while (!left.empty() && seen.size() <= mostStates) {
    State state = std::move(left.back());
    left.pop_back();
    successors.clear();
    expand(state, successors);
    if (successors.empty())
      checkFinal(state);
    for (State &after : successors)
      if (seen.insert(after).second)
        left.push_back(std::move(after));
  }
  return {left.empty() ? Finding::Sound : Finding::TooLarge, "", seen.size()};
}

/// Rules 1 and 3.
void checkRules(const planpb::Program &program) {
  for (int i = 0; i < program.buffers_size(); ++i)
    for (int j = 0; j < i; ++j) {
      const planpb::Buffer &a = program.buffers(i), &b = program.buffers(j);
      bool isLasting = false;
      for (planpb::Lifetime lifetime : {a.lifetime(), b.lifetime()})
        isLasting |= lifetime != planpb::STEP && lifetime != planpb::TRANSIENT;
      Bytes first = {a.offset(), a.offset() + a.bytes()};
      if (isLasting && a.arena() == b.arena() && first.meet({b.offset(), b.offset() + b.bytes()}))
        throw Fault{Finding::Rule, "buffers share bytes"};
    }
  std::set<uint32_t> segments;
  int64_t last = -1;
  for (const planpb::SegmentCall &call : program.schedule()) {
    bool isFirst = segments.insert(call.segment()).second;
    for (const planpb::Task &task : program.segments(static_cast<int>(call.segment())).tasks())
      if (isFirst && task.has_collective()) {
        if (task.collective().sequence() <= last)
          throw Fault{Finding::Rule, "the sequence does not ascend"};
        last = task.collective().sequence();
      }
  }
}

} // namespace

Exploration explore(const planpb::Plan &plan, const std::vector<uint32_t> &programOf,
                    size_t mostStates) {
  size_t states = 0;
  try {
    std::set<uint32_t> programs(programOf.begin(), programOf.end());
    for (uint32_t program : programs)
      checkRules(plan.programs(static_cast<int>(program)));
    std::set<std::vector<uint32_t>> assignments = {programOf};
    for (uint32_t program : programs) // rule 5
      assignments.emplace(programOf.size(), program);
    Exploration result;
    for (const std::vector<uint32_t> &assignment : assignments) {
      Exploration next = Explorer(plan, assignment).run(mostStates);
      states += next.states;
      if (next.finding != Finding::Sound)
        result = next;
    }
    result.states = states;
    return result;
  } catch (const Fault &fault) {
    return {fault.finding, fault.what, states};
  }
}

} // namespace deepshard::runtime::test
