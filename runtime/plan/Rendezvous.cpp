//===- Rendezvous.cpp - checks that no rank waits for ever
//----------------------------------------===//
//
// A rank issues the tasks of its program in the order of the file, each to a stream; streams run in
// order. A wait passes when the record issued last before it has passed. A collective is a
// rendezvous: a member enters when it comes to the task, and leaves when all members have entered.
// The collectives of one group are matched by number: the n-th call of each member. (Order.cpp
// proves that this number does not depend on a race of streams.)
//
// Theorem. Let the collectives of every rank ascend in the order of issue in one order that all
// ranks share, and let the members of each group agree on its collectives. Then all ranks drain.
// Proof: otherwise let C be the first collective in that order that does not complete. On each of
// its members everything issued before C completes: the collectives among it, because they come
// before C in the order, and the rest, by induction over the order of issue, because it waits only
// for what was issued before it. So all members enter C, and it completes. If all collectives
// complete, the same induction completes everything. Queues of streams may be as short as one task:
// what fills them was issued before C too.
//
// With one program on all ranks, its order of issue is that order (schedule entry, `sequence`), and
// there is nothing to disagree on. What is left to check is that `sequence` ascends: it is the
// number by which a rank that hangs is found, and the order in which communicators may count on
// being called.
//
// Programs that differ are compared where they meet, and run:
//
//   agreement   Two programs whose ranks meet in a group must name the same collectives in the same
//               order: kind, sizes, sequence, and the places in the window that others reach into.
//   simulation  State: per class of ranks, how far each stream has come and how many collectives of
//               each group it has entered. A step that can be taken is taken; taking one never
//               stops another, so the order of steps does not matter, and what is stuck in the end
//               is stuck in every run. The streams that wait for each other are then named.
//
// Ranks that cannot be told apart are one class: same program and, group by group, members of the
// same classes. It is the coarsest such partition, found by refining "same program" until it is
// stable. Ranks of a class move together if every step that can be taken is taken at once, so one
// stands for all. The number of classes follows from the number of programs and how they meet, not
// from the number of ranks.
//
// Cost: O(collectives and waits of a step) per class, O(ranks * groups) per refinement; one
// program: O(collectives of its segments), whatever the number of ranks.
//
//===------------------------------------------------------------------------------------------===//

#include "runtime/plan/CheckerParts.h"
#include "runtime/plan/Geometry.h"
#include "runtime/plan/OwnParts.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <vector>

namespace deepshard::runtime {

namespace {

using Group = std::vector<Digit>;

std::string describeStep(const planpb::Program &program, uint32_t call, int task) {
  const planpb::SegmentCall &entry = program.schedule(static_cast<int>(call));
  return fmt::format("schedule entry {}, {}", call,
                     describeTask(program.segments(static_cast<int>(entry.segment())), task));
}

/// The collectives of a step, each when it is issued first, ascend.
void checkSequence(const planpb::Program &program, Faults &faults) {
  std::set<uint32_t> seen;
  uint32_t lastCall = 0;
  int lastTask = -1;
  int64_t last = -1;
  for (int call = 0; call < program.schedule_size(); ++call) {
    uint32_t index = program.schedule(call).segment();
    if (!seen.insert(index).second)
      continue;
    const planpb::Segment &segment = program.segments(static_cast<int>(index));
    for (int task = 0; task < segment.tasks_size(); ++task) {
      if (!segment.tasks(task).has_collective())
        continue;
      uint32_t sequence = segment.tasks(task).collective().sequence();
      if (int64_t{sequence} <= last)
        faults.add("{}: its sequence {} does not come after the {} of {}",
                   describeStep(program, static_cast<uint32_t>(call), task), sequence, last,
                   describeStep(program, lastCall, lastTask));
      last = std::max(last, int64_t{sequence});
      lastCall = static_cast<uint32_t>(call);
      lastTask = task;
    }
  }
}

/// A task at which a stream may have to wait.
struct Stop {
  uint32_t call = 0;
  int task = 0;
  // A wait: until `stream` has passed `count` stops.
  uint32_t stream = 0;
  uint32_t count = 0;
  // A collective: number `number` of group `group`.
  const planpb::Collective *collective = nullptr;
  uint32_t group = 0;
  uint32_t number = 0;
};

/// What a program does where it may have to wait.
struct Stops {
  const planpb::Program *program = nullptr;
  std::vector<std::vector<Stop>> streams;
  /// Per group its collectives in order, by stream and index there.
  std::map<uint32_t, std::vector<std::pair<uint32_t, uint32_t>>> collectives;

  const Stop &collective(uint32_t group, size_t number) const {
    auto [stream, index] = collectives.at(group)[number];
    return streams[stream][index];
  }
};

Stops stopsOf(const Mesh &mesh, const planpb::Program &program, std::map<Group, uint32_t> &groups) {
  Stops stops;
  stops.program = &program;
  stops.streams.resize(static_cast<size_t>(program.streams_size()));
  std::vector<std::pair<uint32_t, uint32_t>> records(program.events()); // stream, stops before it
  for (int call = 0; call < program.schedule_size(); ++call) {
    const auto &tasks =
        program.segments(static_cast<int>(program.schedule(call).segment())).tasks();
    for (int i = 0; i < tasks.size(); ++i) {
      const planpb::Task &task = tasks[i];
      std::vector<Stop> &stream = stops.streams[task.stream()];
      Stop stop{.call = static_cast<uint32_t>(call), .task = i};
      if (task.kind_case() == planpb::Task::kRecord) {
        records[task.record()] = {task.stream(), static_cast<uint32_t>(stream.size())};
      } else if (task.kind_case() == planpb::Task::kWait) {
        std::tie(stop.stream, stop.count) = records[task.wait()];
        stream.push_back(stop);
      } else if (task.has_collective()) {
        Group group = mesh.digits(task.collective().group());
        if (group.empty())
          continue; // of one rank
        stop.collective = &task.collective();
        stop.group = groups.try_emplace(group, static_cast<uint32_t>(groups.size())).first->second;
        auto &ofGroup = stops.collectives[stop.group];
        stop.number = static_cast<uint32_t>(ofGroup.size());
        ofGroup.emplace_back(task.stream(), static_cast<uint32_t>(stream.size()));
        stream.push_back(stop);
      }
    }
  }
  return stops;
}

/// The member with the first part.
uint64_t leaderOf(const Group &group, uint64_t rank) {
  for (const Digit &digit : group)
    rank -= digit.of(rank) * digit.stride;
  return rank;
}

std::vector<uint64_t> membersOf(const Group &group, uint64_t rank) {
  std::vector<uint64_t> members = {leaderOf(group, rank)};
  for (const Digit &digit : group) {
    std::vector<uint64_t> finer;
    for (uint64_t member : members)
      for (uint64_t i = 0; i < digit.size; ++i)
        finer.push_back(member + i * digit.stride);
    members = std::move(finer);
  }
  return members;
}

/// Ranks that move alike.
struct Class {
  uint32_t program = 0;
  uint64_t rank = 0;                                // one of them
  std::map<uint32_t, std::vector<uint32_t>> groups; // per group of the program the members' classes
  std::vector<uint32_t> passed;                     // per stream, stops
  std::map<uint32_t, uint32_t> entered;             // per group, collectives
};

class Rendezvous {
public:
  Rendezvous(const Mesh &mesh, const std::vector<const planpb::Program *> &programOf,
             Faults &faults);

  void run() {
    refine();
    checkAgreement();
    simulate();
    report();
  }

private:
  void refine();
  void checkAgreement();
  void compare(const Class &one, const Class &other, uint32_t group);
  std::string differenceOf(const planpb::Program &program, const Stop &one,
                           const planpb::Program &otherProgram, const Stop &other) const;
  void simulate();
  bool advance(Class &ranks, uint32_t stream);
  void report();
  std::pair<uint64_t, uint32_t> waitsFor(uint64_t rank, uint32_t stream, std::string &text) const;
  const Stops &stopsAt(const Class &ranks) const { return programs[ranks.program]; }

  const Mesh &mesh;
  Faults &faults;
  std::vector<Stops> programs;
  std::vector<Group> groups;
  std::vector<uint32_t> classOf; // per rank
  std::vector<Class> classes;
};

Rendezvous::Rendezvous(const Mesh &mesh, const std::vector<const planpb::Program *> &programOf,
                       Faults &faults)
    : mesh(mesh), faults(faults) {
  std::map<const planpb::Program *, uint32_t> known;
  std::map<Group, uint32_t> indices;
  for (const planpb::Program *program : programOf) {
    auto [entry, isNew] = known.try_emplace(program, static_cast<uint32_t>(known.size()));
    if (isNew)
      programs.push_back(stopsOf(mesh, *program, indices));
    classOf.push_back(entry->second);
  }
  groups.resize(indices.size());
  for (const auto &[group, index] : indices)
    groups[index] = group;
}

/// At first the class of a rank is its program; then the classes that it meets tell it apart.
void Rendezvous::refine() {
  std::vector<uint32_t> program = classOf;
  std::vector<std::vector<std::vector<uint32_t>>> met; // per group and leader the members' classes
  size_t before = 0;
  size_t count = programs.size();
  while (count != before) {
    met.assign(groups.size(), std::vector<std::vector<uint32_t>>(classOf.size()));
    for (size_t group = 0; group < groups.size(); ++group) {
      for (uint64_t rank = 0; rank < classOf.size(); ++rank)
        met[group][leaderOf(groups[group], rank)].push_back(classOf[rank]);
      for (std::vector<uint32_t> &members : met[group]) {
        std::sort(members.begin(), members.end());
        members.erase(std::unique(members.begin(), members.end()), members.end());
      }
    }
    std::map<std::vector<uint32_t>, uint32_t> finer;
    std::vector<uint32_t> next;
    for (uint64_t rank = 0; rank < classOf.size(); ++rank) {
      std::vector<uint32_t> key = {classOf[rank]};
      for (const auto &[group, collectives] : programs[program[rank]].collectives) {
        const auto &members = met[group][leaderOf(groups[group], rank)];
        key.push_back(static_cast<uint32_t>(members.size()));
        key.insert(key.end(), members.begin(), members.end());
      }
      next.push_back(finer.try_emplace(key, static_cast<uint32_t>(finer.size())).first->second);
    }
    before = count;
    count = finer.size();
    classOf = std::move(next);
  }
  classes.resize(count);
  std::vector<bool> isFound(count);
  for (uint64_t rank = 0; rank < classOf.size(); ++rank) {
    if (isFound[classOf[rank]])
      continue;
    isFound[classOf[rank]] = true;
    Class &ranks = classes[classOf[rank]];
    ranks.program = program[rank];
    ranks.rank = rank;
    ranks.passed.resize(stopsAt(ranks).streams.size());
    for (const auto &[group, collectives] : stopsAt(ranks).collectives) {
      std::set<uint32_t> members;
      for (uint64_t member : membersOf(groups[group], rank))
        members.insert(classOf[member]);
      ranks.groups[group].assign(members.begin(), members.end());
    }
  }
}

void Rendezvous::checkAgreement() {
  std::set<std::tuple<uint32_t, uint32_t, uint32_t>> compared; // two programs and a group
  for (const Class &ranks : classes)
    for (const auto &[group, members] : ranks.groups)
      for (uint32_t member : members) {
        uint32_t one = ranks.program, other = classes[member].program;
        if (one < other && compared.emplace(one, other, group).second &&
            stopsAt(classes[member]).collectives.contains(group))
          compare(ranks, classes[member], group);
      }
}

void Rendezvous::compare(const Class &one, const Class &other, uint32_t group) {
  const Stops &stops = stopsAt(one), &others = stopsAt(other);
  size_t count = std::min(stops.collectives.at(group).size(), others.collectives.at(group).size());
  for (size_t i = 0; i < count; ++i) {
    const Stop &mine = stops.collective(group, i), &theirs = others.collective(group, i);
    std::string difference = differenceOf(*stops.program, mine, *others.program, theirs);
    if (difference.empty())
      continue;
    faults.add("rank {} meets rank {} in different collectives, {}; {} of program {} and {} of "
               "program {}",
               one.rank, other.rank, difference, describeStep(*stops.program, mine.call, mine.task),
               stops.program->name(), describeStep(*others.program, theirs.call, theirs.task),
               others.program->name());
    return;
  }
}

/// Where a view begins in the arena of its program.
uint64_t placeOf(const planpb::Program &program, uint32_t call, const planpb::View &view) {
  const planpb::Buffer &buffer = program.buffers(static_cast<int>(view.buffer()));
  uint64_t slot =
      buffer.lifetime() == planpb::SLOT ? program.schedule(static_cast<int>(call)).slot() : 0;
  return buffer.offset() + slot * buffer.slot_stride() + view.offset();
}

/// What two collectives of a group that meet disagree on; empty if on nothing.
std::string Rendezvous::differenceOf(const planpb::Program &program, const Stop &one,
                                     const planpb::Program &otherProgram, const Stop &other) const {
  const planpb::Collective &a = *one.collective, &b = *other.collective;
  auto isEqual = [](const auto &x, const auto &y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end());
  };
  auto isAlike = [&](const planpb::View &x, const planpb::View &y) {
    return x.dtype() == y.dtype() && isEqual(x.shape(), y.shape());
  };
  auto isAtOnePlace = [&](const planpb::View &x, const planpb::View &y) {
    return placeOf(program, one.call, x) == placeOf(otherProgram, other.call, y) &&
           shiftOf(mesh, x) == shiftOf(mesh, y);
  };
  if (a.kind() != b.kind() || a.reduction() != b.reduction())
    return "which are of different kinds";
  if (a.sequence() != b.sequence())
    return fmt::format("of sequence {} and {}", a.sequence(), b.sequence());
  if (!isAlike(a.input(), b.input()) || !isAlike(a.output(), b.output()))
    return "of different types or shapes";
  if (a.split() != b.split() || a.concat() != b.concat() || !isEqual(a.sources(), b.sources()))
    return "which cut, join or permute differently";
  if (!isAtOnePlace(a.input(), b.input()))
    return "whose inputs lie at different places of their windows";
  if (a.kind() == planpb::Collective::ALL_REDUCE && !isAtOnePlace(a.output(), b.output()))
    return "whose outputs lie at different places of their windows";
  return "";
}

/// Takes the next step of a stream, if it can be taken.
bool Rendezvous::advance(Class &ranks, uint32_t stream) {
  const std::vector<Stop> &stops = stopsAt(ranks).streams[stream];
  if (ranks.passed[stream] == stops.size())
    return false;
  const Stop &stop = stops[ranks.passed[stream]];
  if (!stop.collective) {
    if (ranks.passed[stop.stream] < stop.count)
      return false;
  } else {
    ranks.entered[stop.group] = std::max(ranks.entered[stop.group], stop.number + 1);
    for (uint32_t member : ranks.groups.at(stop.group))
      if (classes[member].entered[stop.group] <= stop.number)
        return false;
  }
  ++ranks.passed[stream];
  return true;
}

void Rendezvous::simulate() {
  bool moves = true;
  while (moves) {
    moves = false;
    for (Class &ranks : classes)
      for (uint32_t stream = 0; stream < ranks.passed.size(); ++stream)
        while (advance(ranks, stream))
          moves = true;
  }
}

/// The rank and stream that a stuck stream waits for, put in words; a rank that has no such
/// collective left has no stream to name.
std::pair<uint64_t, uint32_t> Rendezvous::waitsFor(uint64_t rank, uint32_t stream,
                                                   std::string &text) const {
  const Class &ranks = classes[classOf[rank]];
  const Stops &stops = stopsAt(ranks);
  const Stop &stop = stops.streams[stream][ranks.passed[stream]];
  text += fmt::format("rank {}, stream {}, waits in {} for ", rank,
                      stops.program->streams(static_cast<int>(stream)),
                      describeStep(*stops.program, stop.call, stop.task));
  if (!stop.collective) {
    text += fmt::format("its stream {}", stops.program->streams(static_cast<int>(stop.stream)));
    return {rank, stop.stream};
  }
  for (uint64_t member : membersOf(groups[stop.group], rank)) {
    const Class &others = classes[classOf[member]];
    auto entered = others.entered.find(stop.group);
    if (entered != others.entered.end() && entered->second > stop.number)
      continue;
    text += fmt::format("rank {}", member);
    auto collectives = stopsAt(others).collectives.find(stop.group);
    if (collectives != stopsAt(others).collectives.end() &&
        collectives->second.size() > stop.number)
      return {member, collectives->second[stop.number].first};
    text += fmt::format(
        ", which calls {} collectives of that group",
        collectives == stopsAt(others).collectives.end() ? 0 : collectives->second.size());
    return {member, UINT32_MAX};
  }
  return {rank, UINT32_MAX};
}

void Rendezvous::report() {
  for (const Class &ranks : classes)
    for (uint32_t stream = 0; stream < ranks.passed.size(); ++stream) {
      if (ranks.passed[stream] == stopsAt(ranks).streams[stream].size())
        continue;
      constexpr size_t kMostNamed = 16;
      std::vector<std::string> chain;
      std::set<std::pair<uint64_t, uint32_t>> seen;
      std::pair<uint64_t, uint32_t> at = {ranks.rank, stream};
      while (at.second != UINT32_MAX && seen.insert(at).second && chain.size() < kMostNamed)
        at = waitsFor(at.first, at.second, chain.emplace_back());
      faults.add("the ranks wait for each other for ever: {}", fmt::join(chain, "; "));
      return;
    }
}

} // namespace

void checkRendezvous(const Mesh &mesh, const std::vector<const planpb::Program *> &programOf,
                     Faults &faults) {
  std::set<const planpb::Program *> programs(programOf.begin(), programOf.end());
  for (const planpb::Program *program : programs)
    checkSequence(*program, faults);
  if (programs.size() > 1)
    Rendezvous(mesh, programOf, faults).run();
}

} // namespace deepshard::runtime
